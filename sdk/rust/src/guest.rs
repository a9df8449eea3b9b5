//! The guest side of the ABI on wasm32: the imports behind slices, and the inbox. All of the SDK's
//! `unsafe` is here. The host is trusted with this memory: it can write any of it at any time anyway.

use core::cell::UnsafeCell;

use tidegate_abi::inbox;

use crate::{Answer, Error, Event, Result};

mod import {
    #[link(wasm_import_module = "tidegate1")]
    unsafe extern "C" {
        pub fn ev_read(field: i32, off: usize, buf: *mut u8, cap: usize) -> i32;
        pub fn ev_num(path: *const u8, len: usize, out: *mut f64) -> i32;
        pub fn ev_str(path: *const u8, len: usize, buf: *mut u8, cap: usize) -> i32;
        pub fn publish(
            topic: *const u8,
            tlen: usize,
            pay: *const u8,
            plen: usize,
            flags: i32,
        ) -> i32;
        pub fn send(
            stream: *const u8,
            slen: usize,
            pay: *const u8,
            plen: usize,
            prio: i32,
            ttl_s: i32,
        ) -> i32;
        pub fn gpio(op: i32, name: *const u8, len: usize, val: i32) -> i32;
        pub fn log(level: i32, msg: *const u8, len: usize);
        pub fn state_get(
            key: *const u8,
            klen: usize,
            buf: *mut u8,
            cap: usize,
            ver_out: *mut u64,
        ) -> i32;
        pub fn state_set(
            key: *const u8,
            klen: usize,
            val: *const u8,
            vlen: usize,
            ttl_s: i32,
        ) -> i32;
        pub fn state_cas(
            key: *const u8,
            klen: usize,
            expect: i64,
            val: *const u8,
            vlen: usize,
        ) -> i32;
        pub fn state_del(key: *const u8, klen: usize) -> i32;
        pub fn state_list(
            prefix: *const u8,
            len: usize,
            cursor: i64,
            buf: *mut u8,
            cap: usize,
            next: *mut i64,
        ) -> i32;
        pub fn state_add(key: *const u8, klen: usize, delta: i64, out: *mut i64) -> i32;
        pub fn now_us(clock: i32) -> i64;
        pub fn random(buf: *mut u8, len: usize) -> i32;
        pub fn config_get(key: *const u8, klen: usize, buf: *mut u8, cap: usize) -> i32;
    }
}

// Every wrapper below passes pointer and length of live slices, or a pointer to a live place of the
// type that the import writes; the host checks the range, writes at most `cap` bytes, and keeps no
// pointer after the call. That is the whole safety argument of each block.

#[inline]
pub(crate) fn ev_read(field: i32, off: usize, buf: &mut [u8]) -> i32 {
    // SAFETY: `buf` is live and writable for its length.
    unsafe { import::ev_read(field, off, buf.as_mut_ptr(), buf.len()) }
}

#[inline]
pub(crate) fn ev_num(path: &[u8], out: &mut f64) -> i32 {
    // SAFETY: `path` is live, `out` is a place for the f64 that is written.
    unsafe { import::ev_num(path.as_ptr(), path.len(), out) }
}

#[inline]
pub(crate) fn ev_str(path: &[u8], buf: &mut [u8]) -> i32 {
    // SAFETY: both slices are live, `buf` is writable for its length.
    unsafe { import::ev_str(path.as_ptr(), path.len(), buf.as_mut_ptr(), buf.len()) }
}

#[inline]
pub(crate) fn publish(topic: &[u8], payload: &[u8], flags: i32) -> i32 {
    // SAFETY: both slices are live and only read.
    unsafe { import::publish(topic.as_ptr(), topic.len(), payload.as_ptr(), payload.len(), flags) }
}

#[inline]
pub(crate) fn send(stream: &[u8], payload: &[u8], priority: i32, ttl_s: i32) -> i32 {
    // SAFETY: both slices are live and only read.
    unsafe {
        import::send(
            stream.as_ptr(),
            stream.len(),
            payload.as_ptr(),
            payload.len(),
            priority,
            ttl_s,
        )
    }
}

#[inline]
pub(crate) fn gpio(op: i32, name: &[u8], value: i32) -> i32 {
    // SAFETY: `name` is live and only read.
    unsafe { import::gpio(op, name.as_ptr(), name.len(), value) }
}

#[inline]
pub(crate) fn log(level: i32, line: &[u8]) {
    // SAFETY: `line` is live and only read.
    unsafe { import::log(level, line.as_ptr(), line.len()) }
}

#[inline]
pub(crate) fn state_get(key: &[u8], buf: &mut [u8], version: Option<&mut u64>) -> i32 {
    let version = version.map_or(core::ptr::null_mut(), |place| place as *mut u64);
    // SAFETY: both slices are live, `buf` is writable; `version` is null, which the ABI reads as
    // "not wanted", or a place for the u64 that is written.
    unsafe { import::state_get(key.as_ptr(), key.len(), buf.as_mut_ptr(), buf.len(), version) }
}

#[inline]
pub(crate) fn state_set(key: &[u8], value: &[u8], ttl_s: i32) -> i32 {
    // SAFETY: both slices are live and only read.
    unsafe { import::state_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl_s) }
}

#[inline]
pub(crate) fn state_cas(key: &[u8], expect: i64, value: &[u8]) -> i32 {
    // SAFETY: both slices are live and only read.
    unsafe { import::state_cas(key.as_ptr(), key.len(), expect, value.as_ptr(), value.len()) }
}

#[inline]
pub(crate) fn state_del(key: &[u8]) -> i32 {
    // SAFETY: `key` is live and only read.
    unsafe { import::state_del(key.as_ptr(), key.len()) }
}

#[inline]
pub(crate) fn state_list(prefix: &[u8], cursor: i64, buf: &mut [u8], next: &mut i64) -> i32 {
    // SAFETY: both slices are live, `buf` is writable, `next` is a place for the i64 that is written.
    unsafe {
        import::state_list(prefix.as_ptr(), prefix.len(), cursor, buf.as_mut_ptr(), buf.len(), next)
    }
}

#[inline]
pub(crate) fn state_add(key: &[u8], delta: i64, out: &mut i64) -> i32 {
    // SAFETY: `key` is live, `out` is a place for the i64 that is written.
    unsafe { import::state_add(key.as_ptr(), key.len(), delta, out) }
}

#[inline]
pub(crate) fn now_us(clock: i32) -> i64 {
    // SAFETY: takes and returns numbers only.
    unsafe { import::now_us(clock) }
}

#[inline]
pub(crate) fn random(buf: &mut [u8]) -> i32 {
    // SAFETY: `buf` is live and writable for its length.
    unsafe { import::random(buf.as_mut_ptr(), buf.len()) }
}

#[inline]
pub(crate) fn config_get(key: &[u8], buf: &mut [u8]) -> i32 {
    // SAFETY: both slices are live, `buf` is writable for its length.
    unsafe { import::config_get(key.as_ptr(), key.len(), buf.as_mut_ptr(), buf.len()) }
}

/// Text that the host wrote into the inbox.
#[inline]
pub(crate) fn host_text(bytes: &[u8]) -> &str {
    // SAFETY: the host takes topic and source from checked UTF-8 strings and cuts between
    // characters; checking again would cost an interpreter more than most handlers do.
    unsafe { core::str::from_utf8_unchecked(bytes) }
}

/// The number that goes to the host: 0 commits, [`Error::Retry`] asks for a retry, others fail the event.
pub fn code(result: Result) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => error.code(),
    }
}

/// The buffer that the host writes each event into. Made by [`handler!`](crate::handler).
pub struct Inbox<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: a module has one thread, and the host runs one call of it at a time.
unsafe impl<const N: usize> Sync for Inbox<N> {}

impl<const N: usize> Inbox<N> {
    /// An empty inbox; at least the head of a record must fit.
    #[allow(clippy::new_without_default, reason = "made in a static by the macro only")]
    pub const fn new() -> Inbox<N> {
        const { assert!(N > inbox::HEAD_LEN, "an inbox holds 72 bytes and then the event") };
        Inbox(UnsafeCell::new([0; N]))
    }

    /// What `tidegate_inbox` returns.
    #[inline]
    pub fn address(&self) -> i64 {
        inbox::pack(self.0.get() as u32, N as u32)
    }

    /// Runs the handler over the record of `len` bytes that the host has written.
    #[inline]
    pub fn run<A: Answer>(&self, len: i32, handle: fn(&Event<'_>) -> A) -> i32 {
        // SAFETY: the host writes the inbox before this call and never during it, so nothing
        // changes the bytes while this shared reference lives.
        let bytes: &[u8; N] = unsafe { &*self.0.get() };
        match bytes.get(..len as usize).and_then(Event::new) {
            Some(event) => code(handle(&event).into_result()),
            None => Error::Argument.code(),
        }
    }
}

/// The version whose state is to be migrated now, when the event is about that.
pub fn migrates_from<'a>(event: &Event<'a>) -> Option<&'a str> {
    let is_asked = event.topic() == tidegate_abi::MIGRATE_TOPIC;
    is_asked.then(|| core::str::from_utf8(event.payload()).unwrap_or_default())
}

#[cfg(feature = "panic-handler")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
