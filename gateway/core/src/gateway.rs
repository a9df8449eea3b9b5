//! The hub's logic: hands inputs to the machines and their answers on. The only file that knows two
//! machines at once.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::commit::{LedgerLine, Waiting};
use crate::commits::Commits;
use crate::control::Control;
use crate::deploy::{Deployments, HandlerCounters};
use crate::drops::Drops;
use crate::effect::{DropReason, Effect, Report};
use crate::follow::Follows;
use crate::fresh::Fresh;
use crate::input::Input;
use crate::intake::Intake;
use crate::job::HandlerId;
use crate::limits::{CommitLimits, Limits, OutboxLimits};
use crate::local::{Local, LocalSide};
use crate::message::Message;
use crate::outbox::pace::Pace;
use crate::outbox::{Backlogged, Outbox, UplinkState};
use crate::pins::{PinBook, Pins};
use crate::releases::Releases;
use crate::routes::Routes;
use crate::schedule::{Phase, Schedule};
use crate::seen::SeenWindow;
use crate::stream::Streams;
use crate::time::Timestamp;

mod answers;
mod durable;
mod handlers;
mod invokes;
mod logs;
mod messages;
mod migration;
mod pins;
mod releases;
mod upstream;

use releases::Pending;

/// Refused control messages a second that are answered: whoever floods us must not flood others through us.
const REFUSALS_PER_S: u32 = 50;

/// What is durable and what goes upstream: the meaning of `[store]`, `[uplink]`, `[[stream]]` and `[[forward]]`.
#[derive(Clone, Debug)]
pub struct Durability {
    pub commits: CommitLimits,
    pub outbox: OutboxLimits,
    pub streams: Arc<Streams>,
    /// There is somebody to send records to.
    pub has_uplink: bool,
}

impl Default for Durability {
    /// No streams and no uplink: what is durable is the handlers' state.
    fn default() -> Durability {
        Durability {
            commits: CommitLimits::DEV,
            outbox: OutboxLimits::DEV,
            streams: Arc::default(),
            has_uplink: false,
        }
    }
}

/// The gateway: everything that decides. Feed it with [`Gateway::handle_input`] and
/// [`Gateway::handle_timeout`]; then take effects until there are none.
#[derive(Debug)]
pub struct Gateway {
    limits: Limits,
    local: Local,
    intake: Intake,
    routes: Routes,
    schedule: Schedule,
    deployments: Deployments,
    control: Control,
    fresh: Fresh,
    /// The gateway has something to say of itself.
    report_due: bool,
    follows: Follows,
    releases: Releases,
    /// Lines that change hands when their job has ended.
    pending: BTreeMap<HandlerId, Pending>,
    /// The machine's pace, once it is measured.
    fuel_per_ms: Option<u64>,
    /// The board's pins, and how they are.
    pins: Arc<Pins>,
    pin_book: PinBook,
    seen: SeenWindow,
    drops: Drops,
    commits: Commits,
    outbox: Outbox,
    /// How many dead letters may still be written.
    letters: Pace,
    /// How many refused control messages may still be answered.
    refusals: Pace,
    /// The store has failed and has not made anything durable since.
    store_failing: bool,
    /// When the latest input came.
    now: Timestamp,
    effects: VecDeque<Effect>,
    /// Handlers of the message at hand; kept for its memory.
    found: Vec<HandlerId>,
}

impl Gateway {
    /// `seed` varies the waits between attempts to reach others, and nothing else.
    pub fn new(limits: Limits, side: LocalSide, durability: Durability, seed: u64) -> Gateway {
        let Durability { commits, outbox, streams, has_uplink } = durability;
        Gateway {
            limits,
            local: Local::new(side, &limits, seed),
            intake: Intake::new(limits.messages_max, limits.messages_bytes_max),
            routes: Routes::new(limits.filters_max),
            schedule: Schedule::new(limits),
            deployments: Deployments::default(),
            control: Control::default(),
            fresh: Fresh::default(),
            report_due: false,
            follows: Follows::default(),
            releases: Releases::new(limits.failures_max),
            pending: BTreeMap::new(),
            fuel_per_ms: None,
            pins: Arc::default(),
            pin_book: PinBook::default(),
            seen: SeenWindow::new(commits.seen_max),
            drops: Drops::default(),
            letters: Pace::with_burst(outbox.dead_letters_per_s, outbox.dead_letters_burst),
            refusals: Pace::new(REFUSALS_PER_S),
            commits: Commits::new(commits),
            outbox: Outbox::new(outbox, streams, has_uplink, seed),
            store_failing: false,
            now: Timestamp(0),
            effects: VecDeque::new(),
            found: Vec::new(),
        }
    }

    /// Tells which pins the board has. Without it there are none.
    pub fn set_pins(&mut self, pins: Arc<Pins>) {
        self.pins = pins;
    }

    /// Takes one input. Effects wait in [`Gateway::poll_effect`].
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        self.now = now;
        match input {
            Input::Message { message, ack } => self.handle_message(message, ack),
            Input::Retained { handler, message } => {
                let message = Arc::new(Message { retain: true, ..message });
                self.admit(handler, &message, None);
            }
            Input::SourceGone { source } => self.intake.forget(source),
            Input::Deploy { handler, manifest } => self.handle_deploy(handler, manifest),
            Input::Checked { handler, check, result } => {
                self.releases.handle_checked(handler, check, result);
            }
            Input::Migrated { handler, check, result } => {
                self.handle_migrated(handler, check, result);
            }
            Input::Registered(registered) => self.handle_registered(registered),
            Input::FromUpstream { topic, payload } => self.handle_from_upstream(topic, payload),
            Input::Examined { id, examined } => self.handle_examined(id, examined),
            Input::Signed { topic, payload, retain } => self.handle_signed(topic, payload, retain),
            Input::Pace { fuel_per_ms } => self.fuel_per_ms = Some(fuel_per_ms),
            Input::Unsigned { answer, tries, reason } => {
                self.handle_unsigned(now, answer, tries, reason);
            }
            Input::Told(message) => self.control.told(&message),
            Input::Outcome(outcome) => self.handle_outcome(now, outcome),
            Input::LocalUp { session_present } => self.handle_local_up(now, session_present),
            Input::LocalDown { reason } => {
                let wait = self.local.handle_down(now);
                if self.local.take_refused() {
                    self.report(Report::RetainedRefused);
                    self.effects.push_back(Effect::Unretain);
                }
                let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.report(Report::LocalLost { reason, retry_ms });
            }
            Input::Restored(restored) => self.handle_restored(&restored),
            Input::Pin { pin, level, at } => self.handle_pin(pin, level, at),
            Input::Committed(committed) => self.handle_committed(&committed),
            Input::StoreFailing { reason } => self.handle_store_failing(reason),
            Input::StoreFull => self.outbox.handle_full(),
            Input::Evicted(evicted) => self.handle_evicted(&evicted),
            Input::Fetched(fetched) => self.outbox.handle_fetched(fetched),
            Input::UplinkUp => self.handle_uplink_up(),
            Input::UplinkDown { reason } => self.handle_uplink_down(reason),
            Input::Delivered { seq } => _ = self.outbox.handle_delivered(now, seq),
            Input::Refused { seq, refusal } => self.handle_refused(seq, refusal),
            Input::ClockKnown { start_unix_us } => {
                if let Some(clock) = self.outbox.boots().know(start_unix_us) {
                    self.commits.know_clock(clock);
                }
            }
            Input::Stopping => {
                self.releases.handle_stop();
                self.pump_releases();
                self.commits.take_all();
                self.outbox.handle_stop();
            }
        }
        self.pump_releases();
        self.say_report();
        self.pump();
        self.resume_sources();
    }

    /// Lets due timers fire. May be called late, or twice.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = now;
        self.commits.handle_timeout(now);
        self.outbox.handle_timeout(now);
        self.schedule.handle_timeout(now);
        self.end_probations(now);
        self.sign_again(now);
        if self.fresh.handle_timeout(now) {
            self.tell_stale(true);
        }
        self.pump_releases();
        self.say_report();
        if self.local.handle_timeout(now) {
            self.effects.push_back(Effect::ConnectLocal);
        }
        self.pump();
    }

    /// When [`Gateway::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let lines = [self.schedule.poll_timeout(), self.local.poll_timeout()];
        let durable = [self.commits.poll_timeout(), self.outbox.poll_timeout()];
        let durable =
            durable.into_iter().chain([self.releases.poll_timeout(), self.control.poll_timeout()]);
        let durable = durable.chain([self.fresh.poll_timeout()]);
        lines.into_iter().chain(durable).flatten().min()
    }

    /// The next thing to do. Jobs come last, so that a batch is as large as what has arrived.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.poll_urgent().or_else(|| {
            let job = if self.commits.is_full() {
                None
            } else {
                self.schedule.poll_job(self.pin_book.levels())
            }?;
            self.resume_sources();
            Some(Effect::Run(job))
        })
    }

    /// The next thing to do that is no job. A commit comes last, so that it has all that came before.
    pub fn poll_urgent(&mut self) -> Option<Effect> {
        self.effects.pop_front().or_else(|| self.poll_commit())
    }

    /// Whether a job waits in [`Gateway::poll_effect`].
    pub fn has_job(&self) -> bool {
        self.schedule.has_job() && !self.commits.is_full()
    }

    /// Messages waiting or running.
    pub fn messages(&self) -> usize {
        self.intake.used()
    }

    /// Whether everything that must last does. State that can wait may still wait.
    pub fn is_settled(&self) -> bool {
        self.commits.is_settled()
    }

    /// Whether upstream is there.
    pub fn is_uplink_up(&self) -> bool {
        self.outbox.is_up()
    }

    /// The streams that are configured.
    pub fn streams(&self) -> &Streams {
        self.outbox.streams()
    }

    /// What waits to go upstream, by stream.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.outbox.waiting()
    }

    /// What waits by stream, with how long it has waited and how fast it went lately. It looks through what is in
    /// memory: for people who ask, not for every turn.
    pub fn backlog(&self, now: Timestamp) -> Vec<Backlogged> {
        self.outbox.view(now)
    }

    /// How upstream is.
    pub fn uplink(&self) -> UplinkState {
        self.outbox.uplink()
    }

    /// Records that were sent and have no answer yet.
    pub fn under_way(&self) -> usize {
        self.outbox.under_way()
    }

    /// What was given up, by stream and reason.
    pub fn losses(&self) -> impl Iterator<Item = &LedgerLine> {
        self.outbox.losses()
    }

    /// How many of the board's pins cannot be used at the moment.
    pub fn pins_away(&self) -> usize {
        let levels = self.pin_book.levels();
        self.pins.iter().filter(|(id, _)| levels.get(*id).is_none()).count()
    }

    /// How often a pin that could be used could not any more.
    pub fn pins_lost(&self) -> u64 {
        self.pin_book.lost()
    }

    /// How many messages were dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.total(reason)
    }

    /// Every handler with its name, phase and counters.
    pub fn handlers(&self) -> impl Iterator<Item = (HandlerId, &str, Phase, HandlerCounters)> {
        self.deployments.iter().filter_map(|(id, name, counters)| {
            let phase = self.schedule.phase(id)?;
            Some((id, name, phase, counters))
        })
    }

    fn count_drop(&mut self, reason: DropReason) {
        let report = self.drops.count(reason);
        self.effects.extend(report.map(Effect::Report));
    }

    fn report(&mut self, report: Report) {
        self.effects.push_back(Effect::Report(report));
    }
}

#[cfg(test)]
mod tests;
