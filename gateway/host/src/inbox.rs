//! Writes the inbox record: the event, in one copy, into the guest's static buffer.

use std::ops::Range;

use tidegate_abi::{Trigger, flags, inbox as at};
use tidegate_core::job::Event;
use tidegate_core::pins::PIN_TOPICS;

/// The guest's static buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inbox {
    pub ptr: u32,
    pub cap: u32,
}

impl Inbox {
    /// Where it lies in memory.
    pub fn range(&self) -> Option<Range<usize>> {
        let start = self.ptr as usize;
        Some(start..start.checked_add(self.cap as usize)?)
    }

    /// How many bytes `event` takes here.
    pub fn record_len(&self, event: &Event) -> usize {
        let message = &event.message;
        let fields = message.topic.as_str().len() + message.source.len() + message.payload.len();
        (at::HEAD_LEN + fields).min(self.cap as usize)
    }
}

/// Writes `event` into `buffer` and returns the record's length. Fields that do not fit are cut:
/// the payload first, then the source, then the topic;
/// behind a field that was cut there is nothing. `buffer` has room for the head.
pub(crate) fn write(buffer: &mut [u8], event: &Event, fuel: u64) -> usize {
    let message = &event.message;
    let (head, body) = buffer.split_at_mut(at::HEAD_LEN);
    head.fill(0);
    let mut len = 0;
    let mut truncated = false;
    let mut field = |offset: usize, bytes: &[u8], text: bool| {
        let room = if truncated { 0 } else { body.len() - len };
        let fits =
            if text { char_floor(bytes, bytes.len().min(room)) } else { bytes.len().min(room) };
        truncated |= fits < bytes.len();
        body[len..len + fits].copy_from_slice(&bytes[..fits]);
        put_u32(head, offset, (at::HEAD_LEN + len) as u32);
        put_u32(head, offset + 4, fits as u32);
        len += fits;
    };
    field(at::TOPIC, message.topic.as_str().as_bytes(), true);
    field(at::SOURCE, message.source.as_bytes(), true);
    field(at::CONTENT_TYPE, &[], false);
    field(at::ATTRS, &[], false);
    field(at::PAYLOAD, &message.payload, false);
    let total = at::HEAD_LEN + len;
    let bits = [
        (message.retain, flags::RETAIN),
        (message.dup, flags::DUP),
        (event.first, flags::FIRST),
        (truncated, flags::TRUNCATED),
    ];
    put_u32(head, at::TOTAL_LEN, total as u32);
    let is_pin = message.topic.as_str().starts_with(PIN_TOPICS);
    head[at::TRIGGER] = if is_pin { Trigger::Gpio } else { Trigger::Mqtt } as u8;
    head[at::FLAGS] = bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
    head[at::ATTEMPT..at::ATTEMPT + 2].copy_from_slice(&event.attempt.to_le_bytes());
    head[at::TS_US..at::TS_US + 8].copy_from_slice(&message.at.unix_us.to_le_bytes());
    head[at::EVENT_ID..at::EVENT_ID + 8].copy_from_slice(&event.id.to_le_bytes());
    put_u32(head, at::CLOCK_QUALITY, message.at.quality as u32);
    put_u32(head, at::FUEL_K, u32::try_from(fuel / 1000).unwrap_or(u32::MAX));
    total
}

fn put_u32(head: &mut [u8], offset: usize, value: u32) {
    head[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// The largest length up to `len` that does not cut a character in two.
fn char_floor(text: &[u8], mut len: usize) -> usize {
    while len > 0 && text.get(len).is_some_and(|byte| byte & 0xc0 == 0x80) {
        len -= 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_core::message::{Message, QoS};
    use tidegate_core::time::{ClockQuality, WallTime};
    use tidegate_core::topic::Topic;

    use super::*;

    fn event() -> Event {
        let message = Message {
            topic: Topic::new("a/é").expect("a topic"),
            payload: Arc::from(&b"payload"[..]),
            qos: QoS::AtLeastOnce,
            retain: true,
            dup: false,
            source: "dev".into(),
            at: WallTime { unix_us: -5, quality: ClockQuality::Ntp },
            hops: 0,
            mark: None,
        };
        Event {
            id: 7,
            message: Arc::new(message),
            ticket: None,
            attempt: 3,
            first: true,
            invoke: None,
        }
    }

    /// Length, flags, and the three fields, for a buffer of `cap` bytes.
    #[track_caller]
    fn check(cap: usize, expect: (usize, u8, &str, &str, &str)) {
        let mut buffer = vec![0xaa; cap];
        let len = write(&mut buffer, &event(), 5_999);
        let field = |offset: usize| {
            let word = |at: usize| {
                u32::from_le_bytes(buffer[at..at + 4].try_into().expect("4 bytes")) as usize
            };
            let (start, len) = (word(offset), word(offset + 4));
            String::from_utf8(buffer[start..start + len].to_vec()).expect("whole characters")
        };
        let fields = (field(at::TOPIC), field(at::SOURCE), field(at::PAYLOAD));
        assert_eq!((len, buffer[at::FLAGS]), (expect.0, expect.1), "cap {cap}");
        assert_eq!(
            (&*fields.0, &*fields.1, &*fields.2),
            (expect.2, expect.3, expect.4),
            "cap {cap}"
        );
        assert_eq!(buffer[at::TRIGGER], 1);
        assert_eq!(buffer[at::ATTEMPT], 3);
        assert_eq!(buffer[at::TS_US..at::TS_US + 8], (-5i64).to_le_bytes());
        assert_eq!(buffer[at::EVENT_ID..at::EVENT_ID + 8], 7u64.to_le_bytes());
        assert_eq!(buffer[at::CLOCK_QUALITY], 2);
        assert_eq!(buffer[at::FUEL_K], 5);
        assert!(buffer[len..].iter().all(|&byte| byte == 0xaa), "nothing behind the record");
    }

    #[test]
    fn what_does_not_fit_is_cut_and_flagged() {
        let set = flags::RETAIN | flags::FIRST;
        check(72, (72, set | flags::TRUNCATED, "", "", ""));
        check(75, (74, set | flags::TRUNCATED, "a/", "", ""));
        check(78, (78, set | flags::TRUNCATED, "a/é", "de", ""));
        check(85, (85, set | flags::TRUNCATED, "a/é", "dev", "payloa"));
        check(86, (86, set, "a/é", "dev", "payload"));
        check(200, (86, set, "a/é", "dev", "payload"));
    }
}
