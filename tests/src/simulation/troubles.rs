//! Troubles of a disk that last for a life of the gateway, or come while it is off.

use tidegate_journal::{Disk, Faults};

use super::random::Random;
use super::world::World;

/// What a seed's disk is like, beside syncs and writes that fail now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// When in some lives a sync may answer well and do nothing. What was acked then may be lost; and a seq may be given
    /// again of whose record nothing is left, since nothing that lasts knows of it.
    Lies,
    /// When in some lives nothing can be written. Nothing is acked then, and nothing lost.
    ReadOnly,
    /// When a bit flips while the gateway is off: in a segment, an export or on the shelf. What is in the last two
    /// segments is spared: there damage may look like a torn write, and is cut off without a word.
    Rots,
}

/// What has come of it. What cannot be helped is not looked for then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Harm {
    pub has_lied: bool,
    /// A segment has rotted: frames may be lost, and state with them.
    pub has_rotted: bool,
}

impl Trouble {
    pub fn choose(random: &mut Random) -> Trouble {
        let all = [Trouble::None, Trouble::None, Trouble::Lies, Trouble::ReadOnly, Trouble::Rots];
        *random.pick(&all)
    }
}

impl World<'_> {
    /// The faults of a life that begins.
    pub(super) fn life(&mut self) -> Faults {
        let faults = self.climate.faults;
        match self.climate.trouble {
            Trouble::Lies if self.random.chance(1, 3) => {
                self.stats.lying += 1;
                self.harm.has_lied = true;
                self.upstream.bear_reuse();
                Faults { sync_lie_one_in: 1 + self.random.below(4), ..faults }
            }
            Trouble::ReadOnly if self.random.chance(1, 3) => {
                self.stats.read_only += 1;
                Faults { read_only: true, ..faults }
            }
            Trouble::None | Trouble::Lies | Trouble::ReadOnly | Trouble::Rots => faults,
        }
    }

    /// The gateway is off.
    pub(super) fn rot(&mut self) {
        if self.climate.trouble != Trouble::Rots || self.random.chance(1, 2) {
            return;
        }
        if self.random.chance(1, 4) {
            self.stats.rotten += u64::from(self.disks.shelf.lend().damage());
            return;
        }
        let mut disk = self.disks.journal.lend();
        let names = disk.list().expect("the power is on");
        let mut segments = Vec::new();
        let mut others = Vec::new();
        for name in names {
            let mut head = [0; 16];
            disk.read_at(&name, 0, &mut head).expect("no read fails here");
            // The generation's place in a header; see the journal's crate docs.
            let generation = u32::from_le_bytes(head[12..].try_into().expect("four"));
            if name.ends_with(".seg") {
                segments.push((generation, name));
            } else {
                others.push(name);
            }
        }
        segments.sort();
        segments.truncate(segments.len().saturating_sub(2));
        let is_segment = !segments.is_empty() && (others.is_empty() || self.random.chance(3, 4));
        let name = match is_segment {
            true => self.random.pick(&segments).1.clone(),
            false if others.is_empty() => return,
            false => self.random.pick(&others).clone(),
        };
        let len = disk.len(&name).expect("it is listed");
        let mut bytes = vec![0; len as usize];
        disk.read_at(&name, 0, &mut bytes).expect("no read fails here");
        // Most of a segment may be zeros.
        let at = (0..20).map(|_| self.random.below(len.max(1)) as usize);
        let Some(at) = at.into_iter().find(|at| bytes.get(*at).is_some_and(|byte| *byte != 0))
        else {
            return;
        };
        let bit = 1 << self.random.below(8);
        disk.damage(&name, |bytes| bytes[at] ^= bit);
        self.stats.rotten += 1;
        self.harm.has_rotted |= is_segment;
    }
}
