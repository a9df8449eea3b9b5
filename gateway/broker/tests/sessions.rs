//! How clients come and go.

mod peer;

use peer::{Hello, V3, V5, World, connect, packet, publish, subscribe};
use tidegate_broker::{CloseReason, DropReason, Limits, Version};
use tidegate_core::Timestamp;

const BOTH: [Version; 2] = [V3, V5];

fn world() -> World {
    World::new(Limits::DEV)
}

#[test]
fn what_comes_before_a_connect_closes() {
    for first in
        [&b"GET / HTTP/1.1\r\n"[..], &[0x30, 3, 0, 1, b'a'], &[0xC0, 0], &[0x16, 3, 1, 2, 0]]
    {
        let mut w = world();
        w.dial("x", V3);
        w.send("x", first);
        assert_eq!(w.hear("x"), ["close"], "{first:?}");
        assert_eq!(w.events(), [""; 0]);
        assert_eq!(w.send("x", &connect(V3, "x", &Hello::default())), 0);
        w.hang_up("x");
        assert_eq!(w.broker.poll_timeout(), None);
    }
}

#[test]
fn a_silent_transport_is_closed() {
    let mut w = world();
    w.dial("x", V3);
    w.send("x", &[0x10, 30]);
    assert_eq!(w.broker.poll_timeout(), Some(Timestamp(5_000)));
    w.wait(4_999);
    assert_eq!(w.hear("x"), [""; 0]);
    w.wait(1);
    assert_eq!(w.hear("x"), ["close"]);
    assert_eq!(w.broker.counters().closed(CloseReason::ConnectTimeout), 1);
}

#[test]
fn an_unknown_version_is_told_so() {
    let mut w = world();
    w.dial("x", V3);
    w.send("x", &packet(0x10, &[b"\0\x04MQTT\x07\x02\0\0\0\x01x"]));
    assert_eq!(w.hear("x"), ["CONNACK 00 01", "close"]);
}

#[test]
fn a_second_connect_closes_and_publishes_the_will() {
    for version in BOTH {
        let mut w = world();
        let hello = Hello { will: Some(("w", "bye", 1, false)), ..Hello::default() };
        w.join_with("x", version, &hello);
        w.send("x", &connect(version, "x", &Hello::default()));
        let expect: &[&str] = if version == V5 { &["DISCONNECT 82", "close"] } else { &["close"] };
        assert_eq!(w.hear("x"), expect);
        assert_eq!(w.events(), ["x w q1 'bye'", "gone x protocol"]);
    }
}

#[test]
fn a_v5_client_is_told_the_limits_and_a_v3_client_nothing() {
    let mut w = world();
    w.dial("a", V3);
    w.send("a", &connect(V3, "a", &Hello { kept_session: true, ..Hello::default() }));
    assert_eq!(w.hear("a"), ["CONNACK 00 00"]);
    w.dial("b", V5);
    // Session Expiry 60, keep-alive longer than allowed.
    let properties = vec![0x11, 0, 0, 0, 60];
    let hello = Hello { keep_alive_s: 4000, properties, kept_session: true, ..Hello::default() };
    w.send("b", &connect(V5, "", &hello));
    let expect = "CONNACK 00 00 1e 21 00 80 27 00 04 00 00 22 00 10 2a 00 \
                  12 00 06 61 75 74 6f 2d 31 13 0e 10 11 00 00 00 00";
    assert_eq!(w.hear("b"), [expect]);
    assert_eq!(w.events(), ["connected a", "connected auto-1"]);
}

#[test]
fn a_v3_client_without_a_name_needs_a_clean_session() {
    let mut w = world();
    w.dial("x", V3);
    w.send("x", &connect(V3, "", &Hello { kept_session: true, ..Hello::default() }));
    assert_eq!(w.hear("x"), ["CONNACK 00 02", "close"]);
    w.dial("y", V3);
    w.send("y", &connect(V3, "", &Hello::default()));
    assert_eq!(w.hear("y"), ["CONNACK 00 00"]);
    assert_eq!(w.events(), ["connected auto-1"]);
}

#[test]
fn a_name_given_out_is_nobodys() {
    let mut w = world();
    w.join("auto-1", V3);
    w.dial("y", V3);
    w.send("y", &connect(V3, "", &Hello::default()));
    assert_eq!(w.events(), ["connected auto-2"]);
}

#[test]
fn the_same_name_takes_over() {
    for version in BOTH {
        let mut w = world();
        w.join_with(
            "x",
            version,
            &Hello { will: Some(("w", "bye", 0, false)), ..Hello::default() },
        );
        w.send("x", &subscribe(version, 1, &[("a", 0)]));
        w.hear("x");
        let old = w.peers.remove("x").expect("joined");
        w.dial("x", version);
        w.send("x", &connect(version, "x", &Hello::default()));
        assert_eq!(w.events(), ["x w q0 'bye'", "gone x taken-over", "connected x"]);
        w.peers.insert("old".to_owned(), old);
        let expect: &[&str] = if version == V5 { &["DISCONNECT 8e", "close"] } else { &["close"] };
        assert_eq!(w.hear("old"), expect);
        // The old transport's end is not the new client's.
        w.hang_up("old");
        assert_eq!(w.events(), [""; 0]);
        assert_eq!(w.broker.clients().count(), 1);
        assert_eq!(w.broker.counters().subscriptions, 0);
        assert!(w.hear("x")[0].starts_with("CONNACK 00 00"));
        w.send("x", &publish(version, 0, 0, "a", b"1"));
        assert_eq!(w.hear("x"), [""; 0]);
    }
}

#[test]
fn too_many_clients_are_told_that_we_are_busy() {
    let mut w = World::new(Limits { clients_max: 2, ..Limits::DEV });
    w.join("a", V3);
    w.join("b", V5);
    w.dial("c", V3);
    w.send("c", &connect(V3, "c", &Hello::default()));
    assert_eq!(w.hear("c"), ["CONNACK 00 03", "close"]);
    w.dial("d", V5);
    w.send("d", &connect(V5, "d", &Hello::default()));
    assert_eq!(w.hear("d"), ["CONNACK 00 89 00", "close"]);
    w.dial("a2", V3);
    w.send("a2", &connect(V3, "a", &Hello::default()));
    assert_eq!(w.hear("a2"), ["CONNACK 00 00"], "a takeover needs no room");
    w.hang_up("b");
    w.dial("e", V3);
    w.send("e", &connect(V3, "e", &Hello::default()));
    assert_eq!(w.hear("e"), ["CONNACK 00 00"]);
    assert_eq!(w.broker.counters().closed(CloseReason::Busy), 2);
    assert_eq!((w.broker.counters().clients, w.broker.counters().connects), (2, 4));
}

#[test]
fn keep_alive_is_one_and_a_half_times_and_any_packet_counts() {
    for version in BOTH {
        let mut w = world();
        let hello = Hello { keep_alive_s: 10, will: Some(("w", "", 0, false)), ..Hello::default() };
        w.join_with("x", version, &hello);
        w.wait(14_999);
        w.send("x", &[0xC0, 0]);
        assert_eq!(w.hear("x"), ["PINGRESP"]);
        w.wait(14_999);
        assert_eq!(w.hear("x"), [""; 0]);
        // Half a packet is no packet.
        w.send("x", &[0x30]);
        w.wait(1);
        let expect: &[&str] = if version == V5 { &["DISCONNECT 8d", "close"] } else { &["close"] };
        assert_eq!(w.hear("x"), expect);
        assert_eq!(w.events(), ["x w q0 ''", "gone x keep-alive"]);
    }
}

#[test]
fn keep_alive_zero_is_off_and_a_pause_stops_the_clock() {
    let mut w = world();
    w.join("off", V3);
    w.join_with("paused", V3, &Hello { keep_alive_s: 1, ..Hello::default() });
    let conn = w.conn("paused");
    w.broker.pause(conn);
    w.wait(1_000_000);
    assert!(w.broker.is_paused(conn));
    assert_eq!(w.send("paused", &[0xC0, 0]), 0);
    w.broker.resume(conn);
    assert_eq!(w.broker.poll_dirty(), Some(conn));
    assert_eq!(w.send("paused", &[0xC0, 0]), 2);
    w.wait(1_499);
    assert_eq!(w.events(), [""; 0]);
    w.wait(1_500);
    assert_eq!(w.events(), ["gone paused keep-alive"]);
    assert_eq!(w.broker.clients().count(), 1);
}

#[test]
fn a_will_is_published_unless_the_client_said_goodbye() {
    let bye = |code: &[u8]| packet(0xE0, &[code]);
    type Case<'a> = (Version, Option<Vec<u8>>, &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        (V3, None, &["x w q1 retain 'bye'", "gone x transport-gone"]),
        (V3, Some(bye(&[])), &["gone x disconnected"]),
        (V3, Some(vec![0xE0, 1, 0]), &["x w q1 retain 'bye'", "gone x malformed"]),
        (V5, Some(bye(&[])), &["gone x disconnected"]),
        (V5, Some(bye(&[0])), &["gone x disconnected"]),
        (V5, Some(bye(&[4])), &["x w q1 retain 'bye'", "gone x disconnected-with-will"]),
    ];
    for (version, goodbye, expect) in cases {
        let mut w = world();
        w.join_subscribed("watcher", V3, &[("w", 1)]);
        w.join_with("x", version, &Hello { will: Some(("w", "bye", 1, true)), ..Hello::default() });
        if let Some(goodbye) = &goodbye {
            w.send("x", goodbye);
        }
        w.hang_up("x");
        assert_eq!(w.events(), expect, "{version:?} {goodbye:?}");
        let published = expect.len() == 2;
        assert_eq!(w.hear("watcher").len(), usize::from(published));
        assert_eq!(w.broker.retained_size().0, usize::from(published));
    }
}

#[test]
fn a_wills_properties_are_passed_on_without_its_delay() {
    let mut w = world();
    w.join_subscribed("watcher", V5, &[("w", 0)]);
    // Delay 30 s, expiry 9 s, content type "x".
    let will_properties = vec![0x18, 0, 0, 0, 30, 0x02, 0, 0, 0, 9, 0x03, 0, 1, b'x'];
    let will = Some(("w", "bye", 0, false));
    w.join_with("x", V5, &Hello { will, will_properties, ..Hello::default() });
    w.hang_up("x");
    assert_eq!(w.hear("watcher"), ["PUBLISH q0 <02 00 00 00 09 03 00 01 78> w 'bye'"]);
}

#[test]
fn a_will_may_not_go_where_a_device_may_not_publish() {
    let mut w = world();
    w.join_with("x", V3, &Hello { will: Some(("$SYS/x", "bye", 0, false)), ..Hello::default() });
    w.hang_up("x");
    assert_eq!(w.events(), ["gone x transport-gone"]);
    assert_eq!(w.broker.counters().dropped(DropReason::NotPermitted), 1);
}

#[test]
fn what_was_for_a_client_that_is_gone_is_counted() {
    let mut w = World::new(Limits { inflight_max: 2, ..Limits::DEV });
    w.join_subscribed("slow", V3, &[("a", 1)]);
    w.join("fast", V3);
    for id in 1..=5 {
        w.send("fast", &publish(V3, 2, id, "a", b"1"));
    }
    assert_eq!(w.hear("slow").len(), 2);
    w.hang_up("slow");
    assert_eq!(w.broker.counters().dropped(DropReason::ClientGone), 5);
    assert_eq!(w.broker.counters().subscriptions, 0);
}

#[test]
fn a_peer_that_does_not_take_its_last_bytes_is_closed_without_them() {
    let mut w = world();
    w.join("x", V5);
    w.send("x", &[0xF0, 0]);
    let conn = w.conn("x");
    assert_eq!(w.broker.poll_dirty(), Some(conn));
    assert!(!w.broker.output(conn).is_empty());
    w.wait(10_000);
    assert_eq!(w.broker.poll_dirty(), Some(conn));
    assert!(w.broker.output(conn).is_empty() && w.broker.is_closing(conn));
}

#[test]
fn stop_says_goodbye_to_everybody_and_publishes_no_will() {
    let mut w = world();
    w.join_with("a", V3, &Hello { will: Some(("w", "", 0, false)), ..Hello::default() });
    w.join("b", V5);
    w.dial("c", V5);
    w.broker.stop(Timestamp(5), peer::wall(5));
    assert_eq!(w.events(), ["gone a stopped", "gone b stopped"]);
    assert_eq!(w.hear("a"), ["close"]);
    assert_eq!(w.hear("b"), ["DISCONNECT 8b", "close"]);
    assert_eq!(w.hear("c"), ["close"]);
}
