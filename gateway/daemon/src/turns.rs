//! The turn: what has come in goes through the hub, and what the hub has to say goes out.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::alarm::Alarm;
use crate::counters::Troubles;
use crate::front_door::FrontDoor;
use crate::hub::Hub;
use crate::local_client::LocalClient;
use crate::pins::PinDriver;
use crate::release_driver::ReleaseDriver;
use crate::report::Reporter;
use crate::shell::Shell;
use crate::store_driver::StoreDriver;
use crate::threads::{Said, Threads};
use crate::uplink::Uplink;

/// Turns behind each other that leave something undone before the front door reads on all the same:
/// whoever keeps the turns busy must not keep the others out.
const TURNS_BEHIND_MAX: u32 = 4;

/// The driver of the local side.
#[derive(Debug)]
pub enum LocalDriver {
    FrontDoor(Rc<FrontDoor>),
    Client(Rc<LocalClient>),
}

/// The drivers that have threads of their own.
pub struct Drivers {
    pub threads: Threads,
    pub store: StoreDriver,
    pub uplink: Option<Uplink>,
    pub releases: ReleaseDriver,
    pub pins: Option<PinDriver>,
}

/// All that a turn needs beside the hub.
pub struct Turns {
    shell: Rc<Shell>,
    driver: LocalDriver,
    threads: Threads,
    store: StoreDriver,
    uplink: Option<Uplink>,
    releases: ReleaseDriver,
    pins: Option<PinDriver>,
    alarm: Alarm,
    reporter: Reporter,
    troubles: Troubles,
    /// Turns in a row that have left something undone.
    behind: u32,
}

impl Turns {
    pub fn new(shell: Rc<Shell>, driver: LocalDriver, drivers: Drivers) -> Turns {
        let Drivers { threads, store, uplink, releases, pins } = drivers;
        let alarm = Alarm::new(shell.clock);
        let (reporter, troubles) = (Reporter::default(), Troubles::default());
        Turns {
            shell,
            driver,
            threads,
            store,
            uplink,
            releases,
            pins,
            alarm,
            reporter,
            troubles,
            behind: 0,
        }
    }

    /// Takes turns until the future is dropped.
    pub async fn run(mut self) {
        loop {
            poll_fn(|context| self.poll_due(context)).await;
            self.turn();
        }
    }

    /// Ready when there is something to do: the bell rang, a thread has finished, or a deadline is due.
    fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.shell.clock;
        let mut due = self.shell.poll_rung(context).is_ready();
        while let Poll::Ready(Some(said)) = self.threads.poll_said(context) {
            self.shell.with_hub(|hub| match said {
                Said::Done(done) => hub.handle_done(clock.timestamp(), done),
                Said::Pace { fuel_per_ms } => hub.calibrate(clock.timestamp(), fuel_per_ms),
            });
            due = true;
        }
        while let Poll::Ready(Some(input)) = self.store.poll_said(context) {
            self.shell.with_hub(|hub| hub.handle_input(clock.timestamp(), input));
            due = true;
        }
        while let Poll::Ready(Some(input)) = self.releases.poll_said(context) {
            self.shell.with_hub(|hub| hub.handle_input(clock.timestamp(), input));
            due = true;
        }
        while let Some(uplink) = &mut self.uplink
            && let Poll::Ready(Some(input)) = uplink.poll_said(context)
        {
            self.shell.with_hub(|hub| hub.handle_input(clock.timestamp(), input));
            due = true;
        }
        while let Some(pins) = &mut self.pins
            && let Poll::Ready(Some(input)) = pins.poll_said(context)
        {
            self.shell.with_hub(|hub| hub.handle_input(clock.timestamp(), input));
            due = true;
        }
        let next = self.shell.with_hub(|hub| hub.poll_timeout());
        if self.alarm.poll(next, context).is_ready() {
            self.shell.with_hub(|hub| hub.handle_timeout(clock.timestamp(), clock.wall()));
            due = true;
        }
        if due { Poll::Ready(()) } else { Poll::Pending }
    }

    fn turn(&mut self) {
        let shell = &self.shell;
        let done = shell.with_hub(|hub| {
            let done = hub.turn(shell.clock.now());
            if let Some(pins) = &self.pins {
                pins.send(std::iter::from_fn(|| hub.poll_pin()));
            }
            while let Some(work) = hub.runner().poll_work() {
                self.threads.send(work);
            }
            while let Some(what) = hub.poll_store() {
                self.store.send(what);
            }
            while let Some(what) = hub.poll_releases() {
                self.releases.send(what);
            }
            if let Some(uplink) = &self.uplink {
                uplink.send(std::iter::from_fn(|| hub.poll_uplink()));
            }
            done
        });
        while let Some(report) = shell.with_hub(Hub::poll_report) {
            self.reporter.tell(shell.clock.timestamp(), report);
        }
        match &self.driver {
            LocalDriver::FrontDoor(door) => {
                door.flush(shell);
                let clock = shell.clock;
                shell.with_door(|door| self.troubles.look(|| clock.timestamp(), door.counters()));
            }
            LocalDriver::Client(client) => client.send(shell),
        }
        // Reactions are on their way: now there is time.
        shell.with_hub(|hub| hub.runner().tidy());
        self.behind = if done { 0 } else { self.behind + 1 };
        if self.behind.is_multiple_of(TURNS_BEHIND_MAX) {
            shell.caught_up();
        }
        if !done {
            shell.ring();
        }
    }
}
