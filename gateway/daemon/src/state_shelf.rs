//! The shelf that the daemon uses: a process with sled in it, behind its ladder, with the note that tells the next start
//! how it was left. Whatever becomes of the process, this one goes on.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_store::{Rows, Shelf};
use tracing::{error, info, warn};

use crate::shelf_ladder::{self, Rung};
use crate::shelf_mark::{Mark, MarkFile, checksum};
use crate::shelf_process::ShelfProcess;
use crate::shelf_program::ShelfProgram;

/// The longest wait after a failure before the folder is opened again.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Whoever asks waits for a process that hangs: it gets a fifth of the time at most.
const RETRY_PER_TOOK: u32 = 4;

/// What became of the folder.
#[derive(Debug)]
enum Standing {
    /// When there is none: the first write makes it.
    Nothing,
    Open(ShelfProcess),
    /// When it is being closed, at rest.
    Closing(ShelfProcess),
    /// When it was closed, and has this generation.
    Closed {
        generation: u64,
    },
    /// When it could not be opened, or did not answer. Then it may be tried again.
    Failed {
        /// The generations that will do; none: it is reset before it is written to.
        wanted: Option<RangeInclusive<u64>>,
        wait: Duration,
        again_at: Instant,
    },
    /// When it is not what it was: only a start can set that right.
    Lost,
}

/// The shelf in a data folder.
#[derive(Debug)]
pub struct StateShelf {
    data_dir: PathBuf,
    program: ShelfProgram,
    standing: Standing,
    rung: Option<Rung>,
    mark: MarkFile,
    /// What the note says, and runs before this one that did not come back from their first write.
    noted: Mark,
    runs: u32,
    has_tried: bool,
    /// Something has failed since it last went well.
    is_failing: bool,
}

fn failed(wanted: Option<RangeInclusive<u64>>, wait: Duration) -> Standing {
    Standing::Failed { wanted, wait, again_at: Instant::now() + wait }
}

impl StateShelf {
    /// Opens it, whatever it takes. When it cannot be opened, such as on a disk that fails, it answers with errors until
    /// it can.
    pub fn open(data_dir: &Path, program: ShelfProgram) -> StateShelf {
        let mark = MarkFile::new(data_dir);
        let noted = mark.read();
        let (standing, rung) = match shelf_ladder::climb(data_dir, &program) {
            Ok((Some(process), rung)) => (Standing::Open(process), Some(rung)),
            Ok((None, rung)) => (Standing::Nothing, Some(rung)),
            Err(error) => {
                error!(
                    %error,
                    "the state's folder in {} cannot be used; state comes from the export and the journal, which keeps \
                     it. Look at the disk; it is tried again",
                    data_dir.display()
                );
                (failed(None, program.limits.retry), None)
            }
        };
        let is_other = matches!(rung, None | Some(Rung::Quarantined | Rung::Fresh));
        let runs = match noted {
            Mark::Trying { runs } if !is_other => runs,
            Mark::Trying { .. } | Mark::Clean { .. } | Mark::Dirty => 0,
        };
        StateShelf {
            data_dir: data_dir.to_owned(),
            program,
            standing,
            rung,
            mark,
            noted,
            runs,
            has_tried: false,
            is_failing: rung.is_none(),
        }
    }

    /// What it took; none: it is not open.
    pub fn rung(&self) -> Option<Rung> {
        self.rung
    }

    /// The process that has the folder open, if one has.
    pub fn process_id(&self) -> Option<u32> {
        match &self.standing {
            Standing::Open(process) | Standing::Closing(process) => Some(process.id()),
            Standing::Nothing
            | Standing::Closed { .. }
            | Standing::Failed { .. }
            | Standing::Lost => None,
        }
    }

    fn folder(&self) -> PathBuf {
        shelf_ladder::folder(&self.data_dir)
    }

    /// The open folder; none: there is no folder.
    fn shelf(&mut self) -> io::Result<Option<&mut ShelfProcess>> {
        self.finish_closing(true);
        match &self.standing {
            Standing::Closed { generation } => self.standing = self.open_closed(*generation),
            Standing::Failed { wanted, wait, again_at } if Instant::now() >= *again_at => {
                let wait = *wait * 2;
                self.standing = self.open_again(wanted.clone(), wait);
            }
            Standing::Nothing
            | Standing::Open(_)
            | Standing::Closing(_)
            | Standing::Failed { .. }
            | Standing::Lost => {}
        }
        match &mut self.standing {
            Standing::Nothing => Ok(None),
            Standing::Open(process) => Ok(Some(process)),
            Standing::Closing(_) | Standing::Closed { .. } | Standing::Failed { .. } => {
                Err(io::Error::other("the state's folder has failed, and is tried again"))
            }
            Standing::Lost => Err(io::Error::other(
                "the state's folder is lost; the journal keeps everything until the next start",
            )),
        }
    }

    /// Opens the folder that was closed at rest.
    fn open_closed(&self, generation: u64) -> Standing {
        match ShelfProcess::open(&self.program, &self.folder(), false) {
            Ok(process) if process.generation() == generation => Standing::Open(process),
            Ok(_) => Standing::Lost,
            Err(unopened) => {
                let error = io::Error::from(unopened);
                error!(%error, "the state's folder did not open again; the journal keeps what is new");
                failed(Some(generation..=generation), self.program.limits.retry)
            }
        }
    }

    /// Opens the folder after a failure. If it was written to, only the same will do: the store takes what it has
    /// written for granted.
    fn open_again(&self, wanted: Option<RangeInclusive<u64>>, wait: Duration) -> Standing {
        let begun = Instant::now();
        let opened = self.try_again(wanted.clone());
        let wait = wait.max(begun.elapsed() * RETRY_PER_TOOK).min(RETRY_MAX);
        opened.unwrap_or_else(|error| {
            error!(%error, wait_s = wait.as_secs(), "the state's folder still fails; the journal keeps what is new");
            failed(wanted, wait)
        })
    }

    fn try_again(&self, wanted: Option<RangeInclusive<u64>>) -> io::Result<Standing> {
        let folder = self.folder();
        if folder.is_dir() {
            // Without a process, as long as the disk is at fault.
            shelf_ladder::can_write(&folder)?;
        }
        let Some(wanted) = wanted else {
            let (process, _) = shelf_ladder::climb(&self.data_dir, &self.program)?;
            return Ok(process.map_or(Standing::Nothing, Standing::Open));
        };
        Ok(match shelf_ladder::repair(&folder, &self.program)? {
            Some((process, _)) if wanted.contains(&process.generation()) => Standing::Open(process),
            Some(_) | None => Standing::Lost,
        })
    }

    /// Asks the process, if there is a folder.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut ShelfProcess) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let begun = Instant::now();
        let Some(process) = self.shelf()? else {
            return Ok(None);
        };
        let generation = process.generation();
        match ask(process) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => Err(self.fail(Some(generation..=generation), begun, error)),
        }
    }

    /// Changes the folder, which the note says first.
    fn change(
        &mut self,
        is_reset: bool,
        change: impl FnOnce(&mut ShelfProcess) -> io::Result<()>,
    ) -> io::Result<()> {
        let is_there = self.shelf()?.is_some();
        if is_reset && !is_there {
            return Ok(());
        }
        if !self.has_tried {
            self.note(Mark::Trying { runs: self.runs + 1 })?;
            self.has_tried = true;
        }
        let begun = Instant::now();
        if !is_there {
            match ShelfProcess::open(&self.program, &self.folder(), false) {
                Ok(process) => self.standing = Standing::Open(process),
                Err(unopened) => return Err(self.fail(None, begun, unopened.into())),
            }
        }
        let process =
            self.shelf()?.ok_or_else(|| io::Error::other("the state's folder is gone"))?;
        let generation = process.generation();
        if let Err(error) = change(process) {
            let wanted = (!is_reset).then_some(generation..=generation + 1);
            let error = self.fail(wanted, begun, error);
            if shelf_ladder::can_write(&self.folder()).is_err() {
                // Not the folder's fault. If that cannot be noted either, a start sets the folder aside for nothing.
                let runs = self.runs;
                self.note(if runs == 0 { Mark::Dirty } else { Mark::Trying { runs } }).ok();
                self.has_tried = false;
            }
            return Err(error);
        }
        if std::mem::take(&mut self.is_failing) {
            info!("state can be written again");
        }
        self.note(Mark::Dirty)
    }

    fn fail(
        &mut self,
        wanted: Option<RangeInclusive<u64>>,
        begun: Instant,
        error: io::Error,
    ) -> io::Error {
        let wait = self.program.limits.retry.max(begun.elapsed() * RETRY_PER_TOOK).min(RETRY_MAX);
        error!(
            %error,
            wait_s = wait.as_secs(),
            "the state's folder has failed; the journal keeps what is new, and it is tried again. Look at the disk"
        );
        self.is_failing = true;
        self.standing = failed(wanted, wait);
        error
    }

    fn begin_closing(&mut self) {
        match std::mem::replace(&mut self.standing, Standing::Lost) {
            Standing::Open(mut process) => {
                let generation = process.generation();
                self.standing = match process.begin_close() {
                    Ok(()) => Standing::Closing(process),
                    Err(_) => failed(Some(generation..=generation), self.program.limits.retry),
                };
            }
            other => self.standing = other,
        }
    }

    /// What was told to close has closed, or failed, or takes time.
    fn finish_closing(&mut self, waits: bool) {
        if let Standing::Closing(process) = &mut self.standing {
            let generation = process.generation();
            match process.has_closed(waits) {
                Ok(false) => {}
                Ok(true) => self.standing = Standing::Closed { generation },
                Err(error) => {
                    warn!(%error, "the state's folder was not closed");
                    self.standing =
                        failed(Some(generation..=generation), self.program.limits.retry);
                }
            }
        }
    }

    /// Ends with a note that says how the folder was left.
    fn close(&mut self) -> io::Result<()> {
        self.begin_closing();
        self.finish_closing(true);
        match self.standing {
            Standing::Closed { .. } => {}
            Standing::Nothing | Standing::Lost => return Ok(()),
            Standing::Open(_) | Standing::Closing(_) | Standing::Failed { .. } => {
                return Err(io::Error::other("it has failed"));
            }
        }
        match checksum(&self.folder())? {
            Some(crc) => self.note(Mark::Clean { crc }),
            None => Ok(()),
        }
    }

    fn note(&mut self, mark: Mark) -> io::Result<()> {
        if self.noted != mark {
            self.mark.write(mark)?;
            self.noted = mark;
        }
        Ok(())
    }
}

impl Shelf for StateShelf {
    fn read(
        &mut self,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(self.ask(|process| process.read(after, bytes_max))?.unwrap_or_default())
    }

    fn get(&mut self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.find(&[key])?.pop().flatten())
    }

    fn find(&mut self, keys: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
        let found = self.ask(|process| process.find(keys))?;
        Ok(found.unwrap_or_else(|| vec![None; keys.len()]))
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.change(false, |process| process.write(rows))
    }

    fn reset(&mut self) -> io::Result<()> {
        self.change(true, ShelfProcess::reset)
    }

    fn check(&mut self) -> io::Result<()> {
        self.shelf().map(|_| ())
    }

    fn rest(&mut self) -> bool {
        if let Standing::Open(process) = &self.standing
            && process.is_idle()
        {
            self.begin_closing();
        }
        self.finish_closing(false);
        matches!(self.standing, Standing::Open(_) | Standing::Closing(_))
    }
}

impl Drop for StateShelf {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            warn!(%error, "the state's folder was not closed; the next start looks at it first");
        }
    }
}
