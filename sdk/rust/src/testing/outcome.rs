//! What one event produced.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use crate::{Level, QoS, Result};

/// What one event produced. `published`, `sent` and `pins` are empty unless `result` is `Ok`.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: Result,
    pub published: Vec<Published>,
    pub sent: Vec<Sent>,
    /// Each pin once, as it was set last.
    pub pins: Vec<PinSet>,
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

/// One record for upstream.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    pub stream: String,
    pub payload: Vec<u8>,
    /// `None` is the stream's own.
    pub priority: Option<u8>,
    /// 0 is the stream's own.
    pub ttl_s: u32,
}

impl Sent {
    /// The payload as text, with what is no UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// Compares stream and payload.
impl PartialEq<(&str, &str)> for Sent {
    fn eq(&self, (stream, payload): &(&str, &str)) -> bool {
        self.stream == *stream && self.payload == payload.as_bytes()
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {:?})", self.stream, self.text())?;
        if self.priority.is_some() || self.ttl_s > 0 {
            write!(f, " priority: {:?}, ttl_s: {}", self.priority, self.ttl_s)?;
        }
        Ok(())
    }
}

/// One pin that was set.
#[derive(Clone, PartialEq, Eq)]
pub struct PinSet {
    pub name: String,
    pub on: bool,
}

/// Compares name and level.
impl PartialEq<(&str, bool)> for PinSet {
    fn eq(&self, (name, on): &(&str, bool)) -> bool {
        self.name == *name && self.on == *on
    }
}

impl fmt::Debug for PinSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {})", self.name, self.on)
    }
}
