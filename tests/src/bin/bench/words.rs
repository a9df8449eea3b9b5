//! What the benchmark's parts have in common: their error, and how they speak.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

/// Why a part could not be measured. Shown to the person who started it.
pub type Problem = Box<dyn std::error::Error>;

/// Standard output belongs to the tables and JSON lines go to standard error; usually the reverse.
static TABLES_FIRST: AtomicBool = AtomicBool::new(false);

/// With `--markdown`, standard output is what one pastes.
pub fn give_stdout_to_tables() {
    TABLES_FIRST.store(true, Ordering::Relaxed);
}

/// One JSON object on one line.
pub fn say(object: &Value) {
    line(&object.to_string(), !TABLES_FIRST.load(Ordering::Relaxed));
}

/// One line of a table, or about one.
pub fn tell(text: &str) {
    line(text, TABLES_FIRST.load(Ordering::Relaxed));
}

fn line(text: &str, on_stdout: bool) {
    if on_stdout {
        println!("{text}");
    } else {
        eprintln!("{text}");
    }
}

/// A number with few enough digits to read; JSON's null when there is none.
pub fn round(value: f64) -> Value {
    if value.is_finite() { Value::from((value * 1000.0).round() / 1000.0) } else { Value::Null }
}
