//! A [`Shelf`] in memory that knows what a power cut leaves, and fails on purpose.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use tidegate_journal::Power;

use crate::shelf::{Rows, Shelf};

/// What goes wrong. `*_one_in`: by chance, once in so many; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShelfFaults {
    /// A write fails; its rows are there or not, all of them.
    pub write_error_one_in: u64,
    /// The power goes during a write.
    pub cut_one_in: u64,
    /// Nothing can be read before a reset.
    pub is_broken: bool,
}

/// The shelf. What is on it is durable: a write ends before it returns.
#[derive(Clone, Debug)]
pub struct ModelShelf {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    power: Power,
    pub faults: ShelfFaults,
    random: u64,
    writes: u64,
}

impl ModelShelf {
    /// On the same power as a disk.
    pub fn new(seed: u64, power: Power) -> ModelShelf {
        ModelShelf {
            rows: BTreeMap::new(),
            power,
            faults: ShelfFaults::default(),
            random: seed | 1,
            writes: 0,
        }
    }

    /// Writes since it was made, failed ones and resets among them.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    pub fn rows(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.rows
    }

    /// Puts these in the place of all that is there.
    pub fn replace(&mut self, rows: BTreeMap<Vec<u8>, Vec<u8>>) {
        self.rows = rows;
    }

    /// All rows are gone.
    pub fn lose(&mut self) {
        self.rows.clear();
    }

    /// Flips a bit in one of the rows; `false` when there is none.
    pub fn damage(&mut self) -> bool {
        let at = self.below(self.rows.len() as u64) as usize;
        let mixed = self.below(u64::MAX);
        let Some(row) = self.rows.values_mut().nth(at) else {
            return false;
        };
        let bit = mixed % (row.len() as u64 * 8).max(1);
        if let Some(byte) = row.get_mut(bit as usize / 8) {
            *byte ^= 1 << (bit % 8);
        }
        true
    }

    /// xorshift64* (Vigna): the same seed gives the same shelf.
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % end.max(1)
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.below(one_in) == 0
    }

    fn apply(&mut self, rows: &Rows) {
        for (key, value) in rows {
            match value {
                Some(value) => self.rows.insert(key.clone(), value.clone()),
                None => self.rows.remove(key),
            };
        }
    }

    fn answer(&self) -> io::Result<()> {
        if self.power.is_down() { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }
}

impl Shelf for ModelShelf {
    fn read(
        &mut self,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.answer()?;
        if self.faults.is_broken {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = 0;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .rows
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, value)| {
                let is_room = bytes == 0 || bytes < bytes_max;
                bytes += key.len() + value.len();
                is_room
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn get(&mut self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.answer()?;
        if self.faults.is_broken {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(self.rows.get(key).cloned())
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.answer()?;
        self.writes += 1;
        if self.faults.is_broken {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let is_cut = self.chance(self.faults.cut_one_in);
        if is_cut || self.chance(self.faults.write_error_one_in) {
            if self.below(2) == 0 {
                self.apply(rows);
            }
            if is_cut {
                self.power.fail();
            }
            return Err(io::Error::other("EIO on write"));
        }
        self.apply(rows);
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.answer()?;
        self.writes += 1;
        self.faults.is_broken = false;
        self.rows.clear();
        Ok(())
    }
}
