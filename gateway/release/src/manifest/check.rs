//! What an order must hold beyond its form: the same for who signs and for who verifies.

use std::collections::BTreeSet;

use super::{
    FILTERS_MAX, GRANTS_MAX, INVOKE_BYTES_MAX, Install, Invoke, MEMORY_KIB_MIN, Order,
    PROVENANCE_BYTES_MAX, SETTING_BYTES_MAX, SETTING_KEY_BYTES_MAX, SETTINGS_MAX, TARGETS_MAX,
    TOPIC_BYTES_MAX, VERSION_BYTES_MAX, What,
};
use crate::cbor::Flaw;
use crate::envelope::Unsealed;
use crate::golden::GOLDEN_BYTES_MAX;

/// Most levels of a filter or topic, as in `tidegate_core::topic`.
const LEVELS_MAX: usize = 128;

/// Why an order is none. `field` is a name as in `handler.toml` and the documentation of the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// When the bytes are not encoded as an order.
    #[error("what was signed is no order: it {0}; push it again with `tidegate push`")]
    Form(Flaw),
    /// When the format is a newer one.
    #[error(
        "the order has format {format}, this gateway reads 1: it is made for a newer gateway; update this one first"
    )]
    NewerFormat { format: u64 },
    /// When it has a field or a value that is not known.
    #[error("the order {0}: it is made for a newer gateway; update this one first")]
    NewerField(Flaw),
    /// When the seq is 0.
    #[error("the order's seq is 0; seqs begin at 1")]
    SeqZero,
    /// When it is for nobody.
    #[error("the order names no target; say for whom with --to")]
    NoTarget,
    /// When the targets are not in order, or one is there twice.
    #[error(
        "the order's targets are not in order, or one is there twice; sort them and name each once"
    )]
    TargetOrder,
    /// When a field has too many members.
    #[error("{field} has {is} entries, at most {max} may be; make it shorter")]
    Many { field: &'static str, is: usize, max: usize },
    /// When a field must have a member.
    #[error("{field} has no entry; give at least one")]
    Nothing { field: &'static str },
    /// When a text or payload is too long.
    #[error("{field} has {is} bytes, at most {max} may be; make it shorter")]
    Long { field: &'static str, is: usize, max: usize },
    /// When a text holds what it may not.
    #[error("{field} is {text:?}; {must}")]
    Text { field: &'static str, text: String, must: &'static str },
    /// When a member is there twice.
    #[error("{field} has {text:?} twice; remove one of the two")]
    Twice { field: &'static str, text: String },
    /// When a number is too small.
    #[error("{field} is {is}, it must be {min} at least")]
    Low { field: &'static str, is: u64, min: u64 },
    /// When a number is too large.
    #[error("{field} is {is}, it may be {max} at most")]
    High { field: &'static str, is: u64, max: u64 },
    /// When it cannot be signed.
    #[error("the order cannot be signed: {0}")]
    Unsealed(Unsealed),
}

impl Wrong {
    /// Whether a newer gateway may understand it.
    pub fn is_newer(&self) -> bool {
        matches!(self, Wrong::NewerFormat { .. } | Wrong::NewerField(_))
    }
}

impl Order {
    /// Whether it may be signed, or was one that may.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Wrong> {
        if self.rank.seq == 0 {
            return Err(Wrong::SeqZero);
        }
        if self.targets.is_empty() {
            return Err(Wrong::NoTarget);
        }
        few("targets", self.targets.len(), TARGETS_MAX)?;
        if self.targets.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Wrong::TargetOrder);
        }
        let provenance = &self.provenance;
        plain("provenance.author", &provenance.author, PROVENANCE_BYTES_MAX)?;
        plain("provenance.built_with", &provenance.built_with, PROVENANCE_BYTES_MAX)?;
        plain("provenance.source", &provenance.source, PROVENANCE_BYTES_MAX)?;
        match &self.what {
            What::Install(install) => check_install(install),
            What::Remove => Ok(()),
            What::Invoke(invoke) => check_invoke(invoke),
        }
    }
}

fn check_install(install: &Install) -> Result<(), Wrong> {
    at_least("module.bytes", install.module.bytes, 1)?;
    version("version", &install.version)?;
    if install.events.is_empty() {
        return Err(Wrong::Nothing { field: "events" });
    }
    filters("events", &install.events)?;
    let grants = &install.grants;
    filters("grants.publish", &grants.publish)?;
    if let Some(text) = grants.publish.iter().find(|filter| is_control(filter)) {
        let must = "control topics are never granted: use one that starts with neither `$` nor `tidegate/`";
        return Err(Wrong::Text { field: "grants.publish", text: text.clone(), must });
    }
    few("grants.streams", grants.streams.len(), GRANTS_MAX)?;
    once("grants.streams", &grants.streams)?;
    few("grants.pins", grants.pins.len(), GRANTS_MAX)?;
    once("grants.pins", &grants.pins)?;
    at_least("limits.fuel", install.limits.fuel, 1)?;
    at_least("limits.memory_kib", install.limits.memory_kib, MEMORY_KIB_MIN)?;
    at_least("limits.deadline_ms", install.limits.deadline_ms, 1)?;
    few("settings", install.settings.len(), SETTINGS_MAX)?;
    for (key, text) in &install.settings {
        if key.is_empty() {
            return Err(Wrong::Nothing { field: "settings' key" });
        }
        short("settings' key", key.len(), SETTING_KEY_BYTES_MAX)?;
        short("settings", text.len(), SETTING_BYTES_MAX)?;
    }
    if let Some(golden) = &install.golden {
        at_least("golden.bytes", golden.bytes, 1)?;
        at_most("golden.bytes", golden.bytes, GOLDEN_BYTES_MAX as u64)?;
    }
    if let Some(from) = &install.migrate_from {
        version("migrate_from", from)?;
    }
    let probation = &install.probation;
    at_least("probation.events", probation.events, 1)?;
    at_least("probation.uptime_ms", probation.uptime_ms, 1)?;
    at_most("probation.failed_per_mille_max", probation.failed_per_mille_max, 1000u32)
}

fn check_invoke(invoke: &Invoke) -> Result<(), Wrong> {
    topic("topic", &invoke.topic)?;
    short("payload", invoke.payload.len(), INVOKE_BYTES_MAX)
}

fn few(field: &'static str, is: usize, max: usize) -> Result<(), Wrong> {
    if is <= max { Ok(()) } else { Err(Wrong::Many { field, is, max }) }
}

fn short(field: &'static str, is: usize, max: usize) -> Result<(), Wrong> {
    if is <= max { Ok(()) } else { Err(Wrong::Long { field, is, max }) }
}

fn at_least<T: Into<u64>>(field: &'static str, is: T, min: T) -> Result<(), Wrong> {
    let (is, min) = (is.into(), min.into());
    if is >= min { Ok(()) } else { Err(Wrong::Low { field, is, min }) }
}

fn at_most<T: Into<u64>>(field: &'static str, is: T, max: T) -> Result<(), Wrong> {
    let (is, max) = (is.into(), max.into());
    if is <= max { Ok(()) } else { Err(Wrong::High { field, is, max }) }
}

fn once<T: Ord + ToString>(field: &'static str, members: &[T]) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    match members.iter().find(|member| !seen.insert(*member)) {
        None => Ok(()),
        Some(twice) => Err(Wrong::Twice { field, text: twice.to_string() }),
    }
}

/// A text that people see: no control characters, so that it cannot draw on their terminals.
fn plain(field: &'static str, text: &str, max: usize) -> Result<(), Wrong> {
    short(field, text.len(), max)?;
    if text.chars().any(char::is_control) {
        let must = "use no control characters";
        return Err(Wrong::Text { field, text: text.to_owned(), must });
    }
    Ok(())
}

fn version(field: &'static str, text: &str) -> Result<(), Wrong> {
    short(field, text.len(), VERSION_BYTES_MAX)?;
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+');
    if text.is_empty() || !text.bytes().all(good) {
        let must = "use 1 to 64 letters, digits, `.`, `-` and `+`";
        return Err(Wrong::Text { field, text: text.to_owned(), must });
    }
    Ok(())
}

fn filters(field: &'static str, filters: &[String]) -> Result<(), Wrong> {
    few(field, filters.len(), FILTERS_MAX)?;
    for filter in filters {
        path(field, filter)?;
        let count = filter.split('/').count();
        let is_filter = filter.split('/').enumerate().all(|(at, level)| match level {
            "#" => at + 1 == count,
            "+" => true,
            _ => !level.contains(['+', '#']),
        });
        if !is_filter {
            let must = "write a topic filter, `+` and `#` alone in their level and `#` at the end: devices/+/telemetry";
            return Err(Wrong::Text { field, text: filter.clone(), must });
        }
    }
    once(field, filters)
}

/// A topic that a message can have: no wildcards.
pub(crate) fn topic(field: &'static str, topic: &str) -> Result<(), Wrong> {
    path(field, topic)?;
    if topic.contains(['+', '#']) {
        let must = "write a topic without `+` and `#`: devices/d1/telemetry";
        return Err(Wrong::Text { field, text: topic.to_owned(), must });
    }
    Ok(())
}

fn path(field: &'static str, text: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return Err(Wrong::Nothing { field });
    }
    plain(field, text, TOPIC_BYTES_MAX)?;
    few(field, text.split('/').count(), LEVELS_MAX)
}

fn is_control(topic: &str) -> bool {
    topic.starts_with('$') || topic == "tidegate" || topic.starts_with("tidegate/")
}
