//! One event for a handler on a gateway, from here: signed, sent, and what came of it heard.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidegate_release::answer::{Answer, Heard as Judged, Invoked, Stage, verify};
use tidegate_release::manifest::{Invoke, Order, Target, What};
use tidegate_release::topics::{ControlTopic, ROOT};
use tidegate_release::trust::Trust;
use tidegate_release::{Name, Rank, SecretKey};
use tokio::time::timeout_at;

use super::gateways::{Gateways, Told, key_filter};
use super::session::unix_s;
use super::{package, refused, targets, unreachable};
use crate::broker::{Heard, Link, Message, Server};
use crate::failure::Failure;
use crate::state::State;

/// What a gateway's key comes within, when a broker has kept it.
const KEY_WAIT: Duration = Duration::from_secs(2);

/// Who sends, for which fleet.
pub struct Sender<'a> {
    pub trust: &'a Trust,
    pub keys: &'a [SecretKey],
    pub state: &'a State,
    pub server: &'a Server,
}

/// What came of it on one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    Ran(Invoked),
    Refused { code: String, text: String },
}

impl Sender<'_> {
    /// Sends one event to one handler of some gateways, and waits for all of them, at most so long.
    ///
    /// # Errors
    /// When the event is none that gateways take, or the broker cannot be used.
    pub async fn invoke(
        &self,
        handler: &Name,
        to: &[Target],
        invoke: Invoke,
        mut gateways: Gateways,
        wait: Duration,
    ) -> Result<(BTreeMap<Name, Came>, Vec<String>), Failure> {
        let nonce = invoke.nonce;
        let envelope = self.sign(handler, to, invoke)?;
        let mut link = Link::open(self.server, &filters(handler, to))
            .await
            .map_err(|why| unreachable(self.server, &why))?;
        let (mut came, mut notes) = (BTreeMap::new(), Vec::new());
        let mut course =
            Course { handler, nonce, came: &mut came, notes: &mut notes, is_sent: false };
        let wanted: Vec<Name> = targets::gateways(to).cloned().collect();
        // An answer is believed by the gateway's key: that comes first.
        let keys_by = Instant::now() + KEY_WAIT;
        while wanted.iter().any(|gateway| gateways.key(gateway).is_none())
            && self.hear(&mut link, keys_by, &mut gateways, &mut course).await?
        {}
        for target in to {
            let topic = ControlTopic::Invoke { target: target.clone(), handler: handler.clone() };
            let sent = link.publish(&topic.to_string(), false, envelope.clone()).await;
            sent.map_err(|why| unreachable(self.server, &why))?;
        }
        course.is_sent = true;
        let end = Instant::now() + wait;
        while wanted.iter().any(|gateway| !course.came.contains_key(gateway))
            && self.hear(&mut link, end, &mut gateways, &mut course).await?
        {}
        link.close().await;
        gateways.save()?;
        for gateway in wanted.iter().filter(|gateway| gateways.key(gateway).is_none()) {
            notes.push(format!(
                "{gateway} has shown no key, so no answer of it counts; is that its name ([gateway] id), and is it \
                 connected to this broker? Otherwise give --gateway-key FILE"
            ));
        }
        Ok((came, notes))
    }

    /// Numbers of events are seconds since 1970: those of several machines rise together.
    fn sign(&self, handler: &Name, to: &[Target], invoke: Invoke) -> Result<Vec<u8>, Failure> {
        let fleet = self.trust.fleet();
        let seq = self.state.next_invoke(fleet, handler, unix_s())?;
        let order = Order {
            fleet: fleet.clone(),
            handler: handler.clone(),
            rank: Rank { key_epoch: self.trust.key_epoch(), seq },
            targets: to.to_vec(),
            what: What::Invoke(invoke),
            provenance: package::provenance(None),
        };
        let keys: Vec<&SecretKey> = self.keys.iter().collect();
        order.sign(&keys).map_err(|error| Failure::data(error.to_string()))
    }

    /// Hears one thing. False when the time is over.
    async fn hear(
        &self,
        link: &mut Link,
        until: Instant,
        gateways: &mut Gateways,
        course: &mut Course<'_>,
    ) -> Result<bool, Failure> {
        match timeout_at(until.into(), link.heard()).await {
            Ok(Heard::Message(message)) => course.hear(&message, gateways).map(|()| true),
            Ok(Heard::Acked(Ok(()))) => Ok(true),
            Ok(Heard::Acked(Err(why))) => Err(refused(self.server, &why)),
            Ok(Heard::Lost(why)) => Err(unreachable(self.server, &why)),
            Err(_) => Ok(false),
        }
    }
}

/// What was heard so far.
struct Course<'a> {
    handler: &'a Name,
    nonce: [u8; 16],
    came: &'a mut BTreeMap<Name, Came>,
    notes: &'a mut Vec<String>,
    is_sent: bool,
}

impl Course<'_> {
    fn hear(&mut self, message: &Message, gateways: &mut Gateways) -> Result<(), Failure> {
        if let Ok(ControlTopic::Invoked { gateway, handler }) = ControlTopic::parse(&message.topic)
        {
            if let Some(key) = gateways.key(&gateway)
                && let Judged::New(answer) = verify(&message.payload, key, 0)
                && (&answer.gateway, &answer.handler) == (&gateway, &handler)
                && let Stage::Invoked(invoked) = answer.stage
                // The nonce is random and ours: no older answer bears it.
                && invoked.nonce == self.nonce
            {
                self.came.insert(gateway, Came::Ran(invoked));
            }
            return Ok(());
        }
        for told in gateways.hear(message, unix_s())? {
            match told {
                Told::Answer { answer, is_kept: false, .. } if self.is_sent => self.refused(answer),
                Told::OtherKey { gateway, key } => self.notes.push(gateways.advice(&gateway, &key)),
                Told::Pinned { gateway, key } => {
                    self.notes.push(format!("{gateway}: key {} is believed from now on", key.id()));
                }
                Told::Answer { .. }
                | Told::Forged { .. }
                | Told::Replayed { .. }
                | Told::NoKey { .. }
                | Told::Report(_) => {}
            }
        }
        Ok(())
    }

    /// A refusal names no order when its signatures were not good.
    fn refused(&mut self, answer: Answer) {
        if let Stage::Rejected { code, text } = answer.stage
            && answer.handler == *self.handler
        {
            self.came.entry(answer.gateway).or_insert(Came::Refused { code, text });
        }
    }
}

fn filters(handler: &Name, to: &[Target]) -> Vec<String> {
    let each = targets::gateways(to).flat_map(|gateway| {
        [
            key_filter(gateway.as_str()),
            format!("{ROOT}{gateway}/handler/{handler}"),
            format!("{ROOT}{gateway}/invoked/{handler}"),
        ]
    });
    each.collect()
}
