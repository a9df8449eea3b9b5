//! What the daemon and the process that keeps its state say to each other, over the process's standard input and
//! output. The daemon asks, one thing at a time.
//!
//! ```text
//! frame      length u32, of what follows, 1 to 2,097,152 | kind u8 | the rest
//! block      length u32 | bytes
//!
//! asked                                                                  answered
//!  1 open    version u8 = 1 | 1: read every row first, 0: do not         done
//!  2 read    rows of about so many bytes u32 | 0, or 1 and block: the    rows, none at the end
//!            key after which they begin
//!  3 find    block each: a key                                           found, of the first of them at least
//!  4 put     block and (0, or 1 and block) each: a key and what its      nothing
//!            row becomes, 0 is no row
//!  5 write   rows u32, that were put                                     done, when they are durable, all or none
//!  6 reset                                                               done, when all rows are gone
//!  7 close                                                               nothing: it ends with status 0 when the folder
//!                                                                        is closed and durable
//! answered
//! 65 done    generation u64: how often the folder was written to
//! 66 rows    block and block each: a key and its row, in order
//! 67 found   0, or 1 and block each: the row of each key
//! 68 refused 1: another process has the folder, 0: something else | why, UTF-8
//! ```
//! Numbers are little-endian. Whoever reads something else than this ends the conversation, and the process with it.

use std::io::{self, Read, Write};

/// A row has 1,044,480 bytes at most, and one of that size may come behind others.
pub const FRAME_BYTES_MAX: usize = 2 << 20;
/// What one frame gathers of small things.
pub const FILL_BYTES: usize = 256 << 10;
const VERSION: u8 = 1;
const LENGTH_BYTES: usize = 4;

/// A key and its row.
pub type Row = (Vec<u8>, Vec<u8>);

/// What the daemon asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    Open { reads_all: bool },
    Read { bytes_max: u32, after: Option<&'a [u8]> },
    Find(Vec<&'a [u8]>),
    Put(Vec<(&'a [u8], Option<&'a [u8]>)>),
    Write { rows: u32 },
    Reset,
    Close,
}

/// What the process answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done { generation: u64 },
    Rows(Vec<Row>),
    Found(Vec<Option<Vec<u8>>>),
    Refused { is_busy: bool, reason: String },
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it says what nobody understands: {what}"))
}

/// A frame that is being written.
struct Draft(Vec<u8>);

impl Draft {
    fn new(kind: u8) -> Draft {
        Draft([&[0; LENGTH_BYTES][..], &[kind]].concat())
    }

    fn byte(mut self, byte: u8) -> Draft {
        self.0.push(byte);
        self
    }

    fn number(mut self, number: u32) -> Draft {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn block(self, bytes: &[u8]) -> Draft {
        // One that does not fit is too long for a frame anyway, which is found at its end.
        let mut draft = self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        draft.0.extend_from_slice(bytes);
        draft
    }

    fn maybe(self, bytes: Option<&[u8]>) -> Draft {
        match bytes {
            Some(bytes) => self.byte(1).block(bytes),
            None => self.byte(0),
        }
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        let len = self.0.len() - LENGTH_BYTES;
        if len > FRAME_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0[..LENGTH_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
        Ok(self.0)
    }
}

/// What is left of a frame that is being read. It believes nothing.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(|| nonsense("a short frame"))?;
        self.0 = rest;
        Ok(head)
    }

    fn flag(&mut self) -> io::Result<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(nonsense("neither 0 nor 1")),
        }
    }

    fn number(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?.first_chunk().ok_or_else(|| nonsense("a short frame"))?;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn long(&mut self) -> io::Result<u64> {
        let bytes = self.take(8)?.first_chunk().ok_or_else(|| nonsense("a short frame"))?;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn block(&mut self) -> io::Result<&'a [u8]> {
        let len = self.number()?;
        self.take(len as usize)
    }

    fn maybe(&mut self) -> io::Result<Option<&'a [u8]>> {
        Ok(if self.flag()? { Some(self.block()?) } else { None })
    }

    /// As many as there are.
    fn each<T>(&mut self, mut one: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let mut all = Vec::new();
        while !self.0.is_empty() {
            all.push(one(self)?);
        }
        Ok(all)
    }
}

impl<'a> Request<'a> {
    /// The whole frame.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn frame(&self) -> io::Result<Vec<u8>> {
        let draft = match self {
            Request::Open { reads_all } => Draft::new(1).byte(VERSION).byte(u8::from(*reads_all)),
            Request::Read { bytes_max, after } => Draft::new(2).number(*bytes_max).maybe(*after),
            Request::Find(keys) => keys.iter().fold(Draft::new(3), |draft, key| draft.block(key)),
            Request::Put(rows) => {
                rows.iter().fold(Draft::new(4), |draft, (key, row)| draft.block(key).maybe(*row))
            }
            Request::Write { rows } => Draft::new(5).number(*rows),
            Request::Reset => Draft::new(6),
            Request::Close => Draft::new(7),
        };
        draft.finish()
    }

    /// # Errors
    /// When it is none.
    pub fn read(frame: &'a [u8]) -> io::Result<Request<'a>> {
        let mut body = Body(frame);
        let request = match body.take(1)? {
            [1] => {
                if body.take(1)? != [VERSION] {
                    return Err(nonsense("another version; the program was replaced"));
                }
                Request::Open { reads_all: body.flag()? }
            }
            [2] => Request::Read { bytes_max: body.number()?, after: body.maybe()? },
            [3] => Request::Find(body.each(Body::block)?),
            [4] => Request::Put(body.each(|body| Ok((body.block()?, body.maybe()?)))?),
            [5] => Request::Write { rows: body.number()? },
            [6] => Request::Reset,
            [7] => Request::Close,
            _ => return Err(nonsense("no such request")),
        };
        if body.0.is_empty() { Ok(request) } else { Err(nonsense("a long frame")) }
    }
}

impl Answer {
    /// The whole frame.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn frame(&self) -> io::Result<Vec<u8>> {
        let draft = match self {
            Answer::Done { generation } => {
                let mut draft = Draft::new(65);
                draft.0.extend(generation.to_le_bytes());
                draft
            }
            Answer::Rows(rows) => {
                rows.iter().fold(Draft::new(66), |draft, (key, row)| draft.block(key).block(row))
            }
            Answer::Found(rows) => {
                rows.iter().fold(Draft::new(67), |draft, row| draft.maybe(row.as_deref()))
            }
            Answer::Refused { is_busy, reason } => {
                let mut draft = Draft::new(68).byte(u8::from(*is_busy));
                draft.0.extend(reason.as_bytes());
                draft
            }
        };
        draft.finish()
    }

    /// # Errors
    /// When it is none.
    pub fn read(frame: &[u8]) -> io::Result<Answer> {
        let mut body = Body(frame);
        let answer = match body.take(1)? {
            [65] => Answer::Done { generation: body.long()? },
            [66] => Answer::Rows(
                body.each(|body| Ok((body.block()?.to_vec(), body.block()?.to_vec())))?,
            ),
            [67] => Answer::Found(body.each(|body| Ok(body.maybe()?.map(<[u8]>::to_vec)))?),
            [68] => Answer::Refused {
                is_busy: body.flag()?,
                reason: String::from_utf8_lossy(std::mem::take(&mut body.0)).into_owned(),
            },
            _ => return Err(nonsense("no such answer")),
        };
        if body.0.is_empty() { Ok(answer) } else { Err(nonsense("a long frame")) }
    }
}

/// Reads a frame without its length; none at the end of the input.
///
/// # Errors
/// When the input ends in the middle of one, or one is too long.
pub fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; LENGTH_BYTES];
    let mut filled = 0;
    while filled < LENGTH_BYTES {
        match input.read(&mut length[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let len = u32::from_le_bytes(length) as usize;
    if len == 0 || len > FRAME_BYTES_MAX {
        return Err(nonsense("a frame's length"));
    }
    let mut frame = vec![0; len];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// # Errors
/// When nobody reads it.
pub fn write_frame(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    output.write_all(frame)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request<'static>> {
        vec![
            Request::Open { reads_all: true },
            Request::Read { bytes_max: 7, after: None },
            Request::Read { bytes_max: u32::MAX, after: Some(b"") },
            Request::Find(vec![b"a", b"", b"bc"]),
            Request::Put(vec![(b"a", None), (b"b", Some(b"")), (b"c", Some(b"row"))]),
            Request::Write { rows: 3 },
            Request::Reset,
            Request::Close,
        ]
    }

    fn answers() -> Vec<Answer> {
        vec![
            Answer::Done { generation: u64::MAX - 1 },
            Answer::Rows(vec![(b"a".to_vec(), b"row".to_vec()), (b"b".to_vec(), Vec::new())]),
            Answer::Found(vec![None, Some(Vec::new()), Some(b"row".to_vec())]),
            Answer::Refused { is_busy: true, reason: "because".to_owned() },
        ]
    }

    #[test]
    fn what_is_said_is_understood() {
        for request in requests() {
            let frame = request.frame().expect("it is short");
            let read = read_frame(&mut &frame[..]).expect("it is whole").expect("it is there");
            assert_eq!(Request::read(&read).expect("it is one"), request);
        }
        for answer in answers() {
            let frame = answer.frame().expect("it is short");
            let read = read_frame(&mut &frame[..]).expect("it is whole").expect("it is there");
            assert_eq!(Answer::read(&read).expect("it is one"), answer);
        }
    }

    /// As it stands at the top: another program may have written the other half.
    #[test]
    fn the_bytes_are_as_documented() {
        let frame = |request: Request<'_>| request.frame().expect("it is short");
        assert_eq!(frame(Request::Open { reads_all: true }), [3, 0, 0, 0, 1, 1, 1]);
        let read = Request::Read { bytes_max: 258, after: Some(b"k") };
        assert_eq!(frame(read), [11, 0, 0, 0, 2, 2, 1, 0, 0, 1, 1, 0, 0, 0, b'k']);
        let put = Request::Put(vec![(b"k", None)]);
        assert_eq!(frame(put), [7, 0, 0, 0, 4, 1, 0, 0, 0, b'k', 0]);
        let done = Answer::Done { generation: 3 }.frame().expect("it is short");
        assert_eq!(done, [9, 0, 0, 0, 65, 3, 0, 0, 0, 0, 0, 0, 0]);
        let refused = Answer::Refused { is_busy: false, reason: "no".to_owned() };
        assert_eq!(refused.frame().expect("it is short"), [4, 0, 0, 0, 68, 0, b'n', b'o']);
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        let frames = requests().into_iter().map(|request| request.frame().expect("it is short"));
        for frame in frames {
            for cut in 1..frame.len() {
                assert!(read_frame(&mut &frame[..cut]).is_err(), "{cut} of {frame:?}");
            }
            // Without its last byte it is another request, or none; with one more it never is one that says less.
            assert_ne!(
                Request::read(&frame[4..frame.len() - 1]).ok(),
                Request::read(&frame[4..]).ok()
            );
        }
        for length in [0, FRAME_BYTES_MAX as u32 + 1, u32::MAX] {
            assert!(read_frame(&mut &length.to_le_bytes()[..]).is_err(), "{length}");
        }
        for frame in
            [&[0][..], &[8], &[64], &[69], &[1, 2, 0], &[1, 1, 2], &[6, 0], &[2, 1, 0, 0, 0, 3]]
        {
            assert!(Request::read(frame).is_err(), "{frame:?}");
        }
        assert!(Answer::read(&[65, 1, 2, 3]).is_err() && Answer::read(&[66, 9, 0, 0, 0]).is_err());
        let long = vec![0; FRAME_BYTES_MAX];
        assert!(Request::Put(vec![(&long, None)]).frame().is_err());
    }
}
