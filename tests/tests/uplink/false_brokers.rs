//! Brokers that are slow, silent, older, wrong or unkind.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tidegate_core::record::Refusal;
use tidegated::hub::ToUplink;

use crate::bench::{Bench, PATIENCE, Told, alerts, broker, record, settings, settings_v311};
use crate::fake::{CONNACK_V5, CONNACK_V311, Fake};

/// Far less than any time limit of the driver.
const AT_ONCE: Duration = Duration::from_millis(500);

/// An address where a TCP connect neither succeeds nor fails: nobody accepts, and the line is full. It stays so
/// as long as what is returned lives.
fn black_hole() -> (std::net::SocketAddr, impl Sized) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let first = TcpStream::connect(address).unwrap();
    let more: Vec<_> = (0..4)
        .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok())
        .collect();
    assert!(more.len() < 4, "the line is full");
    (address, (listener, first, more))
}

#[test]
fn nobody_there() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    drop(fake);
    assert!(bench.connect_in_vain().contains("refused"));
}

#[test]
fn a_connect_that_hangs_is_given_up() {
    let (address, _hole) = black_hole();
    let mut bench = Bench::new(settings(address));
    let before = Instant::now();
    assert_eq!(bench.connect_in_vain(), format!("{address} does not answer"));
    let took = before.elapsed();
    assert!((1900..4000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_drop_ends_a_connect_that_hangs() {
    let (address, _hole) = black_hole();
    let mut bench = Bench::new(settings(address));
    bench.ask(ToUplink::Connect);
    assert_eq!(bench.hear_within(Duration::from_millis(50)), None, "it hangs");
    let before = Instant::now();
    bench.ask(ToUplink::Drop);
    assert_eq!(bench.expect_down(), "it does not answer; given up");
    assert!(before.elapsed() < AT_ONCE);
}

#[test]
fn a_broker_that_takes_the_connection_and_says_nothing() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    let before = Instant::now();
    bench.ask(ToUplink::Connect);
    let mut peer = fake.accept();
    assert_eq!(peer.packet().expect("a CONNECT")[0], 0x10);
    assert_eq!(bench.expect_down(), "it takes the connection and does not answer");
    let took = before.elapsed();
    assert!((4900..8000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(peer.packet(), None, "the connection is closed");
    // And the next attempt may be the better one.
    bench.ask(ToUplink::Connect);
    drop(fake.greet(CONNACK_V5));
    bench.expect(Told::Up);
    bench.expect_down();
}

#[test]
fn a_drop_ends_a_write_that_is_stalled() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    bench.ask(ToUplink::Connect);
    let mut peer = fake.greet(CONNACK_V5);
    bench.expect(Told::Up);
    // Far more than the sockets hold; nobody reads.
    bench.send((1..=32).map(|seq| record(seq, "alerts", None, &[0; 100_000])));
    peer.ack(1, None);
    bench.expect(Told::Delivered(1));
    assert_eq!(bench.hear_within(Duration::from_millis(50)), None);
    let before = Instant::now();
    bench.ask(ToUplink::Drop);
    bench.expect_down();
    assert!(before.elapsed() < AT_ONCE);
    while peer.packet().is_some() {}
}

#[test]
fn a_broker_that_closes_or_hangs_up_with_a_reason() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    bench.ask(ToUplink::Connect);
    drop(fake.accept());
    let why = bench.expect_down();
    assert!(why.contains("closed") || why.contains("reset"), "{why}");

    bench.ask(ToUplink::Connect);
    let mut peer = fake.greet(CONNACK_V5);
    bench.expect(Told::Up);
    // DISCONNECT, quota exceeded, reason string "enough".
    peer.send(b"\xe0\x0b\x97\x09\x1f\x00\x06enough");
    assert_eq!(bench.expect_down(), "it ended the connection: QuotaExceeded (0x97): enough");

    bench.ask(ToUplink::Connect);
    let _peer = fake.greet(b"\x20\x0b\x00\x89\x08\x1f\x00\x05later");
    assert_eq!(bench.expect_down(), "it refused the connection: ServerBusy: later");
}

#[test]
fn a_broker_that_is_older() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    // "Unacceptable protocol version" of MQTT 3.1.1, which has no properties.
    bench.ask(ToUplink::Connect);
    let _peer = fake.greet(&[0x20, 2, 0, 1]);
    let why = bench.expect_down();
    assert!(why.starts_with("it sends what is not MQTT 5: "), "{why}");
    assert!(
        why.ends_with("if it is older than MQTT 5, write uplink.protocol = \"3.1.1\""),
        "{why}"
    );

    let mut bench = Bench::new(settings_v311(fake.address));
    for (code, part) in
        [(1, "3.1.1"), (2, "uplink.client_id"), (3, "available"), (5, "uplink.username")]
    {
        bench.ask(ToUplink::Connect);
        let _peer = fake.greet(&[0x20, 2, 0, code]);
        let why = bench.expect_down();
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    for (nonsense, part) in [
        (&[b'H'; 200][..], "not MQTT 5"),
        (b"\x20\xff\xff\xff\xff\x7f", "not MQTT 5"),
        (b"\x30\xff\xff\xff\x7f", "not MQTT 5"),
        (b"\x40\x02\x00\x01", "acked a message that was not sent"),
        (b"\x40\x01\x00", "not MQTT 5"),
        (b"\x30\x04\x00\x01a\x00", "nobody asked for"),
        (b"\x20\x03\x00\x00\x00", "nobody asked for"),
        (b"\xe0\x01\x01", "not MQTT 5"),
        (b"\x00\x00", "not MQTT 5"),
    ] {
        bench.ask(ToUplink::Connect);
        let mut peer = fake.greet(CONNACK_V5);
        bench.expect(Told::Up);
        peer.send(nonsense);
        let told = bench.hear_within(PATIENCE);
        assert!(
            matches!(&told, Some(Told::Down(why)) if why.contains(part)),
            "{nonsense:x?}: {told:?}"
        );
    }
    bench.ask(ToUplink::Connect);
    let mut peer = fake.greet(CONNACK_V5);
    bench.expect(Told::Up);
    bench.send(alerts([1]));
    let id = peer.publish();
    peer.ack(id, None);
    bench.expect(Told::Delivered(1));
}

#[test]
fn what_the_acks_of_mqtt_5_mean() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    let refused = |code| Told::Refused(1, Refusal::Code(code));
    for (code, told) in [
        (0x00, Ok(Told::Delivered(1))),
        (0x10, Ok(Told::Delivered(1))),
        (0x87, Ok(refused(0x87))),
        (0x90, Ok(refused(0x90))),
        (0x99, Ok(refused(0x99))),
        (0x80, Err("does not say why (0x80)")),
        (0x83, Err("does not say why (0x83)")),
        (0x91, Err("(0x91)")),
        (0x97, Err("quota is used up (0x97)")),
        (0x42, Err("not MQTT 5")),
    ] {
        bench.ask(ToUplink::Connect);
        let mut peer = fake.greet(CONNACK_V5);
        bench.expect(Told::Up);
        bench.send(alerts([1, 2]));
        let ids = [peer.publish(), peer.publish()];
        peer.ack(ids[0], Some(code));
        match told {
            Ok(told) => {
                bench.expect(told);
                peer.ack(ids[1], None);
                bench.expect(Told::Delivered(2));
                drop(peer);
                bench.expect_down();
            }
            Err(part) => {
                let why = bench.expect_down();
                assert!(why.contains(part), "0x{code:02x}: {why}");
            }
        }
    }
}

#[test]
fn what_was_acked_before_the_end_is_told() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    bench.ask(ToUplink::Connect);
    let mut peer = fake.greet(CONNACK_V5);
    bench.expect(Told::Up);
    bench.send(alerts([5, 6, 7]));
    let ids = [peer.publish(), peer.publish(), peer.publish()];
    // The last first, and then nonsense, all in one write.
    let [a, b] = [ids[2], ids[0]].map(u16::to_be_bytes);
    peer.send(&[0x40, 2, a[0], a[1], 0x40, 2, b[0], b[1], 0x00, 0x00]);
    bench.expect(Told::Delivered(7));
    bench.expect(Told::Delivered(5));
    bench.expect_down();
}

#[test]
fn no_more_under_way_than_the_broker_takes() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    bench.ask(ToUplink::Connect);
    // Receive Maximum 2.
    let mut peer = fake.greet(&[0x20, 6, 0, 0, 3, 0x21, 0, 2]);
    bench.expect(Told::Up);
    bench.send(alerts(1..=5));
    let ids = [peer.publish(), peer.publish()];
    assert_eq!(peer.packet_within(Duration::from_millis(50)), None, "the third waits");
    peer.ack(ids[0], None);
    bench.expect(Told::Delivered(1));
    let third = peer.publish();
    assert_eq!(peer.packet_within(Duration::from_millis(50)), None, "the fourth waits");
    for id in [ids[1], third] {
        peer.ack(id, None);
    }
    for _ in 0..2 {
        let id = peer.publish();
        peer.ack(id, None);
    }
    for seq in 2..=5 {
        bench.expect(Told::Delivered(seq));
    }
}

#[test]
fn a_broker_that_takes_no_qos_1() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    bench.ask(ToUplink::Connect);
    let _peer = fake.greet(&[0x20, 5, 0, 0, 2, 0x24, 0]);
    assert_eq!(bench.expect_down(), "it takes nothing with QoS 1");
}

#[test]
fn a_silent_connection_is_pinged_and_given_up() {
    let fake = Fake::listen();
    let mut settings = settings(fake.address);
    broker(&mut settings).keep_alive_s = 1;
    let mut bench = Bench::new(settings);
    bench.ask(ToUplink::Connect);
    let mut peer = fake.greet(CONNACK_V5);
    bench.expect(Told::Up);
    for _ in 0..2 {
        assert_eq!(peer.packet(), Some(vec![0xc0, 0]), "a PINGREQ");
        peer.send(&[0xd0, 0]);
    }
    assert_eq!(peer.packet(), Some(vec![0xc0, 0]));
    assert_eq!(bench.expect_down(), "it does not answer");
}

#[test]
fn the_brokers_keep_alive_counts() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    bench.ask(ToUplink::Connect);
    // Server Keep Alive 1; ours is 30.
    let mut peer = fake.greet(&[0x20, 6, 0, 0, 3, 0x13, 0, 1]);
    bench.expect(Told::Up);
    assert_eq!(peer.packet(), Some(vec![0xc0, 0]), "a PINGREQ");
}

#[test]
fn a_gateway_that_stops_says_goodbye() {
    for (connack, settings) in [(CONNACK_V5, settings as fn(_) -> _), (CONNACK_V311, settings_v311)]
    {
        let fake = Fake::listen();
        let mut bench = Bench::new(settings(fake.address));
        bench.ask(ToUplink::Connect);
        let mut peer = fake.greet(connack);
        bench.expect(Told::Up);
        drop(bench);
        assert_eq!(peer.packet(), Some(vec![0xe0, 0]), "a DISCONNECT");
        assert_eq!(peer.packet(), None);
    }
}

#[test]
fn what_comes_too_late_or_too_early_does_no_harm() {
    let fake = Fake::listen();
    let mut bench = Bench::new(settings(fake.address));
    bench.send(alerts([1]));
    bench.ask(ToUplink::Drop);
    bench.ask(ToUplink::Connect);
    bench.ask(ToUplink::Connect);
    let mut peer = fake.greet(CONNACK_V5);
    bench.expect(Told::Up);
    bench.ask(ToUplink::Connect);
    bench.send(alerts([2]));
    let id = peer.publish();
    peer.ack(id, None);
    bench.expect(Told::Delivered(2));
    bench.ask(ToUplink::Drop);
    bench.expect_down();
    assert_eq!(bench.hear_within(Duration::from_millis(50)), None);
}
