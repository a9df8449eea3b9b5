//! What the benchmark's parts have in common: their error, and how they speak.

use serde_json::Value;

/// Why a part could not be measured. Shown to the person who started it.
pub type Problem = Box<dyn std::error::Error>;

/// One JSON object on one line of standard output.
pub fn say(object: &Value) {
    println!("{object}");
}

/// A number with few enough digits to read; JSON's null when there is none.
pub fn round(value: f64) -> Value {
    if value.is_finite() {
        Value::from((value * 1000.0).round() / 1000.0)
    } else {
        Value::Null
    }
}
