//! What `tidegated check` says about files that are good: what they mean, as text or as JSON.

mod upstream;

use std::fmt::Write;

use tidegate_core::manifest::{Isolation, React};

use crate::json::Json;
use crate::problem::{Problem, Problems};
use crate::settings::{BrokerSettings, HandlerDir, HandlerEntry, Local, Settings};

/// Width of the first column.
const LABEL: usize = 12;

/// A summary for people, a few lines and then a block for each handler, ending in a newline.
pub fn explain(settings: &Settings) -> String {
    let mut out = String::new();
    let mut line = |label: &str, text: &str| {
        let text = format!("{label:LABEL$}{text}");
        writeln!(out, "{}", text.trim_end()).expect("a String takes everything");
    };
    let board = &settings.board;
    let worst = board.worst_case();
    line("gateway", &settings.id);
    line("data", &settings.data_dir.display().to_string());
    line("board", &format!("{}: {}", board.name, board.description));
    line(
        "memory",
        &format!(
            "at most {} MiB of {} MiB, with every limit reached at once",
            worst.total_kib().div_ceil(1024),
            board.memory.budget_mib
        ),
    );
    line("local", &local(&settings.local));
    let store = &settings.store;
    line(
        "store",
        &format!(
            "at most {} MB of journal, commits after {} ms, lazy state after {} ms",
            store.quota_mb, store.commit_ms, store.lazy_ms
        ),
    );
    line("pushes", &pushes(settings));
    upstream::explain(settings, &mut line);
    for entry in &settings.handlers {
        line("", "");
        match entry {
            HandlerEntry::Ready(handler) => ready(handler, &mut line),
            HandlerEntry::Broken { dir, name, problems } => {
                line("handler", &format!("{name}, does not run"));
                line("  folder", &dir.display().to_string());
                for problem in &problems.0 {
                    line("  problem", &problem.to_string());
                }
            }
        }
    }
    if !settings.warnings.is_empty() {
        line("", "");
    }
    for warning in &settings.warnings {
        line("warning", &warning.to_string());
    }
    out
}

fn pushes(settings: &Settings) -> String {
    let Some(trust) = &settings.trust else {
        return "none: there is no [trust]".to_owned();
    };
    let groups: Vec<String> = settings.groups.iter().map(|g| format!(", group:{g}")).collect();
    format!("to {}{}, signed as {} says", settings.id, groups.concat(), trust.display())
}

fn ready(handler: &HandlerDir, line: &mut impl FnMut(&str, &str)) {
    let manifest = &handler.manifest;
    let limits = &manifest.limits;
    line("handler", &format!("{} {}", manifest.name, manifest.version));
    line("  module", &handler.module_path.display().to_string());
    for filter in &manifest.triggers {
        line("  wakes on", filter.as_str());
    }
    if manifest.grants.publish.is_empty() {
        line("  publishes", "nothing");
    }
    for filter in &manifest.grants.publish {
        line("  publishes", filter.as_str());
    }
    for name in &manifest.grants.send {
        line("  sends", name);
    }
    for name in &manifest.grants.gpio {
        line("  pin", name);
    }
    line(
        "  per event",
        &format!(
            "{} fuel, {} ms, {} publishes, {} KiB of memory",
            limits.fuel, limits.deadline_ms, limits.publishes, limits.memory_kib
        ),
    );
    line(
        "  starts",
        match manifest.isolation {
            Isolation::Event => "each event from the same memory",
            Isolation::Instance => "each event from the memory the last one left",
        },
    );
    line(
        "  reacts",
        match manifest.react {
            React::Now => "when it returns",
            React::Durable => "when its commit is durable",
        },
    );
    if !manifest.config.is_empty() {
        let keys: Vec<&str> = manifest.config.keys().map(String::as_str).collect();
        line("  config", &keys.join(", "));
    }
}

fn local(local: &Local) -> String {
    match local {
        Local::FrontDoor { listen } => {
            let listen: Vec<String> = listen.iter().map(ToString::to_string).collect();
            format!("front door on {}", listen.join(", "))
        }
        Local::Broker(broker) => {
            let user = match &broker.username {
                Some(username) => format!(", user {username}"),
                None => String::new(),
            };
            format!(
                "broker {}, client {}{user}, keep-alive {} s",
                url(broker),
                broker.client_id,
                broker.keep_alive_s
            )
        }
    }
}

pub(crate) fn url(broker: &BrokerSettings) -> String {
    let scheme = match broker.tls {
        Some(_) => "mqtts",
        None => "mqtt",
    };
    if broker.host.contains(':') {
        format!("{scheme}://[{}]:{}", broker.host, broker.port)
    } else {
        format!("{scheme}://{}:{}", broker.host, broker.port)
    }
}

/// The same for programs, on one line: `{"ok":..,"gateway":..,"handlers":[..],"warnings":[..]}`.
/// `ok` is false when a handler does not run.
pub fn explain_json(settings: &Settings) -> String {
    let board = &settings.board;
    let local = match &settings.local {
        Local::FrontDoor { listen } => {
            vec![("listen", Json::texts(listen.iter().map(ToString::to_string)))]
        }
        Local::Broker(broker) => {
            vec![("broker", Json::text(url(broker))), ("client_id", Json::text(&broker.client_id))]
        }
    };
    Json::Object(vec![
        ("ok", Json::Flag(settings.broken().0.is_empty())),
        ("gateway", Json::text(&settings.id)),
        ("data_dir", Json::text(settings.data_dir.to_string_lossy())),
        ("board", Json::text(&board.name)),
        ("memory_kib_max", Json::Number(board.worst_case().total_kib())),
        ("local", Json::Object(local)),
        (
            "store",
            Json::Object(vec![
                ("commit_ms", Json::Number(settings.store.commit_ms.into())),
                ("lazy_ms", Json::Number(settings.store.lazy_ms.into())),
                ("quota_mb", Json::Number(settings.store.quota_mb.into())),
            ]),
        ),
        ("uplink", upstream::uplink_json(settings)),
        ("streams", upstream::streams_json(settings)),
        ("forwards", upstream::forwards_json(settings)),
        (
            "trust",
            settings.trust.as_ref().map_or(Json::Null, |path| Json::text(path.to_string_lossy())),
        ),
        ("groups", Json::texts(settings.groups.iter())),
        ("handlers", Json::List(settings.handlers.iter().map(entry_json).collect())),
        ("warnings", problems_json(&settings.warnings)),
    ])
    .render()
}

fn entry_json(entry: &HandlerEntry) -> Json {
    match entry {
        HandlerEntry::Ready(handler) => ready_json(handler),
        HandlerEntry::Broken { dir, name, problems } => Json::Object(vec![
            ("name", Json::text(name)),
            ("runs", Json::Flag(false)),
            ("dir", Json::text(dir.to_string_lossy())),
            ("problems", problems_json(&problems.0)),
        ]),
    }
}

fn ready_json(handler: &HandlerDir) -> Json {
    let manifest = &handler.manifest;
    let limits = &manifest.limits;
    Json::Object(vec![
        ("name", Json::text(&manifest.name)),
        ("runs", Json::Flag(true)),
        ("version", Json::text(&manifest.version)),
        ("dir", Json::text(handler.dir.to_string_lossy())),
        ("module", Json::text(handler.module_path.to_string_lossy())),
        ("triggers", Json::texts(manifest.triggers.iter().map(|f| f.as_str()))),
        ("publish", Json::texts(manifest.grants.publish.iter().map(|f| f.as_str()))),
        ("send", Json::texts(&manifest.grants.send)),
        ("gpio", Json::texts(&manifest.grants.gpio)),
        ("fuel", Json::Number(limits.fuel)),
        ("memory_kib", Json::Number(limits.memory_kib.into())),
        ("deadline_ms", Json::Number(limits.deadline_ms.into())),
        ("publishes", Json::Number(limits.publishes.into())),
        (
            "isolation",
            Json::text(match manifest.isolation {
                Isolation::Event => "event",
                Isolation::Instance => "instance",
            }),
        ),
        (
            "react",
            Json::text(match manifest.react {
                React::Now => "now",
                React::Durable => "durable",
            }),
        ),
    ])
}

fn problems_json(problems: &[Problem]) -> Json {
    let one = |problem: &Problem| {
        Json::Object(vec![
            ("file", Json::text(problem.file.to_string_lossy())),
            ("line", Json::Number(problem.line as u64)),
            ("column", Json::Number(problem.column as u64)),
            ("key", Json::text(&problem.key)),
            ("what", Json::text(&problem.what)),
        ])
    };
    Json::List(problems.iter().map(one).collect())
}

impl Problems {
    /// The problems for programs, on one line: `{"ok":false,"problems":[..]}`.
    pub fn to_json(&self) -> String {
        Json::Object(vec![("ok", Json::Flag(false)), ("problems", problems_json(&self.0))]).render()
    }
}
