//! Where the hub meets one thread's tasks: the clock, the bell that asks for a turn, and the turn itself.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tidegate_broker::Broker;
use tidegate_core::time::WallTime;
use tidegate_core::{Input, Timestamp};
use tokio::sync::Notify;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::counters::Troubles;
use crate::front_door::FrontDoor;
use crate::hub::Hub;
use crate::local_client::LocalClient;
use crate::report::Reporter;
use crate::threads::{Said, Threads};

/// What the front door may take in before the turns have caught up: some hundred messages, so that a
/// burst on many connections neither fills the handlers' lines nor delays the first reaction by much.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Turns behind each other that leave something undone before the front door reads on all the same:
/// whoever keeps the turns busy must not keep the others out.
const TURNS_BEHIND_MAX: u32 = 4;

/// The driver of the local side.
#[derive(Debug)]
pub enum LocalDriver {
    FrontDoor(Rc<FrontDoor>),
    Client(Rc<LocalClient>),
}

/// The hub as the tasks of its thread share it. Nothing here is held across an await.
pub struct Shell {
    pub clock: Clock,
    hub: RefCell<Hub>,
    rung: Cell<bool>,
    /// Bytes that the front door has taken since the last turn.
    fed: Cell<usize>,
    /// Rings when the front door may read on.
    caught_up: Notify,
    waker: RefCell<Option<Waker>>,
}

impl Shell {
    pub fn new(clock: Clock, hub: Hub) -> Rc<Shell> {
        let (rung, fed, waker) = (Cell::new(true), Cell::new(0), RefCell::new(None));
        Rc::new(Shell {
            clock,
            hub: RefCell::new(hub),
            rung,
            fed,
            caught_up: Notify::new(),
            waker,
        })
    }

    /// Asks for a turn. It comes after the tasks that are ready now, so that they share it.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The front door has taken in `bytes`; waits when much is waiting already.
    pub async fn pace(&self, bytes: usize) {
        self.fed.set(self.fed.get() + bytes);
        if self.fed.get() >= READ_AHEAD_BYTES {
            self.caught_up.notified().await;
        }
    }

    /// Hands one input to the core.
    pub fn input(&self, input: Input) {
        self.hub
            .borrow_mut()
            .handle_input(self.clock.timestamp(), input);
        self.ring();
    }

    pub fn with_hub<T>(&self, act: impl FnOnce(&mut Hub) -> T) -> T {
        act(&mut self.hub.borrow_mut())
    }

    /// Lends the front door. Only its driver asks.
    pub fn with_door<T>(&self, act: impl FnOnce(&mut Broker, Timestamp, WallTime) -> T) -> T {
        let mut hub = self.hub.borrow_mut();
        let door = hub
            .door()
            .expect("a front-door driver runs only where there is a front door");
        act(door, self.clock.timestamp(), self.clock.wall())
    }

    /// Takes turns until the future is dropped.
    pub async fn run(
        self: Rc<Self>,
        driver: LocalDriver,
        mut threads: Threads,
        mut reporter: Reporter,
    ) {
        let mut alarm = Alarm::new(self.clock);
        let mut behind = 0_u32;
        let mut troubles = Troubles::default();
        loop {
            poll_fn(|context| self.poll_turn(&mut threads, &mut alarm, context)).await;
            let done = self.with_hub(|hub| {
                let done = hub.turn(self.clock.now());
                while let Some(work) = hub.runner().poll_work() {
                    threads.send(work);
                }
                done
            });
            while let Some(report) = self.with_hub(Hub::poll_report) {
                reporter.tell(self.clock.timestamp(), report);
            }
            match &driver {
                LocalDriver::FrontDoor(door) => {
                    door.flush(&self);
                    self.with_door(|door, now, _| troubles.look(now, door.counters()));
                }
                LocalDriver::Client(client) => client.send(&self),
            }
            self.with_hub(|hub| hub.runner().tidy());
            behind = if done { 0 } else { behind + 1 };
            if behind.is_multiple_of(TURNS_BEHIND_MAX) {
                self.fed.set(0);
                self.caught_up.notify_waiters();
            }
            if !done {
                self.ring();
            }
        }
    }

    /// Ready when there is something to do: the bell rang, a thread has finished, or a deadline is due.
    fn poll_turn(
        &self,
        threads: &mut Threads,
        alarm: &mut Alarm,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let mut hub = self.hub.borrow_mut();
        let mut due = self.rung.take();
        while let Poll::Ready(Some(said)) = threads.poll_said(context) {
            match said {
                Said::Done(done) => hub.handle_done(self.clock.timestamp(), done),
                Said::Pace { fuel_per_ms } => hub.runner().calibrate(fuel_per_ms),
            }
            due = true;
        }
        if alarm.poll(hub.poll_timeout(), context).is_ready() {
            hub.handle_timeout(self.clock.timestamp(), self.clock.wall());
            due = true;
        }
        if due {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
