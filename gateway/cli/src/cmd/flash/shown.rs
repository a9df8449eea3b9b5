//! What a person sees of devices and of the way.

use std::time::{Duration, Instant};

use serde_json::json;

use super::system::Device;
use super::write::Watch;
use crate::columns::columns;
use crate::sizes;

/// How often the line is drawn anew.
const BETWEEN: Duration = Duration::from_millis(250);
/// The same where lines stay.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A table, or an object a device.
pub(super) fn list(devices: &[Device], json: bool) -> String {
    if json {
        return devices.iter().map(|device| object(device) + "\n").collect();
    }
    let mut rows = vec![["DEVICE", "SIZE", "MODEL", "WHAT"].map(str::to_owned)];
    rows.extend(devices.iter().map(|device| {
        [
            device.path.display().to_string(),
            sizes::bytes(device.bytes as f64),
            device.model.clone(),
            device.may_be_written().err().unwrap_or_else(|| "may be a card".to_owned()),
        ]
    }));
    columns(&rows)
}

fn object(device: &Device) -> String {
    let parts = device.parts.iter().map(|part| {
        json!({ "name": part.name, "bytes": part.bytes, "label": part.label, "mounted_at": part.mounted_at })
    });
    json!({
        "device": device.path.display().to_string(),
        "bytes": device.bytes,
        "model": device.model,
        "removable": device.is_removable,
        "system": device.is_system,
        "refused": device.may_be_written().err(),
        "parts": parts.collect::<Vec<_>>(),
    })
    .to_string()
}

/// What is on a card, before somebody agrees to lose it.
pub(super) fn describe(device: &Device) -> String {
    let kind = if device.is_removable { "removable" } else { "not removable" };
    let mut text = format!(
        "{}: {}, {}, {kind}\n",
        device.path.display(),
        sizes::bytes(device.bytes as f64),
        if device.model.is_empty() { "no model" } else { &device.model },
    );
    for part in device.parts.iter().filter(|part| part.name != device.name || part.label.is_some())
    {
        let label = part.label.as_deref().unwrap_or("no label");
        text.push_str(&format!("  {}  {}  {label}\n", part.name, sizes::bytes(part.bytes as f64)));
    }
    text
}

/// One line that changes, or a few that stay.
pub(super) struct Progress {
    is_terminal: bool,
    last: Option<Instant>,
}

impl Progress {
    pub fn new(is_terminal: bool) -> Progress {
        Progress { is_terminal, last: None }
    }
}

impl Watch for Progress {
    fn at(&mut self, what: &str, done: u64, of: u64) {
        let between = if self.is_terminal { BETWEEN } else { BETWEEN_LINES };
        if done < of && self.last.is_some_and(|last| last.elapsed() < between) {
            return;
        }
        self.last = Some(Instant::now());
        let line = format!("{what} {} of {} MiB", done >> 20, of >> 20);
        match (self.is_terminal, done == of) {
            (true, false) => eprint!("\r{line}"),
            (true, true) => eprintln!("\r{line}"),
            (false, _) => eprintln!("{line}"),
        }
    }
}
