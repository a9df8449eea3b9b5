//! Every number that a plan rests on, where it comes from, and the machine that it was measured on.

use serde::Serialize;

/// Where the measured ones were measured. Bytes are the same everywhere; times and memory are not.
pub const MACHINE: &str =
    "Intel Xeon, virtual machine, 2 cores, Linux 6.18 x86_64, ext4 on a virtual disk, 2026-11-22";

/// One number.
#[derive(Debug, PartialEq, Serialize)]
pub struct Constant {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    /// The command that measured it, or the file that sets it.
    pub source: &'static str,
}

const JOURNAL: &str = "cargo run --profile quick -p tidegate-journal --example measure";
const TABLE: &str = "cargo run --profile quick -p tidegate-host --example table";
const STORE: &str = "cargo run --profile quick -p tidegate --example measure";
const SHELF: &str =
    "sled 0.34.7 alone: 40 batches of 6 to 600 kB, each with flush and fdatasync; worst of six";
const DEVICE: &str =
    "/proc/diskstats of a loop device with ext4, 1,000 events/s with state for 100 devices, 60 s";
const DRAIN: &str =
    "tidegate outbox while a daemon drained 300,000 records of 200 bytes to a mosquitto beside it";
const FOOTPRINT: &str =
    "VmRSS with overheat 1, 10 and 100 times and an uplink; bench -- reaction looks at the same";

macro_rules! constants {
    ($($id:ident $name:literal $value:literal $unit:literal $source:expr;)*) => {
        $(pub const $id: Constant =
            Constant { name: $name, value: $value, unit: $unit, source: $source };)*
        /// All of them.
        #[cfg(test)]
        pub const ALL: &[&Constant] = &[$(&$id),*];
    };
}

constants! {
    BLOCK_BYTES "block_bytes" 4096.0 "bytes that a sync writes at least"
        "the page of Linux; the journal's layout, gateway/journal/src/journal.rs";
    FRAME_BYTES "frame_bytes" 17.0 "bytes a frame"
        "gateway/journal/src/frame.rs";
    COMMIT_BYTES "commit_bytes" 23.0 "bytes of a commit with records beside them"
        STORE;
    RECORD_BYTES "record_bytes" 10.0 "bytes a record beside its payload"
        STORE;
    CHANGE_BYTES "change_bytes" 7.0 "bytes that a key takes in a commit beside key and value"
        STORE;
    STATE_HEAD_BYTES "state_head_bytes" 20.0 "bytes of a commit with state beside its keys"
        STORE;
    PROGRESS_BYTES "progress_bytes" 50.0 "bytes of how far upstream is, in a commit of its own"
        STORE;
    KEY_BYTES "key_bytes" 16.0 "bytes of a key, assumed"
        "a device's name; gateway/cli/src/cmd/plan/constants.rs";
    SYNC_MS "sync_ms" 1.47 "ms from a commit to its sync's end"
        JOURNAL;
    EXT4_COMMIT_BYTES "ext4_commit_bytes" 12288.0 "bytes of ext4's own journal, as long as anything is written"
        DEVICE;
    EXT4_COMMIT_S "ext4_commit_s" 5.0 "s from one to the next, ext4's mount option `commit`"
        DEVICE;
    PROGRESS_MS "progress_ms" 5000.0 "ms until delivered records are written down"
        "OutboxLimits::DEV, gateway/core/src/limits/outbox.rs";
    SEGMENT_BYTES "segment_bytes" 4194304.0 "bytes a journal segment"
        "Settings::default(), gateway/journal/src/settings.rs";
    SEGMENT_HEADERS_BYTES "segment_headers_bytes" 8192.0 "bytes of it that hold no records"
        "gateway/journal/src/header.rs";
    SEGMENTS_KEPT "segments_kept" 3.0 "segments that only an eviction may use"
        "gateway/journal/src/settings.rs, is_full in gateway/store/src/store.rs";
    ROOM_BYTES "room_bytes" 524288.0 "bytes that are kept free"
        "gateway/daemon/src/store_driver.rs";
    CHECKPOINT_BYTES "checkpoint_bytes" 8388608.0 "journal bytes between two checkpoints"
        "Settings::default(), gateway/store/src/settings.rs";
    MEMTABLE_BYTES "memtable_bytes" 262144.0 "bytes of waiting state that make a checkpoint due"
        "Settings::default(), gateway/store/src/settings.rs";
    MEMTABLE_ENTRY_BYTES "memtable_entry_bytes" 96.0 "bytes a key there beside key and value"
        "gateway/store/src/memtable.rs";
    EXPORT_BYTES "export_bytes" 16777216.0 "journal bytes between two exports"
        "Settings::default(), gateway/store/src/settings.rs";
    ROW_BYTES "row_bytes" 24.0 "bytes a row beside key and value"
        STORE;
    FACTS_BYTES "facts_bytes" 600.0 "bytes of facts that each checkpoint and export has"
        STORE;
    CHECKPOINT_FIXED_BYTES "checkpoint_fixed_bytes" 16384.0 "device bytes of a checkpoint beside its rows"
        SHELF;
    SHELF_AMPLIFICATION "shelf_amplification" 4.3 "device bytes for each byte of a checkpoint"
        SHELF;
    DAEMON_MB "daemon_mb" 6.3 "MB with the front door and one handler, at rest"
        FOOTPRINT;
    HANDLER_MB "handler_mb" 0.036 "MB each further handler"
        FOOTPRINT;
    STATE_ENTRY_BYTES "state_entry_bytes" 150.0 "bytes of memory a key beside key and value"
        TABLE;
    WAITING_IN_MEMORY "waiting_in_memory" 160.0 "records in memory while they drain"
        "a window and four windows read ahead, gateway/core/src/outbox/going.rs";
    RECORD_MEMORY_BYTES "record_memory_bytes" 160.0 "bytes of memory a record beside its payload"
        "Record and its places in lane and window, gateway/core/src/outbox";
    BUDGET_YEARS "budget_years" 5.0 "years that a board's write budget is made for"
        "boards/README.md";
    DRAIN_PER_S "drain_per_s" 60000.0 "records a second to a local broker"
        DRAIN;
}
