//! Why a module cannot run here. Each says what is wrong and what to do about it.

use tidegate_core::job::Failure;

/// Why [`crate::load`] refused a module. People read these.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("`limits.{key}` asks for {value}, this board allows {max}: lower it in handler.toml")]
    LimitAboveBoard { key: &'static str, value: u64, max: u64 },
    #[error(
        "the module has {bytes} bytes, this board allows {max}: build it with optimisation for size, without debug information"
    )]
    ModuleTooLarge { bytes: usize, max: usize },
    #[error("this is no WebAssembly module (at byte {offset}): {reason}")]
    Malformed { offset: usize, reason: String },
    #[error(
        "the module imports `{module}.{name}`; only functions of `tidegate1` exist here: remove what needs it (WASI, for example)"
    )]
    ImportModule { module: String, name: String },
    #[error(
        "the module imports `tidegate1.{name}`, which this gateway does not have: update the gateway, or do without"
    )]
    ImportUnknown { name: String },
    #[error(
        "the module imports {kind} `tidegate1.{name}`; only functions may be imported: let the module define its own"
    )]
    ImportKind { name: String, kind: &'static str },
    #[error(
        "the module imports `tidegate1.{name}` as {found}; it is {expected}: rebuild against the current SDK"
    )]
    ImportType { name: String, found: String, expected: String },
    #[error(
        "the module imports `tidegate1.{name}`, and handler.toml grants none of it: add `[grants] {name} = [..]`, or do without"
    )]
    ImportUngranted { name: String },
    #[error(
        "the module has a start function, which would run before any limit holds: move its work into `tidegate_init`"
    )]
    StartFunction,
    #[error("the module defines {count} memories; it must define one and export it as `memory`")]
    MemoryCount { count: u32 },
    #[error(
        "the module's memory starts with {initial_kib} KiB, `limits.memory_kib` allows {max_kib}: raise it, or link with a smaller stack (`tidegate build --stack-kib`, `-z stack-size`)"
    )]
    MemoryTooLarge { initial_kib: u64, max_kib: u64 },
    #[error("the module has {count} {what}, the limit is {max}")]
    TooMany { what: &'static str, count: u64, max: u64 },
    #[error("the module does not export `{name}`, which must be {expected}")]
    ExportMissing { name: &'static str, expected: &'static str },
    #[error("the module exports `{name}` as {found}; it must be {expected}")]
    ExportType { name: &'static str, found: String, expected: &'static str },
    #[error(
        "the module exports `{name}`; names that start with `tidegate:` are reserved: rename it"
    )]
    ExportReserved { name: String },
    #[error("the module is not valid: {reason}")]
    Invalid { reason: String },
    #[error("the module could not be instantiated: {reason}")]
    Instantiate { reason: String },
    #[error("`{function}` failed: {}", describe(.failure))]
    InitFailed { function: &'static str, failure: Failure },
    #[error(
        "`tidegate_inbox` returned {cap} bytes at {ptr}, the memory has {memory_bytes}: return a static buffer"
    )]
    InboxRange { ptr: u32, cap: u32, memory_bytes: usize },
    #[error(
        "`tidegate_inbox` returned a buffer of {cap} bytes; the head of an event alone has {min}: make it larger"
    )]
    InboxSmall { cap: u32, min: usize },
}

fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Trap(name) => format!("it trapped ({name})"),
        Failure::OutOfFuel => "it used up the fuel for starting; do less there".to_owned(),
        Failure::Returned(code) => format!("it returned {code}"),
        Failure::Deadline => "it took too long".to_owned(),
        Failure::Quota(name) => format!("it went beyond `{name}`"),
        Failure::RetriesUsedUp | Failure::Quarantined => "it did not run".to_owned(),
    }
}
