//! The daemon's side of the process that keeps the state: starts it, asks it, and ends it when it does not answer in
//! time or in a way that cannot be. It is as [`crate::shelf_wire`] says; [`crate::shelf_server`] is the other side.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use tidegate_store::Rows;
use tracing::error;

use crate::shelf_program::{ShelfLimits, ShelfProgram};
use crate::shelf_wire::{Answer, FILL_BYTES, Request, Row, read_frame, write_frame};

/// Of a row in a frame, beside its key and itself.
const LENGTHS_BYTES: usize = 9;
/// Between two looks at whether it has ended.
const END_STEP: Duration = Duration::from_millis(2);
/// What is read of its last words, and what is logged of them.
const WORDS_BYTES_MAX: u64 = 4096;
const REASON_CHARS_MAX: usize = 300;

/// Why a folder is not open.
#[derive(Debug)]
pub enum Unopened {
    /// When that says nothing about the folder: there is no process, or another one has the folder.
    NotNow(io::Error),
    /// When it was refused, or the process has ended or hangs over it.
    Unreadable(io::Error),
}

impl From<Unopened> for io::Error {
    fn from(unopened: Unopened) -> io::Error {
        match unopened {
            Unopened::NotNow(error) | Unopened::Unreadable(error) => error,
        }
    }
}

/// A process that has the folder open. After an error it is over. Dropping it kills it.
#[derive(Debug)]
pub struct ShelfProcess {
    child: Child,
    socket: UnixStream,
    limits: ShelfLimits,
    generation: u64,
    used_at: Instant,
}

impl ShelfProcess {
    /// Starts one that opens a folder, and makes it when it is not there. With `reads_all` every row is read first.
    ///
    /// # Errors
    /// When it is not open in time.
    pub fn open(
        program: &ShelfProgram,
        folder: &Path,
        reads_all: bool,
    ) -> Result<ShelfProcess, Unopened> {
        let mut process = ShelfProcess::start(program, folder).map_err(|error| {
            error!(%error, "cannot start the process that keeps the state");
            Unopened::NotNow(error)
        })?;
        match process.ask(&[Request::Open { reads_all }], process.limits.open) {
            Ok(Answer::Done { generation }) => {
                process.generation = generation;
                Ok(process)
            }
            Ok(Answer::Refused { is_busy, reason }) => {
                let error = io::Error::other(reason);
                Err(if is_busy { Unopened::NotNow(error) } else { Unopened::Unreadable(error) })
            }
            Ok(Answer::Rows(_) | Answer::Found(_)) => Err(Unopened::Unreadable(strange())),
            Err(error) => Err(Unopened::Unreadable(error)),
        }
    }

    fn start(program: &ShelfProgram, folder: &Path) -> io::Result<ShelfProcess> {
        // A socket, because it can be read with a time limit.
        let (socket, theirs) = UnixStream::pair()?;
        let output = theirs.try_clone()?;
        let child = Command::new(&program.program)
            .args(["state-shelf", "--cache-mb", &program.cache_mb.to_string(), "--dir"])
            .arg(folder)
            .env("RUST_BACKTRACE", "0")
            // A signal from a terminal is for the daemon.
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(output))
            .stderr(Stdio::piped())
            .spawn()?;
        let used_at = Instant::now();
        Ok(ShelfProcess { child, socket, limits: program.limits, generation: 0, used_at })
    }

    /// Counts the writes since the folder was begun.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether nobody has asked for anything for long.
    pub fn is_idle(&self) -> bool {
        self.used_at.elapsed() >= self.limits.idle
    }

    /// # Errors
    /// When it does not answer as it should.
    pub fn read(&mut self, after: Option<&[u8]>, bytes_max: usize) -> io::Result<Vec<Row>> {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        match self.ask(&[Request::Read { bytes_max, after }], self.limits.read)? {
            Answer::Rows(rows) => {
                // Or who reads on would never come to an end.
                let first = rows.first().map(|(key, _)| key.as_slice());
                let is_behind = after.is_none_or(|after| first.is_none_or(|first| first > after));
                let is_in_order = rows.is_sorted_by(|(a, _), (b, _)| a < b);
                if is_behind && is_in_order { Ok(rows) } else { Err(self.give_up(strange())) }
            }
            other => Err(self.not(other)),
        }
    }

    /// The rows of these keys.
    ///
    /// # Errors
    /// As [`ShelfProcess::read`].
    pub fn find(&mut self, keys: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
        let mut all = Vec::with_capacity(keys.len());
        while all.len() < keys.len() {
            let some = fill(keys[all.len()..].iter().copied(), |key| key.len());
            let count = some.len();
            match self.ask(&[Request::Find(some)], self.limits.read)? {
                Answer::Found(rows) if (1..=count).contains(&rows.len()) => all.extend(rows),
                other => return Err(self.not(other)),
            }
        }
        Ok(all)
    }

    /// Takes all of these rows or none, durable when it returns.
    ///
    /// # Errors
    /// As [`ShelfProcess::read`]; then it may be either.
    pub fn write(&mut self, rows: &Rows) -> io::Result<()> {
        let mut rest = rows.iter().map(|(key, row)| (key.as_slice(), row.as_deref()));
        let mut requests = Vec::new();
        loop {
            let some = fill(&mut rest, |(key, row)| key.len() + row.map_or(0, <[u8]>::len));
            if some.is_empty() {
                break;
            }
            requests.push(Request::Put(some));
        }
        let count = u32::try_from(rows.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        requests.push(Request::Write { rows: count });
        self.change(&requests)
    }

    /// Removes every row.
    ///
    /// # Errors
    /// As [`ShelfProcess::read`]; then some may be there and some not.
    pub fn reset(&mut self) -> io::Result<()> {
        self.change(&[Request::Reset])
    }

    fn change(&mut self, requests: &[Request<'_>]) -> io::Result<()> {
        match self.ask(requests, self.limits.write)? {
            Answer::Done { generation } if generation == self.generation + 1 => {
                self.generation = generation;
                Ok(())
            }
            other => Err(self.not(other)),
        }
    }

    /// Asks it to close the folder and end.
    ///
    /// # Errors
    /// When it is gone.
    pub fn begin_close(&mut self) -> io::Result<()> {
        self.used_at = Instant::now();
        let sent =
            Request::Close.frame().and_then(|frame| self.timed(self.limits.close).put(&frame));
        sent.map_err(|error| self.give_up(error))
    }

    /// Whether it has closed the folder; `waits` until it has.
    ///
    /// # Errors
    /// When it could not, or not in time.
    pub fn has_closed(&mut self, waits: bool) -> io::Result<bool> {
        let end = self.used_at + self.limits.close;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(true),
                Some(_) => return Err(self.give_up(io::Error::other("the folder was not closed"))),
                None if Instant::now() >= end => {
                    return Err(self.give_up(io::ErrorKind::TimedOut.into()));
                }
                None if waits => thread::sleep(END_STEP),
                None => return Ok(false),
            }
        }
    }

    /// Sends the requests; the answer to the last.
    fn ask(&mut self, requests: &[Request<'_>], limit: Duration) -> io::Result<Answer> {
        let answer = self.try_ask(requests, limit);
        self.used_at = Instant::now();
        answer.map_err(|error| self.give_up(error))
    }

    fn try_ask(&mut self, requests: &[Request<'_>], limit: Duration) -> io::Result<Answer> {
        let mut timed = self.timed(limit);
        for request in requests {
            timed.put(&request.frame()?)?;
        }
        match read_frame(&mut timed)? {
            Some(frame) => Answer::read(&frame),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn timed(&mut self, limit: Duration) -> Timed<'_> {
        Timed { socket: &self.socket, end: Instant::now() + limit }
    }

    fn not(&mut self, answer: Answer) -> io::Error {
        match answer {
            Answer::Refused { reason, .. } => io::Error::other(reason),
            Answer::Done { .. } | Answer::Rows(_) | Answer::Found(_) => self.give_up(strange()),
        }
    }

    /// Ends it, and says why it came to that: by its own last words, if it had any.
    fn give_up(&mut self, error: io::Error) -> io::Error {
        let status = self.end();
        let words = self.last_words();
        let how = match status {
            Some(status) => status.to_string(),
            None => "it cannot be waited for".to_owned(),
        };
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => format!("it has ended: {how}"),
            _ => error.to_string(),
        };
        error!(reason, words, "the process that keeps the state is given up; the gateway goes on");
        io::Error::new(error.kind(), format!("{reason} {words}").trim_end().to_owned())
    }

    fn end(&mut self) -> Option<ExitStatus> {
        // It may have ended just now; either way it is gone afterwards.
        self.child.kill().ok();
        self.child.wait().ok()
    }

    /// What it said on standard error, in one line. Nobody writes there any more.
    fn last_words(&mut self) -> String {
        let mut bytes = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // What cannot be read is not told; and who else has it open is not waited for.
            let is_ready = fcntl_setfl(&stderr, OFlags::NONBLOCK).is_ok();
            stderr.take(if is_ready { WORDS_BYTES_MAX } else { 0 }).read_to_end(&mut bytes).ok();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("note:"));
        let line = lines.collect::<Vec<_>>().join(" ");
        line.chars().filter(|char| !char.is_control()).take(REASON_CHARS_MAX).collect()
    }
}

impl Drop for ShelfProcess {
    fn drop(&mut self) {
        self.end();
    }
}

fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer to something else")
}

/// As many as make a frame, one at least.
fn fill<T>(mut from: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut some = Vec::new();
    let mut filled = 0;
    while filled < FILL_BYTES
        && let Some(one) = from.next()
    {
        filled += bytes(&one) + LENGTHS_BYTES;
        some.push(one);
    }
    some
}

/// The socket until a time.
struct Timed<'a> {
    socket: &'a UnixStream,
    end: Instant,
}

impl Timed<'_> {
    fn put(&mut self, frame: &[u8]) -> io::Result<()> {
        write_frame(self, frame)
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        match self.end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

/// A socket says that it would block when its time is over.
fn in_time<T>(done: io::Result<T>) -> io::Result<T> {
    done.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        in_time(self.socket.read(buffer))
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        in_time(self.socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
