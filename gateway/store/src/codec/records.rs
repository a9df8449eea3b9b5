//! The records of a frame: differences to the record before, payloads as they are.

use std::sync::Arc;

use tidegate_core::record::{Record, Stamp, StreamId};
use tidegate_core::time::{ClockQuality, WallTime};

use crate::bytes::{Reader, put_signed, put_varint};
use crate::error::CodecError;

const HAS_TOPIC: u8 = 1 << 3;
const HAS_TTL: u8 = 1 << 4;
const QUALITY_SHIFT: u8 = 5;
const HAS_BOOT: u8 = 1 << 7;

/// A record as it stands in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    pub seq: u64,
    pub stream: StreamId,
    pub priority: u8,
    pub ttl_s: u32,
    pub stamp: Stamp,
    pub topic: Option<&'a str>,
    pub payload: &'a [u8],
}

impl<'a> RecordView<'a> {
    pub fn of(record: &'a Record) -> RecordView<'a> {
        RecordView {
            seq: record.seq,
            stream: record.stream,
            priority: record.priority,
            ttl_s: record.ttl_s,
            stamp: record.stamp,
            topic: record.topic.as_deref(),
            payload: &record.payload,
        }
    }

    /// The record on its own. `topic` is the last one's: neighbours with one topic share it in memory, too.
    pub fn to_record(&self, topic: &mut Option<Arc<str>>) -> Record {
        if self.topic.is_some() && self.topic != topic.as_deref() {
            *topic = self.topic.map(Arc::from);
        }
        Record {
            seq: self.seq,
            stream: self.stream,
            priority: self.priority,
            ttl_s: self.ttl_s,
            stamp: self.stamp,
            topic: self.topic.and(topic.clone()),
            payload: Arc::from(self.payload),
        }
    }

    /// As [`Record::bytes`].
    pub fn bytes(&self) -> u64 {
        (self.payload.len() + self.topic.map_or(0, str::len)) as u64
    }
}

/// Gathers records into the body of their section.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter<'a> {
    head: Vec<u8>,
    body: Vec<u8>,
    count: u64,
    priorities: u8,
    seq: u64,
    stamp: Stamp,
    topic: Option<&'a str>,
}

impl<'a> RecordWriter<'a> {
    pub fn push(&mut self, record: &RecordView<'a>) {
        if self.count == 0 {
            self.seq = record.seq;
            self.stamp = record.stamp;
            put_varint(&mut self.head, record.seq);
            put_varint(&mut self.head, u64::from(record.stamp.boot));
            put_varint(&mut self.head, record.stamp.mono_ms);
            put_signed(&mut self.head, record.stamp.wall.unix_us);
        }
        let priority = record.priority & 7;
        self.count += 1;
        self.priorities |= 1 << priority;
        let has_boot = record.stamp.boot != self.stamp.boot;
        let quality = record.stamp.wall.quality as u8;
        self.body.push(
            priority
                | if record.topic.is_some() { HAS_TOPIC } else { 0 }
                | if record.ttl_s != 0 { HAS_TTL } else { 0 }
                | quality << QUALITY_SHIFT
                | if has_boot { HAS_BOOT } else { 0 },
        );
        let out = &mut self.body;
        out.extend_from_slice(&record.stream.0.to_le_bytes());
        put_signed(out, record.seq.wrapping_sub(self.seq) as i64);
        put_signed(out, record.stamp.mono_ms.wrapping_sub(self.stamp.mono_ms) as i64);
        put_signed(out, record.stamp.wall.unix_us.wrapping_sub(self.stamp.wall.unix_us));
        if has_boot {
            put_varint(out, u64::from(record.stamp.boot));
        }
        if record.ttl_s != 0 {
            put_varint(out, u64::from(record.ttl_s));
        }
        if let Some(topic) = record.topic {
            // 0 is the topic before.
            let is_same = self.topic == Some(topic);
            put_varint(out, if is_same { 0 } else { topic.len() as u64 + 1 });
            if !is_same {
                out.extend_from_slice(topic.as_bytes());
            }
            self.topic = Some(topic);
        }
        put_varint(out, record.payload.len() as u64);
        out.extend_from_slice(record.payload);
        self.seq = record.seq.wrapping_add(1);
        self.stamp = record.stamp;
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.head.len() + self.body.len() + 4);
        put_varint(&mut out, self.count);
        out.push(self.priorities);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&self.body);
        out
    }
}

/// Reads records one by one, each with its index; it ends behind the first error.
#[derive(Clone, Debug)]
pub struct RecordViews<'a> {
    reader: Reader<'a>,
    index: u16,
    left: u16,
    priorities: u8,
    seq: u64,
    stamp: Stamp,
    topic: Option<&'a str>,
}

impl<'a> RecordViews<'a> {
    /// Of a frame without records.
    pub(crate) fn none() -> RecordViews<'a> {
        RecordViews {
            reader: Reader::new(&[]),
            index: 0,
            left: 0,
            priorities: 0,
            seq: 0,
            stamp: Stamp::default(),
            topic: None,
        }
    }

    pub(crate) fn new(body: &'a [u8]) -> Result<RecordViews<'a>, CodecError> {
        let mut reader = Reader::new(body);
        let left = reader.small()?;
        let priorities = reader.byte()?;
        let mut records = RecordViews { left, priorities, ..RecordViews::none() };
        records.seq = reader.varint()?;
        records.stamp.boot = reader.small()?;
        records.stamp.mono_ms = reader.varint()?;
        records.stamp.wall.unix_us = reader.signed()?;
        records.reader = reader;
        Ok(records)
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        usize::from(self.left)
    }

    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Whether one of them has this priority.
    pub fn has(&self, priority: u8) -> bool {
        self.priorities & 1 << (priority & 7) != 0
    }

    fn read(&mut self) -> Result<RecordView<'a>, CodecError> {
        let reader = &mut self.reader;
        let flags = reader.byte()?;
        let stream = StreamId(reader.short()?);
        let seq = self.seq.wrapping_add(reader.signed()? as u64);
        let mut stamp = self.stamp;
        stamp.mono_ms = stamp.mono_ms.wrapping_add(reader.signed()? as u64);
        let unix_us = stamp.wall.unix_us.wrapping_add(reader.signed()?);
        stamp.wall = WallTime { unix_us, quality: quality(flags >> QUALITY_SHIFT & 3)? };
        if flags & HAS_BOOT != 0 {
            stamp.boot = reader.small()?;
        }
        let ttl_s = if flags & HAS_TTL != 0 { reader.small()? } else { 0 };
        let topic = if flags & HAS_TOPIC != 0 {
            let topic = match reader.small::<usize>()? {
                0 => self.topic.ok_or(CodecError::Text)?,
                len => {
                    let bytes = reader.take(len - 1)?;
                    std::str::from_utf8(bytes).map_err(|_| CodecError::Text)?
                }
            };
            self.topic = Some(topic);
            Some(topic)
        } else {
            None
        };
        let payload = reader.bytes()?;
        self.seq = seq.wrapping_add(1);
        self.stamp = stamp;
        if self.left == 1 && !self.reader.is_empty() {
            return Err(CodecError::Long);
        }
        Ok(RecordView { seq, stream, priority: flags & 7, ttl_s, stamp, topic, payload })
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<(u16, RecordView<'a>), CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let index = self.index;
        match self.read() {
            Ok(record) => {
                self.index += 1;
                self.left -= 1;
                Some(Ok((index, record)))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

fn quality(number: u8) -> Result<ClockQuality, CodecError> {
    match number {
        0 => Ok(ClockQuality::None),
        1 => Ok(ClockQuality::Floor),
        2 => Ok(ClockQuality::Ntp),
        _ => Err(CodecError::Number),
    }
}
