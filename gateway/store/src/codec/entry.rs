//! One frame: a version, a boot, and sections that can be stepped over.

use std::sync::Arc;

use tidegate_core::commit::{BootClock, Commit, CommitId, Lost, Progress, Seen, StateChange, Told};

use tidegate_core::record::StreamId;

use super::accounts::{
    put_clocks, put_losses, put_pairs, put_told, read_clocks, read_losses, read_pairs, read_told,
};
use super::progress::{put_progress, read_progress};
use super::records::{RecordView, RecordViews, RecordWriter};
use super::states::{put_states, read_states};
use crate::bytes::{Reader, put_signed, put_varint};
use crate::error::CodecError;

const VERSION: u8 = 1;

const RECORDS: u8 = 1;
const STATES: u8 = 2;
const LOSSES: u8 = 3;
const TOLD: u8 = 4;
const PROGRESS: u8 = 5;
const SEEN: u8 = 6;
const CLOCKS: u8 = 7;
const FLOOR: u8 = 8;
const DAMAGE: u8 = 9;
const TAGS: usize = 10;

/// What a frame says: a commit, and what the store adds to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The start in which it was committed; 0 is unknown.
    pub boot: u32,
    /// Its id is of the run that made it and is not kept: 0.
    pub commit: Commit,
    /// Wall time was at least this, unix microseconds.
    pub floor_unix_us: Option<i64>,
    pub damage: Option<Damage>,
}

/// Damage to the journal that has been taken into account, so that no start counts it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Missing frames, by the first and last seq in the journal.
    pub gaps: Vec<(u64, u64)>,
    /// As in [`tidegate_journal::Recovery`].
    pub headers_restored: u64,
    pub files_lost: u64,
    pub blocks_unreadable: u64,
    /// The next record has at least this seq: those before it may have been given.
    pub next_seq: u64,
    /// The epoch of the journal that was here before this one and is gone; 0 is none.
    pub left_epoch: u64,
    /// The records that were lost with it, as far as that can be known.
    pub lost: Vec<LostRange>,
}

impl Damage {
    /// Takes newer damage into account, but for what it has cost.
    pub fn take(&mut self, newer: &Damage) {
        for gap in &newer.gaps {
            if !self.gaps.contains(gap) {
                self.gaps.push(*gap);
            }
        }
        self.headers_restored = newer.headers_restored;
        self.files_lost = newer.files_lost;
        self.blocks_unreadable = newer.blocks_unreadable;
        self.left_epoch = newer.left_epoch;
    }
}

/// Records that are gone without a trace of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// 65535 if that is not known.
    pub stream: StreamId,
    pub count: u64,
    /// Their seqs lie between these.
    pub first_seq: u64,
    pub last_seq: u64,
}

/// A frame to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub boot: u32,
    pub commit: &'a Commit,
    pub floor_unix_us: Option<i64>,
    pub damage: Option<&'a Damage>,
}

impl Draft<'_> {
    pub fn encode(&self) -> Vec<u8> {
        let commit = self.commit;
        let mut records = RecordWriter::default();
        for record in &commit.records {
            records.push(&RecordView::of(record));
        }
        let mut out = Vec::new();
        put_head(&mut out, self.boot);
        if !records.is_empty() {
            put_section(&mut out, RECORDS, &records.finish());
        }
        put_filled(&mut out, STATES, |body| put_states(body, &commit.states));
        put_filled(&mut out, LOSSES, |body| put_losses(body, &commit.losses));
        put_filled(&mut out, TOLD, |body| put_told(body, &commit.told));
        if let Some(progress) = &commit.progress {
            put_filled(&mut out, PROGRESS, |body| put_progress(body, progress));
        }
        put_filled(&mut out, SEEN, |body| {
            body.extend(commit.seen.iter().flat_map(|seen| seen.0.to_le_bytes()));
        });
        put_filled(&mut out, CLOCKS, |body| put_clocks(body, &commit.clocks));
        if let Some(floor_unix_us) = self.floor_unix_us {
            put_filled(&mut out, FLOOR, |body| put_signed(body, floor_unix_us));
        }
        if let Some(damage) = self.damage {
            put_filled(&mut out, DAMAGE, |body| damage.put(body));
        }
        out
    }
}

fn put_head(out: &mut Vec<u8>, boot: u32) {
    out.push(VERSION);
    put_varint(out, u64::from(boot));
}

fn put_section(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    put_varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

fn put_filled(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    if !body.is_empty() {
        put_section(out, tag, &body);
    }
}

impl Damage {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_pairs(out, &self.gaps);
        for number in
            [self.headers_restored, self.files_lost, self.blocks_unreadable, self.next_seq]
        {
            put_varint(out, number);
        }
        out.extend_from_slice(&self.left_epoch.to_le_bytes());
        put_varint(out, self.lost.len() as u64);
        for lost in &self.lost {
            out.extend_from_slice(&lost.stream.0.to_le_bytes());
            put_varint(out, lost.count);
            put_varint(out, lost.first_seq);
            put_varint(out, lost.last_seq);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Damage, CodecError> {
        let mut damage = Damage {
            gaps: read_pairs(reader)?,
            headers_restored: reader.varint()?,
            files_lost: reader.varint()?,
            blocks_unreadable: reader.varint()?,
            next_seq: reader.varint()?,
            left_epoch: reader.long()?,
            lost: Vec::new(),
        };
        for _ in 0..reader.varint()? {
            damage.lost.push(LostRange {
                stream: StreamId(reader.short()?),
                count: reader.varint()?,
                first_seq: reader.varint()?,
                last_seq: reader.varint()?,
            });
        }
        Ok(damage)
    }
}

/// A frame whose sections are known, but not yet read.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    pub boot: u32,
    sections: [Option<&'a [u8]>; TAGS],
}

impl<'a> EntryView<'a> {
    /// Finds the sections.
    ///
    /// # Errors
    /// When these are not the bytes of a frame of this version.
    pub fn parse(payload: &'a [u8]) -> Result<EntryView<'a>, CodecError> {
        let mut reader = Reader::new(payload);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(CodecError::Version { version });
        }
        let mut view = EntryView { boot: reader.small()?, sections: [None; TAGS] };
        let mut last = 0;
        while !reader.is_empty() {
            let tag = reader.byte()?;
            if tag <= last || usize::from(tag) >= TAGS {
                return Err(CodecError::Tag { tag });
            }
            last = tag;
            view.sections[usize::from(tag)] = Some(reader.bytes()?);
        }
        Ok(view)
    }

    fn section(&self, tag: u8) -> &'a [u8] {
        self.sections[usize::from(tag)].unwrap_or(&[])
    }

    /// The records, without a look at anything else.
    ///
    /// # Errors
    /// When their section is damaged; so for all that follow.
    pub fn records(&self) -> Result<RecordViews<'a>, CodecError> {
        match self.sections[usize::from(RECORDS)] {
            Some(body) => RecordViews::new(body),
            None => Ok(RecordViews::none()),
        }
    }

    pub fn states(&self) -> Result<Vec<StateChange>, CodecError> {
        read_states(self.section(STATES))
    }

    pub fn losses(&self) -> Result<Vec<Lost>, CodecError> {
        read_losses(self.section(LOSSES))
    }

    pub fn told(&self) -> Result<Vec<Told>, CodecError> {
        read_told(self.section(TOLD))
    }

    pub fn progress(&self) -> Result<Option<Progress>, CodecError> {
        self.whole(PROGRESS, read_progress)
    }

    pub fn seen(&self) -> Result<Vec<Seen>, CodecError> {
        let (marks, rest) = self.section(SEEN).as_chunks::<8>();
        if !rest.is_empty() {
            return Err(CodecError::Short);
        }
        Ok(marks.iter().map(|mark| Seen(u64::from_le_bytes(*mark))).collect())
    }

    pub fn clocks(&self) -> Result<Vec<BootClock>, CodecError> {
        read_clocks(&mut Reader::new(self.section(CLOCKS)))
    }

    pub fn floor_unix_us(&self) -> Result<Option<i64>, CodecError> {
        self.whole(FLOOR, Reader::signed)
    }

    pub fn damage(&self) -> Result<Option<Damage>, CodecError> {
        self.whole(DAMAGE, Damage::read)
    }

    /// A section that ends where its value does.
    fn whole<T>(
        &self,
        tag: u8,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, CodecError>,
    ) -> Result<Option<T>, CodecError> {
        let Some(body) = self.sections[usize::from(tag)] else {
            return Ok(None);
        };
        let mut reader = Reader::new(body);
        let value = read(&mut reader)?;
        if reader.is_empty() { Ok(Some(value)) } else { Err(CodecError::Long) }
    }

    /// Everything but the records.
    pub(crate) fn read_rest(&self) -> Result<Entry, CodecError> {
        Ok(Entry {
            boot: self.boot,
            commit: Commit {
                id: CommitId::default(),
                states: self.states()?,
                records: Vec::new(),
                losses: self.losses()?,
                told: self.told()?,
                progress: self.progress()?,
                seen: self.seen()?,
                clocks: self.clocks()?,
            },
            floor_unix_us: self.floor_unix_us()?,
            damage: self.damage()?,
        })
    }

    /// Everything.
    ///
    /// # Errors
    /// When any of it is damaged.
    pub fn read(&self) -> Result<Entry, CodecError> {
        let mut entry = self.read_rest()?;
        let mut topic = None;
        for record in self.records()? {
            entry.commit.records.push(Arc::new(record?.1.to_record(&mut topic)));
        }
        Ok(entry)
    }
}

/// The frame with only these of its records, and with or without the rest; `None` when nothing is left. Losses, what
/// was told and the progress are of their own commit and never carried. It is no longer than the frame was, as long
/// as the records are some of its own, in their order.
pub(crate) fn strip<'a>(
    view: &EntryView<'a>,
    records: RecordWriter<'a>,
    keeps_rest: bool,
) -> Option<Vec<u8>> {
    let rest = [STATES, SEEN, CLOCKS, FLOOR, DAMAGE];
    let kept = |tag: &u8| keeps_rest && view.sections[usize::from(*tag)].is_some();
    if records.is_empty() && !rest.iter().any(kept) {
        return None;
    }
    let mut out = Vec::new();
    put_head(&mut out, view.boot);
    if !records.is_empty() {
        put_section(&mut out, RECORDS, &records.finish());
    }
    for tag in rest.into_iter().filter(kept) {
        put_section(&mut out, tag, view.section(tag));
    }
    Some(out)
}
