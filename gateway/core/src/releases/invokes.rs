//! Events that a person sends to one handler. Each order is good for one run, over restarts too: its rank is durable
//! before it runs.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::{Ask, Releases};
use crate::job::Invoke;
use crate::message::Message;
use crate::release::{Decision, Digest, Rank, Refusal, Row, RowPhase, Stage};

/// In front of a handler's name in the registry: how far its invokes are. No handler can be named so.
pub const INVOKES: &str = "invoke/";
/// Events that wait for their rows. One more is refused.
const WAITING_MAX: usize = 16;

impl Releases {
    /// A person sends an event. False when it is refused.
    pub fn handle_invoke(
        &mut self,
        name: Arc<str>,
        rank: Rank,
        digest: Digest,
        message: Message,
        invoke: Invoke,
    ) -> bool {
        let running = self.names.get(&name).filter(|entry| entry.running.is_some());
        let Some(handler) = running.map(|entry| entry.id) else {
            let text =
                format!("no handler {name} runs here; `tidegate status` lists those that do");
            let refusal = Refusal::new("no-such-handler", text);
            self.answer(name, Some((rank, digest)), Stage::Rejected(refusal));
            return false;
        };
        if self.invokes.len() >= WAITING_MAX {
            let refusal = Refusal::new("busy", String::from("too many events wait; send it again"));
            self.answer(name, Some((rank, digest)), Stage::Rejected(refusal));
            return false;
        }
        let is_dry = invoke.is_dry;
        self.note(Decision::Invoked { handler: Arc::clone(&name), rank, is_dry });
        let row = Row { phase: RowPhase::None, ..Row::first((rank, digest)) }.encode();
        self.version += 1;
        let (key, version) = (Arc::from(format!("{INVOKES}{name}")), self.version);
        self.asks.push_back(Ask::Record { key, row, version });
        self.invokes.push_back((version, handler, message, invoke));
        true
    }

    /// Rows up to this one are durable: what waited for them runs.
    pub(super) fn run_recorded(&mut self, version: u64) {
        while self.invokes.front().is_some_and(|(waits, ..)| *waits <= version)
            && let Some((_, handler, message, invoke)) = self.invokes.pop_front()
        {
            self.asks.push_back(Ask::Invoke { handler, message, invoke });
        }
    }
}
