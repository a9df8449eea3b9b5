//! What happens at each limit, and towards clients that do not keep up.

mod peer;

use peer::{Hello, V3, V5, World, ack, publish, publish_with, reaction, subscribe};
use tidegate_broker::{CloseReason, DropReason, Limits, Refused};
use tidegate_core::Timestamp;
use tidegate_core::message::QoS;

const NOTHING: [&str; 0] = [];

fn world() -> World {
    World::new(Limits::DEV)
}

#[test]
fn more_unacked_messages_than_allowed() {
    let limits = Limits { receive_max: 2, ..Limits::DEV };
    let three =
        [publish(V3, 2, 1, "a", b"1"), publish(V3, 4, 2, "a", b"2"), publish(V3, 2, 3, "a", b"3")];
    let mut w = World::new(limits);
    w.join("x", V3);
    let conn = w.conn("x");
    // The second one comes in pieces; the third is left until there is room.
    assert_eq!(w.send("x", &three[0]), three[0].len());
    assert_eq!(w.send("x", &three[1][..3]), 3);
    let rest = [&three[1][3..], &three[2]].concat();
    let used = w.send("x", &rest);
    assert_eq!(used, three[1].len() - 3);
    assert!(w.broker.is_paused(conn));
    assert_eq!(w.send("x", &three[2]), 0);
    assert_eq!(w.events(), ["x a q1 ack 1 '1'", "x a q1 ack 2 '2'"]);
    w.ack("x", 2);
    assert!(!w.broker.is_paused(conn));
    assert_eq!(w.broker.poll_dirty(), Some(conn));
    assert_eq!(w.send("x", &three[2]), three[2].len());
    assert_eq!(w.events(), ["x a q1 ack 3 '3'"]);
    // A PUBREL must get through even then.
    w.ack("x", 3);
    assert_eq!(w.send("x", &ack(0x62, 2)), 4);
    assert_eq!(w.hear("x"), ["PUBREC 2", "PUBACK 3", "PUBCOMP 2"]);

    let mut w = World::new(limits);
    w.join("x", V5);
    for id in 1..=3 {
        w.send("x", &publish(V5, 2, id, "a", b"1"));
    }
    assert_eq!(w.hear("x"), ["DISCONNECT 93", "close"]);
    assert_eq!(w.events().len(), 3);
}

#[test]
fn releases_that_never_come_have_an_end() {
    let mut w = World::new(Limits { receive_max: 2, ..Limits::DEV });
    w.join("x", V3);
    for id in 1..=9 {
        w.send("x", &publish(V3, 4, id, "a", b"1"));
        w.ack("x", id);
    }
    assert_eq!(w.hear("x").last().map(String::as_str), Some("close"));
    assert_eq!(w.broker.counters().closed(CloseReason::ReceiveMaximum), 1);
}

#[test]
fn a_client_that_does_not_ack_gets_no_more_than_its_window() {
    for (version, limits) in [
        (V3, Limits { inflight_max: 2, queued_messages_max: 2, ..Limits::DEV }),
        // The client's own Receive Maximum is lower.
        (V5, Limits { queued_messages_max: 2, ..Limits::DEV }),
    ] {
        let mut w = World::new(limits);
        let hello = Hello { properties: vec![0x21, 0, 2], ..Hello::default() };
        w.join_with("s", version, &hello);
        w.send("s", &subscribe(version, 1, &[("a", 1)]));
        w.hear("s");
        for n in 1..=6 {
            w.broker.publish(&reaction("a", &n.to_string(), QoS::AtLeastOnce, false));
        }
        w.broker.publish(&reaction("a", "zero", QoS::AtMostOnce, false));
        let expect = ["PUBLISH q1 id 1 a '1'", "PUBLISH q1 id 2 a '2'", "PUBLISH q0 a 'zero'"];
        assert_eq!(w.hear("s"), expect);
        assert_eq!(w.broker.counters().dropped(DropReason::QueueFull), 2);
        w.send("s", &ack(0x40, 77));
        assert_eq!(w.hear("s"), NOTHING);
        assert_eq!(w.broker.counters().unknown_acks, 1);
        w.send("s", &ack(0x40, 2));
        assert_eq!(w.hear("s"), ["PUBLISH q1 id 3 a '3'"]);
        w.send("s", &[ack(0x40, 1), ack(0x40, 3)].concat());
        assert_eq!(w.hear("s"), ["PUBLISH q1 id 4 a '4'"]);
    }
}

#[test]
fn a_client_that_does_not_read_loses_qos_0_and_keeps_qos_1() {
    let limits = Limits { outbound_bytes_max: 1000, ..Limits::DEV };
    let mut w = World::new(limits);
    w.join_subscribed("s", V3, &[("#", 1)]);
    let long = "x".repeat(390);
    for n in 0..4 {
        w.broker.publish(&reaction(&format!("zero/{n}"), &long, QoS::AtMostOnce, false));
        w.broker.publish(&reaction(&format!("one/{n}"), &long, QoS::AtLeastOnce, false));
    }
    let info = w.broker.clients().next().expect("a client");
    assert!(info.output_bytes <= 1000, "{info:?}");
    assert_eq!((info.inflight, info.queued), (1, 2));
    assert_eq!(w.broker.counters().dropped(DropReason::OutboundFull), 3);
    assert_eq!(w.broker.counters().dropped(DropReason::QueueFull), 1);
    let expect = [
        "PUBLISH q0 zero/0 [390]",
        "PUBLISH q1 id 1 one/0 [390]",
        "PUBLISH q1 id 2 one/1 [390]",
        "PUBLISH q1 id 3 one/2 [390]",
    ];
    assert_eq!(w.hear("s"), expect);
}

#[test]
fn retained_messages_wait_for_room() {
    let mut w = World::new(Limits { outbound_bytes_max: 500, ..Limits::DEV });
    for n in 0..20 {
        let long = "x".repeat(400);
        w.broker.publish(&reaction(&format!("a/{n:02}"), &long, QoS::AtMostOnce, true));
    }
    w.join("s", V3);
    w.send("s", &subscribe(V3, 1, &[("a/#", 0)]));
    let heard = w.hear("s");
    assert_eq!(heard.len(), 21);
    assert_eq!(heard[20], "PUBLISH q0 retain a/19 [400]");
}

#[test]
fn a_client_gets_no_packet_longer_than_it_takes() {
    let mut w = world();
    let hello = Hello { properties: vec![0x27, 0, 0, 0, 50], ..Hello::default() };
    w.join_with("s", V5, &hello);
    w.send("s", &subscribe(V5, 1, &[("a", 1)]));
    w.hear("s");
    // 2 header, 3 topic, 2 id, 1 properties, 42 payload are 50.
    w.broker.publish(&reaction("a", &"x".repeat(43), QoS::AtLeastOnce, false));
    w.broker.publish(&reaction("a", &"x".repeat(42), QoS::AtLeastOnce, false));
    assert_eq!(w.hear("s"), ["PUBLISH q1 id 1 a [42]"]);
    assert_eq!(w.broker.counters().dropped(DropReason::TooLargeForClient), 1);
}

#[test]
fn what_expired_in_the_queue_is_not_sent() {
    let mut w = World::new(Limits { inflight_max: 1, ..Limits::DEV });
    w.join_subscribed("s", V5, &[("a", 1)]);
    w.join("x", V5);
    for (id, expiry_s) in [(1, 60), (2, 1), (3, 60)] {
        w.send("x", &publish_with(V5, 2, id, "a", &[0x02, 0, 0, 0, expiry_s], b"1"));
    }
    assert_eq!(w.hear("s"), ["PUBLISH q1 id 1 <02 00 00 00 3c> a '1'"]);
    w.wait(2_000);
    w.send("s", &ack(0x40, 1));
    assert_eq!(w.hear("s"), ["PUBLISH q1 id 2 <02 00 00 00 3a> a '1'"]);
    assert_eq!(w.broker.counters().dropped(DropReason::Expired), 1);
}

#[test]
fn packet_identifiers_come_round_and_are_not_used_twice() {
    let mut w = world();
    w.join_subscribed("s", V3, &[("a", 1)]);
    w.broker.publish(&reaction("a", "first", QoS::AtLeastOnce, false));
    w.hear("s");
    for n in 0..65_534u32 {
        w.broker.publish(&reaction("a", "", QoS::AtLeastOnce, false));
        w.hear("s");
        let id = 2 + n as u16;
        assert_eq!(w.send("s", &ack(0x40, id)), 4);
    }
    assert_eq!(w.broker.counters().unknown_acks, 0);
    w.broker.publish(&reaction("a", "", QoS::AtLeastOnce, false));
    assert_eq!(w.hear("s"), ["PUBLISH q1 id 2 a ''"]);
}

#[test]
fn a_paused_client_is_not_read_and_others_are() {
    let mut w = world();
    w.join("x", V3);
    w.join("y", V3);
    w.send("x", &[0x30, 4, 0, 1]);
    let conn = w.conn("x");
    w.broker.pause(conn);
    assert_eq!(w.send("x", b"a1"), 0);
    w.send("y", &publish(V3, 0, 0, "a", b"y"));
    assert_eq!(w.events(), ["y a q0 'y'"]);
    w.broker.resume(conn);
    assert_eq!(w.send("x", b"a1"), 2);
    assert_eq!(w.events(), ["x a q0 '1'"]);
}

#[test]
fn a_client_that_is_hung_up_on_is_told_that_the_server_is_busy() {
    let mut w = world();
    w.join("x", V5);
    let conn = w.conn("x");
    w.broker.hang_up(conn);
    w.broker.hang_up(conn);
    assert_eq!(w.hear("x"), ["DISCONNECT 89", "close"]);
    assert_eq!(w.events(), ["gone x busy"]);
}

#[test]
fn what_is_kept_for_all_is_bounded_and_who_keeps_up_does_not_notice() {
    let limits = Limits { buffered_bytes_max: 10_000, ..Limits::DEV };
    let mut w = World::new(limits);
    w.join_subscribed("slow", V3, &[("a", 0)]);
    w.join_subscribed("slower", V3, &[("a", 1)]);
    w.join_subscribed("quick", V3, &[("a", 1)]);
    w.join("x", V3);
    for n in 0..30 {
        w.broker.publish(&reaction("a", &"x".repeat(990), QoS::AtLeastOnce, false));
        assert_eq!(w.hear("quick"), [format!("PUBLISH q1 id {} a [990]", n + 1)]);
        w.send("quick", &ack(0x40, n + 1));
        assert!(w.broker.buffered_bytes() <= 11_000, "{}", w.broker.buffered_bytes());
    }
    // Half a packet of a device is kept all the same, if it is short.
    let long = publish(V3, 0, 0, "b", &[b'x'; 5000]);
    w.send("x", &long[..4000]);
    w.send("x", &long[4000..]);
    assert_eq!(w.events().len(), 1);
    w.send("x", &long[..4000]);
    w.send("x", &long[4000..4500]);
    assert_eq!(w.events(), ["gone x buffered"]);
    w.hear("slow");
    w.hear("slower");
    w.hang_up("x");
    assert_eq!(w.broker.buffered_bytes(), 0);
    w.join("x", V3);
    w.send("x", &long[..4500]);
    assert_eq!(w.broker.buffered_bytes(), 4500);
    w.send("x", &long[4500..]);
    assert_eq!((w.events().len(), w.broker.buffered_bytes()), (1, 0));
}

#[test]
fn a_client_that_does_not_read_its_answers_is_closed() {
    // Kept for one client: what was published to it, and 16 KiB of answers. For all together the same.
    for (own_max, all_max) in [(4096, 1 << 20), (1 << 20, 4096)] {
        for (version, question) in
            [(V3, vec![0xC0, 0]), (V5, ack(0x62, 7)), (V3, publish(V3, 2, 1, "a", b"1"))]
        {
            let mut w = World::new(Limits {
                outbound_bytes_max: own_max,
                buffered_bytes_max: all_max,
                ..Limits::DEV
            });
            w.join("x", version);
            let mut most = 0;
            for _ in 0..30_000 {
                w.send("x", &question);
                w.ack("x", 1);
                most = w.broker.buffered_bytes().max(most);
            }
            assert!((16 << 10..24 << 10).contains(&most), "{most} bytes kept");
            assert_eq!(w.broker.counters().closed(CloseReason::Unread), 1);
            assert!(w.hear("x").last().is_some_and(|last| last == "close"));
            // Who reads may ask for ever.
            w.join("y", version);
            for _ in 0..30_000 {
                w.send("y", &question);
                w.ack("y", 1);
                assert_eq!(w.hear("y").len(), 1);
            }
        }
    }
}

#[test]
fn bytes_written_in_pieces_are_the_same_bytes() {
    for piece in [1, 7, 60, 1000] {
        let mut w = world();
        w.join_subscribed("s", V3, &[("a", 0)]);
        let conn = w.conn("s");
        let mut read = Vec::new();
        for n in 0..200 {
            let payload = n.to_string().repeat(n % 30);
            w.broker.publish(&reaction("a", &payload, QoS::AtMostOnce, false));
            let waiting = w.broker.output(conn);
            let taken = waiting[..piece.min(waiting.len())].to_vec();
            w.broker.written(conn, taken.len());
            read.extend(taken);
        }
        read.extend(w.broker.output(conn));
        w.broker.written(conn, usize::MAX);
        assert!(w.broker.output(conn).is_empty());
        let shown = peer::show_all(V3, &read);
        assert_eq!(shown.len(), 200, "{piece} bytes at a time");
        assert!(
            shown[22].ends_with(&"22".repeat(20)) || shown[22].ends_with("[44]"),
            "{}",
            shown[22]
        );
        assert_eq!(w.broker.counters().bytes_out, read.len() as u64 + 4 + 5);
        assert_eq!(w.broker.buffered_bytes(), 0);
    }
}

#[test]
fn too_many_transports_are_refused_and_no_identifier_comes_twice() {
    let mut w = World::new(Limits { clients_max: 1, ..Limits::DEV });
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..9 {
        w.dial(&n.to_string(), V3);
        assert!(seen.insert(w.conn(&n.to_string())));
    }
    assert_eq!(w.broker.handle_connected(Timestamp(0)), Err(Refused::Full));
    assert_eq!(w.broker.counters().transports_refused, 1);
    w.hang_up("3");
    w.dial("again", V3);
    assert!(seen.insert(w.conn("again")));
}
