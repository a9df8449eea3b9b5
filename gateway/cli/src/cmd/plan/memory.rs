//! What the daemon takes in memory.

use serde::Serialize;
use tidegate_config::Board;

use super::asked::Asked;
use super::constants as c;
use super::used::Used;
use super::whole;

const MB: f64 = 1_000_000.0;
const MIB: f64 = 1_048_576.0;

/// Resident bytes, as the kernel counts them.
#[derive(Debug, PartialEq, Serialize)]
pub struct Memory {
    /// With the front door and the first handler.
    #[serde(serialize_with = "whole")]
    pub daemon_bytes: f64,
    #[serde(serialize_with = "whole")]
    pub more_handlers_bytes: f64,
    /// Tables of the handlers, and state on its way to the disk.
    #[serde(serialize_with = "whole")]
    pub state_bytes: f64,
    /// Records that drain.
    #[serde(serialize_with = "whole")]
    pub records_bytes: f64,
    #[serde(serialize_with = "whole")]
    pub total_bytes: f64,
    #[serde(serialize_with = "whole")]
    pub budget_bytes: f64,
}

impl Memory {
    pub fn of(asked: &Asked, board: &Board, used: &mut Used) -> Memory {
        let daemon = used.of(&c::DAEMON_MB) * MB;
        let more = asked.handlers as f64 - 1.0;
        let handlers = if more > 0.0 { more * used.of(&c::HANDLER_MB) * MB } else { 0.0 };
        let state = if asked.state_keys > 0 { state_bytes(asked, used) } else { 0.0 };
        let waiting = used.of(&c::WAITING_IN_MEMORY);
        let records = waiting * (used.of(&c::RECORD_MEMORY_BYTES) + asked.bytes as f64);
        Memory {
            daemon_bytes: daemon,
            more_handlers_bytes: handlers,
            state_bytes: state,
            records_bytes: records,
            total_bytes: daemon + handlers + state + records,
            budget_bytes: board.memory.budget_mib as f64 * MIB,
        }
    }
}

fn state_bytes(asked: &Asked, used: &mut Used) -> f64 {
    let entry = used.of(&c::KEY_BYTES) + asked.state_bytes as f64;
    let tables = asked.state_keys as f64 * (used.of(&c::STATE_ENTRY_BYTES) + entry);
    let waiting = asked.state_keys as f64 * (used.of(&c::MEMTABLE_ENTRY_BYTES) + entry);
    tables + waiting.min(used.of(&c::MEMTABLE_BYTES))
}
