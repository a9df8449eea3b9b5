//! What host calls work on: the data in wasmi's store.

use std::sync::Arc;

use tidegate_core::job::{Event, EventOutcome, LogLine, Publish, Send, Write};
use tidegate_core::limits::Caps;
use tidegate_core::manifest::Manifest;
use tidegate_core::message::Message;
use tidegate_core::pins::{Levels, PinWrite, Pins};
use tidegate_core::stream::Streams;
use tidegate_core::time::WallTime;
use wasmi::{Memory, StoreLimits, StoreLimitsBuilder};

use crate::costs::TABLES_MAX;
use crate::json::{Json, JsonLimits};
use crate::meter::Meter;
use crate::state::{Overlay, StateLimits, Table};

/// The time, as the caller read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic microseconds since the daemon started.
    pub mono_us: u64,
    pub wall: WallTime,
}

/// The event that runs.
#[derive(Debug)]
pub(crate) struct Current {
    pub message: Arc<Message>,
    /// What it does is told, and forgotten.
    pub is_dry: bool,
    /// When it started: what `now_us` answers until it ends, however many slices it takes.
    pub now: Now,
}

/// Everything a host call may see or change, but for the guest's memory.
pub(crate) struct Guest {
    pub manifest: Arc<Manifest>,
    pub caps: Caps,
    pub seed: u64,
    /// Where records can go; none until somebody says.
    pub streams: Arc<Streams>,
    /// The board's pins; none until somebody says.
    pub pins: Arc<Pins>,
    /// How they are for the next event of this job.
    pub levels: Levels,
    /// Caps memory and table, whatever maximum they declare.
    pub limiter: StoreLimits,
    /// The guest's memory; absent only while it is being made.
    pub memory: Option<Memory>,
    pub meter: Meter,
    /// Absent in `tidegate_init`.
    pub current: Option<Current>,
    pub random: u64,
    pub json: Json,
    pub table: Table,
    pub overlay: Overlay,
    pub publishes: Vec<Publish>,
    pub sends: Vec<Send>,
    /// At most one for each pin.
    pub pin_writes: Vec<PinWrite>,
    pub logs: Vec<LogLine>,
    pub logs_dropped: u32,
    /// Weight of publishes, records and writes so far.
    pub effects_bytes: usize,
    /// The first limit that this event ran into.
    pub quota: Option<&'static str>,
}

impl Guest {
    pub fn new(manifest: Arc<Manifest>, caps: &Caps, seed: u64) -> Guest {
        let limiter = StoreLimitsBuilder::new()
            .memory_size(manifest.limits.memory_kib as usize * 1024)
            .table_elements(caps.table_elements_max as usize)
            .instances(1)
            .memories(1)
            .tables(TABLES_MAX as usize)
            .build();
        Guest {
            manifest,
            caps: *caps,
            seed,
            streams: Arc::default(),
            pins: Arc::default(),
            levels: Levels::default(),
            limiter,
            memory: None,
            meter: Meter::default(),
            current: None,
            random: seed,
            json: Json::default(),
            table: Table::default(),
            overlay: Overlay::default(),
            publishes: Vec::new(),
            sends: Vec::new(),
            pin_writes: Vec::new(),
            logs: Vec::new(),
            logs_dropped: 0,
            effects_bytes: 0,
            quota: None,
        }
    }

    /// Sets the scene for `tidegate_init`: the same every time.
    pub fn begin_init(&mut self, fuel: u64) {
        self.meter.grant(fuel, 0);
        self.current = None;
        self.random = self.seed;
        self.forget();
    }

    /// Sets the scene for one event.
    pub fn begin(&mut self, event: &Event, now: Now) {
        let is_dry = event.invoke.is_some_and(|invoke| invoke.is_dry);
        self.current = Some(Current { message: Arc::clone(&event.message), is_dry, now });
        self.random = self.seed ^ event.id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.forget();
    }

    /// Ends the event well: its writes go into the table, everything goes into `outcome`.
    pub fn commit(&mut self, outcome: &mut EventOutcome) {
        let writes: Vec<Write> = self.overlay.take();
        outcome.pins = std::mem::take(&mut self.pin_writes);
        if !self.current.as_ref().is_some_and(|current| current.is_dry) {
            self.table.apply(&writes, self.event_us());
            for write in outcome.pins.iter() {
                self.levels.set(write.pin, Some(write.on));
            }
        }
        outcome.writes = writes;
        outcome.version = self.table.version();
        outcome.publishes = std::mem::take(&mut self.publishes);
        outcome.sends = std::mem::take(&mut self.sends);
        self.take_logs(outcome);
        self.current = None;
        self.forget();
    }

    /// Ends the event badly: only what it logged remains.
    pub fn roll_back(&mut self, outcome: &mut EventOutcome) {
        self.take_logs(outcome);
        self.current = None;
        self.forget();
    }

    /// The event's own time in unix microseconds.
    pub fn event_us(&self) -> i64 {
        self.current.as_ref().map_or(0, |current| current.message.at.unix_us)
    }

    /// Counts an effect's weight. `false`: it does not fit any more.
    pub fn weigh(&mut self, bytes: usize) -> bool {
        let fits = self.effects_bytes.saturating_add(bytes) <= self.caps.effects_bytes_max;
        if fits {
            self.effects_bytes += bytes;
        }
        fits
    }

    /// Notes the limit that stopped something, for the outcome of a handler that gives up over it.
    pub fn over(&mut self, limit: &'static str) {
        self.quota.get_or_insert(limit);
    }

    pub fn json_limits(&self) -> JsonLimits {
        JsonLimits {
            bytes_max: self.caps.json_bytes_max,
            tokens_max: self.caps.json_tokens_max,
            depth_max: usize::from(self.caps.json_depth_max),
        }
    }

    pub fn state_limits(&self) -> StateLimits {
        StateLimits { keys_max: self.caps.state_keys_max, bytes_max: self.caps.state_bytes_max }
    }

    fn take_logs(&mut self, outcome: &mut EventOutcome) {
        outcome.logs = std::mem::take(&mut self.logs);
        outcome.logs_dropped = self.logs_dropped;
    }

    fn forget(&mut self) {
        self.json.clear();
        self.overlay.clear();
        self.publishes.clear();
        self.sends.clear();
        self.pin_writes.clear();
        self.logs.clear();
        self.logs_dropped = 0;
        self.effects_bytes = 0;
        self.quota = None;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, React};

    /// A handler that may do nothing but start.
    pub fn manifest() -> Manifest {
        Manifest {
            name: "test".to_owned(),
            version: "1".to_owned(),
            triggers: Vec::new(),
            limits: HandlerLimits { fuel: 1, memory_kib: 64, deadline_ms: 1, publishes: 0 },
            grants: Grants::default(),
            isolation: Isolation::Event,
            react: React::Now,
            config: Default::default(),
        }
    }
}
