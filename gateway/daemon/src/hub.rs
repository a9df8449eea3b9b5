//! The hub: one place that feeds the core and does what it says. No IO of its own: the front-door
//! and local-client drivers bring bytes and messages in and take them out, and say what time it is.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_broker::{Broker, Event as DoorEvent};
use tidegate_core::commit::Commit;
use tidegate_core::message::AckTo;
use tidegate_core::pins::PinWrite;
use tidegate_core::record::Sending;
use tidegate_core::store::{Evict, Fetch};
use tidegate_core::time::WallTime;
use tidegate_core::topic::Filter;
use tidegate_core::{Effect, Gateway, Input, Message, Report, Timestamp};
use tidegate_host::Now;
use tracing::debug;

use crate::release_desk::ToReleases;
use crate::runner::{Done, Runner};

/// What the local-client driver is to do next with an existing broker.
#[derive(Debug)]
pub enum ToBroker {
    Connect,
    Subscribe(Filter),
    /// Nothing is to be retained from now on, nor what still waits.
    Unretain,
    Publish(Arc<Message>),
    Ack(AckTo),
}

/// What the store driver is to do next.
#[derive(Debug)]
pub enum ToStore {
    Commit(Commit),
    Fetch(Fetch),
    Evict(Evict),
}

/// What the uplink driver is to do next.
#[derive(Debug)]
pub enum ToUplink {
    Connect,
    Drop,
    Send(Sending),
    /// Ask for control messages.
    Listen(Filter),
    /// Publish this, retained, beside the records.
    Tell(Arc<Message>),
}

/// The local side.
pub enum Local {
    /// When the front door is our own.
    FrontDoor(Box<Broker>),
    /// When there is an existing broker: what its driver is to do, oldest first. Bounded by the core's credits.
    Broker(VecDeque<ToBroker>),
}

/// Core, local side and runner, wired together.
pub struct Hub {
    gateway: Gateway,
    local: Local,
    runner: Runner,
    reports: VecDeque<Report>,
    /// For the store. Bounded by the core: commits by their bytes, one fetch and one eviction at a time.
    store: VecDeque<ToStore>,
    /// For the uplink. Bounded by its window.
    uplink: VecDeque<ToUplink>,
    /// For the release desk. Bounded by the core: so many messages are examined at once, and answers follow from them.
    releases: VecDeque<ToReleases>,
    /// For the pins. Taken in every turn; the driver bounds what waits.
    pins: VecDeque<PinWrite>,
    durable: Durable,
}

/// How much has become durable, and in how many steps: the second number in the first is how well commits share syncs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Commits that the core gave to the store.
    pub commits: u64,
    /// Groups of them that became durable together.
    pub syncs: u64,
}

impl Hub {
    pub fn new(gateway: Gateway, local: Local, runner: Runner) -> Hub {
        Hub {
            gateway,
            local,
            runner,
            reports: VecDeque::new(),
            store: VecDeque::new(),
            uplink: VecDeque::new(),
            releases: VecDeque::new(),
            pins: VecDeque::new(),
            durable: Durable::default(),
        }
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub fn durable(&self) -> Durable {
        self.durable
    }

    pub fn runner(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// The front door, when it is our own.
    pub fn door(&mut self) -> Option<&mut Broker> {
        match &mut self.local {
            Local::FrontDoor(broker) => Some(broker),
            Local::Broker(_) => None,
        }
    }

    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        if matches!(input, Input::Committed(_)) {
            self.durable.syncs += 1;
        }
        self.gateway.handle_input(now, input);
    }

    /// Work of the runner's has been done.
    pub fn handle_done(&mut self, now: Timestamp, done: Done) {
        let input = self.runner.handle_done(done);
        self.gateway.handle_input(now, input);
    }

    /// Does what there is to do: events of the front door go into the core, effects to where they belong,
    /// jobs run. False when it stopped because jobs have taken long enough; what they did so far can go
    /// out, then the next turn goes on.
    pub fn turn(&mut self, now: Now) -> bool {
        let timestamp = Timestamp(now.mono_us / 1000);
        let end = self.runner.begin_turn();
        loop {
            self.take_door_events(timestamp);
            if let Some(effect) = self.gateway.poll_urgent() {
                self.apply(timestamp, now, effect);
            } else if self.runner.is_over(end) {
                return !self.gateway.has_job() && !self.runner.is_waiting();
            } else if let Some(effect) = self.gateway.poll_effect() {
                self.apply(timestamp, now, effect);
            } else if self.runner.is_waiting() {
                if let Some(outcome) = self.runner.run_on(now) {
                    self.gateway.handle_input(timestamp, Input::Outcome(outcome));
                }
            } else {
                return true;
            }
        }
    }

    /// Lets due timers fire.
    pub fn handle_timeout(&mut self, now: Timestamp, wall: WallTime) {
        self.gateway.handle_timeout(now);
        if let Local::FrontDoor(broker) = &mut self.local {
            broker.handle_timeout(now, wall);
        }
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let door = match &self.local {
            Local::FrontDoor(broker) => broker.poll_timeout(),
            Local::Broker(_) => None,
        };
        [self.gateway.poll_timeout(), door].into_iter().flatten().min()
    }

    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// The next thing to do for an existing broker.
    pub fn poll_broker(&mut self) -> Option<ToBroker> {
        match &mut self.local {
            Local::FrontDoor(_) => None,
            Local::Broker(queue) => queue.pop_front(),
        }
    }

    /// The next thing for the store to do.
    pub fn poll_store(&mut self) -> Option<ToStore> {
        self.store.pop_front()
    }

    /// The next thing for the uplink to do.
    pub fn poll_uplink(&mut self) -> Option<ToUplink> {
        self.uplink.pop_front()
    }

    /// The next thing for the release desk to do.
    pub fn poll_releases(&mut self) -> Option<ToReleases> {
        self.releases.pop_front()
    }

    /// The next pin to set.
    pub fn poll_pin(&mut self) -> Option<PinWrite> {
        self.pins.pop_front()
    }

    /// The machine's pace has been measured.
    pub fn calibrate(&mut self, now: Timestamp, fuel_per_ms: u64) {
        self.runner.calibrate(fuel_per_ms);
        self.gateway.handle_input(now, Input::Pace { fuel_per_ms });
    }

    fn take_door_events(&mut self, now: Timestamp) {
        let Local::FrontDoor(broker) = &mut self.local else {
            return;
        };
        while let Some(event) = broker.poll_event() {
            match event {
                DoorEvent::Connected { conn, client } => {
                    debug!(conn = conn.0, %client, "client connected")
                }
                DoorEvent::Message { message, ack } => {
                    self.gateway.handle_input(now, Input::Message { message, ack });
                }
                DoorEvent::Gone { conn, client, reason } => {
                    debug!(conn = conn.0, %client, ?reason, "client gone");
                    self.gateway.handle_input(now, Input::SourceGone { source: conn });
                }
            }
        }
    }

    fn apply(&mut self, timestamp: Timestamp, now: Now, effect: Effect) {
        match effect {
            Effect::Check { handler, check, version } => {
                self.runner.check(handler, check, version);
            }
            Effect::Migrate { handler, migration } => self.runner.migrate(handler, migration),
            Effect::Switch { handler, table } => self.runner.switch(handler, table),
            Effect::Undeploy { handler } => self.runner.rest(handler),
            Effect::Examine { id, topic, payload } => {
                self.releases.push_back(ToReleases::Examine { id, topic, payload });
            }
            Effect::Sign { answer, tries } => {
                self.releases.push_back(ToReleases::Sign { answer, tries });
            }
            Effect::Keep(message) => {
                if let Local::FrontDoor(broker) = &mut self.local {
                    broker.keep(&message);
                }
            }
            Effect::Unretain => {
                if let Local::Broker(queue) = &mut self.local {
                    queue.push_back(ToBroker::Unretain);
                }
            }
            Effect::SignReport(report) => self.releases.push_back(ToReleases::Report(report)),
            Effect::Note(decision) => self.releases.push_back(ToReleases::Note(decision)),
            Effect::Settle(settled) => self.releases.push_back(ToReleases::Settle(settled)),
            Effect::ListenUpstream(filter) => self.uplink.push_back(ToUplink::Listen(filter)),
            Effect::TellUpstream(message) => self.uplink.push_back(ToUplink::Tell(message)),
            Effect::Run(job) => {
                if let Some(outcome) = self.runner.run(job, now) {
                    self.gateway.handle_input(timestamp, Input::Outcome(outcome));
                }
            }
            Effect::Report(report) => self.reports.push_back(report),
            Effect::Commit(commit) => {
                self.durable.commits += 1;
                self.store.push_back(ToStore::Commit(commit));
            }
            Effect::Fetch(fetch) => self.store.push_back(ToStore::Fetch(fetch)),
            Effect::Evict(evict) => self.store.push_back(ToStore::Evict(evict)),
            Effect::ConnectUplink => self.uplink.push_back(ToUplink::Connect),
            Effect::DropUplink => self.uplink.push_back(ToUplink::Drop),
            Effect::Send(sending) => self.uplink.push_back(ToUplink::Send(sending)),
            Effect::Publish(message) => match &mut self.local {
                Local::FrontDoor(broker) => broker.publish(&message),
                Local::Broker(queue) => queue.push_back(ToBroker::Publish(message)),
            },
            Effect::SetPin(write) => self.pins.push_back(write),
            Effect::Ack(to) => match &mut self.local {
                Local::FrontDoor(broker) => broker.ack(to),
                Local::Broker(queue) => queue.push_back(ToBroker::Ack(to)),
            },
            Effect::Subscribe { handler, filter } => match &mut self.local {
                Local::FrontDoor(broker) => {
                    let Some(handler) = handler else {
                        return;
                    };
                    for message in broker.retained(&filter) {
                        self.gateway.handle_input(timestamp, Input::Retained { handler, message });
                    }
                }
                Local::Broker(queue) => queue.push_back(ToBroker::Subscribe(filter)),
            },
            Effect::Pause(source) => {
                if let Local::FrontDoor(broker) = &mut self.local {
                    broker.pause(source);
                }
            }
            Effect::Resume(source) => {
                if let Local::FrontDoor(broker) = &mut self.local {
                    broker.resume(source);
                }
            }
            Effect::HangUp(source) => {
                if let Local::FrontDoor(broker) = &mut self.local {
                    broker.hang_up(source);
                }
            }
            Effect::ConnectLocal => {
                if let Local::Broker(queue) = &mut self.local {
                    queue.push_back(ToBroker::Connect);
                }
            }
        }
    }
}
