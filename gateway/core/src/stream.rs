//! The streams that a gateway's owner configured: what `send` may name, and what becomes of their records.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::record::StreamId;
use crate::topic::Filter;

/// What happens to a stream's records when the journal is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// When the oldest make room for the newest.
    #[default]
    DropOldest,
    /// When new ones are not taken any more.
    DropNewest,
    /// When of those older than `keep_raw_s` one in every `then_every_s` is kept. If that does not help, the oldest go.
    Downsample { keep_raw_s: u32, then_every_s: u32 },
}

/// One stream, as far as the core decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub id: StreamId,
    /// `[a-z0-9-]{1,32}`.
    pub name: String,
    /// 0 to 7; what a handler may override with each record.
    pub priority: u8,
    /// Seconds; 0 is for ever. What a handler may override with each record.
    pub ttl_s: u32,
    pub when_full: WhenFull,
}

/// All streams, and what is forwarded to them without a handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    by_id: BTreeMap<StreamId, Stream>,
    /// Messages that become records as they are. The first that matches counts.
    pub forwards: Vec<Forward>,
}

/// Plain telemetry upstream, without a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub from: Filter,
    pub stream: StreamId,
}

impl Streams {
    /// None when two streams share a number: one of them needs another name.
    pub fn new(streams: Vec<Stream>, forwards: Vec<Forward>) -> Option<Streams> {
        let count = streams.len();
        let by_id: BTreeMap<_, _> = streams.into_iter().map(|stream| (stream.id, stream)).collect();
        (by_id.len() == count).then_some(Streams { by_id, forwards })
    }

    pub fn get(&self, id: StreamId) -> Option<&Stream> {
        self.by_id.get(&id)
    }

    /// The stream that `send` names.
    pub fn find(&self, name: &str) -> Option<&Stream> {
        self.by_id.get(&StreamId::of(name)).filter(|stream| stream.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.by_id.values()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// How a stream's records are written down for upstream. `gateway/envelope` has the layouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A map in deterministic CBOR (RFC 8949).
    #[default]
    Cbor,
    /// A JSON object.
    Json,
    /// The payload alone; everything else in MQTT 5 user properties.
    Raw,
}

impl Format {
    pub const fn name(self) -> &'static str {
        match self {
            Format::Cbor => "cbor",
            Format::Json => "json",
            Format::Raw => "raw",
        }
    }
}
