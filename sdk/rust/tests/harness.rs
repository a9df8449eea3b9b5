//! What a handler sees through the SDK, and what is left of an event that fails.

use std::cell::RefCell;

use tidegate_sdk::testing::{Harness, Message};
use tidegate_sdk::{
    Error, Event, Level, QoS, Result, flags, info, publish, publish_as, send, state, warn,
};

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn see(what: impl std::fmt::Debug) {
    SEEN.with_borrow_mut(|seen| seen.push(format!("{what:?}")));
}

#[track_caller]
fn check(handler: fn(&Event<'_>) -> Result, topic: &str, payload: &str, expect: &[&str]) {
    SEEN.take();
    let outcome = Harness::new(handler).grant("#").send(topic, payload);
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(SEEN.take(), expect);
}

#[test]
fn an_event_that_fails_leaves_only_its_log_lines() {
    fn handler(event: &Event<'_>) -> Result {
        state::set("kept", "new")?;
        state::delete("gone")?;
        publish("out", "x")?;
        warn!("line one\nof ", event.source());
        if event.payload() == b"fail" { Err(Error::Retry) } else { Ok(()) }
    }
    let mut gateway = Harness::new(handler).grant("out");
    gateway.set_state("gone", "here");
    let outcome = gateway.send("in", "fail");
    assert_eq!(outcome.result, Err(Error::Retry));
    assert!(outcome.published.is_empty());
    assert_eq!(outcome.logs, [(Level::Warn, "line one of test".to_owned())]);
    assert_eq!(gateway.keys(), ["gone"]);
    assert_eq!(gateway.send("in", "go").published, [("out", "x")]);
    assert_eq!(gateway.keys(), ["kept"]);
}

#[test]
fn publishing_needs_a_grant_a_topic_and_a_share() {
    fn handler(_: &Event<'_>) -> Result {
        see(publish("other", ""));
        see(publish("a/+", ""));
        see(publish("", ""));
        see(publish_as("a/1", "1", QoS::AtLeastOnce, true));
        see(publish("a/2", "2"));
        Ok(())
    }
    SEEN.take();
    let outcome = Harness::new(handler).grant("a/+").publishes(1).send("in", "");
    let expect = ["Err(NotPermitted)", "Err(Argument)", "Err(Argument)", "Ok(())", "Err(Quota)"];
    assert_eq!(SEEN.take(), expect);
    assert_eq!(outcome.published, [("a/1", "1")]);
    assert_eq!(outcome.published[0].qos, QoS::AtLeastOnce);
    assert!(outcome.published[0].retain);
}

#[test]
fn sending_needs_a_grant_and_leaves_with_the_event() {
    fn handler(event: &Event<'_>) -> Result {
        see(send("other", "", None, 0));
        see(send("alerts", "", 8, 0));
        see(send("alerts", "", None, u32::MAX));
        see(send([0xff], "", None, 0));
        see(send("alerts", "1", None, 0));
        see(send("raw", "2", 7, 60));
        if event.payload() == b"fail" { Err(Error::Retry) } else { Ok(()) }
    }
    let argument = "Err(Argument)";
    let expect = ["Err(NotPermitted)", argument, argument, argument, "Ok(())", "Ok(())"];
    let mut gateway = Harness::new(handler).grant("alerts").grant_send("alerts").grant_send("raw");
    SEEN.take();
    assert!(gateway.send("in", "fail").sent.is_empty());
    assert_eq!(SEEN.take(), expect);
    let sent = gateway.send("in", "").sent;
    assert_eq!(sent, [("alerts", "1"), ("raw", "2")]);
    assert_eq!((sent[0].priority, sent[0].ttl_s), (None, 0));
    assert_eq!((sent[1].priority, sent[1].ttl_s), (Some(7), 60));
}

#[test]
fn topics_have_levels() {
    fn handler(event: &Event<'_>) -> Result {
        for index in 0..4 {
            see(event.level(index));
        }
        Ok(())
    }
    let none = "Err(NotFound)";
    check(
        handler,
        "devices/é/telemetry",
        "",
        &["Ok(\"devices\")", "Ok(\"é\")", "Ok(\"telemetry\")", none],
    );
    check(handler, "/", "", &["Ok(\"\")", "Ok(\"\")", none, none]);
    check(handler, "a", "", &["Ok(\"a\")", none, none, none]);
}

#[test]
fn fields_are_read_by_path() {
    fn handler(event: &Event<'_>) -> Result {
        see(event.num("a.1"));
        see(event.int("a.0"));
        see(event.int("a.1"));
        see(event.int("big"));
        see(event.num("s"));
        see(event.str::<4>("s"));
        see(event.str::<3>("s"));
        see(event.str::<4>("a"));
        Ok(())
    }
    check(
        handler,
        "in",
        r#"{"a":[-7,1.5],"big":9007199254740994,"s":"a\u00e9b"}"#,
        &[
            "Ok(1.5)",
            "Ok(-7)",
            "Err(Argument)",
            "Err(Argument)",
            "Err(NotFound)",
            "Ok(\"aéb\")",
            "Err(TooLarge)",
            "Err(NotFound)",
        ],
    );
    check(handler, "in", "{", &["Err(Argument)"; 8]);
}

#[test]
fn state_counts_lists_and_compares() {
    fn handler(_: &Event<'_>) -> Result {
        see(state::add("n/1", 5)?);
        see(state::add("n/1", -7)?);
        state::set("n/2", "text")?;
        see(state::add("n/2", 1));
        see(state::get_f64("n/2"));
        see(state::get_text::<3>("n/2"));
        see(state::get_text::<4>("n/2"));
        see(state::set("", "x"));
        see(state::set([b'k'; 257], "x"));
        let (value, version) = state::get_versioned::<8>("n/2")?.ok_or(Error::NotFound)?;
        state::compare_and_set("n/2", version, "more")?;
        see((&value[..], state::compare_and_set("n/2", version, "late")));
        see(state::compare_and_set("n/2", state::ABSENT, "late"));
        state::compare_and_set("n/3", state::ABSENT, "first")?;
        state::set("other", "")?;
        state::keys::<8>("n/", |key| {
            see(std::str::from_utf8(key));
            true
        })?;
        see(state::keys::<4>("n/", |_| true));
        see((state::delete("n/3"), state::delete("n/3")));
        Ok(())
    }
    check(
        handler,
        "in",
        "",
        &[
            "5",
            "-2",
            "Err(Argument)",
            "Err(Argument)",
            "Err(TooLarge)",
            "Ok(Some(\"text\"))",
            "Err(Argument)",
            "Err(TooLarge)",
            "([116, 101, 120, 116], Err(Conflict))",
            "Err(Conflict)",
            "Ok(\"n/1\")",
            "Ok(\"n/2\")",
            "Ok(\"n/3\")",
            "Err(TooLarge)",
            "(Ok(true), Ok(false))",
        ],
    );
}

#[test]
fn a_payload_that_does_not_fit_is_marked_and_can_be_read() {
    fn handler(event: &Event<'_>) -> Result {
        see((event.truncated(), event.topic(), event.source(), event.payload().len()));
        let mut buf = [0; 4];
        see(event.read_payload(6, &mut buf).map(|len| buf[..len].to_vec()));
        see(event.read_payload(8, &mut buf).map(|len| buf[..len].to_vec()));
        see(event.read_payload(11, &mut buf));
        see((event.id(), event.attempt(), event.flags() & flags::RETAIN));
        info!("attempt ", event.attempt());
        Ok(())
    }
    SEEN.take();
    let mut gateway = Harness::new(handler).inbox(72 + 5 + 3);
    let message = Message {
        topic: "topic",
        payload: b"0123456789",
        source: "né",
        attempt: 3,
        flags: flags::RETAIN,
    };
    let outcome = gateway.deliver(message);
    assert_eq!(
        SEEN.take(),
        [
            "(true, \"topic\", \"né\", 0)",
            "Ok([54, 55, 56, 57])",
            "Ok([56, 57])",
            "Err(Argument)",
            "(1, 3, 1)",
        ]
    );
    assert_eq!(outcome.logs, [(Level::Info, "attempt 3".to_owned())]);
}
