//! Pins: what a driver sees of them wakes handlers, what handlers want of them goes to the driver.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Gateway;
use crate::effect::Effect;
use crate::message::Message;
use crate::pins::{PIN_TOPICS, PinId, PinWrite};
use crate::time::WallTime;
use crate::topic::Topic;

impl Gateway {
    /// A pin has been seen at a level. One that has changed is an event for the handlers that wait for it.
    pub(super) fn handle_pin(&mut self, pin: PinId, level: Option<bool>, at: WallTime) {
        if !self.pin_book.handle_seen(pin, level) {
            return;
        }
        let Some(name) = self.pins.get(pin).map(|pin| pin.name.as_str()) else {
            return;
        };
        let Ok(topic) = Topic::new(&format!("{PIN_TOPICS}{name}")) else {
            return;
        };
        let payload: &[u8] = if level == Some(true) { b"1" } else { b"0" };
        let message = Message::own(topic, payload.into(), Arc::from(name), at);
        self.route(&Arc::new(message), None);
    }

    /// A handler's reaction leaves: what it wants of a pin goes to the driver.
    pub(super) fn set_pin(&mut self, write: PinWrite) {
        self.effects.push_back(Effect::SetPin(write));
    }

    /// What an event set, for people.
    pub(super) fn pin_names(&self, writes: &[PinWrite]) -> Vec<(String, bool)> {
        let named = |write: &PinWrite| Some((self.pins.get(write.pin)?.name.clone(), write.on));
        writes.iter().filter_map(named).collect()
    }
}
