//! Writing: the one encoding of each value.

/// Bytes that grow. Keys of a map are to be given ascending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub fn new() -> Writer {
        Writer::default()
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    pub fn uint(&mut self, value: impl Into<u64>) -> &mut Writer {
        self.head(0, value.into())
    }

    pub fn bool(&mut self, value: bool) -> &mut Writer {
        self.0.push(if value { 0xf5 } else { 0xf4 });
        self
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.head(2, bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Writer {
        self.head(3, text.len() as u64).0.extend_from_slice(text.as_bytes());
        self
    }

    /// So many members are to follow.
    pub fn array(&mut self, len: usize) -> &mut Writer {
        self.head(4, len as u64)
    }

    /// So many fields are to follow, each a key and its value.
    pub fn map(&mut self, len: usize) -> &mut Writer {
        self.head(5, len as u64)
    }

    /// The key of the next field.
    pub fn key(&mut self, key: u64) -> &mut Writer {
        self.head(0, key)
    }

    fn head(&mut self, kind: u8, value: u64) -> &mut Writer {
        let kind = kind << 5;
        let bytes = value.to_be_bytes();
        match value {
            0..24 => self.0.push(kind | bytes[7]),
            24..0x100 => self.0.extend([kind | 24, bytes[7]]),
            0x100..0x1_0000 => {
                self.0.push(kind | 25);
                self.0.extend_from_slice(&bytes[6..]);
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.push(kind | 26);
                self.0.extend_from_slice(&bytes[4..]);
            }
            0x1_0000_0000.. => {
                self.0.push(kind | 27);
                self.0.extend_from_slice(&bytes);
            }
        }
        self
    }
}
