//! Where things are said: `tidegate/1/...`. A topic is an address and never the authority: whom an order is for stands
//! in what was signed.

use std::fmt;
use std::str::FromStr;

use crate::hash::Digest;
use crate::manifest::Target;
use crate::name::Name;

/// What every control topic begins with.
pub const ROOT: &str = "tidegate/1/";

/// A control topic.
///
/// | topic | holds |
/// |---|---|
/// | `tidegate/1/blob/<sha256>/<n>` | a chunk, retained |
/// | `tidegate/1/<target>/release/<handler>` | an install or remove, retained |
/// | `tidegate/1/<target>/invoke/<handler>` | an invoke |
/// | `tidegate/1/<target>/follow/<handler>` | nothing: somebody wants its log lines for the next 30 s |
/// | `tidegate/1/<target>/trust` | a trust file or a chain of them, retained |
/// | `tidegate/1/<gateway>/handler/<handler>` | the gateway's answer, retained |
/// | `tidegate/1/<gateway>/invoked/<handler>` | the gateway's answer to an invoke |
/// | `tidegate/1/<gateway>/logs/<handler>` | a line that the handler logs, as JSON, not signed: only while somebody follows |
/// | `tidegate/1/<gateway>/gateway` | the gateway's report, retained |
///
/// A target is a gateway's id or `group:` and a group's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlTopic {
    /// When it holds chunk `n` of a blob.
    Blob { digest: Digest, n: u32 },
    /// When it holds an install or a remove.
    Release { target: Target, handler: Name },
    /// When it holds an invoke.
    Invoke { target: Target, handler: Name },
    /// When somebody wants to see what the handler logs.
    Follow { target: Target, handler: Name },
    /// When it holds trust files.
    Trust { target: Target },
    /// When it holds what became of a release.
    Answer { gateway: Name, handler: Name },
    /// When it holds what became of an invoke.
    Invoked { gateway: Name, handler: Name },
    /// When it holds log lines.
    Logs { gateway: Name, handler: Name },
    /// When it holds a gateway's report on itself.
    Gateway { gateway: Name },
}

/// When a topic is no control topic of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no control topic of Tidegate; they begin with tidegate/1/")]
pub struct NoControlTopic;

impl ControlTopic {
    /// Reads a topic.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(topic: &str) -> Result<ControlTopic, NoControlTopic> {
        parse(topic).ok_or(NoControlTopic)
    }
}

fn parse(topic: &str) -> Option<ControlTopic> {
    let mut levels = topic.strip_prefix(ROOT)?.split('/');
    let (first, second, third) = (levels.next()?, levels.next()?, levels.next());
    if levels.next().is_some() {
        return None;
    }
    // A gateway may be called "blob": no word of the second level is a digest.
    if let ("blob", Ok(digest)) = (first, second.parse()) {
        return Some(ControlTopic::Blob { digest, n: number(third?)? });
    }
    let target = || first.parse::<Target>().ok();
    let gateway = || Name::new(first).ok();
    let handler = || Name::new(third?).ok();
    Some(match second {
        "release" => ControlTopic::Release { target: target()?, handler: handler()? },
        "invoke" => ControlTopic::Invoke { target: target()?, handler: handler()? },
        "follow" => ControlTopic::Follow { target: target()?, handler: handler()? },
        "trust" if third.is_none() => ControlTopic::Trust { target: target()? },
        "handler" => ControlTopic::Answer { gateway: gateway()?, handler: handler()? },
        "invoked" => ControlTopic::Invoked { gateway: gateway()?, handler: handler()? },
        "logs" => ControlTopic::Logs { gateway: gateway()?, handler: handler()? },
        "gateway" if third.is_none() => ControlTopic::Gateway { gateway: gateway()? },
        _ => return None,
    })
}

/// A number as it is written: decimal, no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let n: u32 = text.parse().ok()?;
    (n.to_string() == text).then_some(n)
}

impl FromStr for ControlTopic {
    type Err = NoControlTopic;

    fn from_str(topic: &str) -> Result<ControlTopic, NoControlTopic> {
        ControlTopic::parse(topic)
    }
}

impl fmt::Display for ControlTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ROOT)?;
        match self {
            ControlTopic::Blob { digest, n } => write!(f, "blob/{digest}/{n}"),
            ControlTopic::Release { target, handler } => write!(f, "{target}/release/{handler}"),
            ControlTopic::Invoke { target, handler } => write!(f, "{target}/invoke/{handler}"),
            ControlTopic::Follow { target, handler } => write!(f, "{target}/follow/{handler}"),
            ControlTopic::Trust { target } => write!(f, "{target}/trust"),
            ControlTopic::Answer { gateway, handler } => write!(f, "{gateway}/handler/{handler}"),
            ControlTopic::Invoked { gateway, handler } => write!(f, "{gateway}/invoked/{handler}"),
            ControlTopic::Logs { gateway, handler } => write!(f, "{gateway}/logs/{handler}"),
            ControlTopic::Gateway { gateway } => write!(f, "{gateway}/gateway"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[test]
    fn every_topic_is_read_as_it_is_written() {
        let digest = Digest([0xab; 32]);
        let group = Target::Group(name("boilers"));
        let one = Target::Gateway(name("gw-01"));
        let (gateway, handler) = (name("gw-01"), name("overheat"));
        let (g, h) = (|| gateway.clone(), || handler.clone());
        for (topic, text) in [
            (ControlTopic::Blob { digest, n: 0 }, format!("blob/{digest}/0")),
            (ControlTopic::Blob { digest, n: u32::MAX }, format!("blob/{digest}/4294967295")),
            (
                ControlTopic::Release { target: group.clone(), handler: h() },
                "group:boilers/release/overheat".into(),
            ),
            (
                ControlTopic::Release { target: one.clone(), handler: h() },
                "gw-01/release/overheat".into(),
            ),
            (
                ControlTopic::Invoke { target: one.clone(), handler: h() },
                "gw-01/invoke/overheat".into(),
            ),
            (ControlTopic::Follow { target: one, handler: h() }, "gw-01/follow/overheat".into()),
            (ControlTopic::Trust { target: group }, "group:boilers/trust".into()),
            (ControlTopic::Answer { gateway: g(), handler: h() }, "gw-01/handler/overheat".into()),
            (ControlTopic::Invoked { gateway: g(), handler: h() }, "gw-01/invoked/overheat".into()),
            (ControlTopic::Logs { gateway: g(), handler: h() }, "gw-01/logs/overheat".into()),
            (ControlTopic::Gateway { gateway: g() }, "gw-01/gateway".into()),
            (ControlTopic::Gateway { gateway: name("blob") }, "blob/gateway".into()),
            (
                ControlTopic::Answer { gateway: name("blob"), handler: name("1") },
                "blob/handler/1".into(),
            ),
        ] {
            let text = format!("tidegate/1/{text}");
            assert_eq!(topic.to_string(), text);
            assert_eq!(ControlTopic::parse(&text), Ok(topic));
        }
    }

    #[test]
    fn nothing_else_is_a_control_topic() {
        let digest = Digest([0xab; 32]);
        let blob = format!("tidegate/1/blob/{digest}");
        let blobs = ["", "/", "/-1", "/+1", "/01", "/4294967296", "/1/", "/1/2"];
        let blobs = blobs.iter().map(|end| format!("{blob}{end}"));
        let others = [
            "",
            "tidegate/1/",
            "tidegate/1/gw",
            "tidegate/2/gw/trust",
            "tidegate/1/gw/trust/",
            "tidegate/1/gw/trust/x",
            "tidegate/1/gw/release",
            "tidegate/1/gw/release/",
            "tidegate/1/gw/release/a/b",
            "tidegate/1/gw/release/A",
            "tidegate/1/group:x/handler/a",
            "tidegate/1/group:x/gateway",
            "tidegate/1/group:/trust",
            "tidegate/1/gw/gateway/x",
            "tidegate/1/gw/other/x",
            "/tidegate/1/gw/trust",
            "tidegate/1/+/trust",
            "tidegate/1/blob/ab/1",
            "tidegate/1/group:group:x/trust",
        ];
        for topic in others.into_iter().map(String::from).chain(blobs) {
            assert_eq!(ControlTopic::parse(&topic), Err(NoControlTopic), "{topic}");
        }
    }
}
