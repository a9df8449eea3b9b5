//! The tables of a board file that hold limits.

use tidegate_core::limits::{Caps, DoorLimits, Limits};

use super::{HostLimits, RunnerLimits};
use crate::reader::Table;

// Bounds of what a board file may say. They only catch slips (a wrong unit, a zero too many); the
// memory budget is what really holds the numbers together.
const COUNT: u64 = 1 << 20;
const BYTES: u64 = 1 << 30;
const MS: u64 = 24 * 3600 * 1000;

pub(super) fn core_limits(t: &Table<'_>) -> Limits {
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

pub(super) fn door(t: &Table<'_>) -> DoorLimits {
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

pub(super) fn host(t: &Table<'_>) -> HostLimits {
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

pub(super) fn runner(t: &Table<'_>) -> RunnerLimits {
    RunnerLimits {
        threads: t.need_number("threads", 1..=1024),
        slice_us: t.need_number("slice_us", 10..=10_000),
    }
}
