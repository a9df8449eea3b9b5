//! Reading what the start has not read.

use crate::disk::Disk;
use crate::error::Error;
use crate::journal::Journal;
use crate::quarantine::Quarantine;
use crate::segments::Segment;
use crate::survey::Tally;

impl<D: Disk> Journal<D> {
    /// Reads one segment that `open` has not read and adds what it finds to [`Journal::recovery`]. For idle
    /// moments after a start; `false` when all are read.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn verify_next(&mut self) -> Result<bool, Error> {
        let is_open = |(_, segment): &(&u32, &Segment)| !segment.is_verified;
        match self.segments.iter().find(is_open).map(|(generation, _)| *generation) {
            Some(generation) => self.verify(generation).map(|()| true),
            None => Ok(false),
        }
    }

    /// Reads every segment that begins up to a seq and was not read yet. Whether that has found damage.
    pub fn verify_through(&mut self, seq: u64) -> bool {
        let before = self.recovery.gaps_total;
        let is_due =
            |(_, segment): &(&u32, &Segment)| !segment.is_verified && segment.first_seq <= seq;
        while let Some(generation) =
            self.segments.iter().find(is_due).map(|(generation, _)| *generation)
        {
            // A folder that cannot be listed now is looked at when it is idle.
            if self.verify(generation).is_err() {
                break;
            }
        }
        self.recovery.gaps_total > before
    }

    fn verify(&mut self, generation: u32) -> Result<(), Error> {
        let names = self.disk.list().map_err(Error::io("list", "the folder"))?;
        let bytes_max = self.settings.quarantine_bytes_max;
        let mut quarantine = Quarantine::new(&mut self.disk, &names, bytes_max);
        let (_, holes) = self.read_segment(generation, Tally::default(), false);
        for hole in holes {
            self.report(generation, hole, &mut quarantine);
        }
        self.recovery.quarantined_bytes += quarantine.bytes;
        Ok(())
    }
}
