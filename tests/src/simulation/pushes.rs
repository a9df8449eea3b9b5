//! Somebody pushes: good releases, bad ones, old ones again, and some that a stranger has signed; by way of upstream
//! and of the front door.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::release as core;
use tidegate_core::{Input, Message};
use tidegate_release::answer::{self, Answer, Heard, Stage};
use tidegate_release::keys::{PublicKey, SecretKey};

use super::device::Device;
use super::house::House;
use super::random::Random;
use super::releases::{GATEWAY, Kind, Release, target};
use super::troubles::Harm;
use super::watch::Watch;
use super::{post::Post, world::World};
use crate::pusher::{Fleet, gateway};

/// The person's number as a device.
const PERSON: usize = 99;

/// Who pushes, what was pushed, and what was seen of it.
pub struct Pushes {
    pub random: Random,
    pub fleet: Fleet,
    stranger: Fleet,
    key: PublicKey,
    releases: BTreeMap<u64, Release>,
    next_seq: u64,
    pub post: Post,
    person: Device,
    /// What the person is about to send through the front door.
    pile: Vec<(String, Vec<u8>)>,
    pub watch: Watch,
    /// What the gateway has told people, and is looked at behind the reactions that left before it.
    pub answers: Vec<core::Answer>,
    /// The gateway's last word about the handler, and the highest counter.
    last: Option<Answer>,
    counter: u64,
    pub forged: u64,
    pub replayed: u64,
}

/// The gateway's own key.
pub fn own_key() -> SecretKey {
    SecretKey::generate([7; 32])
}

impl Pushes {
    pub fn new(seed: u64) -> Pushes {
        let mut post = Post::default();
        post.withholds_one_in = 10;
        Pushes {
            random: Random::new(seed ^ 0x7075_7368),
            fleet: Fleet::new(1),
            stranger: Fleet::new(99),
            key: own_key().public(),
            releases: BTreeMap::new(),
            next_seq: 1,
            post,
            person: Device::new(PERSON),
            pile: Vec::new(),
            watch: Watch::default(),
            answers: Vec::new(),
            last: None,
            counter: 0,
            forged: 0,
            replayed: 0,
        }
    }

    pub fn orders(&self) -> u64 {
        self.releases.len() as u64
    }

    /// The next order.
    pub fn order(&mut self, world: &World<'_>, kind: Kind) -> Release {
        let seq = self.next_seq;
        self.next_seq += 1 + self.random.below(3);
        let target = target(&mut self.random);
        let modules = &world.folders.pushed;
        let before = self.releases.last_key_value().map(|(seq, _)| *seq);
        let release = modules.order(&self.fleet, kind, (seq, before), target, &mut self.random);
        self.watch.signed(seq, kind);
        self.releases.insert(seq, release.clone());
        release
    }

    /// Something that a stranger signed, or that is for another gateway.
    fn forge(&mut self, world: &World<'_>) -> Release {
        self.forged += 1;
        let seq = self.next_seq + self.random.below(3);
        let (fleet, target) = match self.random.chance(1, 2) {
            true => (&self.stranger, target(&mut self.random)),
            false => (&self.fleet, gateway("gw-02")),
        };
        let modules = &world.folders.pushed;
        let mut release =
            modules.order(fleet, Kind::Good, (9000 + seq, None), target, &mut self.random);
        release.topic = format!("tidegate/1/{GATEWAY}/release/pushed");
        release
    }

    pub fn newest(&self) -> Option<&Release> {
        self.releases.last_key_value().map(|(_, release)| release)
    }

    /// Publishes it, upstream or through the front door.
    pub fn send(&mut self, release: &Release) {
        let mut messages = release.messages();
        if self.random.chance(1, 2) {
            for (topic, payload) in messages {
                self.post.publish(&topic, &payload);
            }
            return;
        }
        for at in (1..messages.len()).rev() {
            let other = self.random.below(at as u64 + 1) as usize;
            messages.swap(at, other);
        }
        messages.retain(|_| !self.random.chance(1, 12));
        self.pile.extend(messages);
    }

    /// What persons do in one step.
    pub fn act(&mut self, world: &World<'_>) {
        if self.random.chance(1, 100) {
            let kind = Kind::choose(&mut self.random);
            let release = self.order(world, kind);
            self.send(&release);
        } else if self.random.chance(1, 300) {
            let release = self.forge(world);
            self.send(&release);
        } else if self.random.chance(1, 200) && !self.releases.is_empty() {
            let at = self.random.below(self.releases.len() as u64) as usize;
            let release = self.releases.values().nth(at).cloned().expect("it is one of them");
            self.replayed += 1;
            self.send(&release);
        } else if self.random.chance(1, 60) {
            self.send_again();
        }
    }

    /// The newest order again: something of it may not have arrived.
    pub fn send_again(&mut self) {
        if let Some(release) = self.newest().cloned() {
            self.send(&release);
        }
    }

    /// What the gateway has told people.
    pub fn hear_answers(&mut self) -> Result<(), String> {
        self.watch.heard();
        self.answers.drain(..).try_for_each(|answer| self.watch.told(&answer))
    }

    /// The power is gone.
    pub fn lose_power(&mut self) {
        self.answers.clear();
        self.person.disconnect();
        self.pile.clear();
        self.cut();
    }

    /// The link upstream is gone.
    pub fn cut(&mut self) {
        let mut random = self.random.clone();
        for message in self.post.cut(&mut random) {
            // Whether it was a true one is looked at when it comes again.
            self.hear(&message).ok();
        }
        self.random = random;
    }

    /// The front door takes some of the pile.
    pub fn feed(&mut self, world: &mut World<'_>) {
        let (now, wall) = (world.timestamp(), world.now().wall);
        let Some(door) = world.house.hub.door() else {
            return;
        };
        if self.person.conn.is_none_or(|conn| door.is_closing(conn)) {
            self.person.disconnect();
            if let Ok(conn) = door.handle_connected(now) {
                self.person.connect(conn, None);
            }
        }
        if let Some((topic, payload)) = self.pile.pop() {
            self.person.put_control(&topic, &payload);
        }
        let Some(conn) = self.person.conn else { return };
        let taken = door.handle_bytes(now, wall, conn, self.person.waiting());
        self.person.taken(taken);
        let bytes = door.output(conn).len();
        door.written(conn, bytes);
    }

    /// One answer arrives upstream, or one message at the gateway.
    pub fn carry(&mut self) -> Result<Option<Input>, String> {
        if let Some(message) = self.post.take() {
            self.hear(&message)?;
            return Ok(Some(Input::Told(message)));
        }
        Ok(self.post.bring(&mut self.random))
    }

    fn hear(&mut self, message: &Arc<Message>) -> Result<(), String> {
        if !message.topic.as_str().ends_with("/handler/pushed") {
            return Ok(());
        }
        match answer::verify(&message.payload, &self.key, 0) {
            Heard::New(answer) => {
                self.counter = self.counter.max(answer.counter);
                self.last = Some(answer);
                Ok(())
            }
            Heard::Old | Heard::Forged => Err("an answer that nobody signed".to_owned()),
        }
    }

    /// Whether upstream knows that the newest order runs.
    pub fn is_converged(&self) -> bool {
        let (Some(last), Some(newest)) = (&self.last, self.newest()) else {
            return false;
        };
        last.stage == Stage::Active
            && last.release.is_some_and(|(_, digest)| digest == newest.digest)
    }

    /// Where it stands, for whoever reads why it does not converge.
    pub fn told(&self) -> String {
        let seq = self.newest().map(|release| release.seq);
        format!("newest is {seq:?}, the last answer {:?}, counter {}", self.last, self.counter)
    }

    /// The gateway has started again.
    pub fn started(&mut self, house: &House, harm: Harm) -> Result<(), String> {
        self.watch.started(house.highest, house.settled, harm)
    }

    /// The front door has all that it was sent.
    pub fn is_sent(&self) -> bool {
        self.pile.is_empty() && self.person.waiting().is_empty() && self.post.is_quiet()
    }
}
