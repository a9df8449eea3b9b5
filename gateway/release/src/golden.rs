//! Golden events: what a release's author says must come of given events, tried before it runs.
//!
//! ```text
//! { 1: format = 1, 2: [[topic (text), payload (bytes), [effect, ...]], ...] }
//!
//! effect = [0, topic (text), payload (bytes)]          publish
//!        | [1, stream (text), payload (bytes)]         send
//!        | [2]                                         nothing
//!        | [3]                                         fails
//!        | [4, pin (text), on (bool)]                  sets a pin
//! ```
//! The events reach a fresh instance one after the other; what comes of each must be exactly its effects, in order.

use crate::cbor::{Flaw, Reader, Writer};
use crate::manifest::{TOPIC_BYTES_MAX, topic};
use crate::name::Name;

/// Longest file.
pub const GOLDEN_BYTES_MAX: usize = 256 * 1024;
/// Most cases; at least one is there.
pub const CASES_MAX: usize = 64;
/// Most effects of one event; at least one is there.
pub const EFFECTS_MAX: usize = 64;
/// Longest payload.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// The format that this crate reads and writes.
const FORMAT: u64 = 1;

/// Events and what must come of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Golden {
    /// 1 to [`CASES_MAX`].
    pub cases: Vec<Case>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub topic: String,
    pub payload: Vec<u8>,
    /// Exactly this, in this order: 1 to [`EFFECTS_MAX`].
    pub expect: Vec<Expect>,
}

/// What must come of an event, or has come of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// When the handler publishes.
    Publish { topic: String, payload: Vec<u8> },
    /// When it sends a record.
    Send { stream: Name, payload: Vec<u8> },
    /// When it sets a pin.
    Pin { name: Name, on: bool },
    /// When it does none of these; stands alone.
    Nothing,
    /// When it fails; stands alone.
    Fails,
}

/// Why golden events cannot be used. Cases are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// When the bytes are not encoded as golden events.
    #[error("this is no file of golden events: it {0}; push the handler again")]
    Form(Flaw),
    /// When they are made for a newer gateway.
    #[error("the golden events are made for a newer gateway: the file {0}; update this one first")]
    Newer(Flaw),
    /// When there are too many bytes.
    #[error("the golden events have {bytes} bytes, at most {max} may be; leave some out")]
    TooLarge { bytes: usize, max: usize },
    /// When there is no case, or too many.
    #[error("there are {0} golden events; give 1 to 64")]
    Cases(usize),
    /// When a case has no effect, or too many.
    #[error(
        "golden event {case} has {is} effects; give 1 to 64, `nothing` where nothing comes of it"
    )]
    Effects { case: usize, is: usize },
    /// When `nothing` or `fails` does not stand alone.
    #[error("golden event {case} has `nothing` or `fails` beside another effect; both stand alone")]
    NotAlone { case: usize },
    /// When a topic is none.
    #[error("golden event {case}: {why}")]
    Topic { case: usize, why: crate::manifest::Wrong },
    /// When a payload is too long.
    #[error(
        "golden event {case} has a payload of {is} bytes, at most {max} may be; make it shorter"
    )]
    Payload { case: usize, is: usize, max: usize },
}

/// Reads golden events.
///
/// # Errors
/// When they are none, or none that may be used.
pub fn decode(bytes: &[u8]) -> Result<Golden, Wrong> {
    check_len(bytes.len())?;
    let golden = Golden::read(bytes)
        .map_err(|flaw| if flaw.is_newer() { Wrong::Newer(flaw) } else { Wrong::Form(flaw) })?;
    golden.check()?;
    Ok(golden)
}

fn check_len(bytes: usize) -> Result<(), Wrong> {
    let max = GOLDEN_BYTES_MAX;
    if bytes <= max { Ok(()) } else { Err(Wrong::TooLarge { bytes, max }) }
}

impl Golden {
    /// The bytes.
    ///
    /// # Errors
    /// When they may not be used.
    pub fn encode(&self) -> Result<Vec<u8>, Wrong> {
        self.check()?;
        let mut writer = Writer::new();
        writer.map(2).key(1).uint(FORMAT).key(2).array(self.cases.len());
        for case in &self.cases {
            writer.array(3).text(&case.topic).bytes(&case.payload).array(case.expect.len());
            for expect in &case.expect {
                expect.write(&mut writer);
            }
        }
        let bytes = writer.finish();
        check_len(bytes.len())?;
        Ok(bytes)
    }

    fn read(bytes: &[u8]) -> Result<Golden, Flaw> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.map(usize::MAX)?;
        fields.need(&mut reader, 1)?;
        reader.choice(&[(FORMAT, ())])?;
        fields.need(&mut reader, 2)?;
        let cases = reader.list(CASES_MAX, |reader| {
            reader.tuple(3)?;
            Ok(Case {
                topic: reader.string_of(TOPIC_BYTES_MAX)?,
                payload: reader.bytes(PAYLOAD_BYTES_MAX)?.to_vec(),
                expect: reader.list(EFFECTS_MAX, Expect::read)?,
            })
        })?;
        fields.end(&mut reader)?;
        reader.end()?;
        Ok(Golden { cases })
    }

    fn check(&self) -> Result<(), Wrong> {
        if !(1..=CASES_MAX).contains(&self.cases.len()) {
            return Err(Wrong::Cases(self.cases.len()));
        }
        (1..).zip(&self.cases).try_for_each(|(number, case)| case.check(number))
    }
}

impl Case {
    fn check(&self, case: usize) -> Result<(), Wrong> {
        let is = self.expect.len();
        if !(1..=EFFECTS_MAX).contains(&is) {
            return Err(Wrong::Effects { case, is });
        }
        if is > 1
            && self.expect.iter().any(|expect| matches!(expect, Expect::Nothing | Expect::Fails))
        {
            return Err(Wrong::NotAlone { case });
        }
        check_message(case, Some(&self.topic), &self.payload)?;
        self.expect.iter().try_for_each(|expect| match expect {
            Expect::Publish { topic, payload } => check_message(case, Some(topic), payload),
            Expect::Send { stream: _, payload } => check_message(case, None, payload),
            Expect::Pin { .. } | Expect::Nothing | Expect::Fails => Ok(()),
        })
    }
}

fn check_message(case: usize, name: Option<&str>, payload: &[u8]) -> Result<(), Wrong> {
    if let Some(name) = name {
        topic("topic", name).map_err(|why| Wrong::Topic { case, why })?;
    }
    let (is, max) = (payload.len(), PAYLOAD_BYTES_MAX);
    if is <= max { Ok(()) } else { Err(Wrong::Payload { case, is, max }) }
}

impl Expect {
    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Expect::Publish { topic, payload } => {
                writer.array(3).uint(0u8).text(topic).bytes(payload);
            }
            Expect::Send { stream, payload } => {
                writer.array(3).uint(1u8).text(stream.as_str()).bytes(payload);
            }
            Expect::Pin { name, on } => {
                writer.array(3).uint(4u8).text(name.as_str()).bool(*on);
            }
            Expect::Nothing => drop(writer.array(1).uint(2u8)),
            Expect::Fails => drop(writer.array(1).uint(3u8)),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Expect, Flaw> {
        let at = reader.at();
        let len = reader.array(3)?;
        let value_at = reader.at();
        let kind = reader.u64()?;
        Ok(match (kind, len) {
            (0, 3) => Expect::Publish {
                topic: reader.string_of(TOPIC_BYTES_MAX)?,
                payload: reader.bytes(PAYLOAD_BYTES_MAX)?.to_vec(),
            },
            (1, 3) => Expect::Send {
                stream: reader.name()?,
                payload: reader.bytes(PAYLOAD_BYTES_MAX)?.to_vec(),
            },
            (2, 1) => Expect::Nothing,
            (3, 1) => Expect::Fails,
            (4, 3) => Expect::Pin { name: reader.name()?, on: reader.bool()? },
            (0..=4, _) => return Err(Flaw::Kind { at }),
            _ => return Err(Flaw::Value { at: value_at, is: kind }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Golden {
        let case = |payload: &[u8], expect| Case {
            topic: "devices/d1/telemetry".into(),
            payload: payload.to_vec(),
            expect,
        };
        let stream = Name::new("alerts").expect("a name");
        let publish = Expect::Publish { topic: "devices/d1/cmd".into(), payload: b"on".to_vec() };
        let send = Expect::Send { stream, payload: vec![1, 2] };
        Golden {
            cases: vec![
                case(b"91", vec![publish, send]),
                case(b"20", vec![Expect::Nothing]),
                case(b"", vec![Expect::Fails]),
                case(
                    b"1",
                    vec![Expect::Pin { name: Name::new("relay1").expect("a name"), on: true }],
                ),
            ],
        }
    }

    #[test]
    fn golden_events_come_back() {
        let bytes = golden().encode().expect("they may be used");
        assert_eq!(decode(&bytes), Ok(golden()));
        for len in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..len]), Err(Wrong::Form(Flaw::Ends { .. }))), "{len}");
        }
        let trailing = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(decode(&trailing), Err(Wrong::Form(Flaw::Trailing { .. }))));
        let mut newer = bytes.clone();
        newer[2] = 2;
        assert_eq!(decode(&newer), Err(Wrong::Newer(Flaw::Value { at: 2, is: 2 })));
        let large = vec![0; GOLDEN_BYTES_MAX + 1];
        assert!(matches!(decode(&large), Err(Wrong::TooLarge { .. })));
        // A flipped bit is another file, or none; it never panics, and there is one encoding.
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decode(&bad) {
                assert_eq!(other.encode(), Ok(bad));
            }
        }
    }

    #[test]
    fn what_may_not_be_used_is_said() {
        let check = |change: &dyn Fn(&mut Golden), expect: Wrong| {
            let mut bad = golden();
            change(&mut bad);
            assert_eq!(bad.encode(), Err(expect));
        };
        check(&|golden| golden.cases.clear(), Wrong::Cases(0));
        let many = vec![golden().cases[1].clone(); 65];
        check(&|golden| golden.cases = many.clone(), Wrong::Cases(65));
        check(&|golden| golden.cases[1].expect.clear(), Wrong::Effects { case: 2, is: 0 });
        let effects = vec![golden().cases[0].expect[0].clone(); 65];
        check(
            &|golden| golden.cases[0].expect = effects.clone(),
            Wrong::Effects { case: 1, is: 65 },
        );
        let alone = Wrong::NotAlone { case: 1 };
        check(&|golden| golden.cases[0].expect.push(Expect::Nothing), alone.clone());
        check(&|golden| golden.cases[0].expect[0] = Expect::Fails, alone);
        let max = PAYLOAD_BYTES_MAX;
        let long = Wrong::Payload { case: 3, is: max + 1, max };
        check(&|golden| golden.cases[2].payload = vec![0; max + 1], long);
        let send =
            Expect::Send { stream: Name::new("s").expect("a name"), payload: vec![0; max + 1] };
        let long = Wrong::Payload { case: 1, is: max + 1, max };
        check(&|golden| golden.cases[0].expect[1] = send.clone(), long);
        let mut bad = golden();
        bad.cases[2].topic = "a/+".into();
        assert!(matches!(bad.encode(), Err(Wrong::Topic { case: 3, .. })));
        let mut bad = golden();
        bad.cases[0].expect[0] = Expect::Publish { topic: String::new(), payload: vec![] };
        assert!(matches!(bad.encode(), Err(Wrong::Topic { case: 1, .. })));
        let full = Case { payload: vec![0; max], ..golden().cases[1].clone() };
        let most = Golden { cases: vec![full; 4] };
        assert!(matches!(most.encode(), Err(Wrong::TooLarge { .. })));
    }

    #[test]
    fn no_case_and_too_many_effects_are_not_read() {
        assert_eq!(decode(b"\xa2\x01\x01\x02\x80"), Err(Wrong::Cases(0)));
        let effects = decode(b"\xa2\x01\x01\x02\x81\x83\x61a\x40\x80");
        assert_eq!(effects, Err(Wrong::Effects { case: 1, is: 0 }));
        // A count that is not there is refused before anything is made for it.
        let huge = decode(b"\xa2\x01\x01\x02\x9b\xff\xff\xff\xff\xff\xff\xff\xff");
        assert!(matches!(huge, Err(Wrong::Form(Flaw::Limit { .. }))));
        assert!(matches!(decode(b"\xa2\x01\x01\x02\x98\x40"), Err(Wrong::Form(Flaw::Ends { .. }))));
    }
}
