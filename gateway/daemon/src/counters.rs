//! Every counter of the house by name, and a word when the front door has closed or dropped something.

use std::time::Duration;

use tidegate_broker::{CloseReason, Counters as DoorCounters, DropReason as DoorDrop};
use tidegate_core::{DropReason, Timestamp};
use tracing::{info, warn};

use crate::hub::Hub;

/// The front door's troubles are told of at once, and then at most so often.
const TROUBLE_EVERY: Duration = Duration::from_secs(10);

/// Everything that has been counted and is not zero: `where.what[.reason]` and its number.
pub fn all(hub: &mut Hub) -> Vec<(String, u64)> {
    let gateway = hub.gateway();
    let mut all = vec![("messages.inside".to_owned(), gateway.messages() as u64)];
    for reason in DropReason::ALL {
        all.push((format!("messages.dropped.{}", reason.name()), gateway.dropped(reason)));
    }
    for (_, name, _, counters) in gateway.handlers() {
        for (what, count) in [
            ("events", counters.events),
            ("failed", counters.failed),
            ("retried", counters.retried),
            ("skipped", counters.skipped),
            ("publishes", counters.publishes),
            ("pins", counters.pins),
            ("fuel", counters.fuel),
        ] {
            all.push((format!("handler.{name}.{what}"), count));
        }
    }
    all.push(("pins.away".to_owned(), gateway.pins_away() as u64));
    all.push(("pins.lost".to_owned(), gateway.pins_lost()));
    let name = |id| gateway.streams().get(id).map_or("?", |stream| stream.name.as_str());
    for line in gateway.waiting() {
        let stream = name(line.stream);
        all.push((format!("stream.{stream}.waiting"), line.records));
        all.push((format!("stream.{stream}.waiting_bytes"), line.bytes));
        all.push((format!("stream.{stream}.delivered"), line.delivered));
    }
    for line in gateway.losses() {
        let (stream, reason) = (name(line.stream), line.reason.name());
        all.push((format!("stream.{stream}.lost.{reason}"), line.count));
    }
    let durable = hub.durable();
    all.push(("store.commits".to_owned(), durable.commits));
    all.push(("store.syncs".to_owned(), durable.syncs));
    if let Some(door) = hub.door() {
        let counters = door.counters();
        for (what, count) in [
            ("clients", counters.clients),
            ("subscriptions", counters.subscriptions),
            ("connects", counters.connects),
            ("transports_refused", counters.transports_refused),
            ("messages_in", counters.messages_in),
            ("messages_out", counters.messages_out),
            ("bytes_in", counters.bytes_in),
            ("bytes_out", counters.bytes_out),
            ("unknown_acks", counters.unknown_acks),
            ("subscriptions_refused", counters.subscriptions_refused),
        ] {
            all.push((format!("door.{what}"), count));
        }
        for reason in DoorDrop::ALL {
            all.push((format!("door.dropped.{}", reason.name()), counters.dropped(reason)));
        }
        for reason in CloseReason::ALL {
            all.push((format!("door.closed.{}", reason.name()), counters.closed(reason)));
        }
    }
    all.retain(|(_, count)| *count > 0);
    all
}

/// Logs every counter, in one line.
pub fn tell(hub: &mut Hub) {
    let all: Vec<String> = all(hub).iter().map(|(name, count)| format!("{name}={count}")).collect();
    info!("counters {}", all.join(" "));
}

/// Watches the front door's counters for what somebody should know.
#[derive(Debug, Default)]
pub struct Troubles {
    /// The sum at the last look: whether it moved is asked at every turn.
    sum: u64,
    told: DoorCounters,
    next: Timestamp,
}

impl Troubles {
    /// Looks, and logs what is new. Call it after every turn.
    pub fn look(&mut self, clock: impl Fn() -> Timestamp, counters: &DoorCounters) {
        let closed = CloseReason::ALL.into_iter().filter(|reason| is_trouble(*reason));
        let sum = closed.clone().map(|reason| counters.closed(reason)).sum::<u64>()
            + DoorDrop::ALL.into_iter().map(|reason| counters.dropped(reason)).sum::<u64>()
            + counters.transports_refused;
        if sum == self.sum {
            return;
        }
        let now = clock();
        if now < self.next {
            return;
        }
        self.sum = sum;
        self.next = now.after(TROUBLE_EVERY);
        for reason in closed {
            let count = counters.closed(reason) - self.told.closed(reason);
            if count > 0 {
                warn!(reason = reason.name(), count, "the front door closed connections");
            }
        }
        for reason in DoorDrop::ALL {
            let count = counters.dropped(reason) - self.told.dropped(reason);
            if count > 0 {
                warn!(reason = reason.name(), count, "the front door dropped messages");
            }
        }
        let count = counters.transports_refused - self.told.transports_refused;
        if count > 0 {
            warn!(
                count,
                "the front door turned connections away: as many are open as the board allows"
            );
        }
        self.told.clone_from(counters);
    }
}

/// Whether somebody should look into it: not when a client left, or was replaced by itself, or we stopped.
fn is_trouble(reason: CloseReason) -> bool {
    match reason {
        CloseReason::Disconnected
        | CloseReason::DisconnectedWithWill
        | CloseReason::TransportGone
        | CloseReason::TakenOver
        | CloseReason::Stopped => false,
        CloseReason::KeepAlive
        | CloseReason::ConnectTimeout
        | CloseReason::Malformed
        | CloseReason::Protocol
        | CloseReason::PacketTooLarge
        | CloseReason::ReceiveMaximum
        | CloseReason::TopicAlias
        | CloseReason::TopicName
        | CloseReason::Version
        | CloseReason::Identifier
        | CloseReason::Authentication
        | CloseReason::Busy
        | CloseReason::Buffered
        | CloseReason::Unread => true,
    }
}
