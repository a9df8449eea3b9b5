//! The release driver: one thread that verifies signatures and writes what was pushed, so that neither holds up the way
//! from device to handler to device.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use tidegate_core::Input;
use tokio::sync::mpsc as replies;
use tracing::debug;

use crate::clock::Clock;
use crate::release_desk::{Desk, ToReleases, When};

/// Signatures, and an order of 16 KiB.
const STACK_BYTES: usize = 512 * 1024;

/// The thread's front.
#[derive(Debug)]
pub struct ReleaseDriver {
    to: Sender<ToReleases>,
    said: replies::UnboundedReceiver<Input>,
}

impl ReleaseDriver {
    pub fn start(mut desk: Desk, clock: Clock) -> ReleaseDriver {
        let (to, told) = mpsc::channel();
        // Bounded by what is asked: the core has so many messages examined at once.
        let (say, said) = replies::unbounded_channel();
        thread::Builder::new()
            .name("releases".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let when = || When { now: clock.timestamp(), wall: clock.wall() };
                desk.resume(when());
                loop {
                    while let Some(input) = desk.poll_said() {
                        if say.send(input).is_err() {
                            debug!("the hub has stopped; what the desk has to say is forgotten");
                        }
                    }
                    let next = match desk.poll_timeout() {
                        None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                        Some(due) => {
                            let wait = due.0.saturating_sub(clock.timestamp().0);
                            told.recv_timeout(Duration::from_millis(wait))
                        }
                    };
                    match next {
                        Ok(what) => desk.take(when(), what),
                        Err(RecvTimeoutError::Timeout) => desk.handle_timeout(when()),
                        Err(RecvTimeoutError::Disconnected) => return desk.stop(when()),
                    }
                }
            })
            .expect("a system that cannot start a thread cannot run a gateway");
        ReleaseDriver { to, said }
    }

    pub fn send(&self, what: ToReleases) {
        if self.to.send(what).is_err() {
            debug!("the release desk has stopped");
        }
    }

    /// What the desk has to say, if it has.
    pub fn poll_said(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        self.said.poll_recv(context)
    }
}
