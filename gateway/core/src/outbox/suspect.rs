//! Finds the record that ends connections: some brokers hang up on a publish that they do not like.

/// What is known of a record that was first in line when connections ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// When nothing is wrong.
    #[default]
    None,
    /// When this record was the oldest under way in so many connections that ended without an ack.
    Suspected { seq: u64, deaths: u8 },
    /// When others go first, one at a time, to see whether it is the record or the broker.
    SetAside { seq: u64 },
    /// When others were acked while it was aside: it gets one more try, alone.
    LastChance { seq: u64 },
}

/// What to do with the record at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// When it may be sent; alone, if `alone`.
    Send { alone: bool },
    /// When another one should go first, if there is one.
    After,
}

/// Watches how connections end.
#[derive(Debug, Default)]
pub struct Suspect {
    state: State,
    deaths_max: u8,
    acked: bool,
}

impl Suspect {
    pub fn new(deaths_max: u8) -> Suspect {
        Suspect { state: State::None, deaths_max, acked: false }
    }

    pub fn handle_up(&mut self) {
        self.acked = false;
    }

    /// The connection has ended; `first` is the oldest record that was under way. Returns the seq of a record that
    /// is now known to end connections.
    pub fn handle_down(&mut self, first: Option<u64>) -> Option<u64> {
        let first = first?;
        if let State::LastChance { seq } = self.state
            && first == seq
        {
            self.state = State::None;
            return Some(seq);
        }
        if self.acked {
            return None;
        }
        self.state = match self.state {
            State::Suspected { seq, deaths } if seq == first && deaths + 1 >= self.deaths_max => {
                State::SetAside { seq }
            }
            State::Suspected { seq, deaths } if seq == first => {
                State::Suspected { seq, deaths: deaths + 1 }
            }
            // Another one ends connections as well: it is the broker, and nobody is to blame.
            State::SetAside { .. } => State::None,
            State::LastChance { .. } | State::Suspected { .. } | State::None => {
                State::Suspected { seq: first, deaths: 1 }
            }
        };
        None
    }

    /// A record was acked.
    pub fn handle_ack(&mut self, seq: u64) {
        self.acked = true;
        self.state = match self.state {
            State::SetAside { seq: aside } if seq != aside => State::LastChance { seq: aside },
            State::Suspected { seq: first, .. }
            | State::LastChance { seq: first }
            | State::SetAside { seq: first }
                if first == seq =>
            {
                State::None
            }
            other => other,
        };
    }

    pub fn judge(&self, seq: u64) -> Verdict {
        match self.state {
            State::None => Verdict::Send { alone: false },
            State::Suspected { .. } => Verdict::Send { alone: !self.acked },
            State::SetAside { seq: aside } if aside == seq => Verdict::After,
            State::SetAside { .. } | State::LastChance { .. } => Verdict::Send { alone: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `u` up, `dN` down with N first, `d` down with nothing under way, `aN` N acked, `?N` what about N: `s`end,
    /// `1` alone, `-` after others. Guilty seqs are written down with `!`.
    #[track_caller]
    fn check(script: &str, expect: &str) {
        let mut suspect = Suspect::new(2);
        let mut seen = Vec::new();
        for word in script.split_whitespace() {
            let (verb, seq) = word.split_at(1);
            let seq = seq.parse::<u64>().ok();
            match verb {
                "u" => suspect.handle_up(),
                "d" => {
                    seen.extend(suspect.handle_down(seq).map(|guilty| alloc::format!("!{guilty}")))
                }
                "a" => suspect.handle_ack(seq.expect("a seq")),
                _ => seen.push(match suspect.judge(seq.expect("a seq")) {
                    Verdict::Send { alone: false } => "s".into(),
                    Verdict::Send { alone: true } => "1".into(),
                    Verdict::After => "-".into(),
                }),
            }
        }
        assert_eq!(seen.join(" "), expect, "{script}");
    }

    use alloc::vec::Vec;

    #[test]
    fn a_record_that_ends_connections_is_found() {
        check("u ?1 d1 u ?1 d1 u ?1 ?2 a2 ?1 d1 u ?1", "s 1 - 1 1 !1 s");
    }

    #[test]
    fn a_broker_that_hangs_up_on_everything_blames_nobody() {
        check("u d1 u d1 u ?1 ?2 d2 u ?1 ?2", "- 1 s s");
    }

    #[test]
    fn links_that_break_after_acks_blame_nobody() {
        check("u a1 d2 u a2 d3 u a3 d4 u ?4", "s");
        check("u d1 u a1 ?2 d2 u ?2", "s s");
        check("u d u d u d u ?1", "s");
    }
}
