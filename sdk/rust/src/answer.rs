//! What a handler may return.

use crate::Result;

/// What a handler function may return: nothing, or a [`Result`].
pub trait Answer {
    /// The answer as the guest's code sees it.
    fn into_result(self) -> Result;
}

impl Answer for () {
    fn into_result(self) -> Result {
        Ok(())
    }
}

impl Answer for Result {
    fn into_result(self) -> Result {
        self
    }
}
