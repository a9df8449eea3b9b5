//! Log lines. Unlike other effects they stay when the event fails.

use tidegate_abi::level;

use crate::host;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Level {
    Error = level::ERROR,
    Warn = level::WARN,
    Info = level::INFO,
    Debug = level::DEBUG,
    Trace = level::TRACE,
}

/// Logs one line; beyond 512 bytes the host cuts it off.
#[inline]
pub fn log(level: Level, line: impl AsRef<[u8]>) {
    host::log(level as i32, line.as_ref());
}

/// Length of the buffer that the log macros put a line together in.
#[doc(hidden)]
pub const LINE_BYTES: usize = tidegate_abi::LOG_BYTES_MAX;

/// `log_at!(Level::Info, "fan of ", device, " is on")`: logs one line from pieces.
#[macro_export]
macro_rules! log_at {
    ($level:expr, $line:literal $(,)?) => {
        $crate::log($level, $line)
    };
    ($level:expr, $($piece:expr),+ $(,)?) => {{
        let mut line = $crate::Text::<{ $crate::LINE_BYTES }>::new();
        $(line.put($piece);)+
        $crate::log($level, &line)
    }};
}

/// Logs what went wrong for good.
#[macro_export]
macro_rules! error { ($($piece:expr),+ $(,)?) => { $crate::log_at!($crate::Level::Error, $($piece),+) }; }

/// Logs what somebody should look at.
#[macro_export]
macro_rules! warn { ($($piece:expr),+ $(,)?) => { $crate::log_at!($crate::Level::Warn, $($piece),+) }; }

/// Logs what you would tell a colleague.
#[macro_export]
macro_rules! info { ($($piece:expr),+ $(,)?) => { $crate::log_at!($crate::Level::Info, $($piece),+) }; }

/// Logs a turn off the usual path.
#[macro_export]
macro_rules! debug { ($($piece:expr),+ $(,)?) => { $crate::log_at!($crate::Level::Debug, $($piece),+) }; }
