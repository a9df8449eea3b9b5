//! The end of a seed: devices fall silent, everything drains, and the books must balance.

use tidegate_core::record::{LossReason, StreamId};
use tidegate_core::{DropReason, HandlerCounters};
use tidegate_journal::Faults;

use super::books;
use super::handlers::NAMES;
use super::troubles::{Harm, Trouble};
use super::world::{DEVICES, World};

/// Quiet turns in which everything must drain.
const QUIET: usize = 20_000;

impl World<'_> {
    /// Devices fall silent and the link is good: everything must come to its end.
    pub(super) fn drain(&mut self) -> Result<(), String> {
        self.upstream.set_away(false);
        self.climate.cuts_one_in = 0;
        // A start that is under way must not find one more.
        self.climate.trouble = Trouble::None;
        self.set_faults(Faults::default());
        for _ in 0..QUIET {
            for number in 0..DEVICES {
                if self.devices[number].conn.is_none() {
                    self.connect(number);
                }
                self.give(number, usize::MAX);
            }
            self.turn();
            self.go_on();
            self.store()?;
            for _ in 0..4 {
                self.go_up_quietly()?;
            }
            self.now_us += 1_000;
            let (now, wall) = (self.timestamp(), self.now().wall);
            self.house.hub.handle_timeout(now, wall);
            self.listen()?;
            self.check()?;
            if self.is_drained() {
                self.turn();
                self.listen()?;
                // A commit that has just become durable may have brought a record.
                if self.is_drained() {
                    return self.settle();
                }
            }
        }
        let waiting: Vec<usize> =
            self.devices.iter().map(|device| device.waiting().len()).collect();
        let gateway = self.house.hub.gateway();
        let records: u64 = gateway.waiting().map(|line| line.records).sum();
        let told = gateway.losses().map(|line| (line.count, line.told)).collect::<Vec<_>>();
        Err(format!(
            "it does not drain: {} inside, bytes not taken {waiting:?}, {records} records wait, losses {told:?}, \
             settled: {}, uplink: {}",
            gateway.messages(),
            gateway.is_settled(),
            gateway.is_uplink_up(),
        ))
    }

    pub(super) fn is_drained(&mut self) -> bool {
        // Damage in what the start did not read is found when it is idle.
        let is_read = self.harm == Harm::default() || self.house.rest();
        let is_stored = self.house.is_stored();
        let gateway = self.house.hub.gateway();
        self.devices.iter().all(|device| device.waiting().is_empty())
            && self.house.work.is_empty()
            && gateway.messages() == 0
            && is_stored
            && is_read
            && gateway.is_settled()
            && gateway.waiting().all(|line| line.records == 0)
            && gateway
                .losses()
                .all(|line| line.told == line.count || line.stream == StreamId::LOSSES)
            && self.upstream.is_quiet()
    }

    /// The books must balance.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        if self.stats.power_cuts == 0 {
            self.check_counters()?;
        }
        if let Some(device) = self.devices.iter().find(|device| !device.unacked.is_empty()) {
            return Err(format!("device {}: never acked: {:?}", device.number, device.unacked));
        }
        // A power cut alone is no damage.
        let faults = &self.climate.faults;
        let is_sound = faults.sync_error_one_in == 0
            && faults.write_error_one_in == 0
            && self.harm == Harm::default();
        let damaged = self.upstream.announced_for(LossReason::Damaged);
        let is_calm = is_sound && self.stats.power_cuts == 0;
        self.stats.verified = books::balance(&self.checker, &self.upstream, is_calm, self.harm)?;
        self.stats.false_alarms += u64::from(is_sound && damaged > 0);
        self.stats.messages = self.checker.messages();
        self.stats.acks = self.checker.acked_ids().count() as u64;
        self.stats.reactions = self.checker.reactions.iter().sum();
        self.stats.received = self.upstream.received.len() as u64;
        self.stats.duplicates = self.upstream.duplicates;
        self.stats.reused = self.upstream.reused;
        self.stats.untold = books::untold(&self.upstream);
        self.stats.lost = self.upstream.announced();
        self.stats.connects = self.upstream.connects;
        Ok(())
    }

    /// Within one run of the gateway its counters say what came out.
    pub(super) fn check_counters(&mut self) -> Result<(), String> {
        let gateway = self.house.hub.gateway();
        let dropped =
            gateway.dropped(DropReason::GatewayFull) + gateway.dropped(DropReason::LineFull);
        let mut total = HandlerCounters::default();
        for (number, (_, name, _, counters)) in gateway.handlers().enumerate() {
            let seen = self.checker.reactions[number];
            if seen != counters.publishes || seen != counters.events - counters.failed {
                return Err(format!(
                    "{name}: {seen} reactions came out, its counters say {counters:?}"
                ));
            }
            total.events += counters.events;
            total.failed += counters.failed;
            total.retried += counters.retried;
            total.skipped += counters.skipped;
        }
        let routed = self.checker.messages() * NAMES.len() as u64;
        if total.events + total.skipped + dropped != routed {
            return Err(format!(
                "{routed} were routed, but {total:?} and {dropped} dropped do not add up to it"
            ));
        }
        self.stats.failed = total.failed;
        self.stats.retried = total.retried;
        self.stats.skipped = total.skipped;
        self.stats.dropped = dropped;
        Ok(())
    }
}
