//! A handler's state. Reads see the event's own writes; the table changes when the event succeeds.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use tidegate_abi::{Errno, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX};

use super::{Answer, Call, Stop};
use crate::costs::{EFFECT_OVERHEAD_BYTES, ITEM_FUEL, KEY_FUEL, STATE_FUEL};
use crate::guest::Guest;

/// `(key, klen, buf, cap, ver_out) -> i32`: length of the value. The version goes to `ver_out`
/// unless that is 0, also when the value does not fit; without such a key nothing is written.
pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let (key, buf) = (key(call)?, call.range(2)?);
    let version_out = if call.i32(4) == 0 { None } else { Some(call.span(4, 8)?) };
    let at_us = begin(call)?;
    let guest = &*call.guest;
    let seen = guest.overlay.get(&guest.table, &call.memory[key], at_us).ok_or(Errno::NotFound)?;
    let (value, version) = (Arc::clone(seen.value), seen.version);
    let len = call.copy_out(buf, &value)?;
    if let Some(out) = version_out {
        call.memory[out].copy_from_slice(&version.to_le_bytes());
    }
    Ok(len)
}

/// `(key, klen, val, vlen, ttl_s) -> i32`: 0. A `ttl_s` of 0 is for ever.
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    let (key, value) = (key(call)?, value(call, 2)?);
    let ttl_s = u32::try_from(call.i32(4)).map_err(|_| Errno::Argument)?;
    let at_us = begin(call)?;
    call.guest.meter.charge_copy(value.len())?;
    put_from_memory(call, key, value, ttl_s, at_us)
}

/// `(key, klen, expect, val, vlen) -> i32`: 0. `expect` 0: there must be no such key; otherwise its
/// version. The value then has no expiry.
pub(super) fn cas(call: &mut Call<'_>) -> Answer {
    let (key, value) = (key(call)?, value(call, 3)?);
    let expect = u64::try_from(call.i64(2)).map_err(|_| Errno::Argument)?;
    let at_us = begin(call)?;
    call.guest.meter.charge_copy(value.len())?;
    let guest = &*call.guest;
    let seen = guest.overlay.get(&guest.table, &call.memory[key.clone()], at_us);
    if seen.map_or(0, |seen| seen.version) != expect {
        return Err(Errno::Conflict.into());
    }
    put_from_memory(call, key, value, 0, at_us)
}

/// `(key, klen) -> i32`: 0.
pub(super) fn del(call: &mut Call<'_>) -> Answer {
    let key = key(call)?;
    let at_us = begin(call)?;
    let guest = &*call.guest;
    if guest.overlay.get(&guest.table, &call.memory[key.clone()], at_us).is_none() {
        return Err(Errno::NotFound.into());
    }
    let key = &call.memory[key];
    put(call.guest, key, None, 0, at_us)
}

/// `(key, klen, delta, out) -> i32`: 0. The value is 8 bytes, little-endian; an absent one counts as
/// 0. The sum goes to `out`; it then has no expiry.
pub(super) fn add(call: &mut Call<'_>) -> Answer {
    let (key, out) = (key(call)?, call.span(3, 8)?);
    let at_us = begin(call)?;
    let guest = &*call.guest;
    let before = match guest.overlay.get(&guest.table, &call.memory[key.clone()], at_us) {
        Some(seen) => <[u8; 8]>::try_from(&**seen.value).map_err(|_| Errno::Argument)?,
        None => [0; 8],
    };
    let sum = i64::from_le_bytes(before).checked_add(call.i64(2)).ok_or(Errno::Argument)?;
    put(call.guest, &call.memory[key], Some(&sum.to_le_bytes()), 0, at_us)?;
    call.memory[out].copy_from_slice(&sum.to_le_bytes());
    Ok(0)
}

/// `(prefix, len, cursor, buf, cap, next_out) -> i32`: bytes written, as `u16` length and key for as
/// many keys as fit. A cursor of 0 starts; `next_out` gets the one to go on with, -1 at the end.
pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let (prefix, buf, next_out) = (call.range(0)?, call.range(3)?, call.span(5, 8)?);
    if prefix.len() > STATE_KEY_BYTES_MAX {
        return Err(Errno::TooLarge.into());
    }
    let cursor = call.i64(2);
    if cursor < 0 {
        return Err(Errno::Argument.into());
    }
    // One that no address reaches, on a 32-bit processor, is behind everything, as on any other.
    let skip = usize::try_from(cursor).unwrap_or(usize::MAX);
    let at_us = begin(call)?;
    let guest = &mut *call.guest;
    guest.meter.charge_copy(buf.len())?;
    // The prefix may lie inside the buffer.
    let prefix = call.memory[prefix].to_vec();
    let out = &mut call.memory[buf];
    let (mut written, mut next) = (0, -1);
    let passed = Cell::new(0);
    // In this order: the first that ends is not counted on.
    let keys = guest.overlay.list(&guest.table, &prefix, at_us, &passed).skip(skip);
    for (key, at) in keys.zip(cursor..) {
        let Some(room) = out.get_mut(written..written + 2 + key.len()) else {
            next = at;
            break;
        };
        room[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
        room[2..].copy_from_slice(key);
        written += room.len();
    }
    // Known only now; what one call walks is bounded by `state_keys_max`.
    guest.meter.charge(passed.get() * KEY_FUEL)?;
    if next >= 0 && written == 0 {
        return Err(Errno::TooLarge.into());
    }
    call.memory[next_out].copy_from_slice(&i64::to_le_bytes(next));
    Ok(written as i64)
}

/// The key that arguments 0 and 1 name.
fn key(call: &Call<'_>) -> Result<Range<usize>, Errno> {
    let key = call.range(0)?;
    match key.len() {
        0 => Err(Errno::Argument),
        len if len > STATE_KEY_BYTES_MAX => Err(Errno::TooLarge),
        _ => Ok(key),
    }
}

fn value(call: &Call<'_>, at: usize) -> Result<Range<usize>, Errno> {
    let value = call.range(at)?;
    if value.len() > STATE_VALUE_BYTES_MAX { Err(Errno::TooLarge) } else { Ok(value) }
}

/// Charges for the walk; returns the event's time. `tidegate_init` has no state: its image would
/// carry it into every event.
fn begin(call: &mut Call<'_>) -> Result<i64, Stop> {
    if call.guest.current.is_none() {
        return Err(Errno::Unsupported.into());
    }
    let waiting = call.guest.overlay.len() as u64 * ITEM_FUEL;
    call.guest.meter.charge(STATE_FUEL + waiting)?;
    Ok(call.guest.event_us())
}

fn put_from_memory(
    call: &mut Call<'_>,
    key: Range<usize>,
    value: Range<usize>,
    ttl_s: u32,
    at_us: i64,
) -> Answer {
    put(call.guest, &call.memory[key], Some(&call.memory[value]), ttl_s, at_us)
}

fn put(guest: &mut Guest, key: &[u8], value: Option<&[u8]>, ttl_s: u32, at_us: i64) -> Answer {
    let limits = guest.state_limits();
    if !guest.weigh(key.len() + value.map_or(0, <[u8]>::len) + EFFECT_OVERHEAD_BYTES) {
        guest.over("effects_bytes_max");
        return Err(Errno::Quota.into());
    }
    if guest.overlay.put(&guest.table, &limits, key, value, ttl_s).is_ok() {
        return Ok(0);
    }
    guest.meter.charge(guest.table.len() as u64 * KEY_FUEL)?;
    guest.overlay.purge(&guest.table, at_us);
    if let Err(full) = guest.overlay.put(&guest.table, &limits, key, value, ttl_s) {
        guest.over(full.0);
        return Err(Errno::Quota.into());
    }
    Ok(0)
}
