//! What gateways said, as a table and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_release::Name;
use tidegate_release::answer::{Report, Stage};

use super::Known;
use crate::columns::columns;
use crate::duration;
use crate::sizes::count;

#[derive(Serialize)]
struct Shown<'a> {
    gateway: &'a str,
    handler: &'a str,
    version: Option<&'a str>,
    digest: Option<String>,
    key_epoch: Option<u32>,
    seq: Option<u64>,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    events: u64,
    failed: u64,
    deadline_misses: u64,
    fuel: u64,
    p99_us: u64,
    memory_kib: u64,
    /// Said just now, and not by a gateway that may be away.
    fresh: bool,
    /// When it was heard first, in seconds since 1970.
    heard_at: u64,
    /// Nothing new that is signed has reached the gateway for long; absent when it has not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<bool>,
}

/// A JSON object a line.
pub(super) fn lines(known: &[&Known], reports: &BTreeMap<Name, Report>) -> String {
    let mut text = String::new();
    for known in known {
        let answer = &known.answer;
        let (code, reason) = why(&answer.stage).unzip();
        let (events_left, left_ms) = match answer.stage {
            Stage::Probation { events, events_of, left_ms } => {
                (Some(events_of.saturating_sub(events)), Some(left_ms))
            }
            Stage::Checking { .. }
            | Stage::Installing
            | Stage::Active
            | Stage::Rejected { .. }
            | Stage::RolledBack { .. }
            | Stage::Removed
            | Stage::Invoked(_) => (None, None),
        };
        let shown = Shown {
            gateway: answer.gateway.as_str(),
            handler: answer.handler.as_str(),
            version: answer.version.as_deref(),
            digest: answer.release.map(|(_, digest)| digest.to_string()),
            key_epoch: answer.release.map(|(rank, _)| rank.key_epoch),
            seq: answer.release.map(|(rank, _)| rank.seq),
            phase: answer.stage.name(),
            events_left,
            left_ms,
            code,
            text: reason,
            events: answer.figures.events,
            failed: answer.figures.failed,
            deadline_misses: answer.figures.deadline_misses,
            fuel: answer.figures.fuel,
            p99_us: answer.figures.p99_us,
            memory_kib: answer.figures.memory_kib,
            fresh: known.is_fresh,
            heard_at: known.at,
            stale: reports.get(&answer.gateway).map(|report| report.is_stale),
        };
        text.push_str(&serde_json::to_string(&shown).expect("texts and numbers are JSON"));
        text.push('\n');
    }
    text
}

/// A row each, and below why one does not run.
pub(super) fn table(known: &[&Known], now_s: u64) -> String {
    let mut rows = vec![
        [
            "gateway", "handler", "version", "digest", "phase", "events", "failed", "late", "fuel",
            "p99", "memory", "heard",
        ]
        .map(str::to_owned),
    ];
    let mut reasons = String::new();
    for known in known {
        let answer = &known.answer;
        let figures = &answer.figures;
        rows.push([
            answer.gateway.to_string(),
            answer.handler.to_string(),
            answer.version.clone().unwrap_or_else(|| "-".to_owned()),
            answer.release.map_or_else(|| "-".to_owned(), |(_, digest)| digest.short()),
            phase(&answer.stage),
            count(figures.events as f64),
            count(figures.failed as f64),
            count(figures.deadline_misses as f64),
            count(figures.fuel as f64),
            if figures.p99_us == 0 { "-".to_owned() } else { format!("{} us", figures.p99_us) },
            format!("{} KiB", figures.memory_kib),
            heard(known, now_s),
        ]);
        if let Some((code, text)) = why(&answer.stage) {
            reasons.push_str(&format!(
                "{} {}: {} ({code}): {text}\n",
                answer.gateway,
                answer.handler,
                answer.stage.name()
            ));
        }
    }
    columns(&rows) + &reasons
}

fn heard(known: &Known, now_s: u64) -> String {
    if known.is_fresh {
        return "now".to_owned();
    }
    match now_s.saturating_sub(known.at) {
        0..=5 => "kept".to_owned(),
        seconds => format!("over {} ago", duration::describe(seconds as f64)),
    }
}

fn phase(at: &Stage) -> String {
    match at {
        Stage::Checking { have, of } => format!("checking {have}/{of}"),
        Stage::Probation { events, events_of, left_ms } => {
            format!("probation {events}/{events_of}, {} s", left_ms.div_ceil(1000))
        }
        Stage::Installing
        | Stage::Active
        | Stage::Rejected { .. }
        | Stage::RolledBack { .. }
        | Stage::Removed
        | Stage::Invoked(_) => at.name().to_owned(),
    }
}

fn why(stage: &Stage) -> Option<(&str, &str)> {
    match stage {
        Stage::Rejected { code, text } | Stage::RolledBack { code, text, .. } => Some((code, text)),
        Stage::Checking { .. }
        | Stage::Installing
        | Stage::Probation { .. }
        | Stage::Active
        | Stage::Removed
        | Stage::Invoked(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_release::answer::{Answer, Figures};
    use tidegate_release::{Digest, Rank};

    use super::*;

    fn known(stage: Stage, is_fresh: bool) -> Known {
        let name = |text: &str| Name::new(text).expect("a name");
        let answer = Answer {
            gateway: name("gw-01"),
            handler: name("overheat"),
            counter: 4,
            stage,
            release: Some((Rank { key_epoch: 1, seq: 2 }, Digest([0xab; 32]))),
            version: Some("0.2.0".to_owned()),
            figures: Figures { events: 12_000, fuel: 9, memory_kib: 64, ..Figures::default() },
        };
        Known { answer, is_fresh, at: 100 }
    }

    #[test]
    fn a_row_says_how_it_does_and_a_line_below_why_it_does_not() {
        let probation = known(Stage::Probation { events: 3, events_of: 10, left_ms: 1_500 }, true);
        let code = "older".to_owned();
        let rejected = known(Stage::Rejected { code, text: "push again".to_owned() }, false);
        let text = table(&[&probation, &rejected], 400);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>().join(" "),
            "gw-01 overheat 0.2.0 abababababab probation 3/10, 2 s 12,000 0 0 9 - 64 KiB now"
        );
        assert!(lines[2].ends_with("over 5 min ago"), "{text}");
        assert_eq!(lines[3], "gw-01 overheat: rejected (older): push again");
        let json = super::lines(&[&probation], &BTreeMap::new());
        let json: serde_json::Value = serde_json::from_str(&json).expect("one object");
        assert_eq!((&json["events_left"], &json["left_ms"]), (&7.into(), &1_500.into()));
        assert_eq!((&json["phase"], &json["fresh"]), (&"probation".into(), &true.into()));
    }
}
