//! From `boards/*.toml` to a [`Board`].

use std::path::Path;

use tidegate_core::limits::{Caps, DoorLimits, Limits};

use crate::board::{Board, Flash, HostLimits, Memory, RunnerLimits};
use crate::page::Source;
use crate::problem::{Problem, Problems};
use crate::reader::Table;
use crate::suggest::nearest;

/// The boards that come with the binary: name and text.
pub const BUILT_IN: &[(&str, &str)] = &[("dev", include_str!("../../../boards/dev.toml"))];

// Bounds of what a board file may say. They only catch slips (a wrong unit, a zero too many); the
// memory budget is what really holds the numbers together.
const COUNT: u64 = 1 << 20;
const BYTES: u64 = 1 << 30;
const MS: u64 = 24 * 3600 * 1000;

/// Reads a board: one of [`BUILT_IN`] by name, or a file by path. What holds a `/` or ends in `.toml` is a path.
///
/// # Errors
/// Everything that is wrong with the file, or that there is no such board.
pub fn read_board(name_or_path: &str) -> Result<Board, Problems> {
    let source = if is_path(name_or_path) {
        Source::open(Path::new(name_or_path), "; correct the path")?
    } else {
        let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) else {
            return Err(Problem::of_file(name_or_path, unknown(name_or_path)).into());
        };
        Source { file: format!("boards/{name}.toml").into(), text: (*text).to_owned() }
    };
    let (board, _) = source.read(board)?;
    Ok(board)
}

pub(crate) fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains('/') || name_or_path.ends_with(".toml")
}

pub(crate) fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(known, _)| *known == name)
}

/// What to say about a board name that is not built in.
pub(crate) fn unknown(name: &str) -> String {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    let all = names.join(", ");
    match nearest(name, names.iter().copied()) {
        Some(near) => {
            format!("there is no board {name:?}; did you mean {near:?}? Built in: {all}")
        }
        None => format!(
            "there is no board {name:?}; built in: {all}; or write the path of a board file"
        ),
    }
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
    let board = Board {
        cores: root.need_number("cores", 1..=1024),
        has_rtc: root.need_flag("has_rtc"),
        watchdog: root.text("watchdog", "\"/dev/watchdog0\"").map(|device| device.value.into()),
        memory: memory(&root.table("memory")),
        flash: Flash {
            write_mib_per_day_max: root
                .table("flash")
                .need_number("write_mib_per_day_max", 1..=BYTES),
        },
        core_limits: core_limits(&root.table("limits")),
        door: door(&root.table("door")),
        host: host(&root.table("handler")),
        runner: runner(&root.table("runner")),
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
        total_mib: t.need_number("total_mib", 1..=BYTES),
        budget_mib: t.need_number("budget_mib", 1..=BYTES),
        base_kib: t.need_number("base_kib", 1..=BYTES),
    }
}

fn core_limits(t: &Table<'_>) -> Limits {
    Limits {
        messages_max: t.need_number("messages_max", 1..=COUNT),
        messages_bytes_max: t.need_number("messages_bytes_max", 1..=BYTES),
        message_bytes_max: t.need_number("message_bytes_max", 1..=BYTES),
        line_messages_max: t.need_number("line_messages_max", 1..=COUNT),
        batch_messages_max: t.need_number("batch_messages_max", 1..=COUNT),
        handlers_max: t.need_number("handlers_max", 1..=65_535),
        filters_max: t.need_number("filters_max", 1..=COUNT),
        hops_max: t.need_number("hops_max", 1..=255),
        retries_max: t.need_number("retries_max", 0..=65_535),
        backoff_min_ms: t.need_number("backoff_min_ms", 1..=MS),
        backoff_max_ms: t.need_number("backoff_max_ms", 1..=MS),
        failures_max: t.need_number("failures_max", 1..=65_535),
        quarantine_min_ms: t.need_number("quarantine_min_ms", 1..=MS),
        quarantine_max_ms: t.need_number("quarantine_max_ms", 1..=MS),
        echoes_max: t.need_number("echoes_max", 1..=COUNT),
        local_waiting_max: t.need_number("local_waiting_max", 1..=COUNT),
    }
}

fn door(t: &Table<'_>) -> DoorLimits {
    DoorLimits {
        clients_max: t.need_number("clients_max", 1..=COUNT),
        // MQTT's own limit is 256 MiB (2.2.3, remaining length).
        packet_bytes_max: t.need_number("packet_bytes_max", 1024..=268_435_455),
        subscriptions_max: t.need_number("subscriptions_max", 1..=COUNT),
        filters_max: t.need_number("filters_max", 1..=COUNT),
        outbound_bytes_max: t.need_number("outbound_bytes_max", 1024..=BYTES),
        buffered_bytes_max: t.need_number("buffered_bytes_max", 1024..=BYTES),
        queued_messages_max: t.need_number("queued_messages_max", 1..=COUNT),
        inflight_max: t.need_number("inflight_max", 1..=65_535),
        receive_max: t.need_number("receive_max", 1..=65_535),
        topic_aliases_max: t.need_number("topic_aliases_max", 0..=65_535),
        retained_messages_max: t.need_number("retained_messages_max", 0..=COUNT),
        retained_bytes_max: t.need_number("retained_bytes_max", 0..=BYTES),
        topics_cached_max: t.need_number("topics_cached_max", 1..=COUNT),
        connect_timeout_ms: t.need_number("connect_timeout_ms", 1..=MS),
        keep_alive_max_s: t.need_number("keep_alive_max_s", 1..=65_535),
    }
}

fn host(t: &Table<'_>) -> HostLimits {
    HostLimits {
        caps: caps(t),
        memory_kib_default: t.need_number("memory_kib_default", 64..=4_194_304),
        fuel_default: t.need_number("fuel_default", 1..=1 << 40),
        deadline_ms_default: t.need_number("deadline_ms_default", 1..=3_600_000),
        publishes_max: t.need_number("publishes_max", 0..=COUNT),
        publishes_default: t.need_number("publishes_default", 0..=COUNT),
        config_bytes_max: t.need_number("config_bytes_max", 0..=BYTES),
    }
}

fn caps(t: &Table<'_>) -> Caps {
    Caps {
        module_bytes_max: t.need_number("module_bytes_max", 1024..=BYTES),
        // A page of Wasm memory is 64 KiB, and a module has 65,536 of them at most.
        memory_kib_max: t.need_number("memory_kib_max", 64..=4_194_304),
        table_elements_max: t.need_number("table_elements_max", 0..=COUNT),
        stack_bytes_max: t.need_number("stack_bytes_max", 4096..=BYTES),
        calls_max: t.need_number("calls_max", 1..=COUNT),
        fuel_max: t.need_number("fuel_max", 1..=1 << 40),
        init_fuel_max: t.need_number("init_fuel_max", 1..=1 << 40),
        deadline_ms_max: t.need_number("deadline_ms_max", 1..=3_600_000),
        publish_bytes_max: t.need_number("publish_bytes_max", 1..=BYTES),
        record_bytes_max: t.need_number("record_bytes_max", 1..=BYTES),
        sends_max: t.need_number("sends_max", 0..=COUNT),
        effects_bytes_max: t.need_number("effects_bytes_max", 1..=BYTES),
        state_bytes_max: t.need_number("state_bytes_max", 0..=BYTES),
        state_keys_max: t.need_number("state_keys_max", 0..=COUNT),
        log_lines_max: t.need_number("log_lines_max", 0..=COUNT),
        json_bytes_max: t.need_number("json_bytes_max", 1..=BYTES),
        json_tokens_max: t.need_number("json_tokens_max", 1..=COUNT),
        // The parser keeps one bit a level in a word.
        json_depth_max: t.need_number("json_depth_max", 1..=64),
    }
}

fn runner(t: &Table<'_>) -> RunnerLimits {
    RunnerLimits {
        threads: t.need_number("threads", 1..=1024),
        slice_us: t.need_number("slice_us", 10..=10_000),
    }
}

/// Holds a board's numbers against each other.
fn check(root: &Table<'_>, board: &Board) {
    let at_most = |table, small, large, small_value: u64, large_value: u64| {
        if small_value > large_value {
            root.place_in(table, small).wrong(format!(
                "{small_value} is above {table}.{large} = {large_value}; lower one or raise the other"
            ));
        }
    };
    let core = &board.core_limits;
    let pair =
        |small, large, a: usize, b: usize| at_most("limits", small, large, a as u64, b as u64);
    pair("line_messages_max", "messages_max", core.line_messages_max, core.messages_max);
    pair(
        "batch_messages_max",
        "line_messages_max",
        core.batch_messages_max,
        core.line_messages_max,
    );
    at_most("limits", "backoff_min_ms", "backoff_max_ms", core.backoff_min_ms, core.backoff_max_ms);
    at_most(
        "limits",
        "quarantine_min_ms",
        "quarantine_max_ms",
        core.quarantine_min_ms,
        core.quarantine_max_ms,
    );

    let door = &board.door;
    let pair = |small, large, a: usize, b: usize| at_most("door", small, large, a as u64, b as u64);
    pair("subscriptions_max", "filters_max", door.subscriptions_max, door.filters_max);
    pair("packet_bytes_max", "outbound_bytes_max", door.packet_bytes_max, door.outbound_bytes_max);
    pair(
        "outbound_bytes_max",
        "buffered_bytes_max",
        door.outbound_bytes_max,
        door.buffered_bytes_max,
    );

    let host = &board.host;
    let caps = &host.caps;
    let pair = |small, large, a: u64, b: u64| at_most("handler", small, large, a, b);
    pair(
        "memory_kib_default",
        "memory_kib_max",
        host.memory_kib_default.into(),
        caps.memory_kib_max.into(),
    );
    pair("fuel_default", "fuel_max", host.fuel_default, caps.fuel_max);
    pair(
        "deadline_ms_default",
        "deadline_ms_max",
        host.deadline_ms_default.into(),
        caps.deadline_ms_max.into(),
    );
    pair(
        "publishes_default",
        "publishes_max",
        host.publishes_default.into(),
        host.publishes_max.into(),
    );
    for (key, bytes) in
        [("publish_bytes_max", caps.publish_bytes_max), ("record_bytes_max", caps.record_bytes_max)]
    {
        pair(key, "effects_bytes_max", bytes as u64, caps.effects_bytes_max as u64);
    }

    if caps.publish_bytes_max >= door.packet_bytes_max {
        root.place_in("handler", "publish_bytes_max").wrong(format!(
            "{} leaves no room for a topic in a packet of door.packet_bytes_max = {}; lower one or raise the other",
            caps.publish_bytes_max, door.packet_bytes_max
        ));
    }
    if board.runner.threads > board.cores {
        root.place_in("runner", "threads").wrong(format!(
            "{} is above cores = {}; a runner thread without a core only slows the others",
            board.runner.threads, board.cores
        ));
    }
    at_most("memory", "budget_mib", "total_mib", board.memory.budget_mib, board.memory.total_mib);
    let worst = board.worst_case();
    let budget_kib = board.memory.budget_mib * 1024;
    if worst.total_kib() > budget_kib {
        root.place_in("memory", "budget_mib").wrong(format!(
            "the limits add up to {} KiB (base {}, door {}, messages {}, handlers {}) but the budget is \
             {budget_kib} KiB; lower limits or raise the budget",
            worst.total_kib(),
            worst.base_kib,
            worst.door_kib,
            worst.messages_kib,
            worst.handlers_kib,
        ));
    }
}
