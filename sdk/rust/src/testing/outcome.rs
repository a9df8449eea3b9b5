//! What one event produced.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use crate::{Level, QoS, Result};

/// What one event produced. `published` is empty unless `result` is `Ok`.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: Result,
    pub published: Vec<Published>,
    pub logs: Vec<(Level, String)>,
}

/// One publish.
#[derive(Clone, PartialEq, Eq)]
pub struct Published {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
}

impl Published {
    /// The payload as text, with what is no UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// Compares topic and payload.
impl PartialEq<(&str, &str)> for Published {
    fn eq(&self, (topic, payload): &(&str, &str)) -> bool {
        self.topic == *topic && self.payload == payload.as_bytes()
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {:?})", self.topic, self.text())?;
        if self.qos != QoS::AtMostOnce || self.retain {
            write!(f, " {:?}, retain: {}", self.qos, self.retain)?;
        }
        Ok(())
    }
}
