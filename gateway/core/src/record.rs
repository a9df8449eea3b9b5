//! A record: what goes upstream, and under which stream's name.

use alloc::sync::Arc;

use crate::time::WallTime;

/// A stream by number. The number follows from the name, so that records in the journal need no names; two
/// configured streams of the same number are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u16);

impl StreamId {
    /// Where the gateway tells upstream what it has lost.
    pub const LOSSES: StreamId = StreamId::of("losses");
    /// Where records and messages go that nobody wants.
    pub const DEAD_LETTERS: StreamId = StreamId::of("dead-letters");

    /// The number of a name: 32-bit FNV-1a (Fowler, Noll, Vo), its halves xored; never 0 or 65535, which a
    /// ledger keeps for itself.
    pub const fn of(name: &str) -> StreamId {
        let bytes = name.as_bytes();
        let mut hash: u32 = 0x811c_9dc5;
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
            at += 1;
        }
        let folded = (hash >> 16) as u16 ^ hash as u16;
        StreamId(match folded {
            0 | u16::MAX => 1,
            other => other,
        })
    }
}

/// When a record was made, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Counts the starts of this store's daemon; never 0.
    pub boot: u32,
    /// Monotonic milliseconds since that start.
    pub mono_ms: u64,
    /// Wall time as it was known then; corrected later if it was not.
    pub wall: WallTime,
}

/// What goes upstream. `(gateway, epoch, seq)` names it for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Dense and increasing over all streams of one store, from 1.
    pub seq: u64,
    pub stream: StreamId,
    /// 0 to 7; higher goes first and is given up last.
    pub priority: u8,
    /// Seconds after which it is of no use to anybody; 0 is never.
    pub ttl_s: u32,
    pub stamp: Stamp,
    /// The topic it came under, if it was forwarded as it was.
    pub topic: Option<Arc<str>>,
    pub payload: Arc<[u8]>,
}

impl Record {
    /// What it weighs where bytes are counted.
    pub fn bytes(&self) -> usize {
        self.payload.len() + self.topic.as_ref().map_or(0, |topic| topic.len())
    }
}

/// The highest priority.
pub const PRIORITY_MAX: u8 = 7;

/// Where a record stands in the journal: its frame's seq there, and its index among the frame's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub frame: u64,
    pub index: u16,
}

impl Place {
    /// The beginning of a frame.
    pub const fn of(frame: u64) -> Place {
        Place { frame, index: 0 }
    }
}

/// A record on its way upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    pub record: Arc<Record>,
    /// When it was made, corrected if the clock was not known then.
    pub at: WallTime,
    /// It was made before the link came up.
    pub historical: bool,
}

/// Why upstream does not take a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// When upstream said so, with MQTT 5's reason code.
    Code(u8),
    /// When it is longer than upstream takes, bytes.
    TooLarge { bytes: usize, max: usize },
    /// When its stream has no place to go, such as a topic that cannot be formed.
    NoTopic,
    /// When upstream ended several connections because of it, and took others meanwhile.
    HangsUp,
}

impl Refusal {
    /// What upstream is told.
    pub const fn name(&self) -> &'static str {
        match self {
            Refusal::Code(_) => "refused",
            Refusal::TooLarge { .. } => "too-large",
            Refusal::NoTopic => "no-topic",
            Refusal::HangsUp => "hangs-up",
        }
    }
}

/// Why a record was given up. The number stands in the journal's loss ledger and in what upstream is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LossReason {
    /// When the journal was full, and its stream says `drop-oldest`.
    DroppedOldest = 1,
    /// When the journal was full, and its stream says `drop-newest`.
    DroppedNewest = 2,
    /// When the journal was full, and its stream says `downsample`.
    Downsampled = 3,
    /// When it outlived its `ttl_s`.
    Expired = 4,
    /// When upstream refused it; a dead letter has the reason.
    Refused = 5,
    /// When it is longer than upstream takes.
    TooLarge = 6,
    /// When its stream is not configured any more.
    NoStream = 7,
    /// When the journal was damaged and the record is gone.
    Damaged = 8,
    /// When the journal itself found no room to keep it.
    NoRoom = 255,
}

impl LossReason {
    pub const ALL: [LossReason; 9] = [
        LossReason::DroppedOldest,
        LossReason::DroppedNewest,
        LossReason::Downsampled,
        LossReason::Expired,
        LossReason::Refused,
        LossReason::TooLarge,
        LossReason::NoStream,
        LossReason::Damaged,
        LossReason::NoRoom,
    ];

    /// The reason of a number in a ledger.
    pub fn from_number(number: u8) -> Option<LossReason> {
        LossReason::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    pub const fn name(self) -> &'static str {
        match self {
            LossReason::DroppedOldest => "dropped-oldest",
            LossReason::DroppedNewest => "dropped-newest",
            LossReason::Downsampled => "downsampled",
            LossReason::Expired => "expired",
            LossReason::Refused => "refused",
            LossReason::TooLarge => "too-large",
            LossReason::NoStream => "no-stream",
            LossReason::Damaged => "damaged",
            LossReason::NoRoom => "no-room",
        }
    }
}
