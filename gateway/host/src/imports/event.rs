//! What a handler may know: the event, its JSON fields, the time, chance, its configuration.

use std::sync::Arc;

use tidegate_abi::{Errno, JSON_PATH_BYTES_MAX, clock, field};

use super::{Answer, Call, Stop};
use crate::costs::BYTE_FUEL;
use crate::json::{Found, Unreadable};

/// `(field, off, buf, cap) -> i32`: bytes of a field from `off` on; returns how many there are from there on,
/// and writes as many of them as fit.
pub(super) fn ev_read(call: &mut Call<'_>) -> Answer {
    let message = call.message()?;
    let buf = call.range(2)?;
    let bytes: &[u8] = match call.i32(0) {
        field::TOPIC => message.topic.as_str().as_bytes(),
        field::PAYLOAD => &message.payload,
        field::SOURCE => message.source.as_bytes(),
        field::ATTRS => &[],
        _ => return Err(Errno::Argument.into()),
    };
    let rest = bytes.get(call.i32(1) as u32 as usize..).ok_or(Errno::Argument)?;
    let fits = &rest[..rest.len().min(buf.len())];
    call.guest.meter.charge_copy(fits.len())?;
    call.memory[buf.start..buf.start + fits.len()].copy_from_slice(fits);
    Ok(rest.len() as i64)
}

/// `(path, len, out_f64) -> i32`: 0.
pub(super) fn ev_num(call: &mut Call<'_>) -> Answer {
    let out = call.span(2, 8)?;
    let message = call.message()?;
    let number = lookup(call, &message.payload)?.number().ok_or(Errno::NotFound)?;
    call.memory[out].copy_from_slice(&number.to_le_bytes());
    Ok(0)
}

/// `(path, len, buf, cap) -> i32`: length of the string.
pub(super) fn ev_str(call: &mut Call<'_>) -> Answer {
    let buf = call.range(2)?;
    let message = call.message()?;
    let found = lookup(call, &message.payload)?;
    let len = found.text_len().ok_or(Errno::NotFound)?;
    call.guest.meter.charge_copy(len)?;
    if len <= buf.len() {
        found.write_text(&mut call.memory[buf.start..buf.start + len]);
    }
    Ok(len as i64)
}

/// The value at the path that arguments 0 and 1 name.
fn lookup<'p>(call: &mut Call<'_>, payload: &'p [u8]) -> Result<Found<'p>, Stop> {
    let path = call.range(0)?;
    if path.len() > JSON_PATH_BYTES_MAX {
        return Err(Errno::TooLarge.into());
    }
    let guest = &mut *call.guest;
    let limits = guest.json_limits();
    guest.meter.charge(guest.json.parse_fuel(payload, &limits))?;
    match guest.json.parse(payload, &limits) {
        Ok(()) => {}
        Err(Unreadable::NotJson) => return Err(Errno::Argument.into()),
        Err(Unreadable::TooLarge) => return Err(Errno::TooLarge.into()),
    }
    let path = std::str::from_utf8(&call.memory[path]).map_err(|_| Errno::Argument)?;
    // Known only now; what one lookup walks is bounded by `json_tokens_max`.
    let (found, fuel) = guest.json.find(payload, path);
    guest.meter.charge(fuel)?;
    Ok(found.ok_or(Errno::NotFound)?)
}

/// `(clock) -> i64`: microseconds, as they were when the event started. 0 in `tidegate_init`.
pub(super) fn now_us(call: &mut Call<'_>) -> Answer {
    let current = call.guest.current.as_ref();
    let value = match call.i32(0) {
        clock::EVENT => current.map(|current| current.message.at.unix_us),
        clock::WALL => current.map(|current| current.now.wall.unix_us),
        clock::MONOTONIC => current.map(|current| current.now.mono_us as i64),
        _ => return Err(Errno::Argument.into()),
    };
    Ok(value.unwrap_or(0))
}

/// `(buf, len) -> i32`: the length. The bytes follow from the handler's seed and the event's id.
pub(super) fn random(call: &mut Call<'_>) -> Answer {
    let buf = call.range(0)?;
    let len = buf.len();
    // Eight bytes cost about as much as two instructions.
    call.guest.meter.charge(len as u64 / 4)?;
    for chunk in call.memory[buf].chunks_mut(8) {
        let number = splitmix64(&mut call.guest.random);
        chunk.copy_from_slice(&number.to_le_bytes()[..chunk.len()]);
    }
    Ok(len as i64)
}

/// splitmix64 (Steele, Lea, Flood 2014): good enough for jitter and sampling, not for keys.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `(key, klen, buf, cap) -> i32`: length of the value.
pub(super) fn config_get(call: &mut Call<'_>) -> Answer {
    let (key, buf) = (call.range(0)?, call.range(2)?);
    call.guest.meter.charge(key.len() as u64 * BYTE_FUEL)?;
    let key = std::str::from_utf8(&call.memory[key]).map_err(|_| Errno::Argument)?;
    let manifest = Arc::clone(&call.guest.manifest);
    let value = manifest.config.get(key).ok_or(Errno::NotFound)?;
    call.copy_out(buf, value.as_bytes())
}
