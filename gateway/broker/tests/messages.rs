//! Who gets which message, how, and when its sender hears of it.

mod peer;

use peer::{
    V3, V5, World, ack, publish, publish_with, reaction, subscribe, subscribe_with, unsubscribe,
};
use tidegate_broker::{CloseReason, DropReason, Event, Limits, Version};
use tidegate_core::commit::Seen;
use tidegate_core::message::QoS;
use tidegate_core::topic::Filter;

const BOTH: [Version; 2] = [V3, V5];
const NOTHING: [&str; 0] = [];

fn world() -> World {
    World::new(Limits::DEV)
}

#[test]
fn no_ack_before_the_core_says_so_and_none_twice() {
    for version in BOTH {
        let mut w = world();
        w.join("x", version);
        w.send("x", &publish(version, 2, 7, "a", b"1"));
        w.send("x", &publish(version, 2, 8, "a", b"2"));
        w.send("x", &publish(version, 0, 0, "a", b"3"));
        assert_eq!(w.events(), ["x a q1 ack 7 '1'", "x a q1 ack 8 '2'", "x a q0 '3'"]);
        assert_eq!(w.hear("x"), NOTHING);
        w.ack("x", 9);
        assert_eq!(w.hear("x"), NOTHING);
        w.ack("x", 8);
        w.ack("x", 7);
        w.ack("x", 7);
        assert_eq!(w.hear("x"), ["PUBACK 8", "PUBACK 7"]);
    }
}

#[test]
fn what_was_sent_before_is_marked_for_the_core_only() {
    let mut w = world();
    w.join_subscribed("x", V3, &[("a", 1)]);
    w.send("x", &publish(V3, 8 | 2, 7, "a", b"1"));
    assert_eq!(w.events(), ["x a q1 dup ack 7 '1'"]);
    assert_eq!(w.hear("x"), ["PUBLISH q1 id 1 a '1'"]);
}

#[test]
fn an_ack_for_a_connection_that_is_gone_is_nobodys() {
    let mut w = world();
    w.join("x", V3);
    w.send("x", &publish(V3, 2, 7, "a", b"1"));
    let old = w.conn("x");
    w.hang_up("x");
    w.join("x", V3);
    w.broker.ack(tidegate_core::message::AckTo { source: old, packet_id: 7 });
    assert_eq!(w.hear("x"), NOTHING);
}

#[test]
fn qos_2_reaches_the_core_once_and_is_received_when_it_is_safe() {
    for version in BOTH {
        let mut w = world();
        w.join("x", version);
        let first = publish(version, 4, 7, "a", b"1");
        let again = publish(version, 4 | 8, 7, "a", b"1");
        w.send("x", &first);
        w.send("x", &again);
        assert_eq!(w.events(), ["x a q1 ack 7 '1'"]);
        assert_eq!(w.hear("x"), NOTHING, "not before it is safe");
        w.ack("x", 7);
        assert_eq!(w.hear("x"), ["PUBREC 7"]);
        w.send("x", &again);
        assert_eq!(w.hear("x"), ["PUBREC 7"]);
        assert_eq!(w.events(), NOTHING);
        w.send("x", &ack(0x62, 7));
        assert_eq!(w.hear("x"), ["PUBCOMP 7"]);
        w.send("x", &ack(0x62, 7));
        assert_eq!(w.hear("x"), [if version == V5 { "PUBCOMP 7 92" } else { "PUBCOMP 7" }]);
        w.send("x", &first);
        assert_eq!(w.events(), ["x a q1 ack 7 '1'"]);
    }
}

#[test]
fn a_device_may_not_publish_to_the_brokers_topics() {
    for version in BOTH {
        let mut w = world();
        w.join_subscribed("x", version, &[("$SYS/#", 0)]);
        w.send("x", &publish(version, 1, 0, "$SYS/a", b"1"));
        w.send("x", &publish(version, 2, 1, "$SYS/a", b"1"));
        w.send("x", &publish(version, 4, 2, "$SYS/a", b"1"));
        let expect = match version {
            V5 => ["PUBACK 1 87", "PUBREC 2 87"],
            _ => ["PUBACK 1", "PUBREC 2"],
        };
        assert_eq!(w.hear("x"), expect);
        assert_eq!(w.events(), NOTHING);
        assert_eq!(w.broker.retained_size(), (0, 0));
        assert_eq!(w.broker.counters().dropped(DropReason::NotPermitted), 3);
    }
}

#[test]
fn a_message_goes_to_each_who_asked_once_and_to_the_core() {
    for version in BOTH {
        let mut w = world();
        w.join_subscribed("s", version, &[("a/+", 0), ("a/#", 1), ("a/b", 0)]);
        w.join_subscribed("other", version, &[("b/#", 1)]);
        w.join_subscribed("x", version, &[("a/b", 2)]);
        w.send("x", &publish(version, 3, 1, "a/b", b"1"));
        assert_eq!(w.hear("s"), ["PUBLISH q1 id 1 a/b '1'"]);
        assert_eq!(w.hear("x"), ["PUBLISH q1 id 1 a/b '1'"]);
        assert_eq!(w.hear("other"), NOTHING);
        assert_eq!(w.events(), ["x a/b q1 retain ack 1 '1'"]);
        w.send("x", &publish(version, 0, 0, "a/b", b"2"));
        assert_eq!(w.hear("s"), ["PUBLISH q0 a/b '2'"]);
    }
}

#[test]
fn subscribing_is_answered_filter_by_filter() {
    let limits = Limits { subscriptions_max: 4, filters_max: 5, ..Limits::DEV };
    let filters =
        [("a/#/b", 0), ("$share/g/a", 1), ("a", 2), ("b", 1), ("c", 0), ("d", 0), ("e", 0)];
    for (version, expect) in
        [(V3, "SUBACK 9 80 80 01 01 80 80 80"), (V5, "SUBACK 9 8f 9e 01 01 97 97 97")]
    {
        let mut w = World::new(limits);
        w.join("x", version);
        w.send("x", &subscribe(version, 9, &filters));
        assert_eq!(w.hear("x"), [expect]);
        assert_eq!(w.broker.counters().subscriptions, 2);
        w.send("x", &subscribe(version, 9, &[("c", 0), ("d", 1), ("a", 0)]));
        w.send("x", &subscribe(version, 9, &[("e", 1)]));
        let full = if version == V5 { "97" } else { "80" };
        assert_eq!(w.hear("x"), ["SUBACK 9 00 01 00".to_owned(), format!("SUBACK 9 {full}")]);
        w.join("y", version);
        w.send("y", &subscribe(version, 9, &[("c", 0), ("d", 1)]));
        assert_eq!(w.hear("y"), [format!("SUBACK 9 00 {full}")]);
        w.send("x", &unsubscribe(version, 3, &["a", "nothing", "a/#/b"]));
        let expect = if version == V5 { "UNSUBACK 3 00 11 8f" } else { "UNSUBACK 3" };
        assert_eq!(w.hear("x"), [expect]);
        w.send("y", &publish(version, 0, 0, "a", b"1"));
        assert_eq!(w.hear("x"), NOTHING);
        w.send("y", &publish(version, 0, 0, "b", b"1"));
        assert_eq!(w.hear("x"), ["PUBLISH q0 b '1'"]);
    }
}

#[test]
fn no_local_and_subscription_identifiers() {
    let mut w = world();
    w.join("x", V5);
    // No-local 4; identifier 300 is two bytes.
    w.send("x", &subscribe_with(V5, 1, &[0x0B, 0xAC, 0x02], &[("a", 4 | 1)]));
    w.send("x", &subscribe_with(V5, 2, &[0x0B, 5], &[("+", 0)]));
    w.join("y", V5);
    w.hear("x");
    w.send("x", &publish(V5, 2, 1, "a", b"own"));
    w.send("y", &publish(V5, 2, 1, "a", b"other"));
    let heard = w.hear("x");
    assert_eq!(heard[0], "PUBLISH q0 <0b 05> a 'own'");
    assert_eq!(heard[1], "PUBLISH q1 id 1 <0b ac 02 0b 05> a 'other'");
    w.send("x", &unsubscribe(V5, 3, &["+"]));
    w.hear("x");
    w.send("x", &publish(V5, 2, 1, "a", b"own"));
    assert_eq!(w.hear("x"), NOTHING);
}

#[test]
fn retained_messages_come_with_the_subscription() {
    for version in BOTH {
        let mut w = world();
        w.join("x", version);
        w.send("x", &publish(version, 1, 0, "a/1", b"old"));
        w.send("x", &publish(version, 3, 1, "a/1", b"one"));
        w.send("x", &publish(version, 1, 0, "a/2", b"two"));
        w.send("x", &publish(version, 1, 0, "a/3", b"three"));
        w.send("x", &publish(version, 1, 0, "a/3", b""));
        w.broker.publish(&reaction("a/4", "four", QoS::AtLeastOnce, true));
        w.join("s", version);
        w.send("s", &subscribe(version, 1, &[("a/+", 1), ("a/2", 0)]));
        let expect = [
            "SUBACK 1 01 00",
            "PUBLISH q1 retain id 1 a/1 'one'",
            "PUBLISH q0 retain a/2 'two'",
            "PUBLISH q1 retain id 2 a/4 'four'",
            "PUBLISH q0 retain a/2 'two'",
        ];
        assert_eq!(w.hear("s"), expect);
        // To those who are there it comes as it is.
        w.send("x", &publish(version, 1, 0, "a/2", b"new"));
        assert_eq!(w.hear("s"), ["PUBLISH q0 a/2 'new'"]);
        let kept = w.broker.retained(&Filter::new("a/#").expect("a filter"));
        assert_eq!(
            kept.iter().map(|m| m.topic.as_str()).collect::<Vec<_>>(),
            ["a/1", "a/2", "a/4"]
        );
        assert!(kept.iter().all(|message| message.retain));
    }
}

#[test]
fn retain_handling_and_retain_as_published() {
    let mut w = world();
    w.join("x", V5);
    w.send("x", &publish(V5, 1, 0, "a", b"1"));
    w.join("s", V5);
    // Retain handling is bits 4 and 5, retain as published bit 3.
    w.send("s", &subscribe(V5, 1, &[("a", 2 << 4)]));
    w.send("s", &subscribe(V5, 2, &[("a", 1 << 4)]));
    assert_eq!(w.hear("s"), ["SUBACK 1 00", "SUBACK 2 00"]);
    w.send("s", &unsubscribe(V5, 3, &["a"]));
    w.send("s", &subscribe(V5, 4, &[("a", 1 << 4 | 8)]));
    assert_eq!(w.hear("s")[1..], ["SUBACK 4 00", "PUBLISH q0 retain a '1'"]);
    w.send("x", &publish(V5, 1, 0, "a", b"2"));
    w.send("x", &publish(V5, 0, 0, "a", b"3"));
    assert_eq!(w.hear("s"), ["PUBLISH q0 retain a '2'", "PUBLISH q0 a '3'"]);
}

#[test]
fn properties_are_passed_on_from_v5_to_v5() {
    let mut w = world();
    w.join_subscribed("five", V5, &[("#", 0)]);
    w.join_subscribed("three", V3, &[("#", 0)]);
    w.join("x", V5);
    let user = [0x26, 0, 1, b'k', 0, 1, b'v'];
    let properties = [&[0x02, 0, 0, 0, 10], &user[..], &[0x01, 1]].concat();
    w.send("x", &publish_with(V5, 1, 0, "a", &properties, b"1"));
    assert_eq!(w.hear("five"), ["PUBLISH q0 <02 00 00 00 0a 26 00 01 6b 00 01 76 01 01> a '1'"]);
    assert_eq!(w.hear("three"), ["PUBLISH q0 a '1'"]);
    // What is retained has less time left, and then none.
    w.wait(4_500);
    w.send("five", &subscribe(V5, 1, &[("a", 0)]));
    let heard = w.hear("five");
    assert_eq!(heard[1], "PUBLISH q0 retain <02 00 00 00 06 26 00 01 6b 00 01 76 01 01> a '1'");
    w.wait(5_500);
    w.send("five", &subscribe(V5, 1, &[("a", 0)]));
    assert_eq!(w.hear("five"), ["SUBACK 1 00"]);
    assert!(w.broker.retained(&Filter::new("a").expect("a filter")).is_empty());
}

#[test]
fn topic_aliases() {
    let mut w = World::new(Limits { topic_aliases_max: 2, ..Limits::DEV });
    w.join("x", V5);
    let alias = |n: u8, topic: &str| publish_with(V5, 0, 0, topic, &[0x23, 0, n], b"1");
    w.send("x", &alias(2, "a"));
    w.send("x", &alias(2, ""));
    w.send("x", &alias(2, "b"));
    w.send("x", &alias(2, ""));
    assert_eq!(w.events(), ["x a q0 '1'", "x a q0 '1'", "x b q0 '1'", "x b q0 '1'"]);
    for bad in [alias(0, "a"), alias(3, "a"), alias(1, "")] {
        w.join("y", V5);
        w.send("y", &bad);
        assert_eq!(w.hear("y"), ["DISCONNECT 94", "close"]);
    }
    assert_eq!(w.broker.counters().closed(CloseReason::TopicAlias), 3);
}

#[test]
fn an_id_of_the_devices_own_marks_what_is_to_be_taken_once() {
    let mut w = world();
    w.join("x", V5);
    w.join("y", V5);
    w.join("old", V3);
    let with_id = |flags: u8, id: &str| {
        let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
        let properties = [vec![0x26], text("message-id"), text(id)].concat();
        publish_with(V5, flags, u16::from(flags & 6 != 0), "a", &properties, b"1")
    };
    let mut mark = |client: &str, bytes: &[u8]| {
        w.send(client, bytes);
        match w.broker.poll_event() {
            Some(Event::Message { message, .. }) => message.mark,
            event => panic!("{event:?}"),
        }
    };
    let seventeen = Some(Seen::of("x", "17"));
    assert_eq!(mark("x", &with_id(2, "17")), seventeen);
    assert_eq!(mark("x", &with_id(8 | 2 | 1, "17")), seventeen, "sent again, and to be kept");
    assert_eq!(mark("x", &with_id(4, "17")), seventeen);
    assert_eq!(mark("y", &with_id(2, "17")), Some(Seen::of("y", "17")));
    assert_eq!(mark("x", &with_id(2, "18")), Some(Seen::of("x", "18")));
    assert_eq!(mark("x", &with_id(0, "17")), None, "nobody waits for its ack");
    assert_eq!(mark("x", &publish(V5, 2, 1, "a", b"1")), None);
    assert_eq!(mark("old", &publish(V3, 2, 1, "a", b"1")), None);
    // A handler that starts later has not taken what was kept.
    let kept = w.broker.retained(&Filter::new("a").expect("a filter"));
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].mark, None);
}
