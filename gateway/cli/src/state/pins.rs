//! Whose answers are believed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_release::keys::parse_public;
use tidegate_release::{Name, PublicKey};

use super::{State, put};
use crate::failure::Failure;

/// What is known of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    pub key: PublicKey,
    /// By handler.
    pub seen: BTreeMap<String, Seen>,
}

/// The newest answer that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub counter: u64,
    /// When it was heard first, in seconds since 1970.
    pub at: u64,
}

impl State {
    fn key_path(&self, gateway: &Name) -> PathBuf {
        self.path(&["gateways", &format!("{gateway}.pub")])
    }

    /// Where a gateway's key is written: for a person who has to remove it.
    pub fn key_file(&self, gateway: &Name) -> String {
        self.key_path(gateway).display().to_string()
    }

    fn seen_path(&self, gateway: &Name) -> PathBuf {
        self.path(&["gateways", &format!("{gateway}.seen")])
    }

    /// Where it is written how far a gateway's answers are.
    pub fn seen_file(&self, gateway: &Name) -> String {
        self.seen_path(gateway).display().to_string()
    }

    /// What is known of a gateway, if anything is.
    ///
    /// # Errors
    /// When its key is there and cannot be read: it is not taken for unknown.
    pub fn pin(&self, gateway: &Name) -> Result<Option<Pin>, Failure> {
        let path = self.key_path(gateway);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Failure::failed(format!("{} cannot be read: {error}", path.display())));
            }
        };
        let key = parse_public(&text).map_err(|error| {
            Failure::data(format!(
                "{}: {error}; put the gateway's gateway.pub there, or remove the file and check the key that it \
                 is pinned to next",
                path.display()
            ))
        })?;
        let seen = fs::read(self.seen_path(gateway)).ok();
        // A damaged one only means that replays from before are not noticed.
        let seen = seen.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(Some(Pin { key, seen }))
    }

    /// Remembers the key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_key(&self, gateway: &Name, key: &PublicKey) -> Result<(), Failure> {
        put(&self.key_path(gateway), key.to_file().as_bytes())
    }

    /// Remembers how far the answers are.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_seen(&self, gateway: &Name, seen: &BTreeMap<String, Seen>) -> Result<(), Failure> {
        let text = serde_json::to_vec(seen).expect("names and numbers are JSON");
        put(&self.seen_path(gateway), &text)
    }
}
