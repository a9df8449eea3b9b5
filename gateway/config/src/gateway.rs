//! From `gateway.toml`, and all it leads to, to [`Settings`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_core::manifest::{Manifest, is_name};
use tidegate_core::pins::PIN_TOPICS;

use crate::board::{Board, HostLimits, is_built_in, is_path, read_board, unknown};
use crate::handler::{module_problem, read_within};
use crate::local::local;
use crate::page::Source;
use crate::place::Place;
use crate::problem::Problems;
use crate::reader::Table;
use crate::settings::{HandlerDir, HandlerEntry, Settings};
use crate::store::store;
use crate::streams::{odd_grant, streams};
use crate::suggest::nearest;
use crate::uplink::uplink;

/// A gateway asks its broker for each of them.
const GROUPS_MAX: usize = 16;
/// Beyond ten nobody waits for it.
const RESTARTS: RangeInclusive<u64> = 0..=10;
const RESTARTS_DEFAULT: u8 = 3;
/// Up to a year. Thirty days: who pushes less often sends the trust file again, signed anew.
const STALE_AFTER_S: RangeInclusive<u64> = 0..=31_536_000;
const STALE_AFTER_S_DEFAULT: u32 = 2_592_000;

/// Reads `gateway.toml`, the board it names and the `handler.toml` of each of its handlers.
///
/// A module that is not there or is no module is no error: its handler is [`HandlerEntry::Broken`].
///
/// # Errors
/// Everything else that is wrong with any of these files, all of it at once.
pub fn read_gateway(path: &Path) -> Result<Settings, Problems> {
    let missing = "; name the file with --config, README.md shows one";
    let source = Source::open(path, missing)?;
    let (mut settings, warnings) = source.read(|root| settings(&root, source.folder()))?;
    settings.warnings = warnings;
    Ok(settings)
}

/// What `gateway.toml` means. `folder` is where its relative paths start.
fn settings(root: &Table<'_>, folder: &Path) -> Option<Settings> {
    let table = root.table("gateway");
    let id = id(&table);
    let data_dir = data_dir(&table, folder);
    let groups = groups(&table);
    let restarts_max = table.number("restarts_max", &RESTARTS, "");
    let restarts_max = restarts_max.map_or(RESTARTS_DEFAULT, |at| at.value as u8);
    let (trust, stale_after_s) = trust(root, folder).unzip();
    let board = board(&table, folder);
    let local = local(&root.table("local"), id.as_deref(), folder);
    let store = store(&root.table("store"));
    let mut uplink = uplink(root, id.as_deref(), folder);
    let streams = streams(root, id.as_deref(), root.has("uplink"), uplink.as_mut());
    // Without a board the handlers are still looked at, but not held against limits.
    let host = board.as_ref().map_or(HostLimits::ANY, |board| board.host);
    let handlers = handlers(root, folder, &host);
    if let Some(board) = &board {
        check_totals(root, board, &handlers);
        for (handler, place) in &handlers {
            for odd in odd_pins(&handler.manifest, board) {
                place.warn(format!("its handler {} {odd}", handler.manifest.name));
            }
        }
    }
    if let Some(streams) = &streams {
        for (handler, place) in &handlers {
            for odd in handler
                .manifest
                .grants
                .send
                .iter()
                .filter_map(|name| odd_grant(name, streams, uplink.as_ref()))
            {
                place.warn(format!("its handler {} {odd}", handler.manifest.name));
            }
        }
    }
    let entries = handlers
        .into_iter()
        .map(|(handler, _)| match module_problem(&handler, &host) {
            None => HandlerEntry::Ready(Box::new(handler)),
            Some(problem) => {
                root.mention(problem.clone());
                HandlerEntry::Broken {
                    dir: handler.dir,
                    name: handler.manifest.name,
                    problems: problem.into(),
                }
            }
        })
        .collect();
    Some(Settings {
        id: id?,
        data_dir: data_dir?,
        groups,
        restarts_max,
        trust,
        stale_after_s: stale_after_s.unwrap_or(0),
        board: board?,
        local: local?,
        store,
        uplink,
        streams: Arc::new(streams?),
        handlers: entries,
        warnings: Vec::new(),
    })
}

/// The groups that a gateway belongs to: what is pushed to one of them is for it, too.
fn groups(table: &Table<'_>) -> Vec<String> {
    let mut groups = Vec::new();
    for written in table.texts("groups", "\"boilers\"") {
        if !is_name(written.value) {
            written.place.wrong(format!(
                "{:?} is not a group's name; use 1 to 32 of a-z, 0-9 and -",
                written.value
            ));
        } else if !groups.iter().any(|group| group == written.value) {
            groups.push(written.value.to_owned());
        }
    }
    if groups.len() > GROUPS_MAX {
        table
            .place("groups")
            .wrong(format!("names {} groups; use at most {GROUPS_MAX}", groups.len()));
    }
    groups
}

/// The trust file. What is in it is checked when the daemon starts.
fn trust(root: &Table<'_>, folder: &Path) -> Option<(PathBuf, u32)> {
    if !root.has("trust") {
        return None;
    }
    let table = root.table("trust");
    let stale_after_s = table.number("stale_after_s", &STALE_AFTER_S, "");
    let stale_after_s = stale_after_s.map_or(STALE_AFTER_S_DEFAULT, |at| at.value as u32);
    let written = table.need_text("file", "\"trust\"")?;
    let path = folder.join(written.value);
    if !path.is_file() {
        written
            .place
            .wrong(format!("{} is not there; `tidegate trust init` makes one", path.display()));
    }
    Some((path, stale_after_s))
}

fn id(table: &Table<'_>) -> Option<String> {
    let id = table.need_text("id", "\"gw-01\"")?;
    if !is_name(id.value) {
        id.place.wrong(format!("{:?} is not an id; use 1 to 32 of a-z, 0-9 and -", id.value));
        return None;
    }
    Some(id.value.to_owned())
}

/// The daemon makes the data folder itself, but not the way there: a slip in a path must not
/// fill the root file system of a board.
fn data_dir(table: &Table<'_>, folder: &Path) -> Option<PathBuf> {
    let written = table.need_text("data_dir", "\"/var/lib/tidegate\"")?;
    if written.value.is_empty() {
        written.place.wrong("is empty; write a folder, for example /var/lib/tidegate");
        return None;
    }
    let path = folder.join(written.value);
    if path.exists() {
        if !path.is_dir() {
            written.place.wrong(format!("{} is a file; name a folder", path.display()));
            return None;
        }
        return Some(path);
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        written.place.wrong(format!(
            "the folder {} is not there; create it, tidegated makes only the last part of {}",
            parent.display(),
            path.display()
        ));
        return None;
    }
    Some(path)
}

fn board(table: &Table<'_>, folder: &Path) -> Option<Board> {
    let written = table.need_text("board", "\"dev\"")?;
    let name = if is_path(written.value) {
        let path = folder.join(written.value);
        if !path.is_file() {
            written
                .place
                .wrong(format!("the board file {} is not there; correct the path", path.display()));
            return None;
        }
        path.to_string_lossy().into_owned()
    } else {
        if !is_built_in(written.value) {
            written.place.wrong(unknown(written.value));
            return None;
        }
        written.value.to_owned()
    };
    match read_board(&name) {
        Ok(board) => Some(board),
        Err(problems) => {
            table.adopt(problems);
            None
        }
    }
}

/// Pins that a handler wants and the board has not, in words.
fn odd_pins(manifest: &Manifest, board: &Board) -> Vec<String> {
    let triggers = manifest.triggers.iter();
    let waits = triggers.filter_map(|filter| filter.as_str().strip_prefix(PIN_TOPICS));
    let waits = waits.map(|pin| (pin, "waits for", "it never comes"));
    let uses = manifest.grants.gpio.iter();
    let uses = uses.map(|pin| (pin.as_str(), "uses", "the handler is told so"));
    let missing = waits.chain(uses).filter(|(pin, ..)| !board.pins.contains_key(*pin));
    missing
        .map(|(pin, wants, then)| {
            let next = match nearest(pin, board.pins.keys().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("add {pin} to [pins] in a copy of its file"),
            };
            format!(
                "{wants} the pin {pin:?}, which the board {} has not: {then}; {next}",
                board.name
            )
        })
        .collect()
}

/// Every handler whose `handler.toml` is good, and where it is named.
fn handlers<'a>(
    root: &Table<'a>,
    folder: &Path,
    limits: &HostLimits,
) -> Vec<(HandlerDir, Place<'a>)> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let mut handlers = Vec::new();
    for table in root.tables("handler").unwrap_or_default() {
        let Some(written) = table.need_text("path", "\"/etc/tidegate/handlers/overheat\"") else {
            continue;
        };
        let dir = folder.join(written.value);
        if !dir.is_dir() {
            let what = if dir.exists() { "is a file" } else { "is not there" };
            written.place.wrong(format!(
                "the folder {} {what}; correct the path, or make it with `tidegate new NAME`",
                dir.display()
            ));
            continue;
        }
        let handler = match read_within(&dir, limits) {
            Ok(handler) => handler,
            Err(problems) => {
                table.adopt(problems);
                continue;
            }
        };
        let name = &handler.manifest.name;
        if let Some(first) = taken.get(name) {
            written.place.wrong(format!(
                "its name {name:?} is taken by {first}; state belongs to the name, so give one of the two another"
            ));
            continue;
        }
        taken.insert(name.clone(), written.place.key.clone());
        handlers.push((handler, written.place));
    }
    handlers
}

/// Holds all handlers together against what the board allows.
fn check_totals(root: &Table<'_>, board: &Board, handlers: &[(HandlerDir, Place<'_>)]) {
    let place = root.place("handler");
    let limits = &board.core_limits;
    if handlers.len() > limits.handlers_max {
        place.wrong(format!(
            "there are {} handlers; the board allows {} (limits.handlers_max)",
            handlers.len(),
            limits.handlers_max
        ));
    }
    let filters: usize = handlers.iter().map(|(h, _)| h.manifest.triggers.len()).sum();
    if filters > limits.filters_max {
        place.wrong(format!(
            "the handlers have {filters} triggers; the board allows {} (limits.filters_max)",
            limits.filters_max
        ));
    }
    if !root.has("handler") {
        root.here()
            .warn("there is no [[handler]]: messages are passed on and nothing reacts to them");
    }
}
