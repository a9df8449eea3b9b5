//! From what the core says about a handler to what is signed.

use tidegate_core::release as core;
use tidegate_release::answer::{Answer, EVENT_BYTES_MAX, Figures, Invoked, LastEvent, Stage, told};
use tidegate_release::golden::Expect;
use tidegate_release::hash::Digest;
use tidegate_release::manifest::TOPIC_BYTES_MAX;
use tidegate_release::name::Name;
use tidegate_release::ratchet::Rank;

/// None: the handler's name is none that could be pushed.
pub fn answer(said: &core::Answer, gateway: &Name, counter: u64) -> Option<Answer> {
    let release = said.release.map(|(rank, digest)| {
        (Rank { key_epoch: rank.key_epoch, seq: rank.seq }, Digest(digest.0))
    });
    Some(Answer {
        gateway: gateway.clone(),
        handler: Name::new(&said.handler).ok()?,
        counter,
        stage: stage(&said.stage),
        release,
        version: (!said.version.is_empty()).then(|| said.version.clone()),
        figures: Figures {
            events: said.figures.events,
            failed: said.figures.failed,
            deadline_misses: said.figures.deadline_misses,
            fuel: said.figures.fuel,
            p99_us: said.figures.p99_us,
            memory_kib: said.figures.memory_kib.into(),
        },
    })
}

fn stage(stage: &core::Stage) -> Stage {
    match stage {
        core::Stage::Checking { have, of } => Stage::Checking { have: *have, of: *of },
        core::Stage::Installing => Stage::Installing,
        core::Stage::Probation { events_left, events_of, left_ms } => Stage::Probation {
            events: u64::from(events_of - events_left),
            events_of: u64::from(*events_of),
            left_ms: *left_ms,
        },
        core::Stage::Active => Stage::Active,
        core::Stage::Rejected(refusal) => {
            Stage::Rejected { code: refusal.code.clone(), text: told(&refusal.text) }
        }
        core::Stage::RolledBack { refusal, last } => Stage::RolledBack {
            code: refusal.code.clone(),
            text: told(&match last {
                Some(last) => format!("{}; the last one: {}", refusal.text, last.failure),
                None => refusal.text.clone(),
            }),
            event: last.as_ref().map(|last| LastEvent {
                topic: cut(&last.topic),
                payload: last.payload[..last.payload.len().min(EVENT_BYTES_MAX)].to_vec(),
            }),
        },
        core::Stage::Removed => Stage::Removed,
        core::Stage::Invoked(invoked) => Stage::Invoked(self::invoked(invoked)),
        core::Stage::SafeMode => Stage::Rejected {
            code: "safe-mode".to_owned(),
            text: "the daemon restarted so often that it runs no handlers; push a better one, or restart it after a minute"
                .to_owned(),
        },
    }
}

/// The beginning of a topic, as much as an answer has room for.
fn cut(topic: &str) -> String {
    let end = (0..=topic.len().min(TOPIC_BYTES_MAX)).rev().find(|end| topic.is_char_boundary(*end));
    told(&topic[..end.unwrap_or(0)])
}

fn invoked(invoked: &core::Invoked) -> Invoked {
    let publishes = invoked.publishes.iter().map(|publish| Expect::Publish {
        topic: publish.topic.as_str().to_owned(),
        payload: publish.payload.to_vec(),
    });
    let sends = invoked.sends.iter().filter_map(|(stream, payload)| {
        Some(Expect::Send { stream: Name::new(stream).ok()?, payload: payload.to_vec() })
    });
    let told = Invoked {
        nonce: invoked.invoke.nonce,
        is_dry: invoked.invoke.is_dry,
        fuel: invoked.fuel,
        us: 0,
        effects: Vec::new(),
        left_off: 0,
        failed: invoked.failed.as_deref().map(told),
    };
    let pins = invoked.pins.iter();
    let pins =
        pins.filter_map(|(name, on)| Some(Expect::Pin { name: Name::new(name).ok()?, on: *on }));
    told.with_effects(publishes.chain(sends).chain(pins))
}
