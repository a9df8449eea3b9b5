//! The simulated world: a hub, its devices, the long jobs that somebody must go on with, and time.

use tidegate_broker::CloseReason;
use tidegate_core::record::{LossReason, StreamId};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_core::{DropReason, HandlerCounters, Report, Timestamp};
use tidegate_host::Now;
use tidegate_journal::Faults;
use tidegated::runner::Work;

use super::books;
use super::check::{Checker, Stats, Violation};
use super::device::Device;
use super::disks::Disks;
use super::handlers::{Folders, KINDS, NAMES};
use super::house::{House, LIMITS, RECEIVE_MAX};
use super::random::Random;
use super::upstream::Upstream;
use crate::mqtt::packet::Packet;

const DEVICES: usize = 4;
/// The first device only listens: to every reaction.
const WATCHER: usize = 0;
const HOUR_US: u64 = 3_600_000_000;
/// Steps that some hours of silence take at most.
const HOURS_STEPS: usize = 60;
/// Quiet turns in which everything must drain.
const QUIET: usize = 20_000;

/// What this seed's world is like.
struct Climate {
    /// The journal's share of the disk: some seeds have little.
    quota_bytes: u64,
    /// Power cuts, once in so many steps; 0 is never.
    cuts_one_in: u64,
    faults: Faults,
}

struct World<'a> {
    folders: &'a Folders,
    random: Random,
    climate: Climate,
    now_us: u64,
    /// When the gateway that runs was switched on.
    on_us: u64,
    disks: Disks,
    house: House,
    upstream: Upstream,
    devices: Vec<Device>,
    checker: Checker,
    stats: Stats,
}

/// Runs `steps` random steps and a quiet phase.
///
/// # Errors
/// The first promise that did not hold.
pub fn run(folders: &Folders, seed: u64, steps: u64) -> Result<Stats, Violation> {
    let fail = |what| Violation { seed, step: 0, what };
    let mut world = World::new(folders, seed).map_err(fail)?;
    let mut step = 0;
    let mut go = || -> Result<(), String> {
        world.connect(WATCHER);
        while step < steps {
            step += 1;
            world.step()?;
        }
        world.drain()
    };
    let done = go();
    let cuts = world.stats.power_cuts;
    done.map_err(|what| Violation {
        seed,
        step,
        what: format!("{what} (after {cuts} power cuts)"),
    })?;
    world.stats.steps = steps;
    world.stats.virtual_ms = world.now_us / 1000;
    Ok(world.stats)
}

impl<'a> World<'a> {
    fn new(folders: &'a Folders, seed: u64) -> Result<World<'a>, String> {
        let mut random = Random::new(seed);
        let climate = Climate::new(&mut random);
        let disks = Disks::new(seed);
        let refuses_one_in = if random.chance(1, 4) { 40 } else { 0 };
        let house = House::start(folders, &disks, climate.quota_bytes, seed)?;
        Ok(World {
            folders,
            random,
            climate,
            now_us: 1_000,
            on_us: 0,
            disks,
            house,
            upstream: Upstream::new(refuses_one_in),
            devices: (0..DEVICES).map(Device::new).collect(),
            checker: Checker::default(),
            stats: Stats::default(),
        })
    }

    fn now(&self) -> Now {
        let unix_us = 1_700_000_000_000_000 + self.now_us as i64;
        Now {
            mono_us: self.now_us - self.on_us,
            wall: WallTime { unix_us, quality: ClockQuality::Ntp },
        }
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp((self.now_us - self.on_us) / 1000)
    }

    fn step(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..16 => self.act(),
            16..34 => self.feed(),
            34..50 => self.go_on(),
            50..55 if self.random.chance(1, 100) => self.pass_hours()?,
            50..55 => self.pass_time(),
            55..70 => self.store()?,
            70..80 => self.go_up()?,
            _ => self.turn(),
        }
        self.listen()?;
        if self.climate.cuts_one_in > 0 && self.random.chance(1, self.climate.cuts_one_in) {
            self.lose_power()?;
        }
        self.check()
    }

    /// A device does something.
    fn act(&mut self) {
        let number = 1 + self.random.below(DEVICES as u64 - 1) as usize;
        if self.devices[number].conn.is_none() || self.random.chance(1, 300) {
            self.cut(number);
            self.connect(number);
            return;
        }
        let burst = if self.random.chance(1, 100) { 40 } else { 1 };
        for _ in 0..burst {
            let kind = *self.random.pick(KINDS);
            let device = &mut self.devices[number];
            let may_wait = device.unacked.len() < usize::from(RECEIVE_MAX);
            let qos = u8::from(may_wait && self.random.chance(1, 2));
            device.publish(kind, qos);
        }
    }

    fn connect(&mut self, number: usize) {
        let now = self.timestamp();
        let door = self.house.hub.door().expect("it has a front door");
        if let Ok(conn) = door.handle_connected(now) {
            let filter = (number == WATCHER).then_some("out/#");
            self.devices[number].connect(conn, filter);
        }
        if number == WATCHER {
            while !self.devices[WATCHER].waiting().is_empty() {
                self.give(WATCHER, usize::MAX);
            }
        }
    }

    /// The connection breaks.
    fn cut(&mut self, number: usize) {
        let (now, wall) = (self.timestamp(), self.now().wall);
        if let Some(conn) = self.devices[number].conn {
            self.house
                .hub
                .door()
                .expect("it has a front door")
                .handle_disconnected(now, wall, conn);
        }
        self.devices[number].disconnect();
    }

    /// Some bytes of one device reach the gateway.
    fn feed(&mut self) {
        let number = self.random.below(DEVICES as u64) as usize;
        let most =
            if self.random.chance(1, 3) { 1 + self.random.below(30) as usize } else { usize::MAX };
        self.give(number, most);
    }

    fn give(&mut self, number: usize, most: usize) {
        let (now, wall) = (self.timestamp(), self.now().wall);
        let device = &mut self.devices[number];
        let Some(conn) = device.conn else { return };
        let count = device.waiting().len().min(most);
        let door = self.house.hub.door().expect("it has a front door");
        let taken = door.handle_bytes(now, wall, conn, &device.waiting()[..count]);
        self.stats.pauses += u64::from(door.is_paused(conn));
        for id in device.taken(taken) {
            self.checker.arrived(id);
        }
    }

    /// One slice of one long job, whichever chance picks.
    fn go_on(&mut self) {
        if self.house.work.is_empty() {
            return;
        }
        let at = self.random.below(self.house.work.len() as u64) as usize;
        let work = self.house.work.swap_remove(at);
        let slice = 500 + self.random.below(20_000);
        match work.step(slice, self.now()) {
            Ok(done) => self.house.hub.handle_done(self.timestamp(), done),
            Err(rest) => self.house.work.push(rest),
        }
    }

    fn pass_time(&mut self) {
        let ms = self.random.below(60);
        self.wait(1_000 * ms);
    }

    fn wait(&mut self, us: u64) {
        self.now_us += us;
        let (now, wall) = (self.timestamp(), self.now().wall);
        self.house.hub.handle_timeout(now, wall);
    }

    /// Hours in which devices say nothing. Timers ring and the link comes and goes; then the rest passes at once.
    fn pass_hours(&mut self) -> Result<(), String> {
        // Nobody is in the middle of a CONNECT for hours.
        for number in 0..DEVICES {
            self.give(number, usize::MAX);
        }
        let end_us = self.now_us + HOUR_US / 2 + self.random.below(11 * HOUR_US);
        for _ in 0..HOURS_STEPS {
            let next = self.house.hub.poll_timeout().map_or(1_000_000, |at| {
                at.0.saturating_sub(self.timestamp().0).saturating_mul(1000)
            });
            self.wait(next.clamp(1_000, 600_000_000));
            self.turn();
            self.go_on();
            self.store()?;
            self.go_up()?;
            self.listen()?;
            if self.now_us >= end_us {
                return Ok(());
            }
        }
        self.wait(end_us - self.now_us);
        Ok(())
    }

    /// The store works. Now and then the power goes in the middle of it.
    fn store(&mut self) -> Result<(), String> {
        let now = self.timestamp();
        if self.climate.cuts_one_in > 0 && self.random.chance(1, self.climate.cuts_one_in) {
            let at = self.disks.journal.lend().operations() + self.random.below(12);
            self.disks.journal.lend().faults.cut_at = Some(at);
        }
        if !self.house.store_step(now, &mut self.random) {
            self.lose_power()?;
        }
        Ok(())
    }

    /// Something happens on the way upstream.
    fn go_up(&mut self) -> Result<(), String> {
        if self.random.chance(1, 200) {
            let is_away = self.random.chance(1, 2);
            self.upstream.set_away(is_away);
        }
        if self.random.chance(1, 150) {
            let now = self.timestamp();
            if let Some(said) = self.upstream.cut(&mut self.random) {
                self.house.hub.handle_input(now, said);
            }
            return Ok(());
        }
        self.go_up_quietly()
    }

    /// What is under way moves on.
    fn go_up_quietly(&mut self) -> Result<(), String> {
        let now = self.timestamp();
        if let Some(said) = self.upstream.step(&mut self.random)? {
            self.house.hub.handle_input(now, said);
        }
        Ok(())
    }

    /// The power goes, and comes back. Devices find their connections gone, and send again what was not acked.
    fn lose_power(&mut self) -> Result<(), String> {
        self.stats.power_cuts += 1;
        self.upstream.power_cut(&mut self.random);
        for device in &mut self.devices {
            device.disconnect();
        }
        let seed = self.random.draw();
        // The power may go again while the gateway starts.
        for _ in 0..8 {
            self.disks.cut();
            let again = self.random.chance(1, 4);
            let at = self.disks.journal.lend().operations() + self.random.below(20);
            self.set_faults(Faults { cut_at: again.then_some(at), ..Faults::default() });
            match House::start(self.folders, &self.disks, self.climate.quota_bytes, seed) {
                Ok(house) => {
                    self.house = house;
                    self.set_faults(self.climate.faults);
                    self.on_us = self.now_us;
                    self.connect(WATCHER);
                    return Ok(());
                }
                Err(error) if !self.disks.journal.lend().is_down() => {
                    return Err(format!("it does not start: {error}"));
                }
                Err(_) => {}
            }
        }
        Err("it was never left alone to start".to_owned())
    }

    fn set_faults(&mut self, faults: Faults) {
        self.disks.journal.lend().faults = faults;
    }

    fn turn(&mut self) {
        let now = self.now();
        self.house.hub.turn(now);
        while let Some(what) = self.house.hub.poll_uplink() {
            if let Some(said) = self.upstream.take(what, &mut self.random) {
                self.house.hub.handle_input(self.timestamp(), said);
            }
        }
        while let Some(work) = self.house.hub.runner().poll_work() {
            self.stats.parked += u64::from(!matches!(work, Work::Load(_)));
            self.house.work.push(work);
        }
        while let Some(report) = self.house.hub.poll_report() {
            match report {
                Report::HandlerRejected { reason, .. } => {
                    panic!("the simulation's own handler does not load: {reason}")
                }
                Report::StoreFailing { .. } => self.stats.disk_faults += 1,
                _ => {}
            }
        }
    }

    /// What the gateway has to say reaches the devices: the watcher first, so that a reaction that
    /// left before an ack is seen before it.
    fn listen(&mut self) -> Result<(), String> {
        for number in 0..DEVICES {
            let Some(conn) = self.devices[number].conn else {
                continue;
            };
            let door = self.house.hub.door().expect("it has a front door");
            let bytes = door.output(conn).to_vec();
            door.written(conn, bytes.len());
            if door.is_closing(conn) {
                let counters = door.counters();
                let closed: Vec<_> = CloseReason::ALL
                    .into_iter()
                    .filter(|reason| counters.closed(*reason) > 0)
                    .map(CloseReason::name)
                    .collect();
                return Err(format!(
                    "the gateway closed the connection of device {number}: {closed:?}"
                ));
            }
            for packet in self.devices[number].heard(&bytes) {
                self.hear(number, packet)?;
            }
        }
        let door = self.house.hub.door().expect("it has a front door");
        while door.poll_dirty().is_some() {}
        Ok(())
    }

    fn hear(&mut self, number: usize, packet: Packet) -> Result<(), String> {
        match packet {
            Packet::Publish(message) => self.checker.reacted(&message.topic, &message.payload),
            Packet::PubAck { packet_id } => {
                let id = self.devices[number].unacked.remove(&packet_id);
                let id =
                    id.ok_or_else(|| format!("device {number}: an ack for nothing, {packet_id}"))?;
                self.checker.acked(id)
            }
            Packet::ConnAck { .. } => {
                self.devices[number].connected = true;
                Ok(())
            }
            Packet::SubAck { .. } | Packet::UnsubAck { .. } | Packet::PingResp => Ok(()),
            Packet::Other(kind) => Err(format!("device {number}: packet {kind} out of nowhere")),
        }
    }

    fn check(&self) -> Result<(), String> {
        let inside = self.house.hub.gateway().messages();
        // QoS 1 may overdraw by what a source had under way, once for each handler.
        let most = LIMITS.messages_max + NAMES.len() * DEVICES * usize::from(RECEIVE_MAX);
        if inside > most {
            return Err(format!("{inside} messages inside, at most {most} are allowed"));
        }
        Ok(())
    }

    /// Devices fall silent and the link is good: everything must come to its end.
    fn drain(&mut self) -> Result<(), String> {
        self.upstream.set_away(false);
        self.climate.cuts_one_in = 0;
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
                return self.settle();
            }
        }
        let waiting: Vec<usize> =
            self.devices.iter().map(|device| device.waiting().len()).collect();
        let gateway = self.house.hub.gateway();
        if std::env::var("DBG").is_ok() {
            let have: std::collections::BTreeSet<u64> =
                self.upstream.received.keys().copied().collect();
            let last = have.last().copied().unwrap_or(0);
            eprintln!("missing {:?}", (1..=last).filter(|s| !have.contains(s)).collect::<Vec<_>>());
        }
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

    fn is_drained(&mut self) -> bool {
        let is_stored = self.house.is_stored();
        let gateway = self.house.hub.gateway();
        self.devices.iter().all(|device| device.waiting().is_empty())
            && self.house.work.is_empty()
            && gateway.messages() == 0
            && is_stored
            && gateway.is_settled()
            && gateway.waiting().all(|line| line.records == 0)
            && gateway
                .losses()
                .all(|line| line.told == line.count || line.stream == StreamId::LOSSES)
            && self.upstream.is_quiet()
    }

    /// The books must balance.
    fn settle(&mut self) -> Result<(), String> {
        if self.stats.power_cuts == 0 {
            self.check_counters()?;
        }
        if let Some(device) = self.devices.iter().find(|device| !device.unacked.is_empty()) {
            return Err(format!("device {}: never acked: {:?}", device.number, device.unacked));
        }
        self.stats.verified = books::balance(&self.checker, &self.upstream, self.stats.power_cuts)?;
        // A power cut alone is no damage.
        let faults = &self.climate.faults;
        let is_sound = faults.sync_error_one_in == 0 && faults.write_error_one_in == 0;
        let damaged = self.upstream.announced_for(LossReason::Damaged);
        self.stats.false_alarms += u64::from(is_sound && damaged > 0);
        self.stats.messages = self.checker.messages();
        self.stats.acks = self.checker.acked_ids().count() as u64;
        self.stats.reactions = self.checker.reactions.iter().sum();
        self.stats.received = self.upstream.received.len() as u64;
        self.stats.duplicates = self.upstream.duplicates;
        self.stats.lost = self.upstream.announced();
        self.stats.connects = self.upstream.connects;
        Ok(())
    }

    /// Within one run of the gateway its counters say what came out.
    fn check_counters(&mut self) -> Result<(), String> {
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

impl Climate {
    fn new(random: &mut Random) -> Climate {
        let quota_bytes = if random.chance(1, 4) { 128 * 1024 } else { 4 * 1024 * 1024 };
        let cuts_one_in = *random.pick(&[0, 0, 400, 150]);
        let sync_error_one_in = if random.chance(1, 4) { 50 } else { 0 };
        let write_error_one_in = if random.chance(1, 4) { 80 } else { 0 };
        let faults = Faults { sync_error_one_in, write_error_one_in, ..Faults::default() };
        Climate { quota_bytes, cuts_one_in, faults }
    }
}
