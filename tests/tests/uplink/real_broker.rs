//! Against a real mosquitto.

use std::time::{Duration, Instant};

use tidegate_config::UplinkSettings;
use tidegate_core::record::Refusal;
use tidegate_envelope::{Envelope, decode};
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::Client;
use tidegated::hub::ToUplink;

use crate::bench::{
    Bench, EPOCH, PATIENCE, Told, alerts, counted, record, settings, settings_v311,
};

/// Listens to everything that goes through the broker.
fn listener(mosquitto: &Mosquitto) -> Client {
    let mut client = Client::connect(mosquitto.address, "listener").unwrap();
    client.subscribe("#", 1).unwrap();
    client
}

fn received(client: &mut Client) -> (String, Envelope) {
    let message = client.message(PATIENCE).unwrap().expect("a message comes");
    assert!(!message.retain && !message.dup);
    (message.topic, decode(&message.payload, &[]).unwrap())
}

#[test]
fn records_arrive_in_order_and_once() {
    for settings in [settings as fn(_) -> UplinkSettings, settings_v311] {
        let mosquitto = Mosquitto::start();
        let mut client = listener(&mosquitto);
        let mut bench = Bench::new(settings(mosquitto.address));
        bench.connect();
        assert_eq!(bench.drain(32, alerts(1..=3000)), Ok((1..=3000).collect()));
        for seq in 1..=3000 {
            let (topic, envelope) = received(&mut client);
            assert_eq!((topic.as_str(), envelope.seq), ("gw-1/alerts", seq));
            assert_eq!((envelope.gateway.as_str(), envelope.epoch), ("gw-1", EPOCH));
            assert_eq!((envelope.stream.as_str(), envelope.payload.len()), ("alerts", 200));
        }
        assert_eq!(client.message(Duration::from_millis(50)).unwrap(), None);
    }
}

#[test]
fn each_stream_has_its_topic_and_format() {
    let mosquitto = Mosquitto::start();
    // In MQTT 5, because the raw format has its fields in properties.
    let mut program = Mosquitto::client("mosquitto_sub", mosquitto.address);
    program.args(["-V", "5", "-t", "#", "-F", "%t %P %p"]);
    let watcher = tidegate_tests::process::Process::start("mosquitto_sub", &mut program);
    let mut bench = Bench::new(settings(mosquitto.address));
    bench.connect();
    // Until the watcher has subscribed, records go nowhere.
    let mut seq = 0;
    while watcher.wait_for_line(&["gw-1/words"], Duration::from_millis(20)).is_none() {
        seq += 1;
        assert!(seq < 500, "mosquitto_sub hears nothing");
        assert_eq!(bench.drain(1, [record(seq, "words", None, b"{\"a\": 1}")]), Ok(vec![seq]));
    }
    bench.send([record(900, "raw", Some("devices/7"), b"plain")]);
    bench.expect(Told::Delivered(900));
    let words = watcher.wait_for_line(&["gw-1/words"], PATIENCE).unwrap();
    assert!(
        words.text.ends_with(r#""boot":1,"mono_ms":1,"payload":{"a": 1}}"#) || seq > 1,
        "{words:?}"
    );
    let raw = watcher.wait_for_line(&["gw-1/raw/devices/7"], PATIENCE).expect("the raw record");
    for part in
        ["gateway:gw-1", "epoch:0000000000000abc", "seq:900", "stream:raw", "topic:devices/7"]
    {
        assert!(raw.text.contains(part), "{part} in {}", raw.text);
    }
    assert!(raw.text.ends_with(" plain"), "{}", raw.text);
}

#[test]
fn a_record_that_can_have_no_topic_is_refused() {
    let mosquitto = Mosquitto::start();
    let mut bench = Bench::new(settings(mosquitto.address));
    bench.connect();
    bench.send([
        record(1, "raw", None, b"x"),
        record(2, "unheard-of", None, b"x"),
        record(3, "raw", Some("1/2/3/4/5/6/7"), b"x"),
        record(4, "alerts", None, b"x"),
    ]);
    for seq in 1..=3 {
        bench.expect(Told::Refused(seq, Refusal::NoTopic));
    }
    bench.expect(Told::Delivered(4));
}

#[test]
fn a_killed_broker_costs_nothing_but_time() {
    let mut mosquitto = Mosquitto::start();
    let mut bench = Bench::new(settings(mosquitto.address));
    let mut waiting: Vec<u64> = (1..=6000).collect();
    let mut seen = Vec::new();
    for round in 0..4 {
        let mut client = listener(&mosquitto);
        bench.connect();
        let (done, _) = waiting.split_at(waiting.len().min(1000));
        let done = done.to_vec();
        // A part is sent in peace, and then the broker dies with a window under way.
        assert_eq!(bench.drain(32, alerts(done.iter().copied())), Ok(done.clone()));
        waiting.drain(..done.len());
        for _ in 0..done.len() {
            seen.push(received(&mut client).1.seq);
        }
        if round == 3 {
            break;
        }
        bench.send(alerts(waiting.iter().copied().take(32)));
        mosquitto.process.kill();
        loop {
            match bench.hear() {
                Told::Delivered(seq) => {
                    // Acked, but nobody is left to have heard it.
                    waiting.retain(|waiting| *waiting != seq);
                    seen.push(seq);
                }
                Told::Down(_) => break,
                other => panic!("{other:?}"),
            }
        }
        let why = bench.connect_in_vain();
        assert!(why.contains("refused"), "{why}");
        mosquitto.resume();
    }
    let mut client = listener(&mosquitto);
    let rest = waiting.clone();
    assert_eq!(bench.drain(32, alerts(rest.iter().copied())), Ok(rest.clone()));
    seen.extend(rest.iter().map(|_| received(&mut client).1.seq));
    let counted = counted(seen);
    assert_eq!(counted.len(), 6000);
    assert!(counted.values().all(|count| *count == 1));
}

#[test]
fn a_refused_record_holds_up_no_other() {
    let mosquitto = Mosquitto::start_set(|folder| {
        let acl = folder.join("acl");
        std::fs::write(&acl, "topic readwrite gw-1/alerts\n").unwrap();
        // With 0 (no limit), mosquitto 2.0 hangs up on whoever it refused something.
        format!("acl_file {}\nmax_queued_messages 1000\n", acl.display())
    });
    let mut bench = Bench::new(settings(mosquitto.address));
    bench.connect();
    let mut told = Vec::new();
    bench.send(
        (1..=10).map(|seq| record(seq, if seq % 3 == 0 { "words" } else { "alerts" }, None, b"x")),
    );
    for _ in 1..=10 {
        told.push(bench.hear_within(PATIENCE).unwrap_or_else(|| panic!("{told:?}")));
    }
    let expect: Vec<Told> = (1..=10)
        .map(|seq| match seq % 3 {
            0 => Told::Refused(seq, Refusal::Code(0x87)),
            _ => Told::Delivered(seq),
        })
        .collect();
    assert_eq!(told, expect);
}

#[test]
fn what_is_too_long_is_not_sent_at_all() {
    let mosquitto = Mosquitto::start_set(|_| "max_packet_size 2000\n".to_owned());
    let mut v5 = Bench::new(settings(mosquitto.address));
    v5.connect();
    let long = |seq, len| record(seq, "alerts", None, &vec![b'x'; len]);
    v5.send([long(1, 3000), long(2, 10), long(3, 2000)]);
    let Told::Refused(1, Refusal::TooLarge { bytes, max }) = v5.hear() else {
        panic!("the first is too long");
    };
    assert!(bytes > 3000 && bytes < 3300 && max == 2000, "{bytes} of {max}");
    // The exact limit goes through: neither side closes.
    let over = bytes - 3000;
    assert!(matches!(v5.hear(), Told::Refused(3, _)));
    v5.expect(Told::Delivered(2));
    v5.send([long(4, 2000 - over), long(5, 2001 - over)]);
    v5.expect(Told::Refused(5, Refusal::TooLarge { bytes: 2001, max: 2000 }));
    v5.expect(Told::Delivered(4));

    // An older broker does not say what it takes; the configuration does.
    let mut settings = settings_v311(mosquitto.address);
    settings.message_bytes_max = 1024;
    let mut v311 = Bench::new(settings);
    v311.connect();
    v311.send([long(1, 1024), long(2, 10)]);
    assert!(matches!(v311.hear(), Told::Refused(1, Refusal::TooLarge { max: 1024, .. })));
    v311.expect(Told::Delivered(2));
}

#[test]
fn a_wrong_password_is_said_in_words() {
    let mosquitto = Mosquitto::start_set(|_| "allow_anonymous false\n".to_owned());
    for settings in [settings as fn(_) -> UplinkSettings, settings_v311] {
        let mut settings = settings(mosquitto.address);
        settings.broker.username = Some("me".to_owned());
        let mut bench = Bench::new(settings);
        let why = bench.connect_in_vain();
        assert!(why.contains("uplink.password_file"), "{why}");
    }
}

#[test]
fn another_client_with_our_name_takes_the_connection() {
    let mosquitto = Mosquitto::start();
    let mut bench = Bench::new(settings(mosquitto.address));
    bench.connect();
    let _other = Client::connect(mosquitto.address, "gw-1").unwrap();
    let why = bench.expect_down();
    // Not every version of mosquitto says why.
    assert!(why.contains("SessionTakenOver") || why.contains("closed"), "{why}");
}

#[test]
fn twenty_thousand_records_go_in_a_moment() {
    let mosquitto = Mosquitto::start();
    let mut bench = Bench::new(settings(mosquitto.address));
    bench.connect();
    let count = 20_000;
    let before = Instant::now();
    assert_eq!(bench.drain(32, alerts(1..=count)).map(|seqs| seqs.len()), Ok(20_000));
    let took = before.elapsed();
    let per_s = count as f64 / took.as_secs_f64();
    println!("{per_s:.0} records a second with a window of 32");
    // A machine that is busy with other tests may be slow; one record a round trip would be slower.
    assert!(took < Duration::from_secs(10), "{per_s:.0} records a second");
    bench.ask(ToUplink::Drop);
    bench.expect_down();
}
