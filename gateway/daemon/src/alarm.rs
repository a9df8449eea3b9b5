//! One timer for all deadlines. Moving it costs a walk through the runtime's timers, and deadlines move
//! with every message; so it is moved only when one comes nearer, and an early ring is merely a look.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tidegate_core::Timestamp;
use tokio::time::{Sleep, sleep_until};

use crate::clock::Clock;

/// Rings at the nearest deadline, or earlier.
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    set: Option<(Timestamp, Pin<Box<Sleep>>)>,
}

impl Alarm {
    pub fn new(clock: Clock) -> Alarm {
        Alarm { clock, set: None }
    }

    /// Ready when `next` may be due; then it must be set again.
    pub fn poll(&mut self, next: Option<Timestamp>, context: &mut Context<'_>) -> Poll<()> {
        let Some(next) = next else {
            return Poll::Pending;
        };
        let (at, sleep) =
            self.set.get_or_insert_with(|| (next, Box::pin(sleep_until(self.clock.instant(next)))));
        if next < *at {
            *at = next;
            sleep.as_mut().reset(self.clock.instant(next));
        }
        match sleep.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                // Whether or not a deadline is behind us, the next one is later than now.
                *at = next.max(self.clock.timestamp().after(std::time::Duration::from_millis(1)));
                sleep.as_mut().reset(self.clock.instant(*at));
                Poll::Ready(())
            }
        }
    }
}
