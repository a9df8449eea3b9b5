//! The answer to `outbox`.
//!
//! ```text
//! gateway, epoch (16 hexadecimal digits)
//! uplink    state (up, down, none), since_s
//! under_way, journal (used_bytes, quota_bytes, or null when the store does not answer)
//! streams   name (null: not configured any more), number, waiting, waiting_bytes, delivered,
//!           oldest_s (null: unknown or nothing), oldest (exact, at-least, unknown, none),
//!           delivered_lately and lately_ms (the last minute), drain_s (null: unknown), lost (by reason)
//! ```

use std::collections::BTreeMap;

use tidegate_config::Json;
use tidegate_core::record::{LossReason, StreamId};
use tidegate_core::{Age, Backlogged, Gateway, Timestamp, UplinkState};

use super::Name;
use crate::store_driver::Fill;

pub(super) fn describe(gateway: &Gateway, now: Timestamp, name: &Name, fill: Option<Fill>) -> Json {
    let state = gateway.uplink();
    let (word, since) = match state {
        UplinkState::None => ("none", None),
        UplinkState::Up { since } => ("up", Some(since)),
        UplinkState::Down { since } => ("down", Some(since)),
    };
    let since_s = since.map_or(Json::Null, |since| Json::Number(now.since(since).as_secs()));
    let is_up = matches!(state, UplinkState::Up { .. });
    let journal = fill.map_or(Json::Null, |fill| {
        Json::Object(vec![
            ("used_bytes", Json::Number(fill.used_bytes)),
            ("quota_bytes", Json::Number(fill.quota_bytes)),
        ])
    });
    let streams = streams(gateway, now).into_iter();
    Json::Object(vec![
        ("gateway", Json::text(&name.gateway)),
        ("epoch", Json::Text(format!("{:016x}", name.epoch))),
        ("uplink", Json::Object(vec![("state", Json::text(word)), ("since_s", since_s)])),
        ("under_way", Json::Number(gateway.under_way() as u64)),
        ("journal", journal),
        ("streams", Json::List(streams.map(|(id, line)| line.told(gateway, id, is_up)).collect())),
    ])
}

/// One stream.
#[derive(Default)]
struct Line {
    backlog: Option<Backlogged>,
    lost: BTreeMap<LossReason, u64>,
}

/// Every stream that is configured, has records or lost some.
fn streams(gateway: &Gateway, now: Timestamp) -> BTreeMap<StreamId, Line> {
    let mut lines: BTreeMap<StreamId, Line> = BTreeMap::new();
    for stream in gateway.streams().iter() {
        lines.entry(stream.id).or_default();
    }
    for backlog in gateway.backlog(now) {
        lines.entry(backlog.waiting.stream).or_default().backlog = Some(backlog);
    }
    for loss in gateway.losses() {
        lines.entry(loss.stream).or_default().lost.insert(loss.reason, loss.count);
    }
    lines
}

impl Line {
    fn told(self, gateway: &Gateway, id: StreamId, is_up: bool) -> Json {
        let name = gateway.streams().get(id).map(|stream| Json::text(&stream.name));
        let waiting = self.backlog.map(|backlog| backlog.waiting);
        let number = |number: Option<u64>| Json::Number(number.unwrap_or(0));
        let (oldest_s, oldest) = match self.backlog.and_then(|backlog| backlog.oldest) {
            None => (Json::Null, "none"),
            Some(Age::Unknown) => (Json::Null, "unknown"),
            Some(Age::AtLeast(ms)) => (Json::Number(ms / 1000), "at-least"),
            Some(Age::Exactly(ms)) => (Json::Number(ms / 1000), "exact"),
        };
        let lost =
            |(reason, count): (&LossReason, &u64)| (reason.name().to_owned(), Json::Number(*count));
        Json::Object(vec![
            ("name", name.unwrap_or(Json::Null)),
            ("number", Json::Number(id.0.into())),
            ("waiting", number(waiting.map(|waiting| waiting.records))),
            ("waiting_bytes", number(waiting.map(|waiting| waiting.bytes))),
            ("oldest_s", oldest_s),
            ("oldest", Json::text(oldest)),
            ("delivered", number(waiting.map(|waiting| waiting.delivered))),
            ("delivered_lately", number(self.backlog.map(|backlog| backlog.delivered_lately))),
            ("lately_ms", number(self.backlog.map(|backlog| backlog.lately_ms))),
            ("drain_s", self.drain_s(is_up).map_or(Json::Null, Json::Number)),
            ("lost", Json::Map(self.lost.iter().map(lost).collect())),
        ])
    }

    /// How long what waits takes to go, at the pace of the last minute. None: nobody knows.
    fn drain_s(&self, is_up: bool) -> Option<u64> {
        let Some(backlog) = self.backlog.filter(|backlog| backlog.waiting.records > 0) else {
            return Some(0);
        };
        let ms = u128::from(backlog.waiting.records) * u128::from(backlog.lately_ms);
        let ms = ms.checked_div(u128::from(backlog.delivered_lately)).filter(|_| is_up)?;
        u64::try_from(ms.div_ceil(1000)).ok()
    }
}
