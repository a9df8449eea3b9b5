//! The ways from device to device that are compared, as running processes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::load::{self, Load, Target};
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::process::Process;
use tidegate_tests::programs::Placement;
use tidegate_tests::{ports, procfs};

use crate::words::Problem;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Device, mosquitto, device: one hop, no handler.
    Hop,
    /// Device, mosquitto, native handler, mosquitto, device.
    Native,
    /// Device, mosquitto, Tidegate, mosquitto, device.
    Behind,
    /// Device, Tidegate with a handler, device.
    Door,
    /// Device, Tidegate as a plain broker, device: one hop, no handler.
    Forward,
    /// Device, the front door's broker in a bare socket loop that answers by itself, device.
    Echo,
}

impl System {
    pub const ALL: [System; 6] =
        [System::Hop, System::Native, System::Behind, System::Door, System::Forward, System::Echo];

    pub const fn name(self) -> &'static str {
        match self {
            System::Hop => "hop",
            System::Native => "native",
            System::Behind => "behind",
            System::Door => "door",
            System::Forward => "forward",
            System::Echo => "echo",
        }
    }

    /// What it is, for a table.
    pub const fn title(self) -> &'static str {
        match self {
            System::Hop => "mosquitto, one hop, no handler",
            System::Native => "mosquitto + native handler",
            System::Behind => "mosquitto + Tidegate",
            System::Door => "Tidegate's front door",
            System::Forward => "Tidegate's front door, one hop, no handler",
            System::Echo => "bare front door that answers itself",
        }
    }

    /// Starts it and waits until it answers.
    pub fn start(self, placement: &Placement) -> Result<Running, Problem> {
        let mut running = Running { target: target(ports::free()), parts: Vec::new() };
        let address = running.target.address;
        if matches!(self, System::Hop | System::Native | System::Behind) {
            let broker = Mosquitto::start_at(address, placement);
            running.parts.push(Part::Broker(broker));
        }
        if matches!(self, System::Hop | System::Forward) {
            running.target.answers = "devices/+/telemetry";
        }
        let overheat = [handlers::overheat()];
        let (door, behind) = (Local::Listen(address), Local::Broker(address));
        let daemon =
            |local, handlers: &[Handler]| Part::Daemon(Daemon::spawn(local, handlers, placement));
        match self {
            System::Hop => {}
            System::Native => running.parts.push(own("native", address, placement)?),
            System::Echo => running.parts.push(own("echo-door", address, placement)?),
            System::Behind => running.parts.push(daemon(&behind, &overheat)),
            System::Door => running.parts.push(daemon(&door, &overheat)),
            System::Forward => running.parts.push(daemon(&door, &[])),
        }
        running.wait_until_it_answers()?;
        Ok(running)
    }
}

fn target(address: SocketAddr) -> Target {
    Target { address, answers: "devices/+/cmd" }
}

/// This very program in another role.
fn own(role: &str, address: SocketAddr, placement: &Placement) -> Result<Part, Problem> {
    let mut command = placement.command(&std::env::current_exe()?);
    command.args([role, &address.to_string()]);
    Ok(Part::Own(Process::start(role, &mut command)))
}

#[derive(Debug)]
enum Part {
    Broker(Mosquitto),
    Own(Process),
    Daemon(Daemon),
}

/// A system that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    pub target: Target,
    parts: Vec<Part>,
}

impl Running {
    fn pids(&self) -> impl Iterator<Item = u32> {
        self.parts.iter().map(|part| match part {
            Part::Broker(broker) => broker.process.pid(),
            Part::Own(process) => process.pid(),
            Part::Daemon(daemon) => daemon.process.pid(),
        })
    }

    /// CPU time of all its processes so far.
    pub fn cpu_ns(&self) -> u64 {
        self.pids().filter_map(procfs::cpu_ns).sum()
    }

    /// Resident memory of the handler's side: the native handler or the daemon; of the broker where there is none.
    pub fn handler_rss_kb(&self) -> Option<u64> {
        let pid = self.pids().last()?;
        procfs::memory(pid).map(|memory| memory.rss_kb)
    }

    fn wait_until_it_answers(&self) -> Result<(), Problem> {
        let end = Instant::now() + Duration::from_secs(20);
        let probe = Load { rate: 200.0, seconds: 0.1, warm_seconds: 0.0, ..Load::default() };
        let mut last: Option<std::io::Error> = None;
        while Instant::now() < end {
            if let Err(error) = std::net::TcpStream::connect(self.target.address) {
                last = Some(error);
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            match load::run(&self.target, &probe, || ()) {
                Ok(measured) if measured.lost == 0 => return Ok(()),
                Ok(_) => last = None,
                Err(error) => last = Some(error),
            }
        }
        let said: Vec<String> = self.parts.iter().map(Part::text).collect();
        Err(format!("no answer after 20 s ({last:?}); it said:\n{}", said.join("\n")).into())
    }
}

impl Part {
    fn text(&self) -> String {
        match self {
            Part::Broker(broker) => broker.process.text(),
            Part::Own(process) => process.text(),
            Part::Daemon(daemon) => daemon.process.text(),
        }
    }
}
