//! The main job in front of your eyes: a real daemon, a real handler, five devices.

use std::cell::Ref;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval};

use crate::push::package::Package;

mod child;
mod deploy;
mod device;
mod table;
mod walk;

use child::Daemon;
use deploy::{Fleet, Push};
use device::{Device, PATIENCE, Tally};
use table::Table;

/// Devices and their pace: 100 messages a second in all.
const DEVICES: usize = 5;
const PERIOD: Duration = Duration::from_millis(50);
const REDRAW: Duration = Duration::from_millis(250);
const LINE_EVERY_S: u64 = 1;
/// When the second version comes, where nobody says how long the demo goes on.
const SECOND_AFTER: Duration = Duration::from_secs(10);
/// A gateway here runs what is pushed within milliseconds; a loaded machine may take longer.
const PUSH_PATIENCE: Duration = Duration::from_secs(15);

/// What the demo is run with.
#[derive(Debug)]
pub struct Demo {
    /// The daemon's binary.
    pub program: PathBuf,
    /// The handler, its module built.
    pub handler: Package,
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
    /// Versions that were pushed and run.
    pub deploys: usize,
    /// From the last byte sent until it runs, in the median.
    pub deploy_ms: f64,
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
        let fleet = Rc::new(Fleet::new(&self.folder)?);
        let mut daemon = Daemon::start(&self.program, &self.folder, &fleet.trust_file)?;
        let hint = hint(daemon.port);
        if !self.json {
            println!("{}", introduction(daemon.port, &daemon.log));
        }
        let package = deploy::first(self.handler.clone());
        let (push, runs) = deploy::start(&fleet, daemon.port, package.clone());
        if tokio::time::timeout(PUSH_PATIENCE, runs).await.is_err() {
            bail!("the gateway does not run what was pushed; see {}", daemon.log.display());
        }
        let mut devices = Vec::new();
        for number in 1..=DEVICES {
            let (device, events) = Device::new(number, "127.0.0.1", daemon.port);
            let (tally, client) = device.listener();
            spawn_local(device::listen(tally, client, events));
            devices.push(device);
        }
        let mut pushes =
            Pushes { fleet, second: Some(deploy::second(&package)), under_way: vec![push] };
        let rss_kb = self.play_devices(&mut devices, &mut daemon, &hint, &mut pushes).await?;
        let took =
            pushes.finish().await.with_context(|| format!("see {}", daemon.log.display()))?;
        let summary = summarise(&devices, rss_kb, &took);
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
        pushes: &mut Pushes,
    ) -> anyhow::Result<u64> {
        let start = Instant::now();
        let end = self.seconds.map(|seconds| start + Duration::from_secs(seconds));
        let half = start + self.seconds.map_or(SECOND_AFTER, |s| Duration::from_millis(s * 500));
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
            if now >= half {
                pushes.go_on(daemon.port);
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

/// Versions on their way to the gateway.
struct Pushes {
    fleet: Rc<Fleet>,
    second: Option<Package>,
    under_way: Vec<Push>,
}

impl Pushes {
    /// Pushes the second version, once.
    fn go_on(&mut self, port: u16) {
        if let Some(package) = self.second.take() {
            let (push, _) = deploy::start(&self.fleet, port, package);
            self.under_way.push(push);
        }
    }

    /// How long each took. All must run: one that was never pushed, because the demo ended before, does not count.
    async fn finish(self) -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::new();
        for push in self.under_way {
            let pushed = tokio::time::timeout(PUSH_PATIENCE, push).await;
            took.push(pushed.context("a push does not end")?.context("a push stopped")??);
        }
        Ok(took)
    }
}

fn summarise(devices: &[Device], rss_kb: u64, took: &[Duration]) -> Summary {
    let mut all = Histogram::<u64>::new(3).expect("three digits is a valid precision");
    let mut summary = Summary {
        messages: 0,
        reactions: 0,
        lost: 0,
        p50_us: 0,
        p99_us: 0,
        rss_kb,
        deploys: took.len(),
        deploy_ms: deploy::median_ms(took),
    };
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
        "tidegated is running on 127.0.0.1:{port}, and the handler `overheat` is pushed to it, signed: it keeps an\n\
         average of each device's temperature and answers every message that leaves it above 60 C. Half way,\n\
         a second version takes over, live. The daemon's log:\n\
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
