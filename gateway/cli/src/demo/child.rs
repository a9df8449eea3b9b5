//! `tidegated` as a child process: configured, started, watched, stopped.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long the front door may take to open. It takes milliseconds; a loaded machine may take longer.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// The gateway's id.
pub const GATEWAY: &str = "demo";
/// The daemon promises to stop within 5 s.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// A running daemon with its folder.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    pub port: u16,
    pub log: PathBuf,
}

impl Daemon {
    /// Writes a configuration into `folder` and starts `program` on a free loopback port.
    ///
    /// # Errors
    /// When it does not start; the message holds the end of its log.
    pub fn start(program: &Path, folder: &Path, trust: &Path) -> anyhow::Result<Daemon> {
        let port = free_port()?;
        let data = folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)
                .with_context(|| format!("cannot clear {}", data.display()))?;
        }
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let config = folder.join("gateway.toml");
        let text = format!(
            "[gateway]\nid = \"{GATEWAY}\"\ndata_dir = {:?}\nboard = \"dev\"\n\n[local]\nlisten = \"127.0.0.1:{port}\"\n\n[trust]\nfile = {:?}\n",
            data.display().to_string(),
            trust.display().to_string(),
        );
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let log = folder.join("tidegated.log");
        let stderr =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut daemon = Daemon { child, port, log };
        daemon.wait_until_open()?;
        Ok(daemon)
    }

    fn wait_until_open(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait().context("cannot ask after tidegated")? {
                bail!(
                    "tidegated ended at once ({status}); the end of {}:\n{}",
                    self.log.display(),
                    self.last_words()
                );
            }
            if start.elapsed() > START_PATIENCE {
                bail!(
                    "tidegated does not listen after {START_PATIENCE:?}; see {}",
                    self.log.display()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// How it ended, when it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Resident memory in KB, as the kernel counts it.
    pub fn rss_kb(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// When it does not stop, or not cleanly.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .context("cannot signal tidegated")?;
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                if status.success() {
                    return Ok(());
                }
                bail!(
                    "tidegated ended with {status}; the end of {}:\n{}",
                    self.log.display(),
                    self.last_words()
                );
            }
            if start.elapsed() > STOP_PATIENCE {
                bail!("tidegated did not stop within {STOP_PATIENCE:?}; it was killed");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended().is_none() && self.child.kill().is_ok() && self.child.wait().is_err() {
            // It has been reaped already.
        }
    }
}

/// A port nobody listens on at the moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot open a port on 127.0.0.1")?;
    Ok(listener.local_addr().context("a bound socket has an address")?.port())
}
