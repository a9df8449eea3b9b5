//! What handlers log: to people here, and to those who follow it from elsewhere.

use alloc::format;
use alloc::sync::Arc;

use super::Gateway;
use crate::effect::{Effect, Report};
use crate::job::{HandlerId, LogLine};
use crate::local::Sent;
use crate::message::{Message, QoS};
use crate::topic::Topic;

impl Gateway {
    pub(super) fn log(&mut self, handler: HandlerId, line: LogLine) {
        if !self.follows.is_empty() {
            self.show_followers(handler, &line);
        }
        self.report(Report::HandlerLog { handler, line });
    }

    /// Nobody is promised a line: it leaves with QoS 0, or not, where the way out is closed.
    fn show_followers(&mut self, handler: HandlerId, line: &LogLine) {
        let Some(name) = self.deployments.name(handler).cloned() else {
            return;
        };
        let at = self.outbox.boots().wall_at(self.now);
        let Some(shown) = self.follows.handle_line(self.now, at, &name, line) else {
            return;
        };
        let topic = self.control.gateway().map(|own| format!("tidegate/1/{own}/logs/{name}"));
        let Some(topic) = topic.and_then(|topic| Topic::new(&topic).ok()) else {
            return;
        };
        let message = Arc::new(Message {
            topic,
            payload: Arc::from(shown.into_bytes()),
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            source: Arc::from("tidegate"),
            at,
            hops: 0,
            mark: None,
        });
        match self.local.send(self.now, Arc::clone(&message), false) {
            Sent::Now(out) => self.effects.push_back(Effect::Publish(out)),
            Sent::Waits | Sent::Dropped => {}
        }
        if self.outbox.is_up() {
            self.effects.push_back(Effect::TellUpstream(message));
        }
    }
}
