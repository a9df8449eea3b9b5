//! The host functions, natively: they act on the harness that is running a handler in this thread.

use core::cell::RefCell;
use std::string::String;
use std::vec::Vec;

use tidegate_abi::{
    Errno, JSON_PATH_BYTES_MAX, LOG_BYTES_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, clock,
    field, gpio_op, level, publish_flags, send_priority,
};

use super::json;
use super::{Message, Outcome, PinSet, Published, Sent, World};
use crate::{Level, QoS, Result};

/// One event while the handler runs.
struct Call {
    world: World,
    topic: String,
    payload: Vec<u8>,
    source: String,
    published: Vec<Published>,
    sent: Vec<Sent>,
    pins: Vec<PinSet>,
    logs: Vec<(Level, String)>,
}

std::thread_local! {
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// Runs a handler with `world` behind the host functions, and undoes its changes if it fails.
pub(super) fn run(
    world: &mut World,
    message: Message<'_>,
    handle: impl FnOnce() -> Result,
) -> Outcome {
    let call = Call {
        world: world.clone(),
        topic: message.topic.into(),
        payload: message.payload.into(),
        source: message.source.into(),
        published: Vec::new(),
        sent: Vec::new(),
        pins: Vec::new(),
        logs: Vec::new(),
    };
    CALL.set(Some(call));
    let result = handle();
    let call = CALL.take().expect("only this function takes the call away");
    let (published, sent, pins) = match result {
        Ok(()) => {
            *world = call.world;
            (call.published, call.sent, call.pins)
        }
        Err(_) => Default::default(),
    };
    Outcome { result, published, sent, pins, logs: call.logs }
}

fn with<T>(act: impl FnOnce(&mut Call) -> T) -> T {
    CALL.with_borrow_mut(|call| {
        act(call
            .as_mut()
            .expect("host functions work inside a handler that a testing::Harness runs"))
    })
}

/// Copies `bytes` out if they fit, and answers their length.
fn answer(bytes: &[u8], buf: &mut [u8]) -> i32 {
    if let Some(room) = buf.get_mut(..bytes.len()) {
        room.copy_from_slice(bytes);
    }
    bytes.len() as i32
}

fn key_fault(key: &[u8]) -> Option<i32> {
    match key.len() {
        0 => Some(Errno::Argument.code()),
        len if len > STATE_KEY_BYTES_MAX => Some(Errno::TooLarge.code()),
        _ => None,
    }
}

pub(crate) fn host_text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).expect("the harness writes text and cuts it between characters")
}

pub(crate) fn ev_read(wanted: i32, off: usize, buf: &mut [u8]) -> i32 {
    with(|call| {
        let bytes = match wanted {
            field::TOPIC => call.topic.as_bytes(),
            field::PAYLOAD => &call.payload,
            field::SOURCE => call.source.as_bytes(),
            field::ATTRS => b"",
            _ => return Errno::Argument.code(),
        };
        let Some(rest) = bytes.get(off..) else {
            return Errno::Argument.code();
        };
        let fits = rest.len().min(buf.len());
        buf[..fits].copy_from_slice(&rest[..fits]);
        rest.len() as i32
    })
}

pub(crate) fn ev_num(path: &[u8], out: &mut f64) -> i32 {
    match lookup(path, json::Document::number) {
        Ok(number) => {
            *out = number;
            0
        }
        Err(errno) => errno.code(),
    }
}

pub(crate) fn ev_str(path: &[u8], buf: &mut [u8]) -> i32 {
    match lookup(path, |value| value.text().map(String::from)) {
        Ok(text) => answer(text.as_bytes(), buf),
        Err(errno) => errno.code(),
    }
}

fn lookup<T>(path: &[u8], read: impl FnOnce(&json::Document) -> Option<T>) -> Result<T, Errno> {
    if path.len() > JSON_PATH_BYTES_MAX {
        return Err(Errno::TooLarge);
    }
    let path = core::str::from_utf8(path).map_err(|_| Errno::Argument)?;
    with(|call| {
        let document = json::Document::new(&call.payload).ok_or(Errno::Argument)?;
        read(document.find(path).ok_or(Errno::NotFound)?).ok_or(Errno::NotFound)
    })
}

pub(crate) fn publish(topic: &[u8], payload: &[u8], flags: i32) -> i32 {
    let qos = match flags & publish_flags::QOS_MASK {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => return Errno::Argument.code(),
    };
    let topic = match core::str::from_utf8(topic) {
        Ok(topic) if !topic.is_empty() && !topic.contains(['+', '#', '\0']) => topic,
        _ => return Errno::Argument.code(),
    };
    with(|call| {
        if !call.world.may_publish(topic) {
            return Errno::NotPermitted.code();
        }
        if call.published.len() >= call.world.publishes_max {
            return Errno::Quota.code();
        }
        let retain = flags & publish_flags::RETAIN != 0;
        call.published.push(Published {
            topic: topic.into(),
            payload: payload.into(),
            qos,
            retain,
        });
        0
    })
}

pub(crate) fn send(stream: &[u8], payload: &[u8], priority: i32, ttl_s: i32) -> i32 {
    let priority = match priority {
        send_priority::OWN => None,
        0..=send_priority::HIGHEST => Some(priority as u8),
        _ => return Errno::Argument.code(),
    };
    let (Ok(ttl_s), Ok(stream)) = (u32::try_from(ttl_s), core::str::from_utf8(stream)) else {
        return Errno::Argument.code();
    };
    with(|call| {
        if !call.world.streams.contains(stream) {
            return Errno::NotPermitted.code();
        }
        call.sent.push(Sent { stream: stream.into(), payload: payload.into(), priority, ttl_s });
        0
    })
}

pub(crate) fn gpio(op: i32, name: &[u8], value: i32) -> i32 {
    let on = match (op, value) {
        (gpio_op::READ, 0) => None,
        (gpio_op::WRITE, 0) => Some(false),
        (gpio_op::WRITE, 1) => Some(true),
        _ => return Errno::Argument.code(),
    };
    let Ok(name) = core::str::from_utf8(name) else {
        return Errno::Argument.code();
    };
    with(|call| {
        let Some((is_output, level)) = call.world.pins.get_mut(name) else {
            return Errno::NotPermitted.code();
        };
        let Some(on) = on else {
            return level.map_or(Errno::Offline.code(), i32::from);
        };
        if !*is_output {
            return Errno::Argument.code();
        }
        if level.is_none() {
            return Errno::Offline.code();
        }
        *level = Some(on);
        call.pins.retain(|pin| pin.name != name);
        call.pins.push(PinSet { name: name.into(), on });
        0
    })
}

pub(crate) fn log(code: i32, line: &[u8]) {
    let level = match code {
        level::ERROR => Level::Error,
        level::WARN => Level::Warn,
        level::INFO => Level::Info,
        level::DEBUG => Level::Debug,
        _ => Level::Trace,
    };
    let line = String::from_utf8_lossy(&line[..line.len().min(LOG_BYTES_MAX)]);
    let line = line.replace(char::is_control, " ");
    with(|call| call.logs.push((level, line)));
}

pub(crate) fn state_get(key: &[u8], buf: &mut [u8], version: Option<&mut u64>) -> i32 {
    if let Some(fault) = key_fault(key) {
        return fault;
    }
    with(|call| match call.world.get(key) {
        Some(entry) => {
            if let Some(version) = version {
                *version = entry.version;
            }
            answer(&entry.value, buf)
        }
        None => Errno::NotFound.code(),
    })
}

pub(crate) fn state_set(key: &[u8], value: &[u8], ttl_s: i32) -> i32 {
    if let Some(fault) = key_fault(key) {
        return fault;
    }
    if value.len() > STATE_VALUE_BYTES_MAX {
        return Errno::TooLarge.code();
    }
    let Ok(ttl_s) = u32::try_from(ttl_s) else {
        return Errno::Argument.code();
    };
    with(|call| call.world.put(key, value, ttl_s));
    0
}

pub(crate) fn state_cas(key: &[u8], expect: i64, value: &[u8]) -> i32 {
    if let Some(fault) = key_fault(key) {
        return fault;
    }
    let Ok(expect) = u64::try_from(expect) else {
        return Errno::Argument.code();
    };
    match with(|call| call.world.get(key).map_or(0, |entry| entry.version)) {
        version if version == expect => state_set(key, value, 0),
        _ => Errno::Conflict.code(),
    }
}

pub(crate) fn state_del(key: &[u8]) -> i32 {
    match key_fault(key) {
        Some(fault) => fault,
        None if with(|call| call.world.remove(key)) => 0,
        None => Errno::NotFound.code(),
    }
}

pub(crate) fn state_list(prefix: &[u8], cursor: i64, buf: &mut [u8], next: &mut i64) -> i32 {
    let Ok(skip) = usize::try_from(cursor) else {
        return Errno::Argument.code();
    };
    with(|call| {
        let (mut used, mut listed) = (0, skip);
        *next = -1;
        for key in call.world.keys(prefix).skip(skip) {
            let end = used + 2 + key.len();
            let Some(place) = buf.get_mut(used..end) else {
                *next = listed as i64;
                break;
            };
            place[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
            place[2..].copy_from_slice(key);
            (used, listed) = (end, listed + 1);
        }
        if used == 0 && *next >= 0 {
            return Errno::TooLarge.code();
        }
        used as i32
    })
}

pub(crate) fn state_add(key: &[u8], delta: i64, out: &mut i64) -> i32 {
    let mut old = [0; 8];
    match state_get(key, &mut old, None) {
        8 | -3 => {}
        error if error < 0 => return error,
        _ => return Errno::Argument.code(),
    }
    let Some(sum) = i64::from_le_bytes(old).checked_add(delta) else {
        return Errno::Argument.code();
    };
    *out = sum;
    state_set(key, &sum.to_le_bytes(), 0)
}

pub(crate) fn now_us(which: i32) -> i64 {
    with(|call| match which {
        clock::EVENT | clock::WALL => call.world.wall_us,
        clock::MONOTONIC => call.world.monotonic_us,
        _ => Errno::Argument.code().into(),
    })
}

pub(crate) fn random(buf: &mut [u8]) -> i32 {
    with(|call| call.world.random(buf));
    buf.len() as i32
}

pub(crate) fn config_get(key: &[u8], buf: &mut [u8]) -> i32 {
    let Ok(key) = core::str::from_utf8(key) else {
        return Errno::Argument.code();
    };
    with(|call| match call.world.config.get(key) {
        Some(value) => answer(value.as_bytes(), buf),
        None => Errno::NotFound.code(),
    })
}
