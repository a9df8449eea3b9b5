//! Where log lines go: to journald when it reads our standard error, else to standard error itself.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// systemd sets it when standard error is a stream to the journal (systemd.exec(5)).
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// Starts logging at `level`. Call it once.
pub fn start(level: LevelFilter) {
    if std::env::var_os(JOURNAL_STREAM).is_some() {
        // Straight to the journal, so that levels and fields are its own, and no line is stamped twice.
        if let Ok(journal) = tracing_journald::layer() {
            tracing_subscriber::registry().with(level).with(journal).init();
            return;
        }
    }
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
