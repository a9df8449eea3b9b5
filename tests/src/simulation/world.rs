//! The simulated world: a hub, its devices, the long jobs that somebody must go on with, and time.

use tidegate_broker::CloseReason;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_core::{Report, Timestamp};
use tidegate_host::Now;
use tidegated::hub::ToUplink;
use tidegated::runner::Work;

use super::check::{Checker, Stats, Violation};
use super::device::Device;
use super::disks::Disks;
use super::handlers::{Folders, KINDS, NAMES};
use super::house::{BEHIND_BYTES_MAX, House, LIMITS, RECEIVE_MAX};
use super::pushes::Pushes;
use super::random::Random;
use super::releases::{OUT, PUSHED};
use super::troubles::Harm;
use super::upstream::Upstream;
use super::weather::Climate;
use crate::mqtt::packet::Packet;

pub(super) const DEVICES: usize = 4;
/// The first device only listens: to every reaction.
pub(super) const WATCHER: usize = 0;

pub(super) struct World<'a> {
    pub(super) folders: &'a Folders,
    pub(super) random: Random,
    pub(super) climate: Climate,
    pub(super) now_us: u64,
    /// When the gateway that runs was switched on.
    pub(super) on_us: u64,
    pub(super) disks: Disks,
    pub(super) house: House,
    pub(super) upstream: Upstream,
    pub(super) devices: Vec<Device>,
    pub(super) checker: Checker,
    pub(super) stats: Stats,
    pub(super) harm: Harm,
    /// Somebody pushes in this seed.
    pub(super) pushes: Option<Pushes>,
}

/// Runs `steps` random steps and a quiet phase.
///
/// # Errors
/// The first promise that did not hold.
pub fn run(folders: &Folders, seed: u64, steps: u64) -> Result<Stats, Violation> {
    run_with(folders, seed, steps, None)
}

/// The same with somebody who pushes.
///
/// # Errors
/// The first promise that did not hold.
pub fn run_pushing(folders: &Folders, seed: u64, steps: u64) -> Result<Stats, Violation> {
    run_with(folders, seed, steps, Some(Pushes::new(seed)))
}

fn run_with(
    folders: &Folders,
    seed: u64,
    steps: u64,
    pushes: Option<Pushes>,
) -> Result<Stats, Violation> {
    let fail = |what| Violation { seed, step: 0, what };
    let mut world = World::new(folders, seed, pushes).map_err(fail)?;
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
    let (cuts, harm) = (world.stats.power_cuts, world.harm);
    done.map_err(|what| Violation {
        seed,
        step,
        what: format!("{what} (after {cuts} power cuts, {harm:?})"),
    })?;
    world.stats.steps = steps;
    world.stats.virtual_ms = world.now_us / 1000;
    Ok(world.stats)
}

impl<'a> World<'a> {
    pub(super) fn new(
        folders: &'a Folders,
        seed: u64,
        pushes: Option<Pushes>,
    ) -> Result<World<'a>, String> {
        let mut random = Random::new(seed);
        let climate = Climate::new(&mut random);
        let disks = Disks::new(seed);
        let refuses_one_in = if random.chance(1, 4) { 40 } else { 0 };
        let pusher = pushes.as_ref().map(|pushes| &pushes.fleet);
        let house = House::start(folders, &disks, climate.quota_bytes, seed, pusher)?;
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
            harm: Harm::default(),
            pushes,
        })
    }

    pub(super) fn now(&self) -> Now {
        let unix_us = 1_700_000_000_000_000 + self.now_us as i64;
        Now {
            mono_us: self.now_us - self.on_us,
            wall: WallTime { unix_us, quality: ClockQuality::Ntp },
        }
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        Timestamp((self.now_us - self.on_us) / 1000)
    }

    pub(super) fn step(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..16 => self.act(),
            16..34 => self.feed(),
            34..50 => self.go_on(),
            50..55 if self.random.chance(1, 100) => self.pass_hours()?,
            50..55 => self.pass_time(),
            55..70 if self.random.chance(1, self.climate.store_one_in) => self.store()?,
            55..70 => {}
            70..80 => self.go_up()?,
            _ => self.turn()?,
        }
        self.push()?;
        self.listen()?;
        if self.climate.cuts_one_in > 0 && self.random.chance(1, self.climate.cuts_one_in) {
            self.lose_power()?;
        }
        self.check()
    }

    /// A device does something.
    pub(super) fn act(&mut self) {
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

    pub(super) fn connect(&mut self, number: usize) {
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
    pub(super) fn cut(&mut self, number: usize) {
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
    pub(super) fn feed(&mut self) {
        let number = self.random.below(DEVICES as u64) as usize;
        let most =
            if self.random.chance(1, 3) { 1 + self.random.below(30) as usize } else { usize::MAX };
        self.give(number, most);
    }

    pub(super) fn give(&mut self, number: usize, most: usize) {
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
    pub(super) fn go_on(&mut self) {
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

    pub(super) fn pass_time(&mut self) {
        let ms = self.random.below(60);
        self.wait(1_000 * ms);
    }

    pub(super) fn wait(&mut self, us: u64) {
        self.now_us += us;
        let (now, wall) = (self.timestamp(), self.now().wall);
        self.house.hub.handle_timeout(now, wall);
    }

    pub(super) fn turn(&mut self) -> Result<(), String> {
        let now = self.now();
        self.house.hub.turn(now);
        self.house.gather();
        while let Some(what) = self.house.hub.poll_uplink() {
            let what = match (what, &mut self.pushes) {
                (ToUplink::Listen(filter), Some(pushes)) => {
                    pushes.post.listen(filter);
                    continue;
                }
                (ToUplink::Tell(message), Some(pushes)) => {
                    pushes.post.tell(message);
                    continue;
                }
                (what, _) => what,
            };
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
                Report::Release(answer) if self.harm == Harm::default() => {
                    if let Some(pushes) = &mut self.pushes {
                        pushes.answers.push(answer);
                    }
                }
                _ => {}
            }
        }
        if let Some(pushes) = &mut self.pushes {
            let has_line = self.house.hub.gateway().handlers().any(|(_, name, ..)| name == PUSHED);
            pushes.watch.look(has_line, self.checker.messages());
        }
        Ok(())
    }

    /// What the gateway has to say reaches the devices: the watcher first, so that a reaction that
    /// left before an ack is seen before it.
    pub(super) fn listen(&mut self) -> Result<(), String> {
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
        if let Some(pushes) = &mut self.pushes {
            pushes.hear_answers()?;
        }
        Ok(())
    }

    pub(super) fn hear(&mut self, number: usize, packet: Packet) -> Result<(), String> {
        match packet {
            Packet::Publish(message) if message.topic.starts_with(OUT) => {
                let (version, payload) = (&message.topic[OUT.len()..], &message.payload);
                let Some(pushes) = &mut self.pushes else {
                    return Err(format!("{} reacts, and nobody pushed it", message.topic));
                };
                pushes.watch.reacted(version, payload, &self.checker, self.harm)
            }
            Packet::Publish(message) => self.checker.reacted(&message.topic, &message.payload),
            Packet::PubAck { packet_id } => {
                let id = self.devices[number].unacked.remove(&packet_id);
                let id =
                    id.ok_or_else(|| format!("device {number}: an ack for nothing, {packet_id}"))?;
                self.checker.acked(id)?;
                if let Some(pushes) = &mut self.pushes {
                    pushes.watch.acked(id, &self.checker);
                }
                Ok(())
            }
            Packet::ConnAck { .. } => {
                self.devices[number].connected = true;
                Ok(())
            }
            Packet::SubAck { .. } | Packet::UnsubAck { .. } | Packet::PingResp => Ok(()),
            Packet::Other(kind) => Err(format!("device {number}: packet {kind} out of nowhere")),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let inside = self.house.hub.gateway().messages();
        // QoS 1 may overdraw by what a source had under way, once for each handler; and again with every connection, until
        // it is hung up on.
        let most = LIMITS.messages_max * 4 + NAMES.len();
        if inside > most {
            return Err(format!("{inside} messages inside, at most {most} are allowed"));
        }
        let behind = self.house.behind_bytes();
        if behind > BEHIND_BYTES_MAX {
            return Err(format!(
                "{behind} bytes of commits wait for the store, at most {BEHIND_BYTES_MAX} are allowed"
            ));
        }
        Ok(())
    }
}
