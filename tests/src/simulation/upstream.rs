//! The simulated upstream: a broker and a receiver behind a link that breaks, stalls and lies about nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidegate_core::Input;
use tidegate_core::record::{LossReason, Record, Refusal, Sending, StreamId};
use tidegated::hub::ToUplink;

use super::random::Random;

/// What the receiver has of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub stream: StreamId,
    pub payload: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Nobody is connected.
    Down,
    Connecting,
    Up,
    /// Connected, and nothing moves.
    Stalled,
}

/// Broker, link and receiver.
#[derive(Debug)]
pub struct Upstream {
    link: Link,
    /// There is no way to it at all.
    is_away: bool,
    /// Records on the wire.
    wire: VecDeque<Arc<Record>>,
    /// Acks on their way back; `Err` is a refusal.
    acks: VecDeque<(u64, bool)>,
    /// A record is refused, once in so many; 0 is never.
    refuses_one_in: u64,
    pub received: BTreeMap<u64, Received>,
    /// What the gateway said that it lost, by stream and reason.
    announced: BTreeMap<(String, String), u64>,
    pub duplicates: u64,
    /// Seqs that came again for something else, after a disk had lied.
    pub reused: u64,
    bears_reuse: bool,
    /// Records that arrived and whose ack did not.
    pub unheard: u64,
    pub connects: u64,
}

impl Upstream {
    pub fn new(refuses_one_in: u64) -> Upstream {
        Upstream {
            link: Link::Down,
            is_away: false,
            wire: VecDeque::new(),
            acks: VecDeque::new(),
            refuses_one_in,
            received: BTreeMap::new(),
            announced: BTreeMap::new(),
            duplicates: 0,
            reused: 0,
            bears_reuse: false,
            unheard: 0,
            connects: 0,
        }
    }

    /// Whether it has our connection, and something moves on it.
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// Whether there is no connection at all.
    pub fn is_down(&self) -> bool {
        matches!(self.link, Link::Down | Link::Connecting)
    }

    /// The way to it is gone, or there again.
    pub fn set_away(&mut self, is_away: bool) {
        self.is_away = is_away;
    }

    /// From now on a seq may come for something else than before: the gateway does not know that it was given.
    pub fn bear_reuse(&mut self) {
        self.bears_reuse = true;
    }

    /// Takes what the uplink driver would do.
    pub fn take(&mut self, what: ToUplink, random: &mut Random) -> Option<Input> {
        match what {
            ToUplink::Connect => {
                self.link = Link::Connecting;
                None
            }
            ToUplink::Drop => self.cut(random),
            // What goes beside the records has its own way: see `post`.
            ToUplink::Listen(_) | ToUplink::Tell(_) => None,
            ToUplink::Send(Sending { record, .. }) => {
                // What is sent on a link that is gone is gone.
                if matches!(self.link, Link::Up | Link::Stalled) {
                    self.wire.push_back(record);
                }
                None
            }
        }
    }

    /// The link breaks. Some of what was on the wire has arrived, no ack of it comes back.
    pub fn cut(&mut self, random: &mut Random) -> Option<Input> {
        let arrives = random.below(self.wire.len() as u64 + 1);
        for _ in 0..arrives {
            self.receive(random).ok()?;
        }
        self.wire.clear();
        self.unheard += self.acks.len() as u64;
        self.acks.clear();
        let was = std::mem::replace(&mut self.link, Link::Down);
        (was != Link::Down).then(|| Input::UplinkDown { reason: "cut".into() })
    }

    /// The gateway's power is gone: nobody hears of anything.
    pub fn power_cut(&mut self, random: &mut Random) {
        self.cut(random);
    }

    /// Lets something happen on the link; what the uplink driver says of it.
    pub fn step(&mut self, random: &mut Random) -> Result<Option<Input>, String> {
        match self.link {
            Link::Down | Link::Stalled => Ok(None),
            Link::Connecting if self.is_away => {
                self.link = Link::Down;
                Ok(Some(Input::UplinkDown { reason: "no route".into() }))
            }
            Link::Connecting => {
                self.link = if random.chance(1, 20) { Link::Stalled } else { Link::Up };
                self.connects += 1;
                Ok(Some(Input::UplinkUp))
            }
            Link::Up => {
                if random.chance(1, 2) && !self.wire.is_empty() {
                    self.receive(random)?;
                }
                if random.chance(1, 2) {
                    return Ok(self.acks.pop_front().map(answer));
                }
                Ok(None)
            }
        }
    }

    /// Whether nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.wire.is_empty() && self.acks.is_empty()
    }

    /// One record arrives. Its ack may overtake others.
    fn receive(&mut self, random: &mut Random) -> Result<(), String> {
        let Some(record) = self.wire.pop_front() else {
            return Ok(());
        };
        let is_own = [StreamId::LOSSES, StreamId::DEAD_LETTERS].contains(&record.stream);
        let refused = !is_own && self.refuses_one_in > 0 && record.seq % self.refuses_one_in == 0;
        let at = if random.chance(1, 8) { 0 } else { self.acks.len() };
        self.acks.insert(at, (record.seq, refused));
        if refused {
            return Ok(());
        }
        if record.stream == StreamId::LOSSES {
            self.hear_losses(&record.payload)?;
        }
        let seq = record.seq;
        let new = Received { stream: record.stream, payload: Arc::clone(&record.payload) };
        match self.received.insert(seq, new.clone()) {
            None => Ok(()),
            Some(old) if old == new => {
                self.duplicates += 1;
                Ok(())
            }
            Some(_) if self.bears_reuse => {
                self.reused += 1;
                Ok(())
            }
            Some(old) => {
                Err(format!("seq {seq} came twice with different contents: {old:?}, {new:?}"))
            }
        }
    }

    fn hear_losses(&mut self, payload: &[u8]) -> Result<(), String> {
        let read = || -> Option<(String, String, u64)> {
            let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
            let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
            Some((text("stream")?, text("reason")?, value.get("count")?.as_u64()?))
        };
        let (stream, reason, count) =
            read().ok_or_else(|| format!("an announcement that cannot be read: {payload:?}"))?;
        let line = self.announced.entry((stream, reason)).or_default();
        *line = count.max(*line);
        Ok(())
    }

    /// How many losses were announced.
    pub fn announced(&self) -> u64 {
        self.announced.values().sum()
    }

    /// Whether losses for this reason were announced.
    pub fn announced_for(&self, reason: LossReason) -> u64 {
        let of_reason = |((_, name), _): &(&(String, String), &u64)| name == reason.name();
        self.announced.iter().filter(of_reason).map(|(_, count)| count).sum()
    }
}

fn answer((seq, refused): (u64, bool)) -> Input {
    if refused {
        Input::Refused { seq, refusal: Refusal::Code(0x87) }
    } else {
        Input::Delivered { seq }
    }
}
