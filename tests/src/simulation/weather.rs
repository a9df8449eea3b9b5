//! What goes wrong outside: power, disk, link, and hours in which nothing happens.

use tidegate_journal::Faults;

use super::house::House;
use super::random::Random;
use super::troubles::Trouble;
use super::world::{DEVICES, WATCHER, World};

const HOUR_US: u64 = 3_600_000_000;
/// Steps that some hours of silence take at most.
const HOURS_STEPS: usize = 60;

/// What this seed's world is like.
pub(super) struct Climate {
    /// The journal's share of the disk: some seeds have little.
    pub quota_bytes: u64,
    /// Power cuts, once in so many steps; 0 is never.
    pub cuts_one_in: u64,
    pub faults: Faults,
    /// The disk is slow: the store gets to work once in so many times.
    pub store_one_in: u64,
    pub trouble: Trouble,
}

impl Climate {
    pub fn new(random: &mut Random) -> Climate {
        let quota_bytes = if random.chance(1, 4) { 128 * 1024 } else { 4 * 1024 * 1024 };
        let cuts_one_in = *random.pick(&[0, 0, 400, 150]);
        let sync_error_one_in = if random.chance(1, 4) { 50 } else { 0 };
        let write_error_one_in = if random.chance(1, 4) { 80 } else { 0 };
        let faults = Faults { sync_error_one_in, write_error_one_in, ..Faults::default() };
        let store_one_in = *random.pick(&[1, 1, 40]);
        // Lives begin with a cut.
        let trouble = if cuts_one_in > 0 { Trouble::choose(random) } else { Trouble::None };
        Climate { quota_bytes, cuts_one_in, faults, store_one_in, trouble }
    }
}

impl Climate {
    /// Nothing goes wrong.
    pub fn calm() -> Climate {
        Climate {
            quota_bytes: 4 * 1024 * 1024,
            cuts_one_in: 0,
            faults: Faults::default(),
            store_one_in: 1,
            trouble: Trouble::None,
        }
    }
}

impl World<'_> {
    /// Hours in which devices say nothing. Timers ring and the link comes and goes; then the rest passes at once.
    pub(super) fn pass_hours(&mut self) -> Result<(), String> {
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
            self.turn()?;
            // The store may lose the power, and what has left before that is heard.
            self.listen()?;
            self.go_on();
            self.store()?;
            self.go_up()?;
            if self.now_us >= end_us {
                return Ok(());
            }
        }
        self.wait(end_us - self.now_us);
        Ok(())
    }

    /// The store works. Now and then the power goes in the middle of it.
    pub(super) fn store(&mut self) -> Result<(), String> {
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
    pub(super) fn go_up(&mut self) -> Result<(), String> {
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
    pub(super) fn go_up_quietly(&mut self) -> Result<(), String> {
        let now = self.timestamp();
        if let Some(said) = self.upstream.step(&mut self.random)? {
            self.house.hub.handle_input(now, said);
        }
        Ok(())
    }

    /// The power goes, and comes back. Devices find their connections gone, and send again what was not acked.
    pub(super) fn lose_power(&mut self) -> Result<(), String> {
        self.stats.power_cuts += 1;
        self.upstream.power_cut(&mut self.random);
        if let Some(pushes) = &mut self.pushes {
            pushes.lose_power();
        }
        for device in &mut self.devices {
            device.disconnect();
        }
        let seed = self.random.draw();
        // The power may go again while the gateway starts.
        let life = self.life();
        for _ in 0..8 {
            self.disks.cut();
            self.rot();
            let again = self.random.chance(1, 4);
            let at = self.disks.journal.lend().operations() + self.random.below(20);
            let read_only = life.read_only;
            self.set_faults(Faults { cut_at: again.then_some(at), read_only, ..Faults::default() });
            let pusher = self.pushes.as_ref().map(|pushes| &pushes.fleet);
            match House::start(self.folders, &self.disks, self.climate.quota_bytes, seed, pusher) {
                // It went while it started, and nothing that it read after that is true.
                Ok(_) if self.pushes.is_some() && self.disks.journal.lend().is_down() => {}
                Ok(house) => {
                    self.house = house;
                    self.set_faults(life);
                    self.on_us = self.now_us;
                    self.connect(WATCHER);
                    if let Some(pushes) = &mut self.pushes {
                        pushes.started(&self.house, self.harm)?;
                    }
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

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.disks.journal.lend().faults = faults;
        self.disks.drive.set_faults(Faults { cut_at: None, ..faults });
    }
}
