//! The handler ABI `tidegate1`: what host and guest must agree on, byte for byte.
//!
//! Core WebAssembly, wasm32, little-endian. The guest owns every buffer; the host copies the
//! inbox record in before `on_event` and never calls back into the guest during a host call.
//! Numbers here are frozen: a new one may be added, none may change. `tests/golden` holds them.
#![no_std]

pub mod inbox;

/// Import module of every host function, and with it the ABI's major version.
pub const IMPORT_MODULE: &str = "tidegate1";

/// The manifest's `abi` number that this module describes.
pub const ABI_VERSION: u32 = 1;

/// Exports a guest must or may have.
pub mod export {
    /// The one memory.
    pub const MEMORY: &str = "memory";
    /// `() -> i64`: `(cap << 32) | ptr` of a static buffer, called once after init.
    pub const INBOX: &str = "tidegate_inbox";
    /// `() -> i32`, optional: runs once per deployment; its memory image is what each event starts from.
    pub const INIT: &str = "tidegate_init";
    /// `(len: i32) -> i32`: `>= 0` commits, [`crate::Errno::Retry`] asks for a retry, other negatives fail the event.
    pub const ON_EVENT: &str = "on_event";
    /// An immutable i32 global, optional: where static data ends (linkers know it under this name). A
    /// guest that exports it and uses neither `memory.grow` nor `memory.size` promises to touch nothing at
    /// or above it. The host may take that memory away: touching it then traps, and a range there is
    /// [`crate::Errno::MemoryRange`]. A guest with `memory.grow` or `memory.size` keeps its pages.
    pub const HEAP_BASE: &str = "__heap_base";
}

/// Where the event comes from that lets a release migrate a copy of its handler's state: its payload is the version that
/// has left it, and what it does beside changing state is an error. No device can publish there.
pub const MIGRATE_TOPIC: &str = "$migrate";

/// What a host function or `on_event` answers when it did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Errno {
    /// An argument makes no sense, or bytes that must be UTF-8 or JSON are not.
    Argument = -1,
    /// A pointer and length reach outside the guest's memory.
    MemoryRange = -2,
    /// No such key, field or file.
    NotFound = -3,
    /// The manifest does not grant this.
    NotPermitted = -4,
    /// Longer than the limit for its kind.
    TooLarge = -5,
    /// `state_cas` found another version.
    Conflict = -6,
    /// The event or the handler has used up its share.
    Quota = -7,
    /// It took too long.
    Timeout = -8,
    /// There is no link.
    Offline = -9,
    /// This host does not offer it.
    Unsupported = -10,
    /// From `on_event`: run this event again later.
    Retry = -11,
    /// Try again at once or later.
    Busy = -12,
    /// A fault of the host.
    Internal = -127,
}

impl Errno {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The error behind a negative number; unknown ones are [`Errno::Internal`].
    pub const fn from_code(code: i32) -> Errno {
        match code {
            -1 => Errno::Argument,
            -2 => Errno::MemoryRange,
            -3 => Errno::NotFound,
            -4 => Errno::NotPermitted,
            -5 => Errno::TooLarge,
            -6 => Errno::Conflict,
            -7 => Errno::Quota,
            -8 => Errno::Timeout,
            -9 => Errno::Offline,
            -10 => Errno::Unsupported,
            -11 => Errno::Retry,
            -12 => Errno::Busy,
            _ => Errno::Internal,
        }
    }
}

/// What woke the handler: byte 4 of the inbox record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trigger {
    /// When a message matched a topic filter.
    Mqtt = 1,
    /// When a timer fired.
    Timer = 2,
    /// When an HTTP request arrived.
    Http = 3,
    /// When a twin changed.
    Twin = 4,
    /// When a file changed.
    File = 5,
    /// When a person or a tool asked.
    Invoke = 6,
    /// When a pin changed: the topic is `$pin/` and its name, the payload `1` or `0`, the source its name.
    Gpio = 7,
    /// When the uplink came or went.
    Link = 8,
    /// When a device has been silent.
    Silence = 9,
}

/// Flag bits: byte 5 of the inbox record.
pub mod flags {
    /// The message was a retained one, delivered because the handler is new.
    pub const RETAIN: u8 = 1;
    /// The device marked it as sent before.
    pub const DUP: u8 = 2;
    /// The event is replayed from a recording.
    pub const REPLAY: u8 = 4;
    /// The first event this version of the handler sees.
    pub const FIRST: u8 = 8;
    /// A field did not fit the inbox; `ev_read` has the whole of it.
    pub const TRUNCATED: u8 = 16;
}

/// `flags` of `publish`: bits 0-1 the QoS, bit 2 retain.
pub mod publish_flags {
    /// Mask of the QoS bits.
    pub const QOS_MASK: i32 = 3;
    /// Ask the broker to keep it for later subscribers.
    pub const RETAIN: i32 = 4;
}

/// `prio` of `send`: 0 to 7, or the stream's own.
pub mod send_priority {
    /// As the stream is configured.
    pub const OWN: i32 = -1;
    /// Goes first, and is given up last.
    pub const HIGHEST: i32 = 7;
}

/// `op` of `gpio`.
pub mod gpio_op {
    /// How the pin is: 0 or 1. `val` is 0.
    pub const READ: i32 = 0;
    /// The pin is to be `val`: 0 or 1. It leaves with the event's other effects.
    pub const WRITE: i32 = 1;
}

/// `clock` of `now_us`.
pub mod clock {
    /// The event's own time.
    pub const EVENT: i32 = 0;
    /// Wall time, unix microseconds.
    pub const WALL: i32 = 1;
    /// Monotonic microseconds since the daemon started.
    pub const MONOTONIC: i32 = 2;
}

/// `field` of `ev_read`.
pub mod field {
    pub const TOPIC: i32 = 0;
    pub const PAYLOAD: i32 = 1;
    pub const SOURCE: i32 = 2;
    pub const ATTRS: i32 = 3;
}

/// `level` of `log`, most severe first.
pub mod level {
    pub const ERROR: i32 = 1;
    pub const WARN: i32 = 2;
    pub const INFO: i32 = 3;
    pub const DEBUG: i32 = 4;
    pub const TRACE: i32 = 5;
}

/// A value's type in the signature of a host function. There is nothing beyond these in the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    I32,
    I64,
    F64,
}

/// Name and type of one host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: &'static str,
    pub params: &'static [Type],
    pub result: Option<Type>,
}

use Type::{I32, I64};

const fn sig(name: &'static str, params: &'static [Type], result: Option<Type>) -> Signature {
    Signature { name, params, result }
}

/// Every host function that this version of the ABI has and this host offers, by name.
///
/// `(ptr, len)` goes in, `(buf, cap)` comes out. Unless said otherwise here, a result `>= 0` of a function
/// with a buffer is the length of the whole: when that is above `cap`, nothing was written. A result below 0
/// is an [`Errno`]; without a result that needs saying, success is 0.
///
/// - `ev_read (field, off, buf, cap)`: writes as much of the field from `off` on as fits, and returns how much
///   is left from `off` on, so that a long field is read in pieces. `off` may be the field's length (0 is left);
///   beyond it is [`Errno::Argument`].
/// - `ev_num (path, len, out_f64)`: a number of the JSON payload, 8 bytes little-endian at `out_f64`. A value
///   of another type is [`Errno::NotFound`], like a path that leads nowhere; a payload that is not JSON is
///   [`Errno::Argument`].
/// - `ev_str (path, len, buf, cap)`: a string of the JSON payload, unescaped. Other types as for `ev_num`.
/// - `publish (topic, tlen, payload, plen, flags)`: leaves when the event has succeeded; see [`publish_flags`].
/// - `send (stream, slen, payload, plen, prio, ttl_s)`: a record for upstream, kept until it is delivered; see
///   [`send_priority`]. It may be given up after `ttl_s` seconds; 0 is as the stream is configured.
///   [`Errno::NotPermitted`] when the manifest does not grant the stream, [`Errno::NotFound`] when it does and
///   the gateway has none of that name.
/// - `log (level, msg, len)`: see [`level`]; no result. A line beyond [`LOG_BYTES_MAX`] is cut off.
/// - `state_get (key, klen, buf, cap, ver_out)`: `ver_out` is 0, or points to a `u64` that gets the key's
///   version, little-endian, also when the value does not fit. A version is never 0 and changes with each event
///   that writes the key.
/// - `state_set (key, klen, value, vlen, ttl_s)`: for events whose time is `ttl_s` seconds later or more the key
///   is gone; 0 is never.
/// - `state_cas (key, klen, expect, value, vlen)`: writes if the key's version is `expect`, 0 for a key that is
///   absent; otherwise [`Errno::Conflict`]. The key then has no expiry.
/// - `state_del (key, klen)`: [`Errno::NotFound`] when there is no such key.
/// - `state_list (prefix, len, cursor, buf, cap, next_out)`: keys that start with the prefix, in byte order, each
///   as a `u16` length, little-endian, and its bytes, without padding. Returns the bytes written. A cursor of 0
///   starts; the `i64` at `next_out` gets the cursor to go on with, or -1 after the last key. A cursor counts keys,
///   so whoever writes keys between two calls may miss or repeat some. [`Errno::TooLarge`] when not even
///   the next key fits.
/// - `state_add (key, klen, delta, out_i64)`: adds to a value of 8 bytes, little-endian and signed; an absent one
///   is 0. The sum also goes to `out_i64`, and the key then has no expiry. [`Errno::Argument`] when the value
///   has another length or the sum does not fit.
/// - `now_us (clock)`: see [`clock`]; the same for the whole event, 0 in `tidegate_init`.
/// - `random (buf, len)`: fills the buffer and returns `len`. Good for jitter and sampling, not for keys.
/// - `gpio (op, name, len, val)`: a pin of the board, under the name that the board's file gives it; see [`gpio_op`].
///   1 is on, whichever way round it is wired. A read answers how the pin was when the job began, or how this event or
///   one before it in the job has set it. Of several writes of one event to a pin the last one counts.
///   [`Errno::NotPermitted`] when the manifest does not grant the pin; [`Errno::Unsupported`] when the board has no
///   pins, and [`Errno::NotFound`] when it has none of that name; [`Errno::Offline`] while the line cannot be used:
///   somebody else has taken it, or its chip is not there. [`Errno::Argument`] for an unknown `op`, a `val` that is not
///   0 or 1, and a write to an input.
/// - `config_get (key, klen, buf, cap)`: a string of `[config]`.
///
/// Keys are 1 to [`STATE_KEY_BYTES_MAX`] bytes. Reads of state see the event's own writes; others see them when
/// the event has succeeded. In `tidegate_init` there is no event and no state: `ev_*`, `state_*`, `gpio`,
/// `publish` and `send` are [`Errno::Unsupported`].
pub const IMPORTS: &[Signature] = &[
    sig("ev_read", &[I32, I32, I32, I32], Some(I32)),
    sig("ev_num", &[I32, I32, I32], Some(I32)),
    sig("ev_str", &[I32, I32, I32, I32], Some(I32)),
    sig("publish", &[I32, I32, I32, I32, I32], Some(I32)),
    sig("send", &[I32, I32, I32, I32, I32, I32], Some(I32)),
    sig("log", &[I32, I32, I32], None),
    sig("gpio", &[I32, I32, I32, I32], Some(I32)),
    sig("state_get", &[I32, I32, I32, I32, I32], Some(I32)),
    sig("state_set", &[I32, I32, I32, I32, I32], Some(I32)),
    sig("state_cas", &[I32, I32, I64, I32, I32], Some(I32)),
    sig("state_del", &[I32, I32], Some(I32)),
    sig("state_list", &[I32, I32, I64, I32, I32, I32], Some(I32)),
    sig("state_add", &[I32, I32, I64, I32], Some(I32)),
    sig("now_us", &[I32], Some(I64)),
    sig("random", &[I32, I32], Some(I32)),
    sig("config_get", &[I32, I32, I32, I32], Some(I32)),
];

/// Longest key of `state_*`, bytes.
pub const STATE_KEY_BYTES_MAX: usize = 256;
/// Longest value of `state_*`, bytes. Larger ones would become blob files that sled never syncs.
pub const STATE_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Longest path of `ev_num` and `ev_str`, bytes.
pub const JSON_PATH_BYTES_MAX: usize = 256;
/// Longest line of `log`, bytes; the rest is cut off.
pub const LOG_BYTES_MAX: usize = 512;
