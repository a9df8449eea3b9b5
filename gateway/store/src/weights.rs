//! How much waits of each priority, roughly: sums over stretches of the log.

use std::collections::VecDeque;

use tidegate_core::commit::{Progress, Span};
use tidegate_core::record::PRIORITY_MAX;

use crate::bytes::{Reader, put_varint};
use crate::error::CodecError;

const PRIORITIES: usize = PRIORITY_MAX as usize + 1;
/// Stretches kept; a few KiB on the shelf. When there are more, neighbours are joined.
const STRETCHES_MAX: usize = 128;
/// Bytes of the first stretches; longer ones follow from joining.
const STRETCH_BYTES: u64 = 64 * 1024;
/// What a record takes beside its payload, about.
const RECORD_BYTES: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    /// It goes on to where the next begins.
    first: u64,
    bytes: [u64; PRIORITIES],
}

impl Stretch {
    fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

/// Bytes of records by place and priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    stretches: VecDeque<Stretch>,
    last: u64,
}

impl Weights {
    /// Counts a record in a frame. Frames come in order.
    pub fn add(&mut self, frame: u64, priority: u8, bytes: u64) {
        self.add_many(frame, priority, 1, bytes);
    }

    /// Counts several records that stand in a frame or soon behind it.
    pub fn add_many(&mut self, frame: u64, priority: u8, records: u64, bytes: u64) {
        if records == 0 {
            return;
        }
        let long = self.stretch_bytes();
        // A frame is in one stretch, so that the next one's beginning is this one's end.
        let is_due = |last: &Stretch| self.last < frame && last.total() >= long;
        if self.stretches.back().is_none_or(is_due) {
            self.stretches.push_back(Stretch { first: frame, bytes: [0; PRIORITIES] });
        }
        self.last = self.last.max(frame);
        if let Some(last) = self.stretches.back_mut() {
            last.bytes[usize::from(priority & PRIORITY_MAX)] += bytes + records * RECORD_BYTES;
        }
        if self.stretches.len() > STRETCHES_MAX {
            self.join();
        }
    }

    /// As long as the average of those there are, so that joined ones are followed by their like.
    fn stretch_bytes(&self) -> u64 {
        let total: u64 = self.stretches.iter().map(Stretch::total).sum();
        STRETCH_BYTES.max(total / (STRETCHES_MAX as u64 * 3 / 4))
    }

    fn join(&mut self) {
        let halves: Vec<Stretch> = self.stretches.drain(..).collect();
        self.stretches = halves
            .chunks(2)
            .map(|pair| {
                let mut sum = pair[0];
                for other in &pair[1..] {
                    for (bytes, more) in sum.bytes.iter_mut().zip(other.bytes) {
                        *bytes += more;
                    }
                }
                sum
            })
            .collect();
    }

    /// Nothing up to here counts any more.
    pub fn forget(&mut self, up_to: u64) {
        while self.stretches.get(1).is_some_and(|next| next.first <= up_to + 1) {
            self.stretches.pop_front();
        }
    }

    /// What is not settled, by priority; a stretch counts whole if any place in it does.
    pub fn waiting(&self, progress: &Progress) -> [u64; PRIORITIES] {
        let mut waiting = [0; PRIORITIES];
        for (at, stretch) in self.stretches.iter().enumerate() {
            let end = self.end(at);
            for (priority, bytes) in waiting.iter_mut().zip(stretch.bytes).enumerate() {
                let (sum, more) = bytes;
                if more > 0 && is_waiting(progress, priority as u8, stretch.first, end) {
                    *sum += more;
                }
            }
        }
        waiting
    }

    /// Whether there is anything of this priority behind a frame.
    pub fn has_behind(&self, frame: u64, priority: u8) -> bool {
        (0..self.stretches.len()).any(|at| {
            self.end(at) > frame + 1 && self.stretches[at].bytes[usize::from(priority)] > 0
        })
    }

    /// The first frame that is not in a stretch any more.
    fn end(&self, at: usize) -> u64 {
        self.stretches.get(at + 1).map_or(self.last + 1, |next| next.first)
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.last);
        put_varint(out, self.stretches.len() as u64);
        let mut before = 0;
        for stretch in &self.stretches {
            put_varint(out, stretch.first - before);
            before = stretch.first;
            for bytes in stretch.bytes {
                put_varint(out, bytes);
            }
        }
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Weights, CodecError> {
        let mut weights = Weights { last: number(reader)?, ..Weights::default() };
        let mut first = 0;
        for _ in 0..reader.varint()? {
            first += number(reader)?;
            let mut stretch = Stretch { first, bytes: [0; PRIORITIES] };
            for bytes in &mut stretch.bytes {
                *bytes = number(reader)?;
            }
            weights.stretches.push_back(stretch);
            if weights.stretches.len() > STRETCHES_MAX {
                return Err(CodecError::Number);
            }
        }
        Ok(weights)
    }
}

/// Small enough that sums do not overflow.
fn number(reader: &mut Reader<'_>) -> Result<u64, CodecError> {
    let number = reader.varint()?;
    if number >> 48 == 0 { Ok(number) } else { Err(CodecError::Number) }
}

/// Whether any place of this priority in the frames from `first` up to `end` is not settled.
fn is_waiting(progress: &Progress, priority: u8, first: u64, end: u64) -> bool {
    let overlaps = |span: &Span| {
        span.priority == priority
            && span.from.frame < end
            && span.until.is_none_or(|until| until.frame >= first)
    };
    end > progress.known.saturating_add(1) || progress.spans.iter().any(overlaps)
}

#[cfg(test)]
mod tests {
    use tidegate_core::record::Place;

    use super::*;

    fn weights(frames: u64) -> Weights {
        let mut weights = Weights::default();
        for frame in 1..=frames {
            weights.add(frame, (frame % 4) as u8, 1000 - RECORD_BYTES);
        }
        weights
    }

    #[test]
    fn sums_stay_few_and_right() {
        let weights = weights(200_000);
        assert!(weights.stretches.len() <= STRETCHES_MAX, "{}", weights.stretches.len());
        assert!(weights.stretches.len() >= STRETCHES_MAX / 4, "{}", weights.stretches.len());
        let nothing = Progress::default();
        assert_eq!(
            weights.waiting(&nothing)[..5],
            [50_000_000; 4].iter().copied().chain([0]).collect::<Vec<_>>()[..]
        );
        let mut out = Vec::new();
        weights.put(&mut out);
        assert!(out.len() < 8 * 1024, "{}", out.len());
        assert_eq!(Weights::read(&mut Reader::new(&out)), Ok(weights));
    }

    #[test]
    fn a_frame_is_in_one_stretch() {
        let mut weights = Weights::default();
        for frame in 1..1_000 {
            weights.add(frame, 1, 1_000);
            weights.add(frame, 2, 1_000);
            assert!((1..3).all(|priority| weights.has_behind(frame - 1, priority)), "{frame}");
        }
    }

    #[test]
    fn what_is_settled_or_forgotten_does_not_weigh() {
        let mut weights = weights(10_000);
        let open = |priority, from| Span { priority, from: Place::of(from), until: None };
        let until = Some(Place::of(2_001));
        let bounded = Span { until, ..open(2, 1) };
        let progress =
            Progress { known: 10_000, spans: vec![open(1, 9_001), bounded], ..Progress::default() };
        let waiting = weights.waiting(&progress);
        assert_eq!((waiting[0], waiting[3]), (0, 0));
        for (priority, exact) in [(1, 250_000), (2, 500_000)] {
            let near = exact..exact + 200_000;
            assert!(near.contains(&waiting[priority]), "{priority}: {}", waiting[priority]);
        }
        assert!(weights.has_behind(9_999, 0) && !weights.has_behind(0, 5));
        weights.forget(8_000);
        assert!(weights.waiting(&progress)[2] == 0);
        let unknown = Progress { known: 9_000, ..Progress::default() };
        let waiting = weights.waiting(&unknown);
        assert!((250_000..450_000).contains(&waiting[0]), "{}", waiting[0]);
    }
}
