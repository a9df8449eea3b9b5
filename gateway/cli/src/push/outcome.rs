//! What came of a push: the last word, the JSON, and the exit status.

use serde::Serialize;
use tidegate_release::manifest::Target;
use tidegate_release::{Digest, Name, Rank};

use super::course::{Course, Phase};
use super::session::Session;
use crate::failure::Failure;

/// The one line of `--json`.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub handler: String,
    pub what: &'static str,
    pub version: Option<String>,
    pub digest: String,
    pub key_epoch: u32,
    pub seq: u64,
    pub targets: Vec<String>,
    pub gateways: Vec<Shown>,
    /// Every gateway that was named, and every one that answered, is as it was wanted.
    pub ok: bool,
}

#[derive(Debug, Serialize)]
pub struct Shown {
    pub gateway: String,
    pub stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Outcome {
    pub fn new(
        (handler, what): (&Name, &'static str),
        version: Option<&str>,
        release: (Rank, Digest),
        targets: &[Target],
        course: &Course,
        session: &Session,
    ) -> Outcome {
        let gateways: Vec<Shown> = course
            .gateways()
            .iter()
            .map(|(gateway, at)| {
                let (stage, code, text) = match &at.phase {
                    Phase::Silent => ("silent", None, Some(session.why_silent(gateway))),
                    Phase::Checking { have, of } => {
                        ("checking", None, Some(format!("it has {have} of {of} chunks")))
                    }
                    Phase::Installing => ("installing", None, None),
                    Phase::Probation { .. } => ("probation", None, None),
                    Phase::Active => ("active", None, None),
                    Phase::Removed => ("removed", None, None),
                    Phase::Rejected { code, text } => {
                        ("rejected", Some(code.clone()), Some(text.clone()))
                    }
                    Phase::RolledBack { code, text, .. } => {
                        ("rolled-back", Some(code.clone()), Some(text.clone()))
                    }
                    Phase::Overtaken(rank) => ("overtaken", None, Some(format!("it took {rank}"))),
                };
                let took_ms = at.took.map(|took| took.as_secs_f64() * 1000.0);
                Shown { gateway: gateway.to_string(), stage, took_ms, code, text }
            })
            .collect();
        let is_good = course.gateways().values().all(|at| at.phase.is_good());
        Outcome {
            handler: handler.to_string(),
            what,
            version: version.map(str::to_owned),
            digest: release.1.to_string(),
            key_epoch: release.0.key_epoch,
            seq: release.0.seq,
            targets: targets.iter().map(Target::to_string).collect(),
            ok: is_good && !gateways.is_empty(),
            gateways,
        }
    }

    /// Success, or what to do.
    ///
    /// # Errors
    /// When a gateway refused, took it back, or did not get there.
    pub fn verdict(&self, timeout_s: u64) -> Result<(), Failure> {
        if self.ok {
            return Ok(());
        }
        let is_bad = |shown: &&Shown| !matches!(shown.stage, "active" | "removed");
        let list = |shown: &Shown| match &shown.text {
            Some(text) => format!("\n  {}: {}: {text}", shown.gateway, shown.stage),
            None => format!("\n  {}: {}", shown.gateway, shown.stage),
        };
        let bad: String = self.gateways.iter().filter(is_bad).map(list).collect();
        let answered = self.gateways.iter().any(|shown| shown.stage != "silent");
        if answered {
            let count = self.gateways.iter().filter(is_bad).count();
            return Err(Failure::failed(format!(
                "{count} of {} gateways do not run it:{bad}",
                self.gateways.len()
            )));
        }
        let group = if bad.is_empty() {
            "\n  the group has no member that is connected to this broker ([gateway] groups)"
        } else {
            ""
        };
        Err(Failure::silent(format!(
            "the broker has it, and no gateway has answered within {timeout_s} s:{bad}{group}\n\
             `tidegate status --to {}` tells later how it went",
            self.targets.join(",")
        )))
    }
}
