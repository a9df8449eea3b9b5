//! `[store]`, `[uplink]`, `[[stream]]`, `[[forward]]`: what they mean, and word for word what is said when they are wrong.

use tidegate_config::{Protocol, Settings, StoreSettings, explain, explain_json};
use tidegate_core::record::StreamId;
use tidegate_core::stream::{Format, WhenFull};

use crate::folder::Folder;
use crate::gateway::{GATEWAY, check_local, read};

const UPLINK: &str = "[uplink]\nbroker = \"mqtt://cloud\"\ninsecure = true\n";

/// Expects exactly these messages about `text`, which starts at line 8, after a good `[uplink]`.
#[track_caller]
fn check(test: &str, text: &str, expect: &str) {
    check_local(test, &format!("{UPLINK}{text}"), expect);
}

fn good(test: &str, text: &str) -> (Folder, Settings) {
    let folder = Folder::new(test);
    let settings = read(&folder, &format!("{GATEWAY}{text}")).unwrap();
    (folder, settings)
}

#[test]
fn numbers_have_ranges() {
    check(
        "uplink-ranges",
        "window = 0\nrate_per_s = 1_000_001\nmessage_bytes_max = 1023\nkeep_alive_s = 1\nprotocol = \"3\"\n\
         client_id = \"\"\n[store]\ncommit_ms = 1001\nlazy_ms = -1\nquota_mb = 31\ncheckpoint = 1\n",
        r#"
gateway.toml:8: uplink.window: 0 is out of range; use 1 to 256
gateway.toml:9: uplink.rate_per_s: 1000001 is out of range; use 0 to 1000000
gateway.toml:10: uplink.message_bytes_max: 1023 is out of range; use 1024 to 1048576
gateway.toml:11: uplink.keep_alive_s: 1 is out of range; use 5 to 3600
gateway.toml:12: uplink.protocol: "3" is not a choice here; use "5" or "3.1.1"
gateway.toml:13: uplink.client_id: must have 1 to 128 bytes and no control characters; leave it out for the gateway's id
gateway.toml:15: store.commit_ms: 1001 is out of range; use 0 to 1000
gateway.toml:16: store.lazy_ms: -1 is out of range; use 0 to 3600000
gateway.toml:17: store.quota_mb: 31 is out of range; use 32 to 1000000
gateway.toml:18: store.checkpoint: is not a key here; the keys are commit_ms, lazy_ms, quota_mb
"#,
    );
}

#[test]
fn nothing_leaves_in_the_clear_unasked() {
    for (i, insecure) in ["", "insecure = false\n"].into_iter().enumerate() {
        check_local(
            &format!("uplink-clear-{i}"),
            &format!("[uplink]\nbroker = \"mqtt://cloud\"\n{insecure}"),
            "gateway.toml:6: uplink.broker: mqtt:// is not encrypted: whoever is on the way reads and changes every \
             record; write mqtts:// and `ca`, or insecure = true if that is meant",
        );
    }
    let folder = Folder::new("uplink-both");
    folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    let text = format!(
        "{GATEWAY}[uplink]\nbroker = \"mqtts://cloud\"\nca = \"ca.pem\"\ninsecure = true\n"
    );
    assert_eq!(
        read(&folder, &text).unwrap_err(),
        "gateway.toml:8: uplink.insecure: goes with mqtt:// only, and mqtts:// is always verified; remove it, and \
         name whom to trust with `ca`"
    );
    check_local(
        "uplink-nothing",
        "[uplink]\nwindow = 1\ninsecure = 1\n",
        r#"
gateway.toml:5: uplink.broker: is missing; add the broker that records go to, for example broker = "mqtts://cloud.example:8883"
gateway.toml:7: uplink.insecure: must be true or false, not a whole number
"#,
    );
}

#[test]
fn streams_that_cannot_be() {
    check(
        "streams",
        r#"[[stream]]
name = "Alerts"
topic = "{gateway}/a/+"
priority = 8

[[stream]]
topic = "$share/x"
format = "xml"
when_full = "drop"

[[stream]]
name = "deep"
topic = "1/2/3/4/5/6/7/{gateway}/9"
ttl_s = -1

[[stream]]
name = "odd"
topic = "{gatway}/a"
when_full = "downsample"

[[stream]]
name = "odd"
topic = "{gateway"
when_full = { downsample = { keep_raw_s = 1, then_evry_s = 0 } }

[[stream]]
name = "twice"
topic = "{topic}/{topic}"

[[stream]]
name = "empty"
topic = ""
"#,
        r#"
gateway.toml:9: stream[0].name: "Alerts" is not a name; use 1 to 32 of a-z, 0-9 and -
gateway.toml:10: stream[0].topic: "{gateway}/a/+" is no topic here: it has a `+` or `#` where none may stand
gateway.toml:11: stream[0].priority: 8 is out of range; use 0 to 7
gateway.toml:13: stream[1].name: is missing; add it, for example name = "alerts"
gateway.toml:14: stream[1].topic: "$share/x" is no topic here: it starts with `$`; those topics are the broker's own
gateway.toml:15: stream[1].format: "xml" is not a choice here; use "cbor" or "json" or "raw"
gateway.toml:16: stream[1].when_full: "drop" is not a choice here; use "drop-oldest" or "drop-newest"
gateway.toml:20: stream[2].topic: "1/2/3/4/5/6/7/{gateway}/9" is no topic here: it has 8 slashes; the large cloud brokers take at most 7
gateway.toml:21: stream[2].ttl_s: -1 is out of range; use 0 to 315360000
gateway.toml:25: stream[3].topic: "{gatway}/a" is no topic here: it has {gatway}, which stands for nothing; use {gateway}, or {topic} for forwarded messages
gateway.toml:26: stream[3].when_full: "downsample" needs its two times; write when_full = { downsample = { keep_raw_s = 3600, then_every_s = 60 } }
gateway.toml:29: stream[4].name: there is a stream "odd" already; remove one of the two
gateway.toml:30: stream[4].topic: "{gateway" is no topic here: it has a brace without its other half; write {gateway} or {topic}
gateway.toml:31: stream[4].when_full.downsample.then_every_s: is missing; add a whole number from 1 to 315360000
gateway.toml:31: stream[4].when_full.downsample.then_evry_s: is not a key here; did you mean `then_every_s`?
gateway.toml:35: stream[5].topic: "{topic}/{topic}" is no topic here: it has {topic} twice; once is enough
gateway.toml:39: stream[6].topic: "" is no topic here: it is empty
"#,
    );
}

#[test]
fn streams_that_share_a_number() {
    // Two names with one number, looked for with the very function.
    let mut first = std::collections::BTreeMap::new();
    let (a, b) = (0..)
        .find_map(|n: u32| {
            let name = format!("s{n}");
            first.insert(StreamId::of(&name), name.clone()).map(|before| (before, name))
        })
        .unwrap();
    check(
        "streams-collide",
        &format!("[[stream]]\nname = {a:?}\n[[stream]]\nname = {b:?}\n"),
        &format!(
            "gateway.toml:11: stream[1].name: {b:?} and {a:?} have the same number in the journal (it comes from the \
             name); give one of the two another name"
        ),
    );
}

#[test]
fn what_goes_with_what() {
    check_local(
        "streams-alone",
        "[[stream]]\nname = \"a\"\n[[forward]]\nfrom = \"x\"\nstream = \"a\"\n",
        r#"
gateway.toml:5: stream: goes with [uplink] only; add it, or remove this: without it records have nowhere to go
gateway.toml:7: forward: goes with [uplink] only; add it, or remove this: without it records have nowhere to go
"#,
    );
    check(
        "raw-311",
        "protocol = \"3.1.1\"\n[[stream]]\nname = \"a\"\nformat = \"raw\"\n[[stream]]\nname = \"b\"\ntopic = \"b/{topic}\"\n",
        r#"
gateway.toml:11: stream[0].format: "raw" needs uplink.protocol = "5": who and when stand in MQTT 5 user properties; use "cbor" or "json"
gateway.toml:14: stream[1].topic: {topic} stands for a forwarded message's topic, and nothing is forwarded to "b"; add [[forward]], or write a topic without it
"#,
    );
    check(
        "forwards",
        r#"[[stream]]
name = "raw"
topic = "{gateway}/a/b/{topic}"
[[forward]]
from = "devices/#/x"
stream = "raw"
[[forward]]
from = "devices/#"
stream = "row"
[[forward]]
from = "d"
stream = "elsewhere"
[[forward]]
from = "e"
stream = "losses"
[[forward]]
[[forward]]
from = "1/+/3/4/5/6/#"
stream = "raw"
[[forward]]
from = "1/+/3/4/5/#"
stream = "raw"
"#,
        r#"
gateway.toml:12: forward[0].from: "devices/#/x" is no topic filter: it has a `#` before its last level; for example devices/#
gateway.toml:16: forward[1].stream: there is no stream "row"; did you mean "raw"?
gateway.toml:19: forward[2].stream: there is no stream "elsewhere"; add [[stream]] with name = "elsewhere"
gateway.toml:22: forward[3].stream: "losses" is the gateway's own; forward to another stream
gateway.toml:23: forward[4].from: is missing; add it, for example from = "devices/#"
gateway.toml:23: forward[4].stream: is missing; add it, for example stream = "raw"
gateway.toml:25: forward[5].from: 1/+/3/4/5/6/# in gw-01/a/b/{topic} makes 8 slashes, and the large cloud brokers take at most 7; shorten the stream's topic, or leave {topic} out: the envelope has it too
"#,
    );
}

#[test]
fn more_than_there_is_room_for() {
    let streams: String = (0..33).map(|n| format!("[[stream]]\nname = \"n{n}\"\n")).collect();
    let forwards: String =
        (0..65).map(|n| format!("[[forward]]\nfrom = \"f{n}\"\nstream = \"n1\"\n")).collect();
    check(
        "streams-many",
        &format!("{streams}{forwards}"),
        r#"
gateway.toml:8: stream: there are 33 streams; use at most 32
gateway.toml:74: forward: there are 65 forwards; use at most 64
"#,
    );
}

#[test]
fn what_may_surprise_is_a_warning() {
    let folder = Folder::new("send-grants");
    folder.handler("h", "overheat");
    let manifest = std::fs::read_to_string(folder.path.join("h/handler.toml")).unwrap();
    let grants =
        "[grants]\nsend = [\"alerts\", \"alert\", \"other\", \"losses\", \"raw\"]\n".to_owned();
    folder.write("h/handler.toml", manifest + &grants);
    let streams = "[[stream]]\nname = \"alerts\"\n[[stream]]\nname = \"raw\"\ntopic = \"up/{topic}\"\n\
                   [[forward]]\nfrom = \"a/#\"\nstream = \"raw\"\n[[forward]]\nfrom = \"a/b\"\nstream = \"alerts\"\n";
    let handler = "[[handler]]\npath = \"h\"\n";
    let settings = read(&folder, &format!("{GATEWAY}{handler}{UPLINK}{streams}")).unwrap();
    assert_eq!(
        folder.show(&settings.warnings),
        r#"
gateway.toml:6: handler[0].path: its handler overheat may send to "alert", which is not configured: what it sends is refused; did you mean "alerts"?
gateway.toml:6: handler[0].path: its handler overheat may send to "other", which is not configured: what it sends is refused; add [[stream]] with name = "other"
gateway.toml:6: handler[0].path: its handler overheat may send to "losses": nobody upstream can tell that from what the gateway says itself there
gateway.toml:6: handler[0].path: its handler overheat may send to "raw", whose topic up/{topic} needs that of a forwarded message: what it sends ends as a dead letter
gateway.toml:19: forward[1].from: takes nothing: forward[0].from takes a/# before it, and a message is forwarded once
"#
        .trim_matches('\n')
    );
    let settings = read(&folder, &format!("{GATEWAY}{handler}")).unwrap();
    assert!(settings.streams.is_empty());
    assert_eq!(
        folder.show(&settings.warnings[..1]),
        "gateway.toml:6: handler[0].path: its handler overheat may send to \"alerts\", and there is no [uplink]: what \
         it sends is refused"
    );
}

#[test]
fn without_a_word_there_are_defaults() {
    let (_folder, settings) = good("uplink-defaults", UPLINK);
    assert_eq!(settings.store, StoreSettings { commit_ms: 5, lazy_ms: 2000, quota_mb: 256 });
    assert_eq!(settings.store.quota_bytes(), 256_000_000);
    let uplink = settings.uplink.unwrap();
    assert_eq!((uplink.broker.host.as_str(), uplink.broker.port), ("cloud", 1883));
    assert_eq!(uplink.broker.client_id, "gw-01");
    assert_eq!(uplink.protocol, Protocol::V5);
    assert_eq!((uplink.window, uplink.rate_per_s, uplink.message_bytes_max), (32, 0, 102_400));
    for (id, topic, priority, when_full) in [
        (StreamId::LOSSES, "gw-01/losses", 7, WhenFull::DropNewest),
        (StreamId::DEAD_LETTERS, "gw-01/dead-letters", 0, WhenFull::DropOldest),
    ] {
        let stream = settings.streams.get(id).unwrap();
        let outlet = &uplink.outlets[&id];
        assert_eq!(stream.priority, priority);
        assert_eq!((stream.ttl_s, stream.when_full), (0, when_full));
        assert_eq!((outlet.topic.to_string().as_str(), outlet.format), (topic, Format::Cbor));
        assert_eq!(outlet.name, stream.name);
    }
    assert_eq!((settings.streams.iter().count(), uplink.outlets.len()), (2, 2));
}

const ALL: &str = r#"[store]
commit_ms = 0
lazy_ms = 60000
quota_mb = 1024
[uplink]
broker = "mqtt://[::1]:1884"
insecure = true
client_id = "me"
username = "u"
window = 256
rate_per_s = 10
message_bytes_max = 4096
[[stream]]
name = "alerts"
topic = "{gateway}/alerts"
priority = 6
ttl_s = 60
when_full = "drop-newest"
format = "json"
[[stream]]
name = "losses"
topic = "all/losses/{gateway}"
priority = 1
[[stream]]
name = "raw"
topic = "{gateway}/raw/{topic}"
format = "raw"
when_full = { downsample = { keep_raw_s = 3600, then_every_s = 60 } }
[[forward]]
from = "devices/#"
stream = "raw"
"#;

#[test]
fn all_that_can_be_said() {
    let (_folder, settings) = good("uplink-all", ALL);
    assert_eq!(settings.store, StoreSettings { commit_ms: 0, lazy_ms: 60_000, quota_mb: 1024 });
    let raw = settings.streams.find("raw").unwrap();
    assert_eq!(raw.when_full, WhenFull::Downsample { keep_raw_s: 3600, then_every_s: 60 });
    let alerts = settings.streams.find("alerts").unwrap();
    assert_eq!((alerts.priority, alerts.ttl_s, alerts.when_full), (6, 60, WhenFull::DropNewest));
    assert_eq!(settings.streams.find("losses").unwrap().priority, 1);
    let forwards: Vec<_> =
        settings.streams.forwards.iter().map(|f| (f.from.as_str(), f.stream)).collect();
    assert_eq!(forwards, [("devices/#", StreamId::of("raw"))]);

    let text = explain(&settings);
    let lines: Vec<&str> = text.lines().skip(5).take(8).collect();
    assert_eq!(
        lines,
        [
            "store       at most 1024 MB of journal, commits after 0 ms, lazy state after 60000 ms",
            "pushes      none: there is no [trust]",
            "uplink      mqtt://[::1]:1884, MQTT 5, client me, user u, window 256, at most 10 a second, messages of at \
             most 4096 bytes",
            "stream      alerts: json to gw-01/alerts, priority 6, useless after 60 s, when full drop-newest",
            "stream      dead-letters: cbor to gw-01/dead-letters, priority 0, when full drop-oldest",
            "stream      losses: cbor to all/losses/gw-01, priority 1, when full drop-oldest",
            "stream      raw: raw to gw-01/raw/{topic}, priority 0, when full all for 3600 s and one in 60 s of what \
             is older",
            "forward     devices/# to raw",
        ]
    );
    let json = explain_json(&settings);
    for part in [
        r#""store":{"commit_ms":0,"lazy_ms":60000,"quota_mb":1024},"uplink":{"broker":"mqtt://[::1]:1884","client_id":"me","protocol":"5","window":256,"rate_per_s":10,"message_bytes_max":4096},"streams":[{"name":"alerts","topic":"gw-01/alerts","priority":6,"ttl_s":60,"when_full":"drop-newest","format":"json"},{"name":"dead-letters","#,
        r#"{"name":"raw","topic":"gw-01/raw/{topic}","priority":0,"ttl_s":0,"when_full":{"downsample":{"keep_raw_s":3600,"then_every_s":60}},"format":"raw"}],"forwards":[{"from":"devices/#","stream":"raw"}]"#,
    ] {
        assert!(json.contains(part), "{json}");
    }
}
