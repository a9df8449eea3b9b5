//! From `[uplink]` to [`UplinkSettings`]: how records leave the gateway.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::broker::{ClientIdDefault, broker};
use crate::reader::Table;
use crate::settings::{Protocol, UplinkSettings};

/// Upstream knows the gateway by its id alone, as it stands in every record.
const CLIENT_ID: ClientIdDefault =
    ClientIdDefault { told: "the gateway's id", make: |id| id.to_owned() };

/// A record's number is remembered until its ack comes; more than this many in flight fill no link better.
const WINDOW: RangeInclusive<u64> = 1..=256;
const WINDOW_DEFAULT: u64 = 32;
/// More than any link and broker takes.
const RATE_PER_S: RangeInclusive<u64> = 0..=1_000_000;
/// At most a window of them is in memory at once.
const MESSAGE_BYTES: RangeInclusive<u64> = 1024..=1_048_576;
/// 100 KiB: what the large cloud brokers take (AWS IoT 128 KB, Azure IoT 256 KB), with room for the envelope.
const MESSAGE_BYTES_DEFAULT: u64 = 102_400;

/// What `[uplink]` means, with no outlets yet; `None` when it is not written or something is wrong.
pub(crate) fn uplink(root: &Table<'_>, id: Option<&str>, folder: &Path) -> Option<UplinkSettings> {
    if !root.has("uplink") {
        return None;
    }
    let table = root.table("uplink");
    if !table.has("broker") {
        table.place("broker").wrong(
            "is missing; add the broker that records go to, for example broker = \"mqtts://cloud.example:8883\"",
        );
    }
    let broker = broker(&table, id, &CLIENT_ID, folder);
    let insecure = table.flag("insecure");
    let protocol = table.choice("protocol", &[("5", Protocol::V5), ("3.1.1", Protocol::V311)]);
    let number = |key, range, default| table.number(key, range, "").map_or(default, |at| at.value);
    let window = number("window", &WINDOW, WINDOW_DEFAULT);
    let rate_per_s = number("rate_per_s", &RATE_PER_S, 0);
    let message_bytes_max = number("message_bytes_max", &MESSAGE_BYTES, MESSAGE_BYTES_DEFAULT);

    let broker = broker?;
    match (&broker.tls, insecure) {
        (None, Some(flag)) if flag.value => {}
        (None, _) => table.place("broker").wrong(
            "mqtt:// is not encrypted: whoever is on the way reads and changes every record; write mqtts:// and \
             `ca`, or insecure = true if that is meant",
        ),
        (Some(_), Some(flag)) if flag.value => flag.place.wrong(
            "goes with mqtt:// only, and mqtts:// is always verified; remove it, and name whom to trust with `ca`",
        ),
        (Some(_), _) => {}
    }
    let narrow = |number| u32::try_from(number).expect("the ranges lie within a u32");
    Some(UplinkSettings {
        broker,
        protocol: protocol.unwrap_or_default(),
        window: u16::try_from(window).expect("the range lies within a u16"),
        rate_per_s: narrow(rate_per_s),
        message_bytes_max: narrow(message_bytes_max) as usize,
        outlets: BTreeMap::new(),
    })
}
