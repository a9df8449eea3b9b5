//! The handler's state: bytes under keys, kept by the gateway over events, restarts and versions.
//!
//! Reads see what this event has written; others see it when the handler has returned `Ok`. Keys are
//! 1 to 256 bytes, values at most 16 KiB. State belongs to the handler's name: no other handler sees it.

use heapless::Vec;

use crate::error::{done, fitted, length};
use crate::{Error, Result, Text, host};

/// Version of a key that does not exist: [`compare_and_set`] with it only creates.
pub const ABSENT: u64 = 0;

/// Nothing under a key is a value here, not an error.
#[inline]
fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The value under `key`, of at most `N` bytes.
///
/// # Errors
/// [`Error::TooLarge`] when it is longer.
#[inline]
pub fn get<const N: usize>(key: impl AsRef<[u8]>) -> Result<Option<Vec<u8, N>>> {
    found(read(key.as_ref(), None))
}

/// The value under `key` with its version, for [`compare_and_set`].
///
/// # Errors
/// As [`get`].
#[inline]
pub fn get_versioned<const N: usize>(key: impl AsRef<[u8]>) -> Result<Option<(Vec<u8, N>, u64)>> {
    let mut version = ABSENT;
    let value = found(read(key.as_ref(), Some(&mut version)))?;
    Ok(value.map(|value| (value, version)))
}

#[inline]
fn read<const N: usize>(key: &[u8], version: Option<&mut u64>) -> Result<Vec<u8, N>> {
    let mut value = Vec::new();
    value.resize_default(N).map_err(|_| Error::Internal)?;
    let len = fitted(host::state_get(key, &mut value, version), N)?;
    value.truncate(len);
    Ok(value)
}

/// Eight bytes under `key`.
#[inline]
fn eight(key: &[u8]) -> Result<Option<[u8; 8]>> {
    let mut value = [0; 8];
    match found(length(host::state_get(key, &mut value, None)))? {
        None => Ok(None),
        Some(8) => Ok(Some(value)),
        Some(_) => Err(Error::Argument),
    }
}

/// The float that [`set_f64`] wrote under `key`.
///
/// # Errors
/// [`Error::Argument`] when the value is not eight bytes long.
#[inline]
pub fn get_f64(key: impl AsRef<[u8]>) -> Result<Option<f64>> {
    Ok(eight(key.as_ref())?.map(f64::from_le_bytes))
}

/// The whole number that [`set_i64`] or [`add`] wrote under `key`.
///
/// # Errors
/// [`Error::Argument`] when the value is not eight bytes long.
#[inline]
pub fn get_i64(key: impl AsRef<[u8]>) -> Result<Option<i64>> {
    Ok(eight(key.as_ref())?.map(i64::from_le_bytes))
}

/// The text under `key`, of at most `N` bytes.
///
/// # Errors
/// [`Error::TooLarge`] when it is longer.
#[inline]
pub fn get_text<const N: usize>(key: impl AsRef<[u8]>) -> Result<Option<Text<N>>> {
    found(Text::fill(|buf| host::state_get(key.as_ref(), buf, None)))
}

/// Puts a value under `key`.
///
/// # Errors
/// [`Error::Argument`] for an empty key, [`Error::TooLarge`] for a long key or value,
/// [`Error::Quota`] when the event or the handler has written its share.
#[inline]
pub fn set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result {
    set_for(key, value, 0)
}

/// As [`set`]; for events that come `ttl_s` seconds later or more the key is gone. 0 is never.
///
/// # Errors
/// As [`set`].
#[inline]
pub fn set_for(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl_s: u32) -> Result {
    done(host::state_set(key.as_ref(), value.as_ref(), ttl_s as i32))
}

/// Puts a float under `key`, every bit of it. The sign of a not-a-number that was reckoned depends on the processor.
///
/// # Errors
/// As [`set`].
#[inline]
pub fn set_f64(key: impl AsRef<[u8]>, value: f64) -> Result {
    set(key, value.to_le_bytes())
}

/// Puts a whole number under `key`, where [`add`] can count it on.
///
/// # Errors
/// As [`set`].
#[inline]
pub fn set_i64(key: impl AsRef<[u8]>, value: i64) -> Result {
    set(key, value.to_le_bytes())
}

/// Puts a value under `key` if its version is still `expect`; [`ABSENT`] if it must not exist yet.
///
/// # Errors
/// [`Error::Conflict`] when it is another version; else as [`set`].
#[inline]
pub fn compare_and_set(key: impl AsRef<[u8]>, expect: u64, value: impl AsRef<[u8]>) -> Result {
    done(host::state_cas(key.as_ref(), expect as i64, value.as_ref()))
}

/// Removes `key`. Whether it was there.
///
/// # Errors
/// As [`set`].
#[inline]
pub fn delete(key: impl AsRef<[u8]>) -> Result<bool> {
    Ok(found(done(host::state_del(key.as_ref())))?.is_some())
}

/// Adds to the whole number under `key`, from 0 when there is none, and returns the sum.
///
/// # Errors
/// [`Error::Argument`] when the value there is not eight bytes long or the sum does not fit; else as [`set`].
#[inline]
pub fn add(key: impl AsRef<[u8]>, delta: i64) -> Result<i64> {
    let mut sum = 0;
    done(host::state_add(key.as_ref(), delta, &mut sum))?;
    Ok(sum)
}

/// Calls `each` with every key that begins with `prefix`, in order, until it returns `false`.
/// Asks the host for up to `N` bytes of keys at a time; `N` of 258 and more holds any key.
///
/// # Errors
/// [`Error::TooLarge`] when a key does not fit `N`; what the host answers.
pub fn keys<const N: usize>(
    prefix: impl AsRef<[u8]>,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result {
    let mut page = [0u8; N];
    let mut cursor = 0;
    while cursor >= 0 {
        let mut next = -1;
        let len = fitted(host::state_list(prefix.as_ref(), cursor, &mut page, &mut next), N)?;
        let mut rest = &page[..len];
        // A `u16` length, little-endian, and the key, one after the other.
        while let Some((head, tail)) = rest.split_first_chunk() {
            let (key, after) = tail
                .split_at_checked(usize::from(u16::from_le_bytes(*head)))
                .ok_or(Error::Internal)?;
            if !each(key) {
                return Ok(());
            }
            rest = after;
        }
        cursor = next;
    }
    Ok(())
}
