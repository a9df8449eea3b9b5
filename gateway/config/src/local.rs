//! From `[local]` to [`Local`]: our own front door, or somebody's broker.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::broker::{BROKER_KEYS, ClientIdDefault, broker};
use crate::reader::Table;
use crate::settings::Local;

/// Where the front door listens when nothing is said: MQTT's own port, and nobody from outside.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1883);
const EXAMPLE: &str = "\"127.0.0.1:1883\"";
/// Not the id alone: a broker that is ours upstream too would take one for the other.
const CLIENT_ID: ClientIdDefault =
    ClientIdDefault { told: "tidegate-ID", make: |id| format!("tidegate-{id}") };

/// What `[local]` means. `folder` is where relative paths start.
pub(crate) fn local(table: &Table<'_>, id: Option<&str>, folder: &Path) -> Option<Local> {
    let listens = table.text_or_texts("listen", EXAMPLE);
    let brokered = table.has("broker");
    // Read in any case, so that a mistake there is found however the rest stands.
    let broker = broker(table, id, &CLIENT_ID, folder);
    if listens.is_some() && brokered {
        table.place("broker").wrong(
            "stands beside `listen`; keep `listen` for the embedded front door or `broker` for one that is there already",
        );
        return None;
    }
    if brokered {
        return broker.map(Local::Broker);
    }
    for key in BROKER_KEYS {
        if table.has(key) {
            table
                .place(key)
                .wrong("goes with `broker` only; remove it, or add broker = \"mqtt://HOST:1883\"");
        }
    }
    let Some(written) = listens else {
        return Some(Local::FrontDoor { listen: vec![LISTEN_DEFAULT] });
    };
    if written.is_empty() && table.is_clean() {
        table.place("listen").wrong(format!("is empty; write an address, for example {EXAMPLE}"));
    }
    let mut listen = Vec::new();
    for at in &written {
        let Ok(address) = at.value.parse::<SocketAddr>() else {
            at.place.wrong(format!(
                "{:?} is not an address; use IP:PORT, for example 127.0.0.1:1883",
                at.value
            ));
            continue;
        };
        if listen.contains(&address) {
            at.place.wrong(format!("{address} is listed twice; remove one of the two"));
        }
        if !address.ip().is_loopback() {
            at.place.warn(format!(
                "{address} can be reached from other machines, and the front door lets everyone in who can reach it"
            ));
        }
        listen.push(address);
    }
    Some(Local::FrontDoor { listen })
}
