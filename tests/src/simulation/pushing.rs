//! The world's side of pushes: when persons act, what is carried, and what must have come of it at the end.

use tidegate_journal::Faults;

use super::books;
use super::pushes::Pushes;
use super::releases::Kind;
use super::world::World;

/// Quiet turns after which the last order is sent again.
const AGAIN_TURNS: usize = 500;

impl World<'_> {
    /// Persons push, messages travel, the desk works; in the seeds in which somebody pushes.
    pub(super) fn push(&mut self) -> Result<(), String> {
        let Some(mut pushes) = self.pushes.take() else {
            return Ok(());
        };
        pushes.act(self);
        if pushes.random.chance(1, 3) {
            pushes.feed(self);
        }
        let works = pushes.random.chance(1, 3);
        let cuts = self.climate.cuts_one_in;
        if works && cuts > 0 && pushes.random.chance(1, cuts) {
            let at = self.disks.drive.operations() + 1 + pushes.random.below(8);
            let faults = self.disks.journal.lend().faults;
            self.disks.drive.set_faults(Faults { cut_at: Some(at), ..faults });
        }
        let carried = self.carry(&mut pushes);
        self.pushes = Some(pushes);
        carried?;
        if works {
            self.examine()?;
        }
        Ok(())
    }

    /// One message moves, if there is a link.
    fn carry(&mut self, pushes: &mut Pushes) -> Result<(), String> {
        if self.upstream.is_down() {
            pushes.cut();
        } else if self.upstream.is_up()
            && pushes.random.chance(1, 2)
            && let Some(input) = pushes.carry()?
        {
            let now = self.timestamp();
            self.house.hub.handle_input(now, input);
        }
        Ok(())
    }

    /// The desk does one thing.
    fn examine(&mut self) -> Result<(), String> {
        let now = self.timestamp();
        if self.house.release_step(now) { Ok(()) } else { self.lose_power() }
    }

    /// The last order: a good one. In the end it runs.
    pub(super) fn push_last(&mut self) {
        let Some(mut pushes) = self.pushes.take() else {
            return;
        };
        pushes.post.withholds_one_in = 0;
        let release = pushes.order(self, Kind::Good);
        pushes.send(&release);
        self.pushes = Some(pushes);
    }

    /// Nobody pushes anything new; what is under way arrives.
    pub(super) fn push_quietly(&mut self, turn: usize) -> Result<(), String> {
        let Some(mut pushes) = self.pushes.take() else {
            return Ok(());
        };
        if turn % AGAIN_TURNS == AGAIN_TURNS - 1 && !pushes.is_converged() {
            pushes.send_again();
        }
        pushes.feed(self);
        let carried = self.carry(&mut pushes);
        self.pushes = Some(pushes);
        carried?;
        self.examine()
    }

    /// What must have come of it.
    pub(super) fn settle_pushes(&mut self) -> Result<(), String> {
        let Some(pushes) = &self.pushes else {
            return Ok(());
        };
        let lost = self.upstream.announced().max(books::untold(&self.upstream));
        pushes.watch.balance(&self.upstream, lost, self.harm)?;
        self.stats.orders = pushes.orders();
        self.stats.forged = pushes.forged;
        self.stats.replayed = pushes.replayed;
        self.stats.activated = pushes.watch.activated;
        self.stats.refused = pushes.watch.refused;
        self.stats.taken_back = pushes.watch.taken_back;
        self.stats.pushed = pushes.watch.reactions;
        Ok(())
    }
}
