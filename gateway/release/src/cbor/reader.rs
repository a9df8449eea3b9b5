//! Reading, by what is expected.

use crate::name::Name;

/// Why bytes are not what they should be. The place is a byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// When they end too early.
    #[error("ends at byte {at}, in the middle")]
    Ends { at: usize },
    /// When something follows the end.
    #[error("goes on at byte {at}, behind its end")]
    Trailing { at: usize },
    /// When there is a value of another kind than the format has there.
    #[error("has another kind of value at byte {at}")]
    Kind { at: usize },
    /// When a number or length could be written shorter, or has no end of its own.
    #[error("is not encoded in the one allowed way at byte {at}")]
    NotShortest { at: usize },
    /// When keys or members are not ascending, or one is there twice.
    #[error("has keys or members out of order, or twice, at byte {at}")]
    Order { at: usize },
    /// When a number, a length or a count is beyond its limit.
    #[error("has {is} at byte {at}, at most {max} may be there")]
    Limit { at: usize, is: u64, max: u64 },
    /// When a text is no UTF-8.
    #[error("has a text at byte {at} that is not UTF-8")]
    Text { at: usize },
    /// When a text is no [`Name`].
    #[error("has a text at byte {at} that is no name")]
    Name { at: usize },
    /// When bytes are no public key that can be used.
    #[error("has bytes at {at} that are no public key")]
    Key { at: usize },
    /// When a field that must be there is not.
    #[error("lacks field {key} at byte {at}")]
    Missing { at: usize, key: u64 },
    /// When there is a field that this version does not know.
    #[error("has field {key} at byte {at}, which this version does not know")]
    Unknown { at: usize, key: u64 },
    /// When a value is not among those that the format has there.
    #[error("has the value {is} at byte {at}, which this version does not know")]
    Value { at: usize, is: u64 },
}

impl Flaw {
    /// Whether a newer version may know what this one does not.
    pub fn is_newer(&self) -> bool {
        match self {
            Flaw::Unknown { .. } | Flaw::Value { .. } => true,
            Flaw::Ends { .. }
            | Flaw::Trailing { .. }
            | Flaw::Kind { .. }
            | Flaw::NotShortest { .. }
            | Flaw::Order { .. }
            | Flaw::Limit { .. }
            | Flaw::Text { .. }
            | Flaw::Name { .. }
            | Flaw::Key { .. }
            | Flaw::Missing { .. } => false,
        }
    }
}

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;

/// A place in the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Where the next value begins: for a flaw that only its reader can see.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The end must be here.
    pub fn end(self) -> Result<(), Flaw> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Flaw::Trailing { at: self.at }) }
    }

    pub fn uint(&mut self, max: u64) -> Result<u64, Flaw> {
        let at = self.at;
        within(at, self.head(UINT)?, max)
    }

    pub fn u32(&mut self) -> Result<u32, Flaw> {
        let value = self.uint(u32::MAX.into())?;
        Ok(u32::try_from(value).expect("it was compared with u32::MAX"))
    }

    pub fn u64(&mut self) -> Result<u64, Flaw> {
        self.uint(u64::MAX)
    }

    pub fn bool(&mut self) -> Result<bool, Flaw> {
        let at = self.at;
        match self.bytes.get(at) {
            None => return Err(Flaw::Ends { at }),
            Some(&FALSE) => self.at += 1,
            Some(&TRUE) => self.at += 1,
            Some(_) => return Err(Flaw::Kind { at }),
        }
        Ok(self.bytes[at] == TRUE)
    }

    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], Flaw> {
        self.string(BYTES, max)
    }

    pub fn array_of<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let at = self.at;
        self.bytes(N)?.try_into().map_err(|_| Flaw::Kind { at })
    }

    pub fn text(&mut self, max: usize) -> Result<&'a str, Flaw> {
        let at = self.at;
        std::str::from_utf8(self.string(TEXT, max)?).map_err(|_| Flaw::Text { at })
    }

    pub fn string_of(&mut self, max: usize) -> Result<String, Flaw> {
        self.text(max).map(str::to_owned)
    }

    pub fn name(&mut self) -> Result<Name, Flaw> {
        let at = self.at;
        Name::new(self.text(crate::name::NAME_BYTES_MAX)?).map_err(|_| Flaw::Name { at })
    }

    /// A number that stands for one of a few things.
    pub fn choice<T: Copy>(&mut self, of: &[(u64, T)]) -> Result<T, Flaw> {
        let at = self.at;
        let is = self.u64()?;
        let found = of.iter().find(|(value, _)| *value == is);
        found.map(|(_, meaning)| *meaning).ok_or(Flaw::Value { at, is })
    }

    /// How many members follow. Each takes a byte at least, so the count is also compared with what is left.
    pub fn array(&mut self, max: usize) -> Result<usize, Flaw> {
        let at = self.at;
        let count = within(at, self.head(ARRAY)?, max as u64)?;
        self.room(count)
    }

    /// An array that must have exactly `len` members.
    pub fn tuple(&mut self, len: usize) -> Result<(), Flaw> {
        let at = self.at;
        if self.array(len)? == len { Ok(()) } else { Err(Flaw::Kind { at }) }
    }

    /// Members of an array, one after the other.
    pub fn list<T>(
        &mut self,
        max: usize,
        mut member: impl FnMut(&mut Reader<'a>) -> Result<T, Flaw>,
    ) -> Result<Vec<T>, Flaw> {
        let count = self.array(max)?;
        // Not reserved: members may be larger in memory than on the wire.
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(member(self)?);
        }
        Ok(members)
    }

    /// The same when each member must be greater than the one before.
    pub fn ascending<T: Ord>(
        &mut self,
        max: usize,
        mut member: impl FnMut(&mut Reader<'a>) -> Result<T, Flaw>,
    ) -> Result<Vec<T>, Flaw> {
        let count = self.array(max)?;
        let mut members: Vec<T> = Vec::new();
        for _ in 0..count {
            let at = self.at;
            let next = member(self)?;
            if members.last().is_some_and(|last| *last >= next) {
                return Err(Flaw::Order { at });
            }
            members.push(next);
        }
        Ok(members)
    }

    /// The fields of a map, in ascending order of their keys.
    pub fn map(&mut self, max: usize) -> Result<Fields, Flaw> {
        let at = self.at;
        let left = within(at, self.head(MAP)?, max as u64)?;
        let left = self.room(left)?;
        Ok(Fields { left, next: None, last: None })
    }

    fn string(&mut self, kind: u8, max: usize) -> Result<&'a [u8], Flaw> {
        let at = self.at;
        let len = within(at, self.head(kind)?, max as u64)?;
        let len = self.room(len)?;
        let string = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(string)
    }

    /// A length or count that what is left can hold.
    fn room(&self, len: u64) -> Result<usize, Flaw> {
        let left = self.bytes.len() - self.at;
        match usize::try_from(len) {
            Ok(len) if len <= left => Ok(len),
            Ok(_) | Err(_) => Err(Flaw::Ends { at: self.bytes.len() }),
        }
    }

    /// The value of a head of that kind, in its shortest form (RFC 8949, 3 and 4.2.1).
    fn head(&mut self, kind: u8) -> Result<u64, Flaw> {
        let at = self.at;
        let &first = self.bytes.get(at).ok_or(Flaw::Ends { at })?;
        if first >> 5 != kind {
            return Err(Flaw::Kind { at });
        }
        let (len, least) = match first & 31 {
            small @ 0..24 => {
                self.at += 1;
                return Ok(small.into());
            }
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(Flaw::NotShortest { at }),
        };
        let rest = self.bytes.get(at + 1..at + 1 + len);
        let rest = rest.ok_or(Flaw::Ends { at: self.bytes.len() })?;
        let value = rest.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if value < least {
            return Err(Flaw::NotShortest { at });
        }
        self.at += 1 + len;
        Ok(value)
    }
}

fn within(at: usize, is: u64, max: u64) -> Result<u64, Flaw> {
    if is <= max { Ok(is) } else { Err(Flaw::Limit { at, is, max }) }
}

/// The fields of a map that is being read. Its reader asks for each key it knows, ascending, and for the end.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    left: usize,
    /// A key that was read, and where, while its value was not asked for.
    next: Option<(u64, usize)>,
    last: Option<u64>,
}

impl Fields {
    /// Whether the field of that key is next; its value is then to be read.
    pub fn has(&mut self, reader: &mut Reader<'_>, key: u64) -> Result<bool, Flaw> {
        let Some((next, at)) = self.peek(reader)? else {
            return Ok(false);
        };
        if next < key {
            return Err(Flaw::Unknown { at, key: next });
        }
        if next == key {
            self.next = None;
        }
        Ok(next == key)
    }

    /// The field of that key must be next.
    pub fn need(&mut self, reader: &mut Reader<'_>, key: u64) -> Result<(), Flaw> {
        if self.has(reader, key)? { Ok(()) } else { Err(Flaw::Missing { at: reader.at(), key }) }
    }

    /// No field may be left.
    pub fn end(mut self, reader: &mut Reader<'_>) -> Result<(), Flaw> {
        match self.peek(reader)? {
            None => Ok(()),
            Some((key, at)) => Err(Flaw::Unknown { at, key }),
        }
    }

    fn peek(&mut self, reader: &mut Reader<'_>) -> Result<Option<(u64, usize)>, Flaw> {
        if self.next.is_none() && self.left > 0 {
            let at = reader.at();
            let key = reader.u64()?;
            if self.last.is_some_and(|last| key <= last) {
                return Err(Flaw::Order { at });
            }
            self.left -= 1;
            self.last = Some(key);
            self.next = Some((key, at));
        }
        Ok(self.next)
    }
}
