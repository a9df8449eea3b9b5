//! The part about what goes upstream: the uplink, the streams, what is forwarded.

use tidegate_core::stream::{Stream, WhenFull};

use super::url;
use crate::json::Json;
use crate::settings::{Outlet, Settings, UplinkSettings};

/// A line for the uplink, one for each stream and one for each forward.
pub(super) fn explain(settings: &Settings, line: &mut impl FnMut(&str, &str)) {
    let Some(uplink) = &settings.uplink else {
        line("uplink", "none: nothing goes upstream");
        return;
    };
    line("uplink", &told(uplink));
    for (stream, outlet) in outlets(settings, uplink) {
        let ttl = match stream.ttl_s {
            0 => String::new(),
            seconds => format!(", useless after {seconds} s"),
        };
        let when_full = match stream.when_full {
            WhenFull::DropOldest => "drop-oldest".to_owned(),
            WhenFull::DropNewest => "drop-newest".to_owned(),
            WhenFull::Downsample { keep_raw_s, then_every_s } => {
                format!("all for {keep_raw_s} s and one in {then_every_s} s of what is older")
            }
        };
        let text = format!(
            "{}: {} to {}, priority {}{ttl}, when full {when_full}",
            stream.name,
            outlet.format.name(),
            outlet.topic,
            stream.priority
        );
        line("stream", &text);
    }
    for forward in &settings.streams.forwards {
        let to = uplink.outlets.get(&forward.stream).map_or("", |outlet| &outlet.name);
        line("forward", &format!("{} to {to}", forward.from));
    }
}

fn told(uplink: &UplinkSettings) -> String {
    let broker = &uplink.broker;
    let user = match &broker.username {
        Some(username) => format!(", user {username}"),
        None => String::new(),
    };
    let rate = match uplink.rate_per_s {
        0 => String::new(),
        rate => format!(", at most {rate} a second"),
    };
    format!(
        "{}, MQTT {}, client {}{user}, window {}{rate}, messages of at most {} bytes",
        url(broker),
        uplink.protocol.name(),
        broker.client_id,
        uplink.window,
        uplink.message_bytes_max
    )
}

/// The streams by name.
fn outlets<'s>(
    settings: &'s Settings,
    uplink: &'s UplinkSettings,
) -> Vec<(&'s Stream, &'s Outlet)> {
    let mut all: Vec<_> = settings
        .streams
        .iter()
        .filter_map(|stream| Some((stream, uplink.outlets.get(&stream.id)?)))
        .collect();
    all.sort_by_key(|(stream, _)| &stream.name);
    all
}

/// `null`, or what the uplink is.
pub(super) fn uplink_json(settings: &Settings) -> Json {
    let Some(uplink) = &settings.uplink else {
        return Json::Null;
    };
    Json::Object(vec![
        ("broker", Json::text(url(&uplink.broker))),
        ("client_id", Json::text(&uplink.broker.client_id)),
        ("protocol", Json::text(uplink.protocol.name())),
        ("window", Json::Number(uplink.window.into())),
        ("rate_per_s", Json::Number(uplink.rate_per_s.into())),
        ("message_bytes_max", Json::Number(uplink.message_bytes_max as u64)),
    ])
}

pub(super) fn streams_json(settings: &Settings) -> Json {
    let all = settings.uplink.iter().flat_map(|uplink| outlets(settings, uplink));
    let one = |(stream, outlet): (&Stream, &Outlet)| {
        Json::Object(vec![
            ("name", Json::text(&stream.name)),
            ("topic", Json::text(outlet.topic.to_string())),
            ("priority", Json::Number(stream.priority.into())),
            ("ttl_s", Json::Number(stream.ttl_s.into())),
            ("when_full", when_full_json(stream.when_full)),
            ("format", Json::text(outlet.format.name())),
        ])
    };
    Json::List(all.map(one).collect())
}

fn when_full_json(when_full: WhenFull) -> Json {
    match when_full {
        WhenFull::DropOldest => Json::text("drop-oldest"),
        WhenFull::DropNewest => Json::text("drop-newest"),
        WhenFull::Downsample { keep_raw_s, then_every_s } => {
            let times = vec![
                ("keep_raw_s", Json::Number(keep_raw_s.into())),
                ("then_every_s", Json::Number(then_every_s.into())),
            ];
            Json::Object(vec![("downsample", Json::Object(times))])
        }
    }
}

pub(super) fn forwards_json(settings: &Settings) -> Json {
    let name = |id| settings.streams.get(id).map_or(String::new(), |stream| stream.name.clone());
    let one = |forward: &tidegate_core::stream::Forward| {
        Json::Object(vec![
            ("from", Json::text(forward.from.as_str())),
            ("stream", Json::text(name(forward.stream))),
        ])
    };
    Json::List(settings.streams.forwards.iter().map(one).collect())
}
