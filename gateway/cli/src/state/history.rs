//! What was pushed from here: a line of JSON each, newest last.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use serde::{Deserialize, Serialize};
use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use tidegate_release::hash::digest_of;
use tidegate_release::keys::Domain;
use tidegate_release::manifest::{Install, Order, What};
use tidegate_release::{Digest, Name};

use super::{State, cannot_write, put};
use crate::failure::Failure;

/// One push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Seconds since 1970.
    pub at: u64,
    pub what: PushedWhat,
    pub version: Option<String>,
    pub key_epoch: u32,
    pub seq: u64,
    pub digest: String,
    pub targets: Vec<String>,
    pub signers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushedWhat {
    Install,
    Remove,
}

impl PushedWhat {
    pub const fn name(self) -> &'static str {
        match self {
            PushedWhat::Install => "install",
            PushedWhat::Remove => "remove",
        }
    }
}

impl State {
    /// A number for an event that is sent to a handler: higher than the last one of this machine, and, as far as clocks
    /// are right, of all others. It is written down before it is used.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn next_invoke(&self, fleet: &Name, handler: &Name, unix_s: u64) -> Result<u64, Failure> {
        let path = self.path(&["invoked", fleet.as_str(), handler.as_str()]);
        let last = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let seq = unix_s.max(last.map_or(0, |last| last.saturating_add(1)));
        put(&path, format!("{seq}\n").as_bytes())?;
        Ok(seq)
    }

    /// Adds a push. Before it is sent: a seq that was used is not used again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_pushed(&self, fleet: &Name, handler: &Name, pushed: &Pushed) -> Result<(), Failure> {
        let path = self.path(&["pushed", fleet.as_str(), handler.as_str()]);
        let line = serde_json::to_string(pushed).expect("texts and numbers are JSON") + "\n";
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(|error| cannot_write(&path, &error))
    }

    /// What was pushed, newest last. A line that is damaged is passed over.
    pub fn pushed(&self, fleet: &Name, handler: &Name) -> Vec<Pushed> {
        let path = self.path(&["pushed", fleet.as_str(), handler.as_str()]);
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Every fleet from which a handler of that name was pushed.
    pub fn fleets(&self, handler: &Name) -> Vec<Name> {
        let Ok(entries) = fs::read_dir(self.path(&["pushed"])) else {
            return Vec::new();
        };
        let mut fleets: Vec<Name> = entries
            .filter_map(|entry| Name::new(entry.ok()?.file_name().to_str()?).ok())
            .filter(|fleet| !self.pushed(fleet, handler).is_empty())
            .collect();
        fleets.sort_unstable();
        fleets
    }

    /// Keeps an order's envelope.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_order(&self, digest: Digest, envelope: &[u8]) -> Result<(), Failure> {
        put(&self.path(&["orders", &digest.to_string()]), envelope)
    }

    /// An order's envelope.
    pub fn order(&self, digest: &str) -> Option<Vec<u8>> {
        // Only a digest is a file's name.
        let digest: Digest = digest.parse().ok()?;
        fs::read(self.path(&["orders", &digest.to_string()])).ok()
    }

    /// The handler that an order installs, when the file is still the one of that digest.
    pub fn install(&self, digest: &str) -> Option<Install> {
        let bytes = self.order(digest)?;
        let envelope = Envelope::decode(&bytes, ENVELOPE_BYTES_MAX).ok()?;
        if envelope.digest(Domain::Release).to_string() != digest {
            return None;
        }
        match Order::decode(envelope.payload).ok()?.what {
            What::Install(install) => Some(install),
            What::Remove | What::Invoke(_) => None,
        }
    }

    /// Keeps a module or golden events.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_blob(&self, blob: &[u8]) -> Result<(), Failure> {
        let digest = digest_of(blob);
        if self.blob(digest).is_some() {
            return Ok(());
        }
        put(&self.path(&["blobs", &digest.to_string()]), blob)
    }

    /// A module or golden events, as long as nobody has changed the file.
    pub fn blob(&self, digest: Digest) -> Option<Vec<u8>> {
        let blob = fs::read(self.path(&["blobs", &digest.to_string()])).ok()?;
        (digest_of(&blob) == digest).then_some(blob)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_release::SecretKey;
    use tidegate_release::manifest::{Provenance, Target};
    use tidegate_release::ratchet::Rank;

    use super::*;

    fn pushed(seq: u64) -> Pushed {
        Pushed {
            at: 7,
            what: PushedWhat::Install,
            version: Some("1.0".to_owned()),
            key_epoch: 1,
            seq,
            digest: "ab".to_owned(),
            targets: vec!["gw-01".to_owned()],
            signers: Vec::new(),
        }
    }

    #[test]
    fn what_was_pushed_is_found_again_beside_damage() {
        let root = std::env::temp_dir().join(format!("tidegate-{}-history", std::process::id()));
        let state = State::at(root.clone());
        let name = |text: &str| Name::new(text).expect("a name");
        let (fleet, handler) = (name("plant"), name("overheat"));
        assert_eq!(state.pushed(&fleet, &handler), []);
        state.add_pushed(&fleet, &handler, &pushed(1)).expect("written");
        let path = root.join("pushed/plant/overheat");
        let torn = fs::read_to_string(&path).expect("it is there") + "{\"at\": 8, \"what\"\n";
        fs::write(&path, torn).expect("written");
        state.add_pushed(&fleet, &handler, &pushed(2)).expect("written");
        assert_eq!(state.pushed(&fleet, &handler), [pushed(1), pushed(2)]);
        assert_eq!(state.fleets(&handler), [fleet]);
        assert_eq!(state.fleets(&name("other")), []);
        state.keep_blob(b"module").expect("written");
        let digest = digest_of(b"module");
        assert_eq!(state.blob(digest).as_deref(), Some(&b"module"[..]));
        fs::write(root.join("blobs").join(digest.to_string()), b"modules").expect("written");
        assert_eq!(state.blob(digest), None, "somebody changed it");
        assert_eq!(state.order("../pushed/plant/overheat"), None, "no digest, no file");
        fs::remove_dir_all(root).expect("it was ours");
    }

    #[test]
    fn an_order_counts_under_its_own_digest_only() {
        let root = std::env::temp_dir().join(format!("tidegate-{}-orders", std::process::id()));
        let state = State::at(root.clone());
        let name = |text: &str| Name::new(text).expect("a name");
        let order = Order {
            fleet: name("plant"),
            handler: name("overheat"),
            rank: Rank { key_epoch: 1, seq: 1 },
            targets: vec![Target::Gateway(name("gw-01"))],
            what: What::Remove,
            provenance: Provenance::default(),
        };
        let bytes = order.sign(&[&SecretKey::generate([1; 32])]).expect("it signs");
        let other = Digest([7; 32]);
        state.keep_order(other, &bytes).expect("written");
        assert_eq!(state.order(&other.to_string()).as_deref(), Some(&bytes[..]));
        assert_eq!(state.install(&other.to_string()), None);
        fs::remove_dir_all(root).expect("it was ours");
    }
}
