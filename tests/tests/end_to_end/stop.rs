//! SIGTERM under load: everything accepted is handled, and it ends in time.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tidegate_tests::handlers;
use tidegate_tests::load::{self, Load, Target};

use crate::house::{BOTH, House};

/// What systemd's default would allow many times over; what the issue promises.
const STOP_MAX: Duration = Duration::from_secs(5);

#[test]
fn it_stops_cleanly_under_load() {
    for side in BOTH {
        let mut house = House::start(side, &[handlers::overheat()]);
        let target = Target { address: house.address, answers: "devices/+/cmd" };
        let load = Load { rate: 2000.0, seconds: 2.0, warm_seconds: 0.0, ..Load::default() };
        let generator = thread::spawn(move || load::run(&target, &load, || ()));
        thread::sleep(Duration::from_millis(700));
        let asked = Instant::now();
        let status = house.daemon.process.terminate(STOP_MAX);
        let status = status.unwrap_or_else(|| panic!("{side:?}: not stopped after {STOP_MAX:?}"));
        println!("{side:?}: stopped after {:?}", asked.elapsed());
        assert!(status.success(), "{side:?}: {status:?}");
        // The front door takes its clients' connections with it; behind a broker they live on.
        let sent = generator.join().expect("the generator does not panic");
        if let Ok(measured) = sent {
            assert!(measured.answered > 0, "{side:?}: {measured:?}");
        }
    }
}

#[test]
fn it_stops_at_once_when_idle() {
    for side in BOTH {
        for signal in [Signal::TERM, Signal::INT] {
            let mut house = House::start(side, &[]);
            let asked = Instant::now();
            let status = house.daemon.process.stop_with(signal, STOP_MAX).expect("it stops");
            assert!(status.success() && asked.elapsed() < Duration::from_secs(1), "{status:?}");
        }
    }
}
