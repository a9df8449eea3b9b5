//! Signs what the core says.

use tidegate_core::Input;
use tidegate_core::release as core;
use tidegate_core::topic::Topic;
use tidegate_release::answer::Report;
use tidegate_release::topics::ControlTopic;
use tracing::error;

use super::{Desk, answers};

impl Desk {
    pub(super) fn sign(&mut self, answer: core::Answer, tries: u8) {
        let signed = answers::answer(&answer, &self.gateway, self.identity.count())
            .ok_or_else(|| "its handler has a name that cannot be pushed".to_owned())
            .and_then(|signed| match signed.sign(self.identity.key()) {
                Ok(payload) => Ok((payload, signed.handler)),
                Err(error) => Err(error.to_string()),
            });
        let (payload, handler) = match signed {
            Ok(signed) => signed,
            Err(reason) => {
                return self.said.push_back(Input::Unsigned { answer, tries, reason });
            }
        };
        let gateway = self.gateway.clone();
        let (topic, retain) = match &answer.stage {
            core::Stage::Invoked(_) => (ControlTopic::Invoked { gateway, handler }, false),
            core::Stage::Checking { .. }
            | core::Stage::Installing
            | core::Stage::Probation { .. }
            | core::Stage::Active
            | core::Stage::Rejected(_)
            | core::Stage::RolledBack { .. }
            | core::Stage::Removed
            | core::Stage::SafeMode => (ControlTopic::Answer { gateway, handler }, true),
        };
        match Topic::new(&topic.to_string()) {
            Ok(topic) => {
                self.said.push_back(Input::Signed { topic, payload: payload.into(), retain });
            }
            Err(error) => error!(%error, "an answer has no topic"),
        }
    }

    /// What the gateway says of itself. It is said again whenever somebody asks.
    pub(super) fn sign_report(&mut self, report: &core::GatewayReport) {
        let Some(trust) = &self.trust else {
            return;
        };
        let signed = Report {
            gateway: self.gateway.clone(),
            counter: self.identity.count(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: report.uptime_ms,
            trust_version: trust.version(),
            key_epoch: trust.key_epoch(),
            is_safe_mode: report.is_safe_mode,
            is_stale: report.is_stale,
            handlers: report.handlers,
            audit: self.audit.head(),
        }
        .sign(self.identity.key());
        let topic = ControlTopic::Gateway { gateway: self.gateway.clone() };
        match (signed, Topic::new(&topic.to_string())) {
            (Ok(payload), Ok(topic)) => {
                self.said.push_back(Input::Signed { topic, payload: payload.into(), retain: true });
            }
            (Err(error), _) => error!(%error, "the gateway's report cannot be signed"),
            (_, Err(error)) => error!(%error, "the gateway's report has no topic"),
        }
    }
}
