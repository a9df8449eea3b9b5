//! Text in a buffer of fixed size, put together from pieces without `core::fmt`.

use core::fmt;

use heapless::Vec;

use crate::error::fitted;
use crate::{Error, Result};

/// UTF-8 text of at most `N` bytes. What no longer fits is cut off between two characters, and
/// [`Text::whole`] says so.
#[derive(Clone)]
pub struct Text<const N: usize> {
    bytes: Vec<u8, N>,
    cut: bool,
}

impl<const N: usize> Text<N> {
    #[inline]
    pub const fn new() -> Text<N> {
        Text { bytes: Vec::new(), cut: false }
    }

    /// Adds a piece at the end.
    #[inline]
    pub fn put(&mut self, piece: impl Piece) -> &mut Text<N> {
        piece.put_into(self);
        self
    }

    /// Adds a string at the end.
    #[inline]
    pub fn put_str(&mut self, text: &str) {
        if self.cut || self.bytes.extend_from_slice(text.as_bytes()).is_err() {
            self.put_front_of(text);
        }
    }

    /// Fills up with what fits of `text`, and takes nothing more.
    #[cold]
    fn put_front_of(&mut self, text: &str) {
        if !self.cut {
            self.cut = true;
            let room = N - self.bytes.len();
            let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            let fits = self.bytes.extend_from_slice(&text.as_bytes()[..end]);
            debug_assert!(fits.is_ok(), "only what there is room for is taken");
        }
    }

    /// Adds ASCII at the end, all of it or nothing.
    #[inline]
    pub(crate) fn put_ascii(&mut self, ascii: &[u8]) {
        self.cut = self.cut || self.bytes.extend_from_slice(ascii).is_err();
    }

    /// The text, if all of it fitted.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it did not.
    #[inline]
    pub fn whole(self) -> Result<Text<N>> {
        if self.cut { Err(Error::TooLarge) } else { Ok(self) }
    }

    /// Text that a host function writes and tells the length of.
    #[inline]
    pub(crate) fn fill(write: impl FnOnce(&mut [u8]) -> i32) -> Result<Text<N>> {
        let mut text = Text::new();
        text.bytes.resize_default(N).map_err(|_| Error::Internal)?;
        let len = fitted(write(&mut text.bytes), N)?;
        text.bytes.truncate(len);
        Ok(text)
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text as a string slice. Costs a UTF-8 check each time: comparing, publishing and keys do
    /// not need it.
    pub fn as_str(&self) -> &str {
        // Only `&str`, ASCII and what the host calls text ever gets in.
        core::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::new()
    }
}

impl<const N: usize> AsRef<[u8]> for Text<N> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<const N: usize> PartialEq<str> for Text<N> {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> PartialEq<&str> for Text<N> {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize, const M: usize> PartialEq<Text<M>> for Text<N> {
    fn eq(&self, other: &Text<M>) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// What can be written into a [`Text`]. Floats go through [`fixed`](crate::fixed).
pub trait Piece {
    fn put_into<const N: usize>(&self, out: &mut Text<N>);
}

impl Piece for str {
    #[inline]
    fn put_into<const N: usize>(&self, out: &mut Text<N>) {
        out.put_str(self);
    }
}

impl Piece for bool {
    #[inline]
    fn put_into<const N: usize>(&self, out: &mut Text<N>) {
        out.put_str(if *self { "true" } else { "false" });
    }
}

impl<const M: usize> Piece for Text<M> {
    #[inline]
    fn put_into<const N: usize>(&self, out: &mut Text<N>) {
        out.put_str(self.as_str());
    }
}

impl<T: Piece + ?Sized> Piece for &T {
    #[inline]
    fn put_into<const N: usize>(&self, out: &mut Text<N>) {
        (**self).put_into(out);
    }
}

/// `text!(64; "devices/", device, "/cmd")`: a [`Text`] of at most so many bytes, from pieces.
/// [`Error::TooLarge`](crate::Error::TooLarge) when it does not fit.
#[macro_export]
macro_rules! text {
    ($bytes:expr; $($piece:expr),+ $(,)?) => {{
        let mut text = $crate::Text::<{ $bytes }>::new();
        $(text.put($piece);)+
        text.whole()
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_an_error_and_cut_between_characters() {
        assert_eq!(text!(4; "abc", 12).err(), Some(Error::TooLarge));
        let mut cut = Text::<4>::new();
        cut.put("abc").put("é").put("z");
        assert_eq!(cut, "abc");
        let mut cut = Text::<5>::new();
        cut.put("abc").put("déf").put("z");
        assert_eq!(cut, "abcd");
    }

    #[test]
    fn pieces_stand_in_order() {
        let text = text!(32; "devices/", 7, "/", true, "/", -1i64).expect("fits");
        assert_eq!(text, "devices/7/true/-1");
        assert_eq!(text!(17; text).expect("just fits").as_str(), "devices/7/true/-1");
    }

    #[test]
    fn a_full_buffer_is_not_a_cut_one() {
        assert!(text!(3; "abc").is_ok());
        assert!(text!(3; "abc", "").is_ok());
    }
}
