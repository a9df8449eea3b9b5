//! What the hub is to be told, a few at a time: each time costs a wake-up of its thread, and brokers ack one by one.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_core::Input;
use tokio::time::{Instant, Sleep, sleep_until};

use super::flight::Flight;

/// Longest time that an ack is held back. The window does not run dry meanwhile on a link with a longer round trip,
/// and on a shorter one there are always more acks.
const HOLD: Duration = Duration::from_millis(2);
/// This part of the window is told at once: the rest is under way while the hub sends more.
const PARTS: usize = 4;

/// What has not been told yet.
pub(super) struct Report {
    pub said: Vec<Input>,
    enough: usize,
    /// Set while something waits.
    since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Report {
    pub fn new(window: u16) -> Report {
        let enough = (usize::from(window) / PARTS).max(1);
        let timer = Box::pin(sleep_until(Instant::now()));
        Report { said: Vec::new(), enough, since: None, timer }
    }

    /// Whether there is enough to tell, or nothing under way that could come to it.
    pub fn is_due(&self, flight: &Flight) -> bool {
        self.said.len() >= self.enough || flight.is_empty()
    }

    /// Everything that waits.
    pub fn take(&mut self) -> Vec<Input> {
        self.since = None;
        std::mem::take(&mut self.said)
    }

    /// Ready when something has waited long enough.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.said.is_empty() {
            return Poll::Pending;
        }
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            self.timer.as_mut().reset(now + HOLD);
        }
        self.timer.as_mut().poll(context)
    }
}
