//! Loopback ports that nobody else uses.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Below the range from which Linux gives outgoing connections their ports, so that a port found
/// free stays free until the program under test binds it.
const FIRST: u16 = 16_000;
const COUNT: u16 = 16_000;

/// A loopback address with a port that is free and is given out only once in this process.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries run at the same time: each starts somewhere else.
    let start = (process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(n)) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Waits until somebody listens at `address`.
pub fn wait_for_listener(address: SocketAddr, wait: Duration) -> bool {
    let end = Instant::now() + wait;
    while Instant::now() < end {
        if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}
