//! A real mosquitto for one test or one measurement.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::ports;
use crate::process::Process;
use crate::programs::{self, Placement};
use crate::scratch::Scratch;

/// How long it may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mosquitto that runs, or is stopped for a while. Dropping it kills it.
#[derive(Debug)]
pub struct Mosquitto {
    pub address: SocketAddr,
    pub process: Process,
    config: PathBuf,
    placement: Placement,
    /// Holds the configuration, and what it persists.
    _scratch: Scratch,
}

impl Mosquitto {
    /// Starts one on a free port, with nothing persisted.
    pub fn start() -> Mosquitto {
        Mosquitto::start_at(ports::free(), &Placement::default())
    }

    /// Starts one at `address`, with nothing persisted.
    pub fn start_at(address: SocketAddr, placement: &Placement) -> Mosquitto {
        Mosquitto::start_with(address, placement, |_| "persistence false\n".to_owned())
    }

    /// Starts one that keeps sessions and messages over a clean stop.
    pub fn start_durable() -> Mosquitto {
        Mosquitto::start_with(ports::free(), &Placement::default(), |folder| {
            format!("persistence true\npersistence_location {}/\n", folder.display())
        })
    }

    /// Starts one that passes on everything to `upstream` with QoS 1 and is tuned to lose as little as it can: a kept
    /// session there, no limit on what waits, and all of it written down every second, the least there is.
    pub fn start_bridge(upstream: SocketAddr) -> Mosquitto {
        Mosquitto::start_with(ports::free(), &Placement::default(), |folder| {
            format!(
                "persistence true\npersistence_location {}/\nautosave_interval 1\n\
                 connection up\naddress {upstream}\ntopic # out 1\ncleansession false\n\
                 restart_timeout 1\nnotifications false\n",
                folder.display()
            )
        })
    }

    /// Starts one on a free port, with nothing persisted and `lines` added to its configuration, which may name
    /// files that it writes into the folder it is given.
    pub fn start_set(lines: impl Fn(&Path) -> String) -> Mosquitto {
        Mosquitto::start_with(ports::free(), &Placement::default(), |folder| {
            format!("persistence false\n{}", lines(folder))
        })
    }

    /// `max_queued_messages 0` is "no limit": overload shows as latency and not as silent loss.
    /// `set_tcp_nodelay` takes Nagle's wait out of every figure. Started by root it would become
    /// another user, who cannot write to the folder.
    fn start_with(
        address: SocketAddr,
        placement: &Placement,
        persistence: impl Fn(&Path) -> String,
    ) -> Mosquitto {
        let scratch = Scratch::new("mosquitto");
        let config = format!(
            "listener {} {}\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n\
             log_type error\nlog_dest stderr\nuser {}\n{}",
            address.port(),
            address.ip(),
            std::env::var("USER").unwrap_or_else(|_| "root".to_owned()),
            persistence(scratch.path()),
        );
        let config = scratch.write("mosquitto.conf", config);
        let process = launch(&config, address, placement);
        Mosquitto { address, process, config, placement: *placement, _scratch: scratch }
    }

    /// Stops it as a system shutdown does: it writes down what it persists.
    pub fn stop(&mut self) {
        self.process.terminate(PATIENCE).expect("mosquitto ends at SIGTERM");
    }

    /// Starts it again at the same address after [`Mosquitto::stop`] or a kill.
    pub fn resume(&mut self) {
        self.process = launch(&self.config, self.address, &self.placement);
    }

    /// What the installed one says it is.
    pub fn version() -> String {
        let output = Command::new(installed("mosquitto")).arg("-h").output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// `mosquitto_pub` or `mosquitto_sub` pointed at `address`. `stdbuf`, because they would hold
    /// back what they say while nobody watches.
    pub fn client(program: &str, address: SocketAddr) -> Command {
        let mut command = Command::new("stdbuf");
        command.arg("-oL").arg(installed(program));
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        command
    }
}

fn launch(config: &Path, address: SocketAddr, placement: &Placement) -> Process {
    let mut command = placement.command(&installed("mosquitto"));
    let process = Process::start("mosquitto", command.arg("-c").arg(config));
    assert!(
        ports::wait_for_listener(address, PATIENCE),
        "mosquitto does not listen: {}",
        process.text()
    );
    process
}

/// Debian keeps mosquitto in `/usr/sbin`, which is not on every user's path.
fn installed(program: &str) -> PathBuf {
    programs::on_path(program)
        .unwrap_or_else(|| panic!("{program} is not installed; `tests/run` installs it"))
}
