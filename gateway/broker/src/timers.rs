//! One deadline per connection. Nothing moves while messages flow: a keep-alive's deadline is looked
//! at when it comes, and put later if the client has been heard since.

use std::collections::BTreeSet;

use tidegate_core::Timestamp;

use crate::event::ConnId;

/// Deadlines of connections, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Timestamp, ConnId)>,
}

impl Timers {
    pub fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Puts a connection's deadline at `to`; `armed` is where the connection keeps the old one.
    pub fn arm(&mut self, conn: ConnId, armed: &mut Option<Timestamp>, to: Option<Timestamp>) {
        if let Some(old) = armed.take() {
            self.due.remove(&(old, conn));
        }
        if let Some(at) = to {
            self.due.insert((at, conn));
        }
        *armed = to;
    }

    /// A connection whose deadline has come. It must be armed anew or gone afterwards.
    pub fn pop(&mut self, now: Timestamp) -> Option<ConnId> {
        let (at, conn) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(conn)
    }
}
