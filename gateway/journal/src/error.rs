//! What can go wrong.

use std::io;

/// Why a call did not do what was asked. Damaged content is never among the reasons: it is reported in
/// [`crate::Recovery`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// When the disk refused. After one from [`crate::Journal::commit`] what is pending stays pending, and the
    /// next commit writes it into a fresh segment.
    #[error("the journal cannot {what} {name}")]
    Io {
        what: &'static str,
        name: String,
        #[source]
        source: io::Error,
    },
    /// When the quota leaves no room: forget or evict, then try again.
    #[error("the journal has used its {quota_bytes} bytes; forget or evict first")]
    Full { quota_bytes: u64 },
    /// When too much waits for a commit: commit first.
    #[error("{pending_bytes} bytes wait for a commit, which is the limit")]
    Pending { pending_bytes: usize },
    /// When a payload is longer than a frame may carry.
    #[error("a payload of {len} bytes is longer than {max}")]
    TooLarge { len: usize, max: usize },
    /// When a kind is 0 or above [`crate::KIND_MAX`].
    #[error("{kind} is no kind of a frame: 1 to {max}", max = crate::KIND_MAX)]
    Kind { kind: u8 },
}

impl Error {
    pub(crate) fn io(what: &'static str, name: &str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, name: name.to_owned(), source }
    }
}
