//! The main job in front of your eyes: a real daemon, a real handler, five devices.

use std::cell::Ref;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval};

mod child;
mod device;
mod table;
mod walk;

use child::Daemon;
use device::{Device, PATIENCE, Tally};
use table::Table;

/// Devices and their pace: 100 messages a second in all.
const DEVICES: usize = 5;
const PERIOD: Duration = Duration::from_millis(50);
const REDRAW: Duration = Duration::from_millis(250);
const LINE_EVERY_S: u64 = 1;

/// What the demo is run with.
#[derive(Debug)]
pub struct Demo {
    /// The daemon's binary.
    pub program: PathBuf,
    /// The handler's folder, its module built.
    pub handler: PathBuf,
    /// For configuration, data and log.
    pub folder: PathBuf,
    /// Without it the demo runs until Ctrl-C.
    pub seconds: Option<u64>,
    pub json: bool,
}

/// The one line of `--json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub messages: u64,
    pub reactions: u64,
    pub lost: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub rss_kb: u64,
}

impl Demo {
    /// Runs to its end.
    ///
    /// # Errors
    /// When the daemon does not start, dies, or does not stop cleanly.
    pub fn run(self) -> anyhow::Result<Summary> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.play())
    }

    async fn play(self) -> anyhow::Result<Summary> {
        let mut daemon = Daemon::start(&self.program, &self.folder, &self.handler)?;
        let hint = hint(daemon.port);
        if !self.json {
            println!("{}", introduction(daemon.port, &daemon.log));
        }
        let mut devices = Vec::new();
        for number in 1..=DEVICES {
            let (device, events) = Device::new(number, "127.0.0.1", daemon.port);
            let (tally, client) = device.listener();
            spawn_local(device::listen(tally, client, events));
            devices.push(device);
        }
        let rss_kb = self.play_devices(&mut devices, &mut daemon, &hint).await?;
        let summary = summarise(&devices, rss_kb);
        devices.iter().for_each(Device::stop);
        // Lets the clients say goodbye, so that the daemon sees no lost connections.
        tokio::time::sleep(Duration::from_millis(20)).await;
        daemon.stop()?;
        Ok(summary)
    }

    /// Publishes until the time is over or Ctrl-C comes, then waits for what is still due.
    async fn play_devices(
        &self,
        devices: &mut [Device],
        daemon: &mut Daemon,
        hint: &str,
    ) -> anyhow::Result<u64> {
        let start = Instant::now();
        let end = self.seconds.map(|seconds| start + Duration::from_secs(seconds));
        let tick = PERIOD / u32::try_from(DEVICES).expect("a handful");
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut interrupt =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut show = Show::new(self.json);
        let mut rss_kb = 0;
        // Devices take turns, so that the load is even.
        for turn in 0_usize.. {
            ticks.tick().await;
            let now = Instant::now();
            let stop = std::future::poll_fn(|context| {
                std::task::Poll::Ready(interrupt.poll_recv(context).is_ready())
            });
            if stop.await || end.is_some_and(|end| now >= end) {
                break;
            }
            if let Some(status) = daemon.ended() {
                bail!(
                    "tidegated ended in the middle of the demo ({status}); see {}",
                    daemon.log.display()
                );
            }
            devices[turn % DEVICES].publish();
            devices.iter().for_each(|device| device.tally.borrow_mut().handle_timeout(now));
            if show.is_due(now) {
                rss_kb = daemon.rss_kb();
                show.draw(devices, rss_kb, start, hint);
            }
        }
        let last = Instant::now();
        while last.elapsed() < PATIENCE
            && devices.iter().any(|device| device.tally.borrow().is_waiting())
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Whatever is still due now will not come.
        let over = Instant::now() + PATIENCE;
        devices.iter().for_each(|device| device.tally.borrow_mut().handle_timeout(over));
        rss_kb = rss_kb.max(daemon.rss_kb());
        show.draw(devices, rss_kb, start, "");
        Ok(rss_kb)
    }
}

fn summarise(devices: &[Device], rss_kb: u64) -> Summary {
    let mut all = Histogram::<u64>::new(3).expect("three digits is a valid precision");
    let mut summary = Summary { messages: 0, reactions: 0, lost: 0, p50_us: 0, p99_us: 0, rss_kb };
    for device in devices {
        let tally = device.tally.borrow();
        summary.messages += tally.messages;
        summary.reactions += tally.reactions;
        summary.lost += tally.missing + tally.wrong;
        all.add(&tally.latency_us).expect("a growing histogram takes every value");
    }
    summary.p50_us = all.value_at_quantile(0.5);
    summary.p99_us = all.value_at_quantile(0.99);
    summary
}

fn introduction(port: u16, log: &Path) -> String {
    format!(
        "tidegated is running on 127.0.0.1:{port} with the handler `overheat`: it keeps an average of each\n\
         device's temperature and answers every message that leaves it above 60 C. Its log:\n\
         \x20 {}\n\n\
         Be a device yourself:\n\
         \x20 mosquitto_sub -p {port} -t 'devices/+/cmd' -v\n\
         \x20 mosquitto_pub -p {port} -t devices/me/telemetry -m '{{\"temp\": 71.3, \"seq\": 1}}'\n",
        log.display()
    )
}

fn hint(port: u16) -> String {
    format!("Publish to it on port {port}; Ctrl-C ends it.")
}

/// Draws now and then: a table on a terminal, lines elsewhere, nothing for `--json`.
struct Show {
    next: Option<Instant>,
    every: Duration,
    table: Option<Table>,
    silent: bool,
}

impl Show {
    fn new(silent: bool) -> Show {
        let table = std::io::stdout().is_terminal().then(Table::default);
        let every = if table.is_some() { REDRAW } else { Duration::from_secs(LINE_EVERY_S) };
        Show {
            // The first line after a second: before, there is nothing to say.
            next: table.is_none().then(|| Instant::now() + every),
            every,
            table,
            silent,
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_none_or(|next| now >= next);
        if due {
            self.next = Some(now + self.every);
        }
        due
    }

    fn draw(&mut self, devices: &[Device], rss_kb: u64, start: Instant, hint: &str) {
        if self.silent {
            return;
        }
        let tallies: Vec<Ref<'_, Tally>> =
            devices.iter().map(|device| device.tally.borrow()).collect();
        let tallies = tallies.iter().map(|tally| &**tally);
        let seconds = start.elapsed().as_secs();
        match &mut self.table {
            Some(table) => table.draw(tallies, rss_kb, seconds, hint),
            None => table::line(tallies, rss_kb, seconds),
        }
    }
}
