//! The four ways from device to device that are compared, as running processes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers;
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
    /// Device, Tidegate, device.
    Door,
}

impl System {
    pub const ALL: [System; 4] = [System::Hop, System::Native, System::Behind, System::Door];

    pub const fn name(self) -> &'static str {
        match self {
            System::Hop => "hop",
            System::Native => "native",
            System::Behind => "behind",
            System::Door => "door",
        }
    }

    /// Starts it and waits until it answers.
    pub fn start(self, placement: &Placement) -> Result<Running, Problem> {
        let mut running = Running {
            target: target(ports::free()),
            parts: Vec::new(),
        };
        let address = running.target.address;
        if self != System::Door {
            running
                .parts
                .push(Part::Broker(Mosquitto::start_at(address, placement)));
        }
        match self {
            System::Hop => running.target.answers = "devices/+/telemetry",
            System::Native => {
                let own = std::env::current_exe()?;
                let mut command = placement.command(&own);
                command.args(["native", &address.to_string()]);
                running
                    .parts
                    .push(Part::Native(Process::start("native", &mut command)));
            }
            System::Behind => running
                .parts
                .push(daemon(&Local::Broker(address), placement)),
            System::Door => running
                .parts
                .push(daemon(&Local::Listen(address), placement)),
        }
        running.wait_until_it_answers()?;
        Ok(running)
    }
}

fn target(address: SocketAddr) -> Target {
    Target {
        address,
        answers: "devices/+/cmd",
    }
}

fn daemon(local: &Local, placement: &Placement) -> Part {
    Part::Daemon(Daemon::spawn(local, &[handlers::overheat()], placement))
}

#[derive(Debug)]
enum Part {
    Broker(Mosquitto),
    Native(Process),
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
            Part::Native(process) => process.pid(),
            Part::Daemon(daemon) => daemon.process.pid(),
        })
    }

    /// CPU time of all its processes so far.
    pub fn cpu_ns(&self) -> u64 {
        self.pids().filter_map(procfs::cpu_ns).sum()
    }

    /// Resident memory of the handler's side: the native handler or the daemon.
    pub fn handler_rss_kb(&self) -> Option<u64> {
        let pid = self.pids().last()?;
        procfs::memory(pid).map(|memory| memory.rss_kb)
    }

    fn wait_until_it_answers(&self) -> Result<(), Problem> {
        let end = Instant::now() + Duration::from_secs(20);
        let probe = Load {
            rate: 200.0,
            seconds: 0.1,
            warm_seconds: 0.0,
            ..Load::default()
        };
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
        Err(format!(
            "no answer after 20 s ({last:?}); it said:\n{}",
            said.join("\n")
        )
        .into())
    }
}

impl Part {
    fn text(&self) -> String {
        match self {
            Part::Broker(broker) => broker.process.text(),
            Part::Native(process) => process.text(),
            Part::Daemon(daemon) => daemon.process.text(),
        }
    }
}
