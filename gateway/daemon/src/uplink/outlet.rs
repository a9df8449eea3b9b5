//! A record's topic and envelope, from its stream's outlet.

use std::sync::Arc;

use tidegate_config::UplinkSettings;
use tidegate_core::record::{Refusal, Sending};
use tidegate_envelope::{Encoded, Identity, encode};

/// Where each stream's records go and how they look.
pub(super) struct Outlets {
    settings: Arc<UplinkSettings>,
    identity: Identity,
    /// The topic of the record at hand; kept for its room.
    topic: String,
}

impl Outlets {
    pub fn new(settings: Arc<UplinkSettings>, identity: Identity) -> Outlets {
        Outlets { settings, identity, topic: String::new() }
    }

    /// # Errors
    /// When the record has nowhere to go.
    pub fn form(&mut self, sending: &Sending) -> Result<(&str, Encoded), Refusal> {
        let record = &sending.record;
        let outlet = self.settings.outlets.get(&record.stream).ok_or(Refusal::NoTopic)?;
        if !outlet.topic.fill(record.topic.as_deref(), &mut self.topic) {
            return Err(Refusal::NoTopic);
        }
        let encoded = encode(sending, &self.identity, &outlet.name, outlet.format);
        Ok((&self.topic, encoded))
    }
}
