//! Migrating state: one event, on a copy, before the version that takes it over runs.

use std::sync::Arc;

use tidegate_core::job::{Event, HandlerId, Job, JobId, Verdict};
use tidegate_core::manifest::MIGRATE_TOPIC;
use tidegate_core::message::{Message, QoS};
use tidegate_core::topic::Topic;

use crate::golden::told;
use crate::{Instance, Now, Step};

/// Lets the instance migrate the state that it was given, which the version `from` has left.
///
/// # Errors
/// Why it did not; the state is as it was then, or of no use.
pub fn migrate(instance: &mut Instance, from: &str, now: Now) -> Result<(), String> {
    let message = Message {
        topic: Topic::new(MIGRATE_TOPIC).expect("it is a topic"),
        payload: from.as_bytes().into(),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: Arc::from("tidegate"),
        at: now.wall,
        hops: 0,
        mark: None,
    };
    let message = Arc::new(message);
    let event = Event { id: 1, message, ticket: None, attempt: 0, first: true, invoke: None };
    let pins = instance.pins().all_off();
    let job = Job { id: JobId(1), handler: HandlerId(0), events: vec![event], pins };
    // One slice as long as the event may take: its fuel ends it, whatever it does.
    let Step::Finished(mut outcome) = instance.start(job, u64::MAX, now) else {
        return Err("it did not end".to_owned());
    };
    instance.tidy();
    let outcome = outcome.events.pop().ok_or("it did not run")?;
    match &outcome.verdict {
        Verdict::Failed(failure) => return Err(format!("migrating failed: {}", told(failure))),
        Verdict::Retry => return Err("migrating asked for a retry".to_owned()),
        Verdict::Done => {}
    }
    if outcome.publishes.is_empty() && outcome.sends.is_empty() && outcome.pins.is_empty() {
        return Ok(());
    }
    Err("while migrating it published, sent or set a pin; it may only change state".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_sides_mean_the_same_topic() {
        assert_eq!(super::MIGRATE_TOPIC, tidegate_abi::MIGRATE_TOPIC);
    }
}
