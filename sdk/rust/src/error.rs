//! The one error type of a handler: what a host function answered, or what the handler itself says.

use core::fmt;

use tidegate_abi::Errno;

/// Why something did not work. Returned from the handler it fails the event, except [`Error::Retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Error {
    /// When an argument makes no sense, or bytes that must be UTF-8 or JSON are not.
    Argument = Errno::Argument.code(),
    /// When a buffer lies outside memory. Safe code never sees it.
    MemoryRange = Errno::MemoryRange.code(),
    /// When there is no such key, field or topic level.
    NotFound = Errno::NotFound.code(),
    /// When the manifest does not grant it.
    NotPermitted = Errno::NotPermitted.code(),
    /// When it does not fit: the buffer here, or the limit of the host.
    TooLarge = Errno::TooLarge.code(),
    /// When a compare-and-set found another version.
    Conflict = Errno::Conflict.code(),
    /// When the event or the handler has used up its share.
    Quota = Errno::Quota.code(),
    /// When it took too long.
    Timeout = Errno::Timeout.code(),
    /// When there is no link.
    Offline = Errno::Offline.code(),
    /// When this host does not offer it.
    Unsupported = Errno::Unsupported.code(),
    /// Returned from the handler: nothing of this event happens, and it runs again later.
    Retry = Errno::Retry.code(),
    /// When trying again at once or later may help.
    Busy = Errno::Busy.code(),
    /// When the host is at fault.
    Internal = Errno::Internal.code(),
}

/// What handlers and SDK functions return.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

impl Error {
    /// The ABI's number, always negative.
    pub const fn code(self) -> i32 {
        self as i32
    }
}

impl From<Errno> for Error {
    #[inline]
    fn from(errno: Errno) -> Error {
        match errno {
            Errno::Argument => Error::Argument,
            Errno::MemoryRange => Error::MemoryRange,
            Errno::NotFound => Error::NotFound,
            Errno::NotPermitted => Error::NotPermitted,
            Errno::TooLarge => Error::TooLarge,
            Errno::Conflict => Error::Conflict,
            Errno::Quota => Error::Quota,
            Errno::Timeout => Error::Timeout,
            Errno::Offline => Error::Offline,
            Errno::Unsupported => Error::Unsupported,
            Errno::Retry => Error::Retry,
            Errno::Busy => Error::Busy,
            Errno::Internal => Error::Internal,
        }
    }
}

/// What a host function returned: a length or count, or the error behind a negative number.
#[inline]
pub(crate) fn length(answer: i32) -> Result<usize> {
    if answer >= 0 { Ok(answer as usize) } else { Err(Errno::from_code(answer).into()) }
}

/// As [`length`], for a caller that only wants to know whether it worked.
#[inline]
pub(crate) fn done(answer: i32) -> Result {
    length(answer).map(|_| ())
}

/// As [`length`], for bytes that must have fitted into `cap`.
#[inline]
pub(crate) fn fitted(answer: i32, cap: usize) -> Result<usize> {
    let len = length(answer)?;
    if len <= cap { Ok(len) } else { Err(Error::TooLarge) }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Argument => "an argument makes no sense",
            Error::MemoryRange => "a buffer lies outside memory",
            Error::NotFound => "not found",
            Error::NotPermitted => "not granted by handler.toml",
            Error::TooLarge => "too large",
            Error::Conflict => "another version is stored",
            Error::Quota => "the share is used up",
            Error::Timeout => "took too long",
            Error::Offline => "no link",
            Error::Unsupported => "not offered by this host",
            Error::Retry => "asks for a retry",
            Error::Busy => "busy",
            Error::Internal => "a fault of the host",
        })
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_answer_becomes_a_length_or_the_error_with_its_number() {
        assert_eq!(length(0), Ok(0));
        assert_eq!(length(17), Ok(17));
        for code in -12..0 {
            assert_eq!(length(code).map_err(Error::code), Err(code));
        }
        assert_eq!(length(-99), Err(Error::Internal));
        assert_eq!(length(i32::MIN), Err(Error::Internal));
        assert_eq!(Error::Retry.code(), -11);
    }

    #[test]
    fn an_answer_longer_than_the_buffer_is_too_large() {
        assert_eq!(fitted(8, 8), Ok(8));
        assert_eq!(fitted(9, 8), Err(Error::TooLarge));
    }
}
