//! From the manifest of a signed release to what the core knows of one, within the board's limits.

use std::sync::Arc;

use tidegate_core::job::Invoke;
use tidegate_core::limits::Caps;
use tidegate_core::manifest::{
    Grants, HandlerLimits, Isolation, Manifest, React, is_control, is_name,
};
use tidegate_core::message::{Message, QoS};
use tidegate_core::pins::Pins;
use tidegate_core::release::{Digest, Probation, Rank, Refusal, Release};
use tidegate_core::time::WallTime;
use tidegate_core::topic::{Filter, Topic};
use tidegate_release::manifest::{self as signed, Install};
use tidegate_release::name::Name;
use tidegate_release::open::Opened;
use tidegate_release::ratchet;

pub fn rank(rank: ratchet::Rank) -> Rank {
    Rank { key_epoch: rank.key_epoch, seq: rank.seq }
}

pub fn signed_rank(rank: Rank) -> ratchet::Rank {
    ratchet::Rank { key_epoch: rank.key_epoch, seq: rank.seq }
}

/// Whether the board allows it, before any of its bytes are taken in.
pub fn check(handler: &Name, install: &Install, caps: &Caps) -> Result<(), Refusal> {
    manifest(handler, install)?;
    let limits = &install.limits;
    let asked = [
        ("module", install.module.bytes, caps.module_bytes_max as u64, "module_bytes_max"),
        (
            "golden events",
            install.golden.map_or(1, |blob| blob.bytes),
            caps.module_bytes_max as u64,
            "module_bytes_max",
        ),
        ("fuel", limits.fuel, caps.fuel_max, "fuel_max"),
        ("memory_kib", limits.memory_kib.into(), caps.memory_kib_max.into(), "memory_kib_max"),
        ("deadline_ms", limits.deadline_ms.into(), caps.deadline_ms_max.into(), "deadline_ms_max"),
    ];
    for (what, wants, most, key) in asked {
        if wants > most {
            let text = format!(
                "{what}: it asks for {wants}, this gateway's board allows {most} (handler.{key}); ask for less, or push to a larger board"
            );
            return Err(Refusal::new("over-budget", text));
        }
    }
    Ok(())
}

/// Whether the board has the pins that it asks for: without them it could never do what it is for.
pub fn check_pins(install: &Install, pins: &Pins) -> Result<(), Refusal> {
    match install.grants.pins.iter().find(|name| pins.find(name.as_str()).is_none()) {
        None => Ok(()),
        Some(pin) => {
            let text = format!(
                "it asks for the pin {pin}, which this gateway's board has not; add it to [pins] of the board's file, or push to another gateway"
            );
            Err(Refusal::new("pins", text))
        }
    }
}

fn manifest(handler: &Name, install: &Install) -> Result<Manifest, Refusal> {
    let bad = |text: String| Refusal::new("manifest", text);
    if !is_name(handler.as_str()) {
        return Err(bad(format!("{handler} is no handler's name; use 1 to 32 of a-z, 0-9 and -")));
    }
    let filters = |texts: &[String]| -> Result<Vec<Filter>, Refusal> {
        let each = texts.iter().map(|text| {
            Filter::new(text)
                .map_err(|error| bad(format!("{text:?} is no topic filter: it {error}")))
        });
        each.collect()
    };
    if let Some(control) = install.grants.publish.iter().find(|topic| is_control(topic)) {
        return Err(bad(format!("{control:?} is a control topic, and those are never granted")));
    }
    Ok(Manifest {
        name: handler.as_str().to_owned(),
        version: install.version.clone(),
        triggers: filters(&install.events)?,
        limits: HandlerLimits {
            fuel: install.limits.fuel,
            memory_kib: install.limits.memory_kib,
            deadline_ms: install.limits.deadline_ms,
            publishes: install.limits.publishes,
        },
        grants: Grants {
            publish: filters(&install.grants.publish)?,
            send: install.grants.streams.iter().map(|name| name.as_str().to_owned()).collect(),
            gpio: install.grants.pins.iter().map(|name| name.as_str().to_owned()).collect(),
        },
        isolation: match install.isolation {
            signed::Isolation::Event => Isolation::Event,
            signed::Isolation::Instance => Isolation::Instance,
        },
        react: match install.react {
            signed::React::Now => React::Now,
            signed::React::Durable => React::Durable,
        },
        config: install.settings.clone(),
    })
}

/// The event that a person sends.
pub fn event(invoke: &signed::Invoke) -> Result<(Message, Invoke), Refusal> {
    let topic = Topic::new(&invoke.topic).map_err(|error| {
        Refusal::new("topic", format!("{:?} is no topic: it {error}", invoke.topic))
    })?;
    let message = Message {
        topic,
        payload: invoke.payload.as_slice().into(),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: Arc::from("invoke"),
        at: WallTime::default(),
        hops: 0,
        mark: None,
    };
    Ok((message, Invoke { nonce: invoke.nonce, is_dry: invoke.is_dry }))
}

/// The release of an order that is known to be good.
pub fn release(opened: &Opened, install: &Install, caps: &Caps) -> Result<Release, Refusal> {
    check(&opened.order.handler, install, caps)?;
    let probation = &install.probation;
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Release {
        digest: Digest(opened.digest.0),
        rank: rank(opened.order.rank),
        manifest: Arc::new(manifest(&opened.order.handler, install)?),
        module: Digest(install.module.digest.0),
        golden: install.golden.map(|blob| Digest(blob.digest.0)),
        migrate_from: install.migrate_from.clone(),
        probation: Probation {
            events: narrow(probation.events),
            uptime_ms: probation.uptime_ms,
            failed_per_mille_max: u16::try_from(probation.failed_per_mille_max).unwrap_or(1000),
            deadline_misses_max: probation.deadline_misses_max,
            p99_us_max: narrow(probation.p99_us_max.into()),
            memory_kib_max: probation.memory_kib_max,
        },
    })
}
