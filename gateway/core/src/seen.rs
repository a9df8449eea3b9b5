//! The window of messages that have had their effect: a repetition of one of them has none.

use alloc::collections::{BTreeSet, VecDeque};

use crate::commit::Seen;

/// The latest marks. As many as the store keeps.
#[derive(Debug)]
pub struct SeenWindow {
    marks: BTreeSet<Seen>,
    order: VecDeque<Seen>,
    most: usize,
}

impl SeenWindow {
    pub fn new(most: usize) -> SeenWindow {
        SeenWindow { marks: BTreeSet::new(), order: VecDeque::new(), most }
    }

    pub fn contains(&self, mark: Seen) -> bool {
        self.marks.contains(&mark)
    }

    /// Remembers a mark, and forgets the oldest when there are too many.
    pub fn insert(&mut self, mark: Seen) {
        if !self.marks.insert(mark) {
            return;
        }
        self.order.push_back(mark);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_latest() {
        let mut window = SeenWindow::new(2);
        for mark in [1, 2, 1, 3] {
            window.insert(Seen(mark));
        }
        let seen = [1, 2, 3].map(|mark| window.contains(Seen(mark)));
        assert_eq!(seen, [false, true, true]);
    }
}
