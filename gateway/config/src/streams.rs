//! From `[[stream]]` and `[[forward]]` to what the core decides by and where the uplink sends.

use std::collections::BTreeMap;

use tidegate_core::manifest::is_name;
use tidegate_core::record::{PRIORITY_MAX, StreamId};
use tidegate_core::stream::{Format, Forward, Stream, Streams, WhenFull};
use tidegate_core::topic::Filter;

use crate::place::{At, Place};
use crate::reader::Table;
use crate::settings::{Outlet, Protocol, UplinkSettings};
use crate::suggest::nearest;
use crate::template::{SLASHES_MAX, TopicTemplate};

/// The gateway's own streams and their priorities: what was lost is told first, what nobody wants goes last.
const OWN: [(&str, u8, WhenFull); 2] = [
    // What was lost must be told, so it is not lost itself.
    ("losses", PRIORITY_MAX, WhenFull::DropNewest),
    ("dead-letters", 0, WhenFull::DropOldest),
];
/// Each stream has lines in the journal's loss ledger, one for every reason, and the ledger has 64.
const STREAMS_MAX: usize = 32;
/// Each forward is tried with each message until one matches.
const FORWARDS_MAX: usize = 64;
/// Ten years; above it, leave `ttl_s` at 0.
const SECONDS_MAX: u64 = 315_360_000;

/// What a stream's table says, and where.
struct Written<'a> {
    stream: Stream,
    outlet: Outlet,
    topic_place: Place<'a>,
}

/// What `[[stream]]` and `[[forward]]` mean. Gives `uplink` its outlets.
pub(crate) fn streams(
    root: &Table<'_>,
    id: Option<&str>,
    has_uplink: bool,
    uplink: Option<&mut UplinkSettings>,
) -> Option<Streams> {
    let protocol = uplink.as_ref().map(|uplink| uplink.protocol);
    // Read in any case, so that a mistake there is found however the rest stands.
    let written = read_streams(root, id.unwrap_or("gateway"), protocol);
    let forwards = read_forwards(root, &written);
    if !has_uplink {
        for key in ["stream", "forward"] {
            if root.has(key) {
                root.place(key).wrong(
                    "goes with [uplink] only; add it, or remove this: without it records have nowhere to go",
                );
            }
        }
        return Some(Streams::default());
    }
    check_topics(&written, &forwards);
    uplink?.outlets =
        written.values().map(|written| (written.stream.id, written.outlet.clone())).collect();
    let streams = written.into_values().map(|written| written.stream).collect();
    let forwards = forwards.into_iter().map(|(forward, _)| forward).collect();
    let streams = Streams::new(streams, forwards);
    Some(streams.expect("streams that share a number have been taken out"))
}

/// Every stream by number, the gateway's own among them.
fn read_streams<'a>(
    root: &Table<'a>,
    gateway: &str,
    protocol: Option<Protocol>,
) -> BTreeMap<StreamId, Written<'a>> {
    let mut all: BTreeMap<StreamId, Written<'a>> = BTreeMap::new();
    let tables = root.tables("stream").unwrap_or_default();
    if tables.len() > STREAMS_MAX {
        root.place("stream")
            .wrong(format!("there are {} streams; use at most {STREAMS_MAX}", tables.len()));
    }
    for table in tables {
        let name = table.need_text("name", "\"alerts\"");
        let named = name.as_ref().map_or("stream", |name| name.value);
        let written = read_stream(&table, named, gateway, protocol);
        let Some(name) = name else { continue };
        if !is_name(name.value) {
            name.place
                .wrong(format!("{:?} is not a name; use 1 to 32 of a-z, 0-9 and -", name.value));
            continue;
        }
        match all.get(&written.stream.id) {
            Some(first) if first.stream.name == name.value => name.place.wrong(format!(
                "there is a stream {:?} already; remove one of the two",
                name.value
            )),
            Some(first) => name.place.wrong(format!(
                "{:?} and {:?} have the same number in the journal (it comes from the name); give one of the two \
                 another name",
                name.value, first.stream.name
            )),
            None => {
                all.insert(written.stream.id, written);
            }
        }
    }
    for (name, priority, when_full) in OWN {
        all.entry(StreamId::of(name))
            .or_insert_with(|| own(name, priority, when_full, gateway, root));
    }
    all
}

/// One of the gateway's own streams as it is when nobody configures it.
fn own<'a>(
    name: &str,
    priority: u8,
    when_full: WhenFull,
    gateway: &str,
    root: &Table<'a>,
) -> Written<'a> {
    let (id, name) = (StreamId::of(name), name.to_owned());
    let topic = default_topic(&name, gateway);
    let topic_place = root.place("stream");
    let outlet = Outlet { name: name.clone(), topic, format: Format::default() };
    let stream = Stream { id, name, priority, ttl_s: 0, when_full };
    Written { stream, outlet, topic_place }
}

fn default_topic(name: &str, gateway: &str) -> TopicTemplate {
    TopicTemplate::read(&format!("{{gateway}}/{name}"), gateway)
        .expect("a gateway's id and a stream's name have no character that a topic may not have")
}

fn read_stream<'a>(
    table: &Table<'a>,
    name: &str,
    gateway: &str,
    protocol: Option<Protocol>,
) -> Written<'a> {
    let own = OWN.iter().find(|(own, ..)| *own == name);
    let topic = table.text("topic", "\"{gateway}/alerts\"").and_then(|at| {
        TopicTemplate::read(at.value, gateway)
            .map_err(|why| at.place.wrong(format!("{:?} is no topic here: it {why}", at.value)))
            .ok()
    });
    let number =
        |key, max, default| table.number(key, &(0..=max), "").map_or(default, |at| at.value);
    let priority =
        number("priority", PRIORITY_MAX.into(), own.map_or(0, |(_, p, _)| u64::from(*p)));
    let ttl_s = narrow(number("ttl_s", SECONDS_MAX, 0));
    let format = table
        .choice("format", &[("cbor", Format::Cbor), ("json", Format::Json), ("raw", Format::Raw)]);
    if format == Some(Format::Raw) && protocol == Some(Protocol::V311) {
        table.place("format").wrong(
            "\"raw\" needs uplink.protocol = \"5\": who and when stand in MQTT 5 user properties; use \"cbor\" or \"json\"",
        );
    }
    let is_good_name = is_name(name);
    Written {
        stream: Stream {
            id: StreamId::of(name),
            name: name.to_owned(),
            priority: u8::try_from(priority).expect("the range lies within a u8"),
            ttl_s,
            when_full: when_full(table),
        },
        outlet: Outlet {
            name: name.to_owned(),
            // After a mistake something stands in for the topic; what is built is thrown away.
            topic: topic.unwrap_or_else(|| {
                default_topic(if is_good_name { name } else { "stream" }, gateway)
            }),
            format: format.unwrap_or_default(),
        },
        topic_place: table.place("topic"),
    }
}

fn narrow(seconds: u64) -> u32 {
    u32::try_from(seconds).expect("ten years of seconds fit a u32")
}

/// `when_full = "drop-oldest"`, `"drop-newest"`, or `{ downsample = { keep_raw_s = .., then_every_s = .. } }`.
fn when_full(table: &Table<'_>) -> WhenFull {
    const KEY: &str = "when_full";
    if !table.is_table(KEY) {
        if let Some(at) = table.text(KEY, "\"drop-oldest\"")
            && at.value == "downsample"
        {
            at.place.wrong(
                "\"downsample\" needs its two times; write when_full = { downsample = { keep_raw_s = 3600, then_every_s = 60 } }",
            );
            return WhenFull::default();
        }
        let words = [("drop-oldest", WhenFull::DropOldest), ("drop-newest", WhenFull::DropNewest)];
        return table.choice(KEY, &words).unwrap_or_default();
    }
    let downsample = table.table(KEY).table("downsample");
    let keep_raw_s = narrow(downsample.need_number("keep_raw_s", 0..=SECONDS_MAX));
    let then_every_s = narrow(downsample.need_number("then_every_s", 1..=SECONDS_MAX));
    WhenFull::Downsample { keep_raw_s, then_every_s }
}

/// Every good `[[forward]]`, with its place.
fn read_forwards<'a>(
    root: &Table<'a>,
    streams: &BTreeMap<StreamId, Written<'_>>,
) -> Vec<(Forward, Place<'a>)> {
    let mut forwards: Vec<(Forward, Place<'a>)> = Vec::new();
    let tables = root.tables("forward").unwrap_or_default();
    if tables.len() > FORWARDS_MAX {
        let count = tables.len();
        root.place("forward")
            .wrong(format!("there are {count} forwards; use at most {FORWARDS_MAX}"));
    }
    for table in tables {
        let from = table.need_text("from", "\"devices/#\"").and_then(|at| filter(&at));
        let stream = table.need_text("stream", "\"raw\"").and_then(|at| target(&at, streams));
        let (Some((from, place)), Some(stream)) = (from, stream) else {
            continue;
        };
        if let Some((first, at)) = forwards.iter().find(|(first, _)| first.from.covers(&from)) {
            place.warn(format!(
                "takes nothing: {} takes {} before it, and a message is forwarded once",
                at.key, first.from
            ));
        }
        forwards.push((Forward { from, stream }, place));
    }
    forwards
}

fn filter<'a>(at: &At<'a, &str>) -> Option<(Filter, Place<'a>)> {
    match Filter::new(at.value) {
        Ok(filter) => Some((filter, at.place.clone())),
        Err(error) => {
            at.place.wrong(format!(
                "{:?} is no topic filter: it {error}; for example devices/#",
                at.value
            ));
            None
        }
    }
}

fn target(at: &At<'_, &str>, streams: &BTreeMap<StreamId, Written<'_>>) -> Option<StreamId> {
    if OWN.iter().any(|(own, ..)| *own == at.value) {
        at.place.wrong(format!("{:?} is the gateway's own; forward to another stream", at.value));
        return None;
    }
    let id = StreamId::of(at.value);
    let is_known = streams.get(&id).is_some_and(|written| written.stream.name == at.value);
    if !is_known {
        let names = streams.values().map(|written| written.stream.name.as_str());
        at.place.wrong(match nearest(at.value, names) {
            Some(near) => format!("there is no stream {:?}; did you mean {near:?}?", at.value),
            None => format!(
                "there is no stream {:?}; add [[stream]] with name = {:?}",
                at.value, at.value
            ),
        });
    }
    is_known.then_some(id)
}

/// Holds templates with `{topic}` against what is forwarded into them.
fn check_topics(streams: &BTreeMap<StreamId, Written<'_>>, forwards: &[(Forward, Place<'_>)]) {
    for written in streams.values().filter(|written| written.outlet.topic.needs_topic()) {
        let name = &written.stream.name;
        if !forwards.iter().any(|(forward, _)| forward.stream == written.stream.id) {
            written.topic_place.wrong(format!(
                "{{topic}} stands for a forwarded message's topic, and nothing is forwarded to {name:?}; add \
                 [[forward]], or write a topic without it"
            ));
        }
    }
    for (forward, place) in forwards {
        let Some(written) = streams.get(&forward.stream) else { continue };
        let template = &written.outlet.topic;
        let fewest = template.slashes() + slashes_min(&forward.from);
        if template.needs_topic() && fewest > SLASHES_MAX {
            place.wrong(format!(
                "{} in {template} makes {fewest} slashes, and the large cloud brokers take at most {SLASHES_MAX}; \
                 shorten the stream's topic, or leave {{topic}} out: the envelope has it too",
                forward.from
            ));
        }
    }
}

/// The fewest slashes that a topic under this filter has.
fn slashes_min(filter: &Filter) -> usize {
    let text = filter.as_str();
    // `a/#` takes `a` too.
    let text = text.strip_suffix("/#").unwrap_or(text);
    text.bytes().filter(|byte| *byte == b'/').count()
}

/// What is odd about a stream that a handler may send to, if something is.
pub(crate) fn odd_grant(
    name: &str,
    streams: &Streams,
    uplink: Option<&UplinkSettings>,
) -> Option<String> {
    let Some(uplink) = uplink else {
        return Some(format!(
            "may send to {name:?}, and there is no [uplink]: what it sends is refused"
        ));
    };
    if OWN.iter().any(|(own, ..)| *own == name) {
        return Some(format!(
            "may send to {name:?}: nobody upstream can tell that from what the gateway says itself there"
        ));
    }
    let Some(stream) = streams.find(name) else {
        let near = nearest(name, streams.iter().map(|stream| stream.name.as_str()));
        let next = match near {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("add [[stream]] with name = {name:?}"),
        };
        return Some(format!(
            "may send to {name:?}, which is not configured: what it sends is refused; {next}"
        ));
    };
    let outlet = uplink.outlets.get(&stream.id)?;
    outlet.topic.needs_topic().then(|| {
        format!(
            "may send to {name:?}, whose topic {} needs that of a forwarded message: what it sends ends as a dead letter",
            outlet.topic
        )
    })
}
