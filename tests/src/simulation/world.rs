//! The simulated world: a hub, its devices, the long jobs that somebody must go on with, and time.

use std::sync::Arc;

use tidegate_broker::Broker;
use tidegate_core::job::HandlerId;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_core::{
    DropReason, Durability, Gateway, HandlerCounters, Input, Limits, LocalSide, Report, Timestamp,
};
use tidegate_host::Now;
use tidegated::hub::{Hub, Local};
use tidegated::runner::{Runner, Source, Work};

use super::check::{Checker, Stats, Violation};
use super::device::Device;
use super::handlers::{CAPS, Folders, KINDS, NAMES};
use super::random::Random;
use crate::mqtt::packet::Packet;

/// Small, so that every limit is reached often.
const LIMITS: Limits = Limits {
    messages_max: 64,
    messages_bytes_max: 2048,
    line_messages_max: 24,
    failures_max: 2,
    batch_messages_max: 4,
    quarantine_min_ms: 50,
    quarantine_max_ms: 400,
    ..Limits::DEV
};
const DEVICES: usize = 4;
/// The first device only listens: to every reaction.
const WATCHER: usize = 0;
const RECEIVE_MAX: u16 = 8;
/// Quiet turns in which everything must drain.
const QUIET: usize = 20_000;

struct World {
    random: Random,
    now_us: u64,
    hub: Hub,
    devices: Vec<Device>,
    work: Vec<Work>,
    checker: Checker,
    stats: Stats,
}

/// Runs `steps` random steps and a quiet phase.
///
/// # Errors
/// The first promise that did not hold.
pub fn run(folders: &Folders, seed: u64, steps: u64) -> Result<Stats, Violation> {
    let mut world = World::new(folders, seed);
    let mut step = 0;
    let mut go = || -> Result<(), String> {
        world.connect(WATCHER);
        while step < steps {
            step += 1;
            world.step()?;
        }
        world.drain()
    };
    go().map_err(|what| Violation { seed, step, what })?;
    world.stats.steps = steps;
    world.stats.virtual_ms = world.now_us / 1000;
    Ok(world.stats)
}

impl World {
    fn new(folders: &Folders, seed: u64) -> World {
        let mut runner = Runner::new(CAPS, Arc::default(), 75, seed);
        let mut deployed = Vec::new();
        for (number, (module_path, manifest)) in folders.iter().enumerate() {
            let handler = HandlerId(number as u16);
            runner.add_source(handler, Source { module_path, manifest: Arc::clone(&manifest) });
            deployed.push(Input::Deploy { handler, manifest });
        }
        let limits =
            tidegate_broker::Limits { receive_max: RECEIVE_MAX, ..tidegate_broker::Limits::DEV };
        let gateway = Gateway::new(LIMITS, LocalSide::FrontDoor, Durability::default(), seed);
        let mut hub = Hub::new(gateway, Local::FrontDoor(Box::new(Broker::new(limits))), runner);
        for input in deployed {
            hub.handle_input(Timestamp(0), input);
        }
        World {
            random: Random::new(seed),
            now_us: 1_000,
            hub,
            devices: (0..DEVICES).map(Device::new).collect(),
            work: Vec::new(),
            checker: Checker::default(),
            stats: Stats::default(),
        }
    }

    fn now(&self) -> Now {
        let unix_us = 1_700_000_000_000_000 + self.now_us as i64;
        Now { mono_us: self.now_us, wall: WallTime { unix_us, quality: ClockQuality::Ntp } }
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp(self.now_us / 1000)
    }

    fn step(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..16 => self.act(),
            16..40 => self.feed(),
            40..65 => self.go_on(),
            65..70 => self.pass_time(),
            _ => self.turn(),
        }
        self.listen()?;
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
        let door = self.hub.door().expect("it has a front door");
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
            self.hub.door().expect("it has a front door").handle_disconnected(now, wall, conn);
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
        let door = self.hub.door().expect("it has a front door");
        let taken = door.handle_bytes(now, wall, conn, &device.waiting()[..count]);
        self.stats.pauses += u64::from(door.is_paused(conn));
        for id in device.taken(taken) {
            self.checker.arrived(id);
        }
    }

    /// One slice of one long job, whichever chance picks.
    fn go_on(&mut self) {
        if self.work.is_empty() {
            return;
        }
        let at = self.random.below(self.work.len() as u64) as usize;
        let work = self.work.swap_remove(at);
        let slice = 500 + self.random.below(20_000);
        match work.step(slice, self.now()) {
            Ok(done) => self.hub.handle_done(self.timestamp(), done),
            Err(rest) => self.work.push(rest),
        }
    }

    fn pass_time(&mut self) {
        self.now_us += 1_000 * self.random.below(60);
        let (now, wall) = (self.timestamp(), self.now().wall);
        self.hub.handle_timeout(now, wall);
    }

    fn turn(&mut self) {
        self.hub.turn(self.now());
        while let Some(work) = self.hub.runner().poll_work() {
            self.stats.parked += u64::from(!matches!(work, Work::Load(_)));
            self.work.push(work);
        }
        while let Some(report) = self.hub.poll_report() {
            if let Report::HandlerRejected { reason, .. } = report {
                panic!("the simulation's own handler does not load: {reason}");
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
            let door = self.hub.door().expect("it has a front door");
            let bytes = door.output(conn).to_vec();
            door.written(conn, bytes.len());
            if door.is_closing(conn) {
                return Err(format!("the gateway closed the connection of device {number}"));
            }
            for packet in self.devices[number].heard(&bytes) {
                self.hear(number, packet)?;
            }
        }
        let door = self.hub.door().expect("it has a front door");
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
        let inside = self.hub.gateway().messages();
        // QoS 1 may overdraw by what a source had under way, once for each handler.
        let most = LIMITS.messages_max + NAMES.len() * DEVICES * usize::from(RECEIVE_MAX);
        if inside > most {
            return Err(format!("{inside} messages inside, at most {most} are allowed"));
        }
        Ok(())
    }

    /// Devices fall silent: everything that arrived must come to its end.
    fn drain(&mut self) -> Result<(), String> {
        for _ in 0..QUIET {
            for number in 0..DEVICES {
                self.give(number, usize::MAX);
            }
            self.turn();
            self.go_on();
            self.now_us += 1_000;
            let (now, wall) = (self.timestamp(), self.now().wall);
            self.hub.handle_timeout(now, wall);
            self.listen()?;
            self.check()?;
            let silent = self.devices.iter().all(|device| device.waiting().is_empty());
            if silent && self.work.is_empty() && self.hub.gateway().messages() == 0 {
                self.turn();
                self.listen()?;
                return self.settle();
            }
        }
        let waiting: Vec<usize> =
            self.devices.iter().map(|device| device.waiting().len()).collect();
        let inside = self.hub.gateway().messages();
        Err(format!("it does not drain: {inside} inside, bytes not taken {waiting:?}"))
    }

    /// The books must balance.
    fn settle(&mut self) -> Result<(), String> {
        let gateway = self.hub.gateway();
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
        if let Some(device) = self.devices.iter().find(|device| !device.unacked.is_empty()) {
            return Err(format!("device {}: never acked: {:?}", device.number, device.unacked));
        }
        self.stats.messages = self.checker.messages();
        self.stats.acks = self.checker.acks();
        self.stats.reactions = self.checker.reactions.iter().sum();
        self.stats.failed = total.failed;
        self.stats.retried = total.retried;
        self.stats.skipped = total.skipped;
        self.stats.dropped = dropped;
        Ok(())
    }
}
