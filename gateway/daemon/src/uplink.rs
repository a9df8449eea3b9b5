//! The way upstream: a thread of its own that keeps one connection to a broker when the core wants one, sends
//! records over it, and says what became of each. It does not choose: what to send, when to try again and
//! when to give up is the core's.
//!
//! Each connection is a fresh one with a clean session. A record is sent with QoS 1 and never retained. On any
//! doubt (an ack that fits nothing, a packet that nobody asked for) the connection is given up, and what was not
//! acked is sent again over the next. For a [`ToUplink::Connect`] there is one [`Input::UplinkDown`] in the
//! end, with an [`Input::UplinkUp`] before it if there was a connection.
//!
//! In reading order: `driver` (the thread's life), `dial` (TCP, TLS, CONNECT), `link` (one connection), `flight`
//! (what is sent and not acked), `report` (what the hub is told), `pulse` (keep-alive), `outlet` (a record's topic
//! and envelope), `wire` (bytes).

mod dial;
mod driver;
mod flight;
mod link;
mod outlet;
mod pulse;
mod report;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;

use anyhow::Context as _;
use tidegate_config::UplinkSettings;
use tidegate_core::Input;
use tidegate_core::time::WallTime;
use tidegate_envelope::Identity;
use tokio::sync::mpsc;

use crate::hub::ToUplink;
use crate::tls::{self, Trust};
use driver::Driver;

/// TLS handshakes take the most of it.
const STACK_BYTES: usize = 512 * 1024;
/// Names are looked up in threads, because the C library waits. One that hangs must not hold up the next.
const LOOKUPS_MAX: usize = 4;

/// The driver's front. Both ways are bounded by the core: it has at most a window of records under way, and one
/// connection.
#[derive(Debug)]
pub struct Uplink {
    asked: mpsc::UnboundedSender<Vec<ToUplink>>,
    said: mpsc::UnboundedReceiver<Vec<Input>>,
    /// The rest of what was said together.
    batch: VecDeque<Input>,
}

impl Uplink {
    /// Starts the thread; it connects when it is asked to. `wall` says what time it is and how far to believe
    /// that, for the dates of certificates.
    ///
    /// # Errors
    /// When a TLS file cannot be used.
    pub fn start(
        settings: UplinkSettings,
        identity: Identity,
        wall: impl Fn() -> WallTime + Send + Sync + 'static,
    ) -> anyhow::Result<Uplink> {
        let trust = Trust::new(wall);
        if let Some(tls) = &settings.broker.tls {
            // Read again for each connection; but a mistake is better told at the start.
            tls::client_config(tls, &trust)?;
        }
        let (asked, next) = mpsc::unbounded_channel();
        let (say, said) = mpsc::unbounded_channel();
        let driver = Driver::new(Arc::new(settings), identity, trust, next, say);
        thread::Builder::new()
            .name("uplink".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(driver))
            .context("cannot start the uplink's thread")?;
        Ok(Uplink { asked, said, batch: VecDeque::new() })
    }

    /// Hands over what the core asked for in one turn, so that the thread wakes up once for all of it.
    pub fn send(&self, asked: impl Iterator<Item = ToUplink>) {
        let asked: Vec<ToUplink> = asked.collect();
        if !asked.is_empty() && self.asked.send(asked).is_err() {
            tracing::error!("the uplink's thread has ended; nothing goes upstream any more");
        }
    }

    /// What the driver has to say, if it has something.
    pub fn poll_said(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        loop {
            if let Some(input) = self.batch.pop_front() {
                return Poll::Ready(Some(input));
            }
            match ready!(self.said.poll_recv(context)) {
                Some(batch) => self.batch = batch.into(),
                None => return Poll::Ready(None),
            }
        }
    }
}

fn serve(driver: Driver) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(LOOKUPS_MAX)
        .build()
        .expect("a system without epoll cannot run a gateway")
        .block_on(driver.serve());
}
