//! What handlers log: to people here, and to those who follow it from elsewhere.

use alloc::format;
use alloc::sync::Arc;

use super::Gateway;
use crate::effect::{Effect, Report};
use crate::follow::{Shown, Side};
use crate::job::{HandlerId, LogLine};
use crate::local::Sent;
use crate::message::Message;
use crate::time::WallTime;
use crate::topic::Topic;

impl Gateway {
    pub(super) fn log(&mut self, handler: HandlerId, line: LogLine) {
        if !self.follows.is_empty() {
            self.show_followers(handler, &line);
        }
        self.report(Report::HandlerLog { handler, line });
    }

    /// Somebody asks for a handler's lines, and is told what was left out.
    pub(super) fn follow(&mut self, handler: &Arc<str>, side: Side) {
        let at = self.outbox.boots().wall_at(self.now);
        if let Some(shown) = self.follows.handle_request(self.now, at, handler, side) {
            self.show(handler, at, shown);
        }
    }

    fn show_followers(&mut self, handler: HandlerId, line: &LogLine) {
        let Some(name) = self.deployments.name(handler).cloned() else {
            return;
        };
        let at = self.outbox.boots().wall_at(self.now);
        if let Some(shown) = self.follows.handle_line(self.now, at, &name, line) {
            self.show(&name, at, shown);
        }
    }

    /// Nobody is promised a line: it leaves with QoS 0, or not, where the way out is closed.
    fn show(&mut self, name: &str, at: WallTime, shown: Shown) {
        let topic = self.control.gateway().map(|own| format!("tidegate/1/{own}/logs/{name}"));
        let Some(topic) = topic.and_then(|topic| Topic::new(&topic).ok()) else {
            return;
        };
        let payload = Arc::from(shown.text.into_bytes());
        let message = Arc::new(Message::own(topic, payload, Arc::from("tidegate"), at));
        if shown.local {
            match self.local.send(self.now, Arc::clone(&message), false) {
                Sent::Now(out) => self.effects.push_back(Effect::Publish(out)),
                Sent::Waits | Sent::Dropped => {}
            }
        }
        if shown.upstream && self.outbox.is_up() {
            self.effects.push_back(Effect::TellUpstream(message));
        }
    }
}
