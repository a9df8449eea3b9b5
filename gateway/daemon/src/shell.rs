//! The hub as the tasks of its thread share it: with the clock, and the bell that asks for a turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tidegate_broker::Broker;
use tidegate_core::Input;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::hub::Hub;

/// What the front door may take in before the turns have caught up: some hundred messages, so that a
/// burst on many connections neither fills the handlers' lines nor delays the first reaction by much.
const READ_AHEAD_BYTES: usize = 64 * 1024;

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
        Rc::new(Shell { clock, hub: RefCell::new(hub), rung, fed, caught_up: Notify::new(), waker })
    }

    /// Asks for a turn. It comes after the tasks that are ready now, so that they share it.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether the front door may take in more before the turns have caught up.
    pub fn may_read(&self) -> bool {
        self.fed.get() < READ_AHEAD_BYTES
    }

    /// The front door has taken in so much.
    pub fn count_fed(&self, bytes: usize) {
        self.fed.set(self.fed.get() + bytes);
    }

    pub async fn until_caught_up(&self) {
        self.caught_up.notified().await;
    }

    /// Hands one input to the core.
    pub fn input(&self, input: Input) {
        self.hub.borrow_mut().handle_input(self.clock.timestamp(), input);
        self.ring();
    }

    pub fn with_hub<T>(&self, act: impl FnOnce(&mut Hub) -> T) -> T {
        act(&mut self.hub.borrow_mut())
    }

    /// Lends the front door. Only its driver asks.
    pub fn with_door<T>(&self, act: impl FnOnce(&mut Broker) -> T) -> T {
        let mut hub = self.hub.borrow_mut();
        let door = hub.door();
        act(door.expect("a front-door driver runs only where there is a front door"))
    }

    /// Whether the bell has rung since the last time; if not, it will wake whoever asks.
    pub fn poll_rung(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.rung.take() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// The turns have caught up: the front door may read on.
    pub fn caught_up(&self) {
        self.fed.set(0);
        self.caught_up.notify_waiters();
    }
}
