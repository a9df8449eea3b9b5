//! A trust file for people, and as JSON.

use serde::Serialize;
use tidegate_release::KeyId;
use tidegate_release::trust::{Role, Trust, peek};

use crate::args::Args;
use crate::failure::Failure;
use crate::key_files;

#[derive(Serialize)]
struct Shown {
    fleet: String,
    version: u64,
    key_epoch: u32,
    roots: ShownRole,
    release: ShownRole,
    revoked: Vec<String>,
    signed_by: Vec<String>,
    digest: Option<String>,
    /// Why no gateway takes it.
    wrong: Option<String>,
}

#[derive(Serialize)]
struct ShownRole {
    threshold: u32,
    keys: Vec<ShownKey>,
}

#[derive(Serialize)]
struct ShownKey {
    id: String,
    public: String,
}

pub(super) fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &[])?;
    let path = args.word("the trust file")?;
    let file = key_files::bytes(path)?;
    let told = |error: tidegate_release::trust::Wrong| Failure::data(format!("{path}: {error}"));
    let (content, signers) = peek(&file).map_err(told)?;
    let trust = Trust::first(&file);
    let shown = Shown {
        fleet: content.fleet.to_string(),
        version: content.version,
        key_epoch: content.key_epoch,
        roots: ShownRole::of(&content.roots),
        release: ShownRole::of(&content.release),
        revoked: content.revoked.iter().map(KeyId::to_string).collect(),
        signed_by: signers.iter().map(KeyId::to_string).collect(),
        digest: trust.as_ref().ok().map(|trust| trust.digest().to_string()),
        wrong: trust.err().map(|error| error.to_string()),
    };
    if args.has("json") {
        println!("{}", serde_json::to_string(&shown).expect("names and numbers are JSON"));
    } else {
        print!("{}", shown.describe());
    }
    Ok(())
}

impl ShownRole {
    fn of(role: &Role) -> ShownRole {
        let key = |key: &tidegate_release::PublicKey| ShownKey {
            id: key.id().to_string(),
            public: key.to_string(),
        };
        ShownRole { threshold: role.threshold, keys: role.keys.iter().map(key).collect() }
    }

    fn describe(&self, name: &str, signed_by: &[String]) -> String {
        let mut text = format!("{name}, {} of {} must sign:\n", self.threshold, self.keys.len());
        for key in &self.keys {
            let signed = if signed_by.contains(&key.id) { "  (signed this)" } else { "" };
            text.push_str(&format!("  {}  {}{signed}\n", key.id, key.public));
        }
        text
    }
}

impl Shown {
    fn describe(&self) -> String {
        let mut text = format!(
            "fleet {}, version {}, key epoch {}\n",
            self.fleet, self.version, self.key_epoch
        );
        text.push_str(&self.roots.describe("roots", &self.signed_by));
        text.push_str(&self.release.describe("release keys", &[]));
        if !self.revoked.is_empty() {
            text.push_str(&format!("revoked: {}\n", self.revoked.join(" ")));
        }
        if let Some(digest) = &self.digest {
            text.push_str(&format!("digest {digest}\n"));
        }
        if let Some(wrong) = &self.wrong {
            text.push_str(&format!("as a first file no gateway takes it: {wrong}\n"));
        }
        text
    }
}
