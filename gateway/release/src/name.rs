//! Names of fleets, gateways, groups, handlers, streams and pins.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// Longest name.
pub const NAME_BYTES_MAX: usize = 64;

/// 1 to 64 of `[a-z0-9-_.]`, and no dot in front: it stands in topics and in file names, and is never a way out of
/// either.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// When a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no name; use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, and no `.` in front")]
pub struct NoName;

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// When `text` is not one.
    pub fn new(text: &str) -> Result<Name, NoName> {
        let good = (1..=NAME_BYTES_MAX).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
        if good { Ok(Name(Box::from(text))) } else { Err(NoName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Name, NoName> {
        Name::new(text)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_no_topic() {
        for good in ["a", "gw-01", "over_heat", "v1.2", &"x".repeat(64)] {
            assert_eq!(Name::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in
            ["", ".", "..", ".a", "a/b", "A", "a b", "ä", "+", "#", "a:b", "a\0", &"x".repeat(65)]
        {
            assert_eq!(Name::new(bad), Err(NoName), "{bad:?}");
        }
    }
}
