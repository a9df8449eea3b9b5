//! From `boards/*.toml` to a [`Board`].

use std::path::Path;

use super::built_in::{self, Class};
use super::check::check;
use super::limits::{core_limits, door, host, runner};
use super::parts::{buses, image, pins};
use super::{Board, Flash, Memory};
use crate::page::Source;
use crate::problem::{Problem, Problems};
use crate::reader::Table;

/// In MiB: catches a wrong unit, such as bytes.
const MIB_MAX: u64 = 1 << 30;

/// Reads a board: a built-in one by name, or a file by path. What holds a `/` or ends in `.toml` is a path.
///
/// # Errors
/// Everything that is wrong with the file, or that there is no such board.
pub fn read_board(name_or_path: &str) -> Result<Board, Problems> {
    let source = if is_path(name_or_path) {
        Source::open(Path::new(name_or_path), "; correct the path")?
    } else {
        built_in::board(name_or_path)
            .ok_or_else(|| Problem::of_file(name_or_path, built_in::unknown(name_or_path)))?
    };
    let (board, _) = source.read(board)?;
    Ok(board)
}

pub(crate) fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains('/') || name_or_path.ends_with(".toml")
}

/// What a board file means.
fn board(root: Table<'_>) -> Option<Board> {
    let name = root.need_text("name", "\"dev\"");
    if let Some(name) = &name
        && !tidegate_core::manifest::is_name(name.value)
    {
        name.place.wrong(format!("{:?} is not a name; use 1 to 32 of a-z, 0-9 and -", name.value));
    }
    let description = root.need_text("description", "\"a laptop\"");
    let triple = root.need_text("triple", "\"armv7-unknown-linux-musleabihf\"");
    let class = class(&root);
    let limits = |table| root.table(table).with_defaults(class.get(table).cloned());
    let board = Board {
        cores: root.need_number("cores", 1..=1024),
        has_rtc: root.need_flag("has_rtc"),
        watchdog: root.text("watchdog", "\"/dev/watchdog0\"").map(|device| device.value.into()),
        memory: memory(&root.table("memory")),
        led: root.text("led", "\"ACT\"").map(|led| led.value.to_owned()),
        flash: flash(&root.table("flash")),
        core_limits: core_limits(&limits("limits")),
        door: door(&limits("door")),
        host: host(&limits("handler")),
        runner: runner(&limits("runner")),
        pins: pins(&root.table("pins")),
        buses: buses(&root.table("buses")),
        image: image(&root),
        name: name?.value.to_owned(),
        description: description?.value.to_owned(),
        triple: triple?.value.to_owned(),
    };
    // Only numbers that were all understood can be held against each other.
    if root.is_clean() {
        check(&root, &board);
    }
    Some(board)
}

fn memory(t: &Table<'_>) -> Memory {
    Memory {
        total_mib: t.need_number("total_mib", 1..=MIB_MAX),
        system_mib: t.need_number("system_mib", 1..=MIB_MAX),
        budget_mib: t.need_number("budget_mib", 1..=MIB_MAX),
        base_kib: t.need_number("base_kib", 1..=MIB_MAX),
    }
}

fn flash(t: &Table<'_>) -> Flash {
    Flash {
        total_mib: t.need_number("total_mib", 1..=MIB_MAX),
        write_mib_per_day_max: t.need_number("write_mib_per_day_max", 1..=MIB_MAX),
    }
}

/// The limits that count where the file says nothing: none without `class`.
fn class(root: &Table<'_>) -> Class {
    let Some(name) = root.text("class", "\"512-mib\"") else {
        return Class::default();
    };
    built_in::class(name.value).unwrap_or_else(|| {
        name.place.wrong(built_in::unknown_class(name.value));
        // Any, so that one slip is not told of as many missing limits.
        built_in::class(built_in::CLASSES[0].0).unwrap_or_default()
    })
}
