//! Golden events: what a release says it will do, tried on a fresh instance with empty state, one after the other. The
//! gateway does so before a release runs, and `tidegate test` before it is pushed.

use std::sync::Arc;

use tidegate_core::job::{Event, EventOutcome, Failure, HandlerId, Job, JobId, Verdict};
use tidegate_core::message::{Message, QoS};
use tidegate_core::time::WallTime;
use tidegate_core::topic::Topic;

use crate::{Instance, Now, Step};

/// One event.
#[derive(Clone, Debug)]
pub struct GoldenCase<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// Exactly this, in this order.
    pub expect: Vec<GoldenExpect<'a>>,
}

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoldenExpect<'a> {
    /// When the handler publishes.
    Publish { topic: &'a str, payload: &'a [u8] },
    /// When it sends a record.
    Send { stream: &'a str, payload: &'a [u8] },
    /// When it does neither.
    Nothing,
    /// When it fails.
    Fails,
}

/// Tries the case of that number, from 0, and gives the fuel that it took.
///
/// # Errors
/// What came of it instead.
pub fn check_golden(
    instance: &mut Instance,
    number: usize,
    case: &GoldenCase<'_>,
) -> Result<u64, String> {
    let topic = Topic::new(case.topic).map_err(|error| format!("the topic {error}"))?;
    let message = Message {
        topic,
        payload: case.payload.into(),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: Arc::from("golden"),
        at: WallTime::default(),
        hops: 0,
        mark: None,
    };
    let id = number as u64 + 1;
    let event = Event {
        id,
        message: Arc::new(message),
        ticket: None,
        attempt: 0,
        first: number == 0,
        invoke: None,
    };
    let job = Job { id: JobId(id), handler: HandlerId(0), events: vec![event] };
    // One slice as long as the event may take: its fuel ends it, whatever it does.
    let Step::Finished(mut outcome) = instance.start(job, u64::MAX, Now::default()) else {
        return Err("it did not end".to_owned());
    };
    instance.tidy();
    let outcome = outcome.events.pop().ok_or("it did not run")?;
    compare(&outcome, &case.expect)?;
    Ok(outcome.fuel_used)
}

fn compare(outcome: &EventOutcome, expect: &[GoldenExpect<'_>]) -> Result<(), String> {
    let fails = expect.contains(&GoldenExpect::Fails);
    match &outcome.verdict {
        Verdict::Failed(_) if fails => return Ok(()),
        Verdict::Failed(failure) => return Err(format!("it failed: {}", told(failure))),
        Verdict::Retry => return Err("it asked for a retry".to_owned()),
        Verdict::Done if fails => return Err("it should fail, and did not".to_owned()),
        Verdict::Done => {}
    }
    let mut publishes = outcome.publishes.iter();
    let mut sends = outcome.sends.iter();
    for expect in expect {
        match expect {
            GoldenExpect::Publish { topic, payload } => {
                let publish = publishes
                    .next()
                    .ok_or_else(|| format!("it should publish on {topic:?}, and did not"))?;
                if publish.topic.as_str() != *topic || *publish.payload != **payload {
                    return Err(format!(
                        "it published {:?} on {:?}, not {:?} on {topic:?}",
                        shown(&publish.payload),
                        publish.topic.as_str(),
                        shown(payload)
                    ));
                }
            }
            GoldenExpect::Send { stream, payload } => {
                let send = sends
                    .next()
                    .ok_or_else(|| format!("it should send to {stream}, and did not"))?;
                let id = tidegate_core::record::StreamId::of(stream);
                if send.stream != id || *send.payload != **payload {
                    return Err(format!(
                        "it sent {:?}, not {:?}",
                        shown(&send.payload),
                        shown(payload)
                    ));
                }
            }
            GoldenExpect::Nothing | GoldenExpect::Fails => {}
        }
    }
    match (publishes.next(), sends.next()) {
        (None, None) => Ok(()),
        (Some(publish), _) => Err(format!("it also published on {:?}", publish.topic.as_str())),
        (None, Some(send)) => Err(format!("it also sent {:?}", shown(&send.payload))),
    }
}

/// The beginning of a payload, for people.
fn shown(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned()
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Trap(name) | Failure::Quota(name) => format!("{}: {name}", failure.name()),
        Failure::Returned(code) => format!("on_event returned {code}"),
        Failure::OutOfFuel | Failure::Deadline | Failure::RetriesUsedUp | Failure::Quarantined => {
            failure.name().to_owned()
        }
    }
}
