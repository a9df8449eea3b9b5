//! A child process whose lines can be waited for, and which ends with its owner.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Lines shown from the beginning and from the end of what a child said, when a test fails.
const SHOWN_LINES: usize = 20;

/// One line of a child's output and when it was read.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Instant,
    pub text: String,
}

/// What a child has said so far, on both streams.
#[derive(Debug, Default)]
struct Output {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<Line>,
    /// Streams that may still bring lines.
    open: usize,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().expect("no reader panics")
    }

    fn read(self: Arc<Self>, stream: impl Read + Send + 'static) {
        self.lock().open += 1;
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut bytes = Vec::new();
            while matches!(reader.read_until(b'\n', &mut bytes), Ok(1..)) {
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                let line = Line { at: Instant::now(), text };
                self.lock().lines.push(line);
                self.more.notify_all();
            }
            self.lock().open -= 1;
            self.more.notify_all();
        });
    }
}

/// A running child. Dropping it kills it; a failing test prints what it said.
#[derive(Debug)]
pub struct Process {
    /// Just before it was started.
    pub started: Instant,
    name: String,
    child: Child,
    output: Arc<Output>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with both output streams kept.
    pub fn start(name: &str, command: &mut Command) -> Process {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Arc::new(Output::default());
        Arc::clone(&output).read(child.stdout.take().expect("stdout is piped"));
        Arc::clone(&output).read(child.stderr.take().expect("stderr is piped"));
        Process { started, name: name.to_owned(), child, output, ended: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything said so far.
    pub fn lines(&self) -> Vec<Line> {
        self.output.lock().lines.clone()
    }

    /// Everything said so far as one text.
    pub fn text(&self) -> String {
        self.lines().iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Waits for a line that holds every one of `words`.
    pub fn wait_for_line(&self, words: &[&str], wait: Duration) -> Option<Line> {
        self.wait_for_lines(words, 1, wait).pop()
    }

    /// Waits until `count` lines hold every one of `words`; returns those there are.
    pub fn wait_for_lines(&self, words: &[&str], count: usize, wait: Duration) -> Vec<Line> {
        let end = Instant::now() + wait;
        let mut said = self.output.lock();
        loop {
            let hits: Vec<Line> = said
                .lines
                .iter()
                .filter(|line| words.iter().all(|word| line.text.contains(word)))
                .cloned()
                .collect();
            let left = end.saturating_duration_since(Instant::now());
            if hits.len() >= count || left.is_zero() {
                return hits;
            }
            said = self.output.more.wait_timeout(said, left).expect("no reader panics").0;
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.wait(Duration::ZERO).is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self, wait: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + wait;
        loop {
            if self.ended.is_none() {
                self.ended = self.child.try_wait().expect("a child of ours can be waited for");
            }
            if self.ended.is_some() {
                self.wait_for_last_words();
                return self.ended;
            }
            if Instant::now() >= end {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// After its end, what it said may still be on its way through the pipes.
    fn wait_for_last_words(&self) {
        let said = self.output.lock();
        let wait = Duration::from_secs(1);
        drop(self.output.more.wait_timeout_while(said, wait, |said| said.open > 0));
    }

    /// Sends SIGTERM and waits. `None` when it has not ended in time.
    pub fn terminate(&mut self, wait: Duration) -> Option<ExitStatus> {
        self.stop_with(Signal::TERM, wait)
    }

    /// Sends a signal and waits. `None` when it has not ended in time.
    pub fn stop_with(&mut self, signal: Signal, wait: Duration) -> Option<ExitStatus> {
        self.signal(signal);
        self.wait(wait)
    }

    /// Ends it at once, as the kernel's out-of-memory killer would.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10)).expect("SIGKILL ends every process");
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            send(self.pid(), signal);
        }
    }
}

/// Sends a signal to a process of ours: a child's child, or a child.
pub fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("process ids fit an i32");
    let pid = Pid::from_raw(pid).expect("a process id is not 0");
    kill_process(pid, signal).expect("a running process of ours can be signalled");
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let lines = self.lines();
            let skipped = lines.len().saturating_sub(2 * SHOWN_LINES);
            eprintln!("--- {} said:", self.name);
            for (number, line) in lines.iter().enumerate() {
                if skipped == 0 || number < SHOWN_LINES || number >= SHOWN_LINES + skipped {
                    eprintln!("{}", line.text);
                } else if number == SHOWN_LINES {
                    eprintln!("... {skipped} lines more ...");
                }
            }
            eprintln!("---");
        }
        if self.is_running() {
            self.kill();
        }
    }
}
