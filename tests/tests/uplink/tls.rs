//! TLS with certificates that are good, bad, or only out of date.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tidegate_config::{ClientCert, Tls, UplinkSettings};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_tests::mosquitto::Mosquitto;

use crate::bench::{Bench, alerts, now_us, settings};
use crate::certificates::Authority;

const PAST: (&str, &str) = ("20200101000000Z", "20210101000000Z");
const NOW: (&str, &str) = ("20200101000000Z", "20900101000000Z");
const FUTURE: (&str, &str) = ("20900101000000Z", "20910101000000Z");

/// A mosquitto with TLS, and settings that reach it. `lines` are added to its configuration.
fn broker(authority: &Authority, certificate: &str, lines: &str) -> (Mosquitto, UplinkSettings) {
    let file = |name: &str| authority.file(name).display().to_string();
    let mosquitto = Mosquitto::start_set(|_| {
        format!(
            "cafile {}\ncertfile {}\nkeyfile {}\n{lines}",
            file("ca.pem"),
            file(&format!("{certificate}.pem")),
            file(&format!("{certificate}.key"))
        )
    });
    let mut settings = settings(mosquitto.address);
    settings.broker.tls = Some(Tls { ca: authority.file("ca.pem"), client: None });
    (mosquitto, settings)
}

fn wall(quality: ClockQuality) -> WallTime {
    // A clock that nobody has set.
    let unix_us = if quality == ClockQuality::None { 1_000_000 } else { now_us() };
    WallTime { unix_us, quality }
}

#[test]
fn a_client_certificate_opens_the_door() {
    let authority = Authority::new();
    authority.certify("broker", "127.0.0.1", NOW.0, NOW.1);
    authority.certify("gateway", "127.0.0.1", NOW.0, NOW.1);
    let (_mosquitto, settings) = broker(&authority, "broker", "require_certificate true\n");

    let mut without = Bench::new(settings.clone());
    let why = without.connect_in_vain();
    assert!(why.contains("certificate") || why.contains("alert"), "{why}");

    let mut settings = settings;
    settings.broker.tls = Some(Tls {
        ca: authority.file("ca.pem"),
        client: Some(ClientCert {
            cert: authority.file("gateway.pem"),
            key: authority.file("gateway.key"),
        }),
    });
    let mut bench = Bench::new(settings);
    bench.connect();
    assert_eq!(bench.drain(32, alerts(1..=2000)), Ok((1..=2000).collect()));

    // The files are read for each connection: a renewed certificate needs no restart, a lost one is told of.
    bench.ask(tidegated::hub::ToUplink::Drop);
    bench.expect_down();
    std::fs::remove_file(authority.file("gateway.pem")).unwrap();
    let why = bench.connect_in_vain();
    assert!(why.contains("gateway.pem"), "{why}");
    authority.certify("gateway", "127.0.0.1", NOW.0, NOW.1);
    bench.connect();
}

#[test]
fn whom_we_do_not_trust_is_refused_whatever_the_clock_says() {
    let authority = Authority::new();
    authority.certify("elsewhere", "127.0.0.2", PAST.0, PAST.1);
    let (_mosquitto, settings) = broker(&authority, "elsewhere", "");
    let mut bench = Bench::with_clock(settings, || wall(ClockQuality::None));
    let why = bench.connect_in_vain();
    assert!(why.contains("not valid for name"), "{why}");

    authority.certify("broker", "127.0.0.1", NOW.0, NOW.1);
    let (_mosquitto, mut settings) = broker(&authority, "broker", "");
    let stranger = Authority::new();
    settings.broker.tls = Some(Tls { ca: stranger.file("ca.pem"), client: None });
    let mut bench = Bench::with_clock(settings, || wall(ClockQuality::None));
    let why = bench.connect_in_vain();
    assert!(why.contains("UnknownIssuer") || why.contains("BadSignature"), "{why}");
}

#[test]
fn dates_count_as_far_as_the_clock_is_known() {
    let authority = Authority::new();
    for (name, dates, none, floor, ntp) in [
        ("past", PAST, true, false, false),
        ("now", NOW, true, true, true),
        ("future", FUTURE, true, true, false),
    ] {
        authority.certify(name, "127.0.0.1", dates.0, dates.1);
        let (_mosquitto, settings) = broker(&authority, name, "");
        for (quality, good) in
            [(ClockQuality::None, none), (ClockQuality::Floor, floor), (ClockQuality::Ntp, ntp)]
        {
            let mut bench = Bench::with_clock(settings.clone(), move || wall(quality));
            if good {
                bench.connect();
                assert_eq!(bench.drain(2, alerts([1, 2])), Ok(vec![1, 2]));
            } else {
                let why = bench.connect_in_vain();
                assert!(why.contains("expired") || why.contains("not valid yet"), "{why}");
            }
        }
    }
}

#[test]
fn what_was_let_pass_ends_when_the_clock_is_known() {
    let authority = Authority::new();
    authority.certify("past", "127.0.0.1", PAST.0, PAST.1);
    let (_mosquitto, mut settings) = broker(&authority, "past", "");
    settings.broker.keep_alive_s = 1;
    let quality = Arc::new(AtomicU8::new(0));
    let asked = Arc::clone(&quality);
    let mut bench = Bench::with_clock(settings, move || match asked.load(Ordering::Relaxed) {
        0 => wall(ClockQuality::None),
        _ => wall(ClockQuality::Ntp),
    });
    bench.connect();
    quality.store(2, Ordering::Relaxed);
    let why = bench.expect_down();
    assert!(why.contains("clock"), "{why}");
    let why = bench.connect_in_vain();
    assert!(why.contains("expired"), "{why}");
}
