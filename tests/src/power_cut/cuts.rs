//! Where the power goes.

use std::collections::BTreeSet;

use super::image::Mood;
use super::log::{Log, Op};
use crate::simulation::Random;

/// One power cut: after the first `at` records of a log, the last of them perhaps only begun (a write), and what
/// then becomes of all that is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub at: usize,
    pub mood: Mood,
}

/// Chooses `count` cuts, in order: half of them anywhere, half right before or after a sync begins or ends, where
/// mistakes are. One in eight keeps nothing, one in eight everything. The same seed chooses the same.
pub fn cuts(log: &Log, count: usize, seed: u64) -> impl Iterator<Item = Cut> + use<> {
    let records = log.records();
    let edges: Vec<usize> = (0..records.len())
        .filter(|at| matches!(records[*at].op, Op::SyncStart { .. } | Op::SyncDone { .. }))
        .flat_map(|at| [at, at + 1])
        .collect();
    let mut random = Random::new(seed);
    let mut chosen: Vec<Cut> = (0..count)
        .map(|number| {
            let at = if number % 2 == 0 || edges.is_empty() {
                random.below(records.len() as u64 + 1) as usize
            } else {
                *random.pick(&edges)
            };
            let mood = match random.below(8) {
                0 => Mood::NoneKept,
                1 => Mood::AllKept,
                _ => Mood::Random(random.draw()),
            };
            Cut { at, mood }
        })
        .collect();
    chosen.sort_by_key(|cut| cut.at);
    chosen.into_iter()
}

/// Every point of a log, each in every mood.
pub fn every_cut(log: &Log, seed: u64) -> impl Iterator<Item = Cut> + use<> {
    let mut random = Random::new(seed);
    (0..=log.records().len()).flat_map(move |at| {
        [Mood::NoneKept, Mood::AllKept, Mood::Random(random.draw())].map(|mood| Cut { at, mood })
    })
}

/// The points from each write of a segment's header on until two operations after the next one, each in so many moods:
/// chance seldom cuts there.
pub fn header_cuts(log: &Log, moods: usize, seed: u64) -> impl Iterator<Item = Cut> + use<> {
    let mut segments = BTreeSet::new();
    let mut points = BTreeSet::new();
    for (number, record) in log.records().iter().enumerate() {
        match &record.op {
            Op::Open { fd, path, .. } if path.ends_with(".seg") => {
                segments.insert((record.pid, *fd));
            }
            Op::Open { fd, .. } | Op::Close { fd } => {
                segments.remove(&(record.pid, *fd));
            }
            Op::Write { fd, at: 0, .. } if segments.contains(&(record.pid, *fd)) => {
                points.extend(number..number + 6);
            }
            _ => {}
        }
    }
    let mut random = Random::new(seed);
    points.into_iter().flat_map(move |at| {
        let chosen: Vec<Mood> = (0..moods).map(|_| Mood::Random(random.draw())).collect();
        chosen.into_iter().map(move |mood| Cut { at, mood })
    })
}
