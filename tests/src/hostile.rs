//! Handlers that try to stop, starve, read or crash the daemon or a neighbour. Each says what must
//! become of it; `tests/hostile.rs` runs each in the real daemon beside a handler that must not
//! notice.

mod endless;
mod floods;
mod misfits;
mod shapes;

use std::sync::OnceLock;

use crate::handlers::Handler;

/// What must become of a hostile handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// When it must never run: its module is refused at load.
    Refused,
    /// When each of its events must fail.
    Stopped,
    /// When its events may end well, because what it tried had no effect.
    Harmless,
    /// When it may be refused, stopped or run without effect: all are safe.
    Contained,
}

/// One attack.
#[derive(Clone, Debug)]
pub struct Hostile {
    pub name: &'static str,
    /// What it tries.
    pub tries: &'static str,
    pub fate: Fate,
    /// How long one event may take until it has failed.
    pub patience_ms: u64,
    pub handler: Handler,
}

/// What the neighbours of a hostile handler may notice at most.
pub const PATIENCE_MS: u64 = 100;

impl Hostile {
    fn new(name: &'static str, tries: &'static str, fate: Fate, module: Vec<u8>) -> Hostile {
        let handler = Handler::new(name, &Hostile::topic(name), module);
        Hostile { name, tries, fate, patience_ms: PATIENCE_MS, handler }
    }

    fn may_publish(mut self, filter: &str) -> Hostile {
        self.handler = self.handler.may_publish(filter);
        self
    }

    /// Lets an event take longer, because what takes long is not its running.
    fn patience_ms(mut self, patience_ms: u64) -> Hostile {
        self.patience_ms = patience_ms;
        self
    }

    /// The topic that wakes it up.
    pub fn topic(name: &str) -> String {
        format!("hostile/{name}/in")
    }
}

/// Every attack, built once in a process.
pub fn all() -> &'static [Hostile] {
    static ALL: OnceLock<Vec<Hostile>> = OnceLock::new();
    ALL.get_or_init(|| [endless::all(), floods::all(), misfits::all(), shapes::all()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_enough_and_each_has_its_own_name() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|hostile| hostile.name).collect();
        assert!(all.len() >= 25, "{}", all.len());
        assert_eq!(names.len(), all.len());
        for hostile in all {
            assert!(!hostile.tries.is_empty() && hostile.name.len() <= 32, "{}", hostile.name);
        }
    }
}
