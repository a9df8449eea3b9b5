//! Golden events: what a release says it will do, tried on a fresh instance with empty state, one after the other. The
//! gateway does so before a release runs, and `tidegate test` before it is pushed.

use std::sync::Arc;

use tidegate_core::job::{Event, EventOutcome, Failure, HandlerId, Job, JobId, Verdict};
use tidegate_core::message::{Message, QoS};
use tidegate_core::pins::{PinId, Pins};
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
    /// When it sets a pin.
    Pin { name: &'a str, on: bool },
    /// When it does none of these.
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
    // Nothing is wired up here; a pin that has caused the event is as the event says.
    let mut pins = instance.pins().all_off();
    if let Some((pin, on)) = instance.pins().of_event(case.topic, case.payload) {
        pins.set(pin, Some(on));
    }
    let job = Job { id: JobId(id), handler: HandlerId(0), events: vec![event], pins };
    // One slice as long as the event may take: its fuel ends it, whatever it does.
    let Step::Finished(mut outcome) = instance.start(job, u64::MAX, Now::default()) else {
        return Err("it did not end".to_owned());
    };
    instance.tidy();
    let outcome = outcome.events.pop().ok_or("it did not run")?;
    compare(&outcome, &case.expect, instance.pins())?;
    Ok(outcome.fuel_used)
}

fn compare(outcome: &EventOutcome, expect: &[GoldenExpect<'_>], pins: &Pins) -> Result<(), String> {
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
    let mut set = outcome.pins.iter().map(|write| (pin_name(pins, write.pin), write.on));
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
            GoldenExpect::Pin { name, on } => match set.next() {
                Some(is) if is == (*name, *on) => {}
                Some((is, is_on)) => {
                    return Err(format!("it set {}, not {}", pin(is, is_on), pin(name, *on)));
                }
                None => return Err(format!("it should set {}, and did not", pin(name, *on))),
            },
            GoldenExpect::Nothing | GoldenExpect::Fails => {}
        }
    }
    match (publishes.next(), sends.next(), set.next()) {
        (None, None, None) => Ok(()),
        (None, None, Some((name, on))) => Err(format!("it also set {}", pin(name, on))),
        (Some(publish), _, _) => Err(format!("it also published on {:?}", publish.topic.as_str())),
        (None, Some(send), _) => Err(format!("it also sent {:?}", shown(&send.payload))),
    }
}

fn pin_name(pins: &Pins, pin: PinId) -> &str {
    pins.get(pin).map_or("?", |pin| pin.name.as_str())
}

fn pin(name: &str, on: bool) -> String {
    format!("{name} {}", if on { "on" } else { "off" })
}

/// The beginning of a payload, for people.
fn shown(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned()
}

pub(crate) fn told(failure: &Failure) -> String {
    match failure {
        Failure::Trap(name) | Failure::Quota(name) => format!("{}: {name}", failure.name()),
        Failure::Returned(code) => format!("on_event returned {code}"),
        Failure::OutOfFuel | Failure::Deadline | Failure::RetriesUsedUp | Failure::Quarantined => {
            failure.name().to_owned()
        }
    }
}
