//! What a handler may do: publish, send, log. Nothing leaves before the event has succeeded.

use std::sync::Arc;

use tidegate_abi::{Errno, LOG_BYTES_MAX, level, publish_flags, send_priority};
use tidegate_core::job::{LogLine, Publish, Send};
use tidegate_core::message::QoS;
use tidegate_core::record::PRIORITY_MAX;
use tidegate_core::topic::Topic;

use super::{Answer, Call};
use crate::costs::{BYTE_FUEL, EFFECT_OVERHEAD_BYTES};

/// `(topic, tlen, pay, plen, flags) -> i32`: 0.
pub(super) fn publish(call: &mut Call<'_>) -> Answer {
    let (topic, payload) = (call.range(0)?, call.range(2)?);
    let flags = call.i32(4);
    if call.guest.current.is_none() {
        return Err(Errno::Unsupported.into());
    }
    let qos = match flags & publish_flags::QOS_MASK {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => return Err(Errno::Argument.into()),
    };
    if flags & !(publish_flags::QOS_MASK | publish_flags::RETAIN) != 0 {
        return Err(Errno::Argument.into());
    }
    let retain = flags & publish_flags::RETAIN != 0;
    let guest = &mut *call.guest;
    if payload.len() > guest.caps.publish_bytes_max {
        return Err(Errno::TooLarge.into());
    }
    guest.meter.charge(topic.len() as u64 * BYTE_FUEL)?;
    guest.meter.charge_copy(payload.len())?;
    let topic = std::str::from_utf8(&call.memory[topic]).map_err(|_| Errno::Argument)?;
    let topic = Topic::new(topic).map_err(|_| Errno::Argument)?;
    if !guest.manifest.grants.may_publish(topic.as_str()) {
        return Err(Errno::NotPermitted.into());
    }
    if guest.publishes.len() >= guest.manifest.limits.publishes as usize {
        guest.over("publishes");
        return Err(Errno::Quota.into());
    }
    if !guest.weigh(topic.as_str().len() + payload.len() + EFFECT_OVERHEAD_BYTES) {
        guest.over("effects_bytes_max");
        return Err(Errno::Quota.into());
    }
    let payload = Arc::from(&call.memory[payload]);
    guest.publishes.push(Publish { topic, payload, qos, retain });
    Ok(0)
}

/// `(stream, slen, pay, plen, prio, ttl_s) -> i32`: 0.
pub(super) fn send(call: &mut Call<'_>) -> Answer {
    let (stream, payload) = (call.range(0)?, call.range(2)?);
    if call.guest.current.is_none() {
        return Err(Errno::Unsupported.into());
    }
    let priority = match call.i32(4) {
        send_priority::OWN => None,
        priority => Some(checked_priority(priority)?),
    };
    let ttl_s = u32::try_from(call.i32(5)).map_err(|_| Errno::Argument)?;
    let guest = &mut *call.guest;
    if payload.len() > guest.caps.record_bytes_max {
        return Err(Errno::TooLarge.into());
    }
    guest.meter.charge(stream.len() as u64 * BYTE_FUEL)?;
    guest.meter.charge_copy(payload.len())?;
    let stream = std::str::from_utf8(&call.memory[stream]).map_err(|_| Errno::Argument)?;
    if !guest.manifest.grants.may_send(stream) {
        return Err(Errno::NotPermitted.into());
    }
    let stream = guest.streams.find(stream).ok_or(Errno::NotFound)?.id;
    if guest.sends.len() >= guest.caps.sends_max as usize {
        guest.over("sends_max");
        return Err(Errno::Quota.into());
    }
    if !guest.weigh(payload.len() + EFFECT_OVERHEAD_BYTES) {
        guest.over("effects_bytes_max");
        return Err(Errno::Quota.into());
    }
    let payload = Arc::from(&call.memory[payload]);
    guest.sends.push(Send { stream, payload, priority, ttl_s });
    Ok(0)
}

fn checked_priority(priority: i32) -> Result<u8, Errno> {
    let priority = u8::try_from(priority).map_err(|_| Errno::Argument)?;
    if priority <= PRIORITY_MAX { Ok(priority) } else { Err(Errno::Argument) }
}

/// `(level, msg, len)`: one line. What is not UTF-8, or would end the line, is replaced.
pub(super) fn log(call: &mut Call<'_>) -> Answer {
    let text = call.range(1);
    let level = call.i32(0).clamp(level::ERROR, level::TRACE) as u8;
    let guest = &mut *call.guest;
    let (Ok(text), true) = (text, guest.logs.len() < guest.caps.log_lines_max as usize) else {
        guest.logs_dropped = guest.logs_dropped.saturating_add(1);
        return Ok(0);
    };
    let text = text.start..text.end.min(text.start + LOG_BYTES_MAX);
    guest.meter.charge(text.len() as u64 * BYTE_FUEL)?;
    guest.logs.push(LogLine { level, text: one_line(&call.memory[text]) });
    Ok(0)
}

/// At most [`LOG_BYTES_MAX`] bytes without control characters.
fn one_line(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        let shown = if character.is_control() { ' ' } else { character };
        if line.len() + shown.len_utf8() > LOG_BYTES_MAX {
            break;
        }
        line.push(shown);
    }
    line
}
