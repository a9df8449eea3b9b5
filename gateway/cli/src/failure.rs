//! Why a command did not do what was asked, and the exit status that says so (sysexits.h).

use std::fmt;

use tidegate_config::Problems;

/// What a command ends with when it does not end well. The text says what happened, where, and what to do next.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// When it was tried and did not work.
    Failed,
    /// When the command line is wrong (EX_USAGE).
    Usage,
    /// When a module or an input is wrong (EX_DATAERR).
    Data,
    /// When no broker can be reached (EX_UNAVAILABLE).
    Unreachable,
    /// When the broker is there and no gateway has answered in time (EX_TEMPFAIL).
    Silent,
    /// When handler.toml or a board is wrong (EX_CONFIG).
    Config,
}

impl Kind {
    /// The exit status.
    pub const fn code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 64,
            Kind::Data => 65,
            Kind::Unreachable => 69,
            Kind::Silent => 75,
            Kind::Config => 78,
        }
    }
}

impl Failure {
    pub fn failed(text: impl Into<String>) -> Failure {
        Failure { kind: Kind::Failed, text: text.into() }
    }

    pub fn usage(text: impl Into<String>) -> Failure {
        Failure { kind: Kind::Usage, text: text.into() }
    }

    pub fn data(text: impl Into<String>) -> Failure {
        Failure { kind: Kind::Data, text: text.into() }
    }

    pub fn unreachable(text: impl Into<String>) -> Failure {
        Failure { kind: Kind::Unreachable, text: text.into() }
    }

    pub fn silent(text: impl Into<String>) -> Failure {
        Failure { kind: Kind::Silent, text: text.into() }
    }

    pub fn config(text: impl Into<String>) -> Failure {
        Failure { kind: Kind::Config, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure::config(problems.to_string())
    }
}
