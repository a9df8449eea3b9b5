//! Holds a board's numbers against each other.

use super::Board;
use crate::reader::Table;

/// Notes what contradicts itself or adds up to more than the board has.
pub(super) fn check(root: &Table<'_>, board: &Board) {
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
    let memory = &board.memory;
    if memory.budget_mib + memory.system_mib > memory.total_mib {
        root.place_in("memory", "budget_mib").wrong(format!(
            "{} and memory.system_mib = {} are above memory.total_mib = {}; lower one or raise the total",
            memory.budget_mib, memory.system_mib, memory.total_mib
        ));
    }
    if let Some(image) = &board.image {
        let parts_mib = image.parts_mib();
        if parts_mib > board.flash.total_mib {
            root.place_in("flash", "total_mib").wrong(format!(
                "{} is less than the image's partitions, {parts_mib} MiB (boot {}, two roots of {}, data {}); \
                 lower these or name larger flash",
                board.flash.total_mib, image.boot_mib, image.root_mib, image.data_mib_min
            ));
        }
    }
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
