//! What the service manager is told (sd_notify(3)): ready, alive, stopping. Without one nobody is told.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

/// What the manager is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// When messages are taken.
    Ready,
    /// When the hub has ended a turn in the last interval.
    Alive,
    /// When SIGTERM has come.
    Stopping,
}

/// The manager, if one has started us and wants to know.
#[derive(Debug, Default)]
pub struct Service {
    socket: Option<UnixDatagram>,
    ping_every: Option<Duration>,
}

impl Service {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn from_env() -> Rc<Service> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Rc::default();
        };
        let socket = match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(%error, "NOTIFY_SOCKET={} cannot be used; the service manager is not told", name.display());
                None
            }
        };
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let usec = number("WATCHDOG_USEC").filter(|_| is_ours);
        Rc::new(Service { socket, ping_every: usec.and_then(ping_every) })
    }

    pub fn tell(&self, state: State) {
        let Some(socket) = &self.socket else {
            return;
        };
        let text = match state {
            State::Ready => "READY=1",
            State::Alive => "WATCHDOG=1",
            State::Stopping => "STOPPING=1",
        };
        if let Err(error) = socket.send(text.as_bytes()) {
            warn!(%error, text, "the service manager did not take it");
        }
    }
}

/// Half of the manager's patience, as sd_watchdog_enabled(3) advises.
fn ping_every(usec: u64) -> Option<Duration> {
    Some(Duration::from_micros(usec / 2)).filter(|every| *every >= Duration::from_millis(1))
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read must not hold the hub.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Tells the manager that the hub is alive: in a turn, at its end. A turn that does not end is not told.
#[derive(Debug)]
pub struct Heartbeat {
    service: Rc<Service>,
    interval: Option<Interval>,
    due: bool,
}

impl Heartbeat {
    pub fn new(service: &Rc<Service>) -> Heartbeat {
        let interval = service.ping_every.map(|every| {
            let mut interval = interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Heartbeat { service: Rc::clone(service), interval, due: false }
    }

    /// Ready when a turn is wanted so that it can be told.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(interval) = &mut self.interval else {
            return Poll::Pending;
        };
        let tick = interval.poll_tick(context).map(|_| ());
        self.due |= tick.is_ready();
        tick
    }

    /// A turn has come to its end.
    pub fn turn_ended(&mut self) {
        if std::mem::take(&mut self.due) {
            self.service.tell(State::Alive);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn half_of_the_patience_and_never_a_busy_loop() {
        assert_eq!(ping_every(30_000_000), Some(Duration::from_secs(15)));
        assert_eq!(ping_every(0), None);
        assert_eq!(ping_every(1999), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_end_is_not_told() {
        let name = format!("tidegate-service-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let manager = UnixDatagram::bind_addr(&address).expect("the name is free");
        manager.set_nonblocking(true).expect("a socket can be made non-blocking");
        let heard = || {
            let mut bytes = [0; 64];
            let len = manager.recv(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes[..len]).into_owned())
        };
        let socket = connect(OsStr::new(&format!("@{name}"))).expect("somebody listens");
        let ping_every = Some(Duration::from_secs(15));
        let service = Rc::new(Service { socket: Some(socket), ping_every });
        let mut heartbeat = Heartbeat::new(&service);
        service.tell(State::Ready);
        assert_eq!(heard().as_deref(), Some("READY=1"));
        for _ in 0..3 {
            heartbeat.turn_ended();
            assert_eq!(heard(), None, "nothing is due");
            poll_fn(|context| heartbeat.poll(context)).await;
            assert_eq!(heard(), None, "the turn has not ended");
            heartbeat.turn_ended();
            assert_eq!(heard().as_deref(), Some("WATCHDOG=1"));
        }
        service.tell(State::Stopping);
        assert_eq!(heard().as_deref(), Some("STOPPING=1"));
    }
}
