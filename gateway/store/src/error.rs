//! What can go wrong.

use std::io;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// When they end too early.
    #[error("ends too early")]
    Short,
    /// When a number is larger than what it stands for can be.
    #[error("a number is too large")]
    Number,
    /// When a text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
    /// When another version of the store wrote them.
    #[error("version {version} is not known here")]
    Version { version: u8 },
    /// When a part has a tag that this version does not know, or stands in the wrong place.
    #[error("tag {tag} is not known here, or not at this place")]
    Tag { tag: u8 },
    /// When bytes follow the end.
    #[error("bytes follow the end")]
    Long,
    /// When the checksum says that they were changed.
    #[error("the checksum is wrong")]
    Checksum,
}

/// Why the store did not do what was asked. Damaged content is never among the reasons: [`crate::Found`] reports it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// When the journal refused.
    #[error(transparent)]
    Journal(#[from] tidegate_journal::Error),
    /// When the shelf refused: the journal keeps what should have gone there.
    #[error("the shelf cannot {what}")]
    Shelf {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// When an export could not be written: the journal keeps what should be in it.
    #[error("cannot {what} the export {name}")]
    Export {
        what: &'static str,
        name: String,
        #[source]
        source: io::Error,
    },
    /// When a commit is larger than one frame. It was not taken, and no later one may be.
    #[error("commit {id} takes {len} bytes in the journal, more than {max}")]
    TooLarge { id: u64, len: usize, max: usize },
    /// When a commit has more records than a frame has places.
    #[error("commit {id} has {count} records, more than {max}")]
    TooMany { id: u64, count: usize, max: usize },
}

impl Error {
    pub(crate) fn shelf(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Shelf { what, source }
    }

    pub(crate) fn export(what: &'static str, name: &str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Export { what, name: name.to_owned(), source }
    }
}
