//! Keep-alive: ours to the broker, and the broker's to us.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a broker may take to answer a ping, at most; less when the keep-alive is shorter.
const PONG_WAIT: Duration = Duration::from_secs(10);

/// Finds out whether the broker still lives, and lets it know that we do.
pub(super) struct Pulse {
    keep_alive: Duration,
    last_sent: Instant,
    last_heard: Instant,
    /// When the ping went out that waits for an answer.
    pinged: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Pulse {
    pub fn new(keep_alive: Duration) -> Pulse {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now + keep_alive));
        Pulse { keep_alive, last_sent: now, last_heard: now, pinged: None, timer }
    }

    pub fn sent(&mut self) {
        self.last_sent = Instant::now();
    }

    /// Anything that is heard answers a ping.
    pub fn heard(&mut self) {
        self.last_heard = Instant::now();
        self.pinged = None;
    }

    fn deadline(&self) -> Instant {
        match self.pinged {
            Some(at) => at + self.keep_alive.min(PONG_WAIT),
            None => self.last_sent.min(self.last_heard) + self.keep_alive,
        }
    }

    /// Rings at the deadline, or at an earlier one that has moved meanwhile.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(context)
    }

    /// Whether a ping is due.
    ///
    /// # Errors
    /// When the last one was not answered.
    pub fn handle_timeout(&mut self) -> Result<bool, String> {
        let now = Instant::now();
        let is_due = self.deadline() <= now;
        if is_due && self.pinged.is_some() {
            return Err("it does not answer".to_owned());
        }
        if is_due {
            self.pinged = Some(now);
        }
        let next = self.deadline();
        self.timer.as_mut().reset(next);
        Ok(is_due)
    }
}
