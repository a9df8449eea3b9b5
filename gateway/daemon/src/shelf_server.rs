//! The process that keeps the state: `tidegated state-shelf --dir DIR --cache-mb N`, started by the daemon. sled runs
//! nowhere else, because it may panic, hang or take what it likes on a damaged folder or a failing disk: then this
//! process ends, and the gateway does not. It does what [`crate::shelf_wire`] says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::shelf_wire::{Answer, FILL_BYTES, Request, read_frame, write_frame};
use crate::sled_shelf::SledShelf;

/// More than the handlers of any board may hold. Beyond it a daemon is not itself.
const PUT_BYTES_MAX: usize = 256 << 20;

/// Serves the folder until the daemon has it closed.
///
/// # Errors
/// When it could not be closed, or the daemon is gone. It may also panic, or not return.
pub fn serve_shelf(folder: &Path, cache_mb: u64) -> io::Result<()> {
    live_and_die_with_the_daemon()?;
    let own = |stream: std::os::fd::BorrowedFd<'_>| stream.try_clone_to_owned().map(File::from);
    let (mut input, mut output) = (own(io::stdin().as_fd())?, own(io::stdout().as_fd())?);
    let folder = folder.to_owned();
    let mut server = Server { folder, cache_mb, shelf: None, put: Put::default() };
    server.run(&mut input, &mut output)
}

/// The daemon says when it is over, so a signal to all of its group or unit does not count; but without the daemon there
/// is nothing to do here, however it went.
fn live_and_die_with_the_daemon() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A panic is told in a line; a picture of the memory would only wear the flash.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The handlers stay when the runtime is gone; nobody looks at what they note.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _guard = runtime.enter();
    drop((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    Ok(())
}

/// What was put since the last write.
#[derive(Default)]
struct Put {
    rows: u32,
    bytes: usize,
    failed: Option<io::Error>,
}

struct Server {
    folder: PathBuf,
    cache_mb: u64,
    shelf: Option<SledShelf>,
    put: Put,
}

impl Server {
    fn run(&mut self, input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
        loop {
            let frame = match read_frame(input) {
                Ok(Some(frame)) => frame,
                gone @ (Ok(None) | Err(_)) => {
                    // sled would write on its way out; whoever comes next is to find what the daemon has asked for.
                    std::mem::forget(self.shelf.take());
                    gone?;
                    return Err(io::Error::other("the daemon is gone"));
                }
            };
            let request = Request::read(&frame)?;
            if request == Request::Close {
                return self.shelf.take().map_or(Ok(()), SledShelf::close);
            }
            let answer = self.take(request).unwrap_or_else(|error| {
                let is_busy = error.kind() == io::ErrorKind::ResourceBusy;
                Some(Answer::Refused { is_busy, reason: error.to_string() })
            });
            if let Some(answer) = answer {
                write_frame(output, &answer.frame()?)?;
            }
        }
    }

    fn open(&mut self) -> io::Result<&mut SledShelf> {
        self.shelf.as_mut().ok_or_else(|| io::Error::other("the folder is not open"))
    }

    fn take(&mut self, request: Request<'_>) -> io::Result<Option<Answer>> {
        Ok(Some(match request {
            Request::Open { reads_all } => {
                let shelf = SledShelf::open(&self.folder, self.cache_mb)?;
                if reads_all {
                    shelf.read_all()?;
                }
                let generation = shelf.generation();
                self.shelf = Some(shelf);
                Answer::Done { generation }
            }
            Request::Read { bytes_max, after } => {
                Answer::Rows(self.open()?.read(after, (bytes_max as usize).min(FILL_BYTES))?)
            }
            Request::Find(keys) => Answer::Found(self.find(&keys)?),
            Request::Put(rows) => {
                self.take_rows(&rows);
                return Ok(None);
            }
            Request::Write { rows } => self.write(rows)?,
            Request::Reset => {
                self.put = Put::default();
                let shelf = self.open()?;
                shelf.reset()?;
                Answer::Done { generation: shelf.generation() }
            }
            Request::Close => return Ok(None),
        }))
    }

    /// As many as one frame takes; of one key at least.
    fn find(&mut self, keys: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
        let shelf = self.open()?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for key in keys {
            let row = shelf.get(key)?;
            bytes += row.as_ref().map_or(0, Vec::len);
            found.push(row);
            if bytes >= FILL_BYTES {
                break;
            }
        }
        Ok(found)
    }

    /// What goes wrong here is told when they are to be written.
    fn take_rows(&mut self, rows: &[(&[u8], Option<&[u8]>)]) {
        for (key, row) in rows {
            self.put.rows += 1;
            self.put.bytes += key.len() + row.map_or(0, <[u8]>::len);
            if self.put.bytes > PUT_BYTES_MAX {
                self.put.failed = Some(io::ErrorKind::FileTooLarge.into());
            }
            if self.put.failed.is_none() {
                self.put.failed = self.open().and_then(|shelf| shelf.put(key, *row)).err();
            }
        }
    }

    fn write(&mut self, rows: u32) -> io::Result<Answer> {
        let put = std::mem::take(&mut self.put);
        if let Some(error) = put.failed {
            return Err(error);
        }
        if put.rows != rows {
            return Err(io::Error::other(format!("{} rows were put, not {rows}", put.rows)));
        }
        let shelf = self.open()?;
        shelf.write()?;
        Ok(Answer::Done { generation: shelf.generation() })
    }
}
