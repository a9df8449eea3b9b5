//! The local side as the core sees it: our own front door, or an existing broker that comes and goes.

use alloc::sync::Arc;
use core::time::Duration;

use crate::limits::Limits;
use crate::message::Message;
use crate::time::Timestamp;

mod echo;
mod keeping;
mod link;

use echo::Echo;
use keeping::Keeping;
use link::Link;
pub use link::Sent;

/// Where local messages come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalSide {
    /// When the front door is our own: a handler's publish reaches other handlers inside the core.
    FrontDoor,
    /// When it is an existing broker, which sends our own publishes back to us.
    Broker,
}

/// The way out to the local side, and what is known of what comes back.
#[derive(Debug)]
pub struct Local {
    side: LocalSide,
    link: Link,
    echo: Echo,
    keeping: Keeping,
}

impl Local {
    pub fn new(side: LocalSide, limits: &Limits, seed: u64) -> Local {
        let (link, echo) = (Link::new(limits, seed), Echo::new(limits.echoes_max));
        Local { side, link, echo, keeping: Keeping::default() }
    }

    /// Whether subscriptions can be made now.
    pub fn is_up(&self) -> bool {
        self.side == LocalSide::FrontDoor || self.link.is_up()
    }

    /// Whether a handler's publish is to be routed to handlers at once. An existing broker brings it back instead.
    pub fn routes_inside(&self) -> bool {
        self.side == LocalSide::FrontDoor
    }

    pub fn handle_up(&mut self, now: Timestamp) {
        self.link.handle_up(now);
        self.keeping.handle_up(now);
    }

    /// The broker is gone. Returns the wait before the next try.
    pub fn handle_down(&mut self, now: Timestamp) -> Duration {
        self.keeping.handle_down(now);
        self.link.handle_down(now)
    }

    /// Whether it has just turned out that the broker takes no retained messages.
    pub fn take_refused(&mut self) -> bool {
        self.keeping.take_refused()
    }

    /// Whether the broker is to be tried now.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        self.side == LocalSide::Broker && self.link.handle_timeout(now)
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.side {
            LocalSide::FrontDoor => None,
            LocalSide::Broker => self.link.poll_timeout(),
        }
    }

    /// What becomes of a handler's publish; `comes_back` when it wakes one of our handlers.
    pub fn send(&mut self, now: Timestamp, message: Arc<Message>, comes_back: bool) -> Sent {
        match self.side {
            LocalSide::FrontDoor => Sent::Now(message),
            LocalSide::Broker => {
                if comes_back {
                    self.echo.sent(&message);
                }
                let sent = self.link.send(message);
                if let Sent::Now(message) = &sent {
                    self.keeping.handle_sent(now, message);
                }
                sent
            }
        }
    }

    /// What waited for the broker, oldest first.
    pub fn poll_waiting(&mut self, now: Timestamp) -> Option<Arc<Message>> {
        let message = self.link.poll_waiting()?;
        self.keeping.handle_sent(now, &message);
        Some(message)
    }

    /// The handlers that an incoming message has passed through already.
    pub fn hops(&mut self, message: &Message) -> u8 {
        match self.side {
            LocalSide::FrontDoor => message.hops,
            LocalSide::Broker => self.echo.hops(message),
        }
    }
}
