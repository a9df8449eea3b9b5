//! Losses that no eviction counts, and what upstream was told.

use super::{Checked, Fact, OTHER_REASON, REASON, STREAM, World};

impl World {
    pub(super) fn tell(&mut self) -> Checked {
        let count = self.journal().ledger().get(STREAM, REASON).map_or(0, |loss| loss.count);
        self.journal().told(STREAM, REASON, count);
        Ok(())
    }

    pub(super) fn lose(&mut self) -> Checked {
        let &(before, before_seq) = self.lost_otherwise.last().expect("the first stays");
        let journal = self.journal.as_mut().expect("it is open between steps");
        journal.lose(STREAM, OTHER_REASON, before, 1);
        // In some lives the ledger makes headers longer than a sector, so that they can be torn.
        if self.seed.is_multiple_of(5) {
            (1000..1020).for_each(|stream| journal.lose(stream, OTHER_REASON, before, 1));
        }
        let seq = journal.last_seq();
        if journal.ledger_ahead().get(STREAM, OTHER_REASON).map(|loss| loss.count)
            != Some(before + 1)
        {
            return Err("the ledger does not count ahead".into());
        }
        if seq == before_seq && self.lost_otherwise.len() > 1 {
            self.lost_otherwise.pop();
        }
        self.lost_otherwise.push((before + 1, seq));
        Ok(())
    }

    /// What was lost without an eviction: a prefix of it, as long as what survived around it.
    pub(super) fn check_lost(&mut self) -> Checked {
        let count = self.journal().ledger().get(STREAM, OTHER_REASON).map_or(0, |loss| loss.count);
        let place = self.lost_otherwise.iter().position(|(known, _)| *known == count);
        let durable = self.journal().durable_seq();
        if place.is_none() && !self.may_lose {
            return Err(format!("lost {count}, not {:?}", self.lost_otherwise));
        }
        let is_due = |(known, seq): &&(u64, u64)| *known > count && *seq <= durable;
        let is_overtaken = self.facts.values().any(|(seq, fact)| {
            *fact == Fact::Durable
                && self.lost_otherwise.iter().filter(is_due).any(|(_, due)| due < seq)
        });
        if is_overtaken && !self.may_lose {
            return Err(format!("lost {count}, and a frame behind more is there"));
        }
        self.lost_otherwise = vec![(count, 0)];
        Ok(())
    }
}
