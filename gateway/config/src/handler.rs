//! From a handler's folder to its [`Manifest`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tidegate_core::Manifest;
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, React, is_control, is_name};
use tidegate_core::pins::PIN_TOPICS;
use tidegate_core::release::Probation;
use tidegate_core::topic::Filter;

use crate::board::{Board, HostLimits};
use crate::page::{Source, plain};
use crate::place::{At, Place};
use crate::problem::{Problem, Problems};
use crate::reader::Table;
use crate::settings::HandlerDir;

/// Name of the file in a handler's folder.
const FILE: &str = "handler.toml";
/// The version of a handler is shown in tables and will be part of topics.
const VERSION_BYTES_MAX: usize = 32;
/// A month: whoever wants to watch a version for longer watches its figures.
const PROBATION_S_MAX: u64 = 31 * 86_400;
/// First bytes of a WebAssembly module: magic and version 1 (core specification 5.5.16).
const MODULE_MAGIC: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Reads a handler's folder for running it: the manifest, and whether the module is there.
///
/// # Errors
/// Everything that is wrong with `handler.toml`, and a module that is not there or is no module.
pub fn read_handler(dir: &Path, board: &Board) -> Result<HandlerDir, Problems> {
    let handler = read_manifest(dir, board)?;
    match module_problem(&handler, &board.host) {
        Some(problem) => Err(problem.into()),
        None => Ok(handler),
    }
}

/// Reads a handler's folder for building it: the module may not be there yet.
///
/// # Errors
/// Everything that is wrong with `handler.toml`.
pub fn read_manifest(dir: &Path, board: &Board) -> Result<HandlerDir, Problems> {
    read_within(dir, &board.host)
}

/// The same within given limits.
pub(crate) fn read_within(dir: &Path, limits: &HostLimits) -> Result<HandlerDir, Problems> {
    let missing =
        "; a handler is a folder with handler.toml and its module: `tidegate new NAME` makes one";
    let source = Source::open(&dir.join(FILE), missing)?;
    let (handler, _) = source.read(|root| {
        let probation = probation(&root.table("probation"));
        let migrate_from = root.text("migrate_from", "\"0.1.0\"").and_then(|from| version(&from));
        let (manifest, module) = manifest(root, limits)?;
        Some(HandlerDir {
            dir: dir.to_path_buf(),
            manifest,
            module_path: source.folder().join(module),
            probation,
            migrate_from,
        })
    })?;
    Ok(handler)
}

/// What is wrong with the module's file, as far as its first bytes tell.
pub(crate) fn module_problem(handler: &HandlerDir, limits: &HostLimits) -> Option<Problem> {
    let path = &handler.module_path;
    let build = format!("run `tidegate build {}`", handler.dir.display());
    let what = match first_bytes(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            format!("the module is not there; {build}")
        }
        Err(e) => format!("the module cannot be read: {}", plain(&e)),
        Ok((_, len)) if len > limits.caps.module_bytes_max as u64 => format!(
            "the module has {len} bytes, the board allows {}; make it smaller (strip it, optimise for size)",
            limits.caps.module_bytes_max
        ),
        Ok((first, _)) if first != MODULE_MAGIC => {
            format!("is not a WebAssembly module; {build}")
        }
        Ok(_) => return None,
    };
    Some(Problem::of_file(path, what))
}

fn first_bytes(path: &Path) -> std::io::Result<(Vec<u8>, u64)> {
    let file = fs::File::open(path)?;
    let len = file.metadata()?.len();
    let mut first = Vec::new();
    file.take(MODULE_MAGIC.len() as u64).read_to_end(&mut first)?;
    Ok((first, len))
}

/// What `handler.toml` means: the manifest, and the module's path as written.
fn manifest(root: Table<'_>, board: &HostLimits) -> Option<(Manifest, PathBuf)> {
    let name = root.need_text("name", "\"overheat\"").and_then(|name| {
        let good = is_name(name.value);
        if !good {
            name.place
                .wrong(format!("{:?} is not a name; use 1 to 32 of a-z, 0-9 and -", name.value));
        }
        good.then(|| name.value.to_owned())
    });
    let version = root.need_text("version", "\"0.1.0\"").and_then(|written| version(&written));
    let module = root.need_text("module", "\"overheat.wasm\"").and_then(|module| {
        if module.value.is_empty() {
            module.place.wrong("is empty; write the module's file name");
        }
        (!module.value.is_empty()).then(|| PathBuf::from(module.value))
    });
    abi(&root);
    let triggers = triggers(&root);
    let limits = limits(&root.table("limits"), board);
    let grants = grants(&root.table("grants"));
    let isolation =
        root.choice("isolation", &[("event", Isolation::Event), ("instance", Isolation::Instance)]);
    let react = root.choice("react", &[("now", React::Now), ("durable", React::Durable)]);
    let config = config(&root.table("config"), board);
    Some((
        Manifest {
            name: name?,
            version: version?,
            triggers,
            limits,
            grants,
            isolation: isolation.unwrap_or_default(),
            react: react.unwrap_or_default(),
            config,
        },
        module?,
    ))
}

fn version(written: &At<'_, &str>) -> Option<String> {
    let good = is_version(written.value);
    if !good {
        written.place.wrong(format!(
            "{:?} is not a version; use 1 to {VERSION_BYTES_MAX} letters, digits, `.`, `-` and `+`",
            written.value
        ));
    }
    good.then(|| written.value.to_owned())
}

fn is_version(version: &str) -> bool {
    (1..=VERSION_BYTES_MAX).contains(&version.len())
        && version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'))
}

fn abi(root: &Table<'_>) {
    let ours = u64::from(tidegate_abi::ABI_VERSION);
    if !root.has("abi") {
        root.place("abi").wrong(format!("is missing; add it, for example abi = {ours}"));
    }
    if let Some(abi) = root.number("abi", &(0..=u64::from(u32::MAX)), "")
        && abi.value != ours
    {
        abi.place.wrong(format!(
            "this gateway speaks abi {ours}, not {}; build the handler with an SDK for abi {ours}",
            abi.value
        ));
    }
}

fn triggers(root: &Table<'_>) -> Vec<Filter> {
    let Some(tables) = root.tables("trigger") else {
        return Vec::new();
    };
    if tables.is_empty() {
        root.place("trigger").wrong(
            "is missing; nothing would wake the handler: add [[trigger]] with mqtt = \"devices/+/telemetry\"",
        );
    }
    let mut seen = BTreeSet::new();
    let mut filters = Vec::new();
    for table in tables {
        let Some((filter, place)) = trigger(&table) else {
            continue;
        };
        if !seen.insert(filter.as_str().to_owned()) {
            let shown = filter.as_str().strip_prefix(PIN_TOPICS).unwrap_or(filter.as_str());
            place.wrong(format!("{shown:?} is a trigger already; remove one of the two"));
        }
        filters.push(filter);
    }
    filters
}

/// A topic filter, or a pin, which is a topic of its own.
fn trigger<'a>(table: &Table<'a>) -> Option<(Filter, Place<'a>)> {
    let Some(pin) = table.text("gpio", "\"button1\"") else {
        let written = table.need_text("mqtt", "\"devices/+/telemetry\"")?;
        if written.value.starts_with(PIN_TOPICS) {
            written.place.wrong("is how pins are known inside; write gpio = \"button1\"");
            return None;
        }
        return Some((filter(&written)?, written.place));
    };
    if table.has("mqtt") {
        pin.place.wrong("stands beside mqtt; make a [[trigger]] of each");
    }
    if !is_pin(&pin) {
        return None;
    }
    let topic = format!("{PIN_TOPICS}{}", pin.value);
    Some((Filter::new(&topic).expect("a name is a good level"), pin.place))
}

fn is_pin(written: &At<'_, &str>) -> bool {
    let is_good = is_name(written.value);
    if !is_good {
        written.place.wrong(format!(
            "{:?} is no pin's name: use 1 to 32 of a-z, 0-9 and `-`, as in the board's [pins]",
            written.value
        ));
    }
    is_good
}

fn filter(written: &At<'_, &str>) -> Option<Filter> {
    Filter::new(written.value)
        .map_err(|e| {
            written.place.wrong(format!(
                "{:?} is no topic filter: it {e}; for example devices/+/telemetry",
                written.value
            ));
        })
        .ok()
}

fn grants(table: &Table<'_>) -> Grants {
    let mut publish = Vec::new();
    for written in table.texts("publish", "\"devices/+/cmd\"") {
        if is_control(written.value) {
            written.place.wrong(format!(
                "{:?} is a control topic, and those are never granted; use a topic that starts with \
                 neither `$` nor `tidegate/`",
                written.value
            ));
            continue;
        }
        publish.extend(filter(&written));
    }
    let mut send = Vec::new();
    for written in table.texts("send", "\"alerts\"") {
        if is_name(written.value) {
            send.push(written.value.to_owned());
        } else {
            written.place.wrong(format!(
                "{:?} is no stream's name: use 1 to 32 of a-z, 0-9 and `-`, as in the gateway's [[stream]]",
                written.value
            ));
        }
    }
    let gpio = table.texts("gpio", "\"relay1\"").into_iter().filter(is_pin);
    let gpio = gpio.map(|pin| pin.value.to_owned()).collect();
    Grants { publish, send, gpio }
}

fn limits(table: &Table<'_>, board: &HostLimits) -> HandlerLimits {
    let asked = |key, low, max: u64, default: u64, board_key| {
        let why = format!(" (the board's handler.{board_key})");
        let asked = table.number(key, &(low..=max), &why);
        asked.map_or(default, |at| at.value)
    };
    HandlerLimits {
        fuel: asked("fuel", 1, board.caps.fuel_max, board.fuel_default, "fuel_max"),
        memory_kib: narrow(asked(
            "memory_kib",
            64,
            board.caps.memory_kib_max.into(),
            board.memory_kib_default.into(),
            "memory_kib_max",
        )),
        deadline_ms: narrow(asked(
            "deadline_ms",
            1,
            board.caps.deadline_ms_max.into(),
            board.deadline_ms_default.into(),
            "deadline_ms_max",
        )),
        publishes: narrow(asked(
            "publishes",
            0,
            board.publishes_max.into(),
            board.publishes_default.into(),
            "publishes_max",
        )),
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("its limit is a u32")
}

/// What a pushed version must show before it stays. 0 is: no bound; of `events`, that time alone decides.
fn probation(table: &Table<'_>) -> Probation {
    let any = u64::from(u32::MAX);
    let number = |key, range: std::ops::RangeInclusive<u64>, default: u64| {
        table.number(key, &range, "").map_or(default, |at| at.value)
    };
    let default = Probation::DEFAULT;
    let uptime_s = number("uptime_s", 1..=PROBATION_S_MAX, default.uptime_ms / 1000);
    let per_mille = number("failed_per_mille_max", 0..=1000, default.failed_per_mille_max.into());
    Probation {
        events: narrow(number("events", 0..=any, default.events.into())),
        uptime_ms: uptime_s * 1000,
        failed_per_mille_max: u16::try_from(per_mille).expect("the range lies within a u16"),
        deadline_misses_max: narrow(number(
            "deadline_misses_max",
            0..=any,
            default.deadline_misses_max.into(),
        )),
        p99_us_max: narrow(number("p99_us_max", 0..=any, default.p99_us_max.into())),
        memory_kib_max: narrow(number("memory_kib_max", 0..=any, default.memory_kib_max.into())),
    }
}

fn config(table: &Table<'_>, board: &HostLimits) -> BTreeMap<String, String> {
    let strings = table.strings();
    let bytes: usize = strings.iter().map(|(key, text)| key.len() + text.value.len()).sum();
    if bytes > board.config_bytes_max {
        table.here().wrong(format!(
            "holds {bytes} bytes of keys and strings; use at most {} (the board's handler.config_bytes_max)",
            board.config_bytes_max
        ));
    }
    strings.into_iter().map(|(key, text)| (key.to_owned(), text.value.to_owned())).collect()
}
