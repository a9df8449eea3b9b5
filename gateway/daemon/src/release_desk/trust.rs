//! Trust files that come over MQTT.

use tidegate_core::release::{Examined, Refusal};
use tidegate_release::open;
use tidegate_release::trust::Rotated;
use tracing::{error, info, warn};

use super::{Desk, refused};

impl Desk {
    pub(super) fn take_trust(&mut self, bytes: &[u8]) -> Examined {
        let Some(trust) = &self.trust else {
            return Examined::Nothing;
        };
        match trust.follow(bytes) {
            Ok(Rotated::Next(next)) => {
                // What is not written down does not hold: after a power cut the old one would be back.
                if let Err(error) = self.files.keep_trust(next.file()) {
                    error!(%error, "a new trust file cannot be written, so the old one holds");
                    return Examined::Nothing;
                }
                info!(
                    version = next.version(),
                    key_epoch = next.key_epoch(),
                    "a new trust file holds"
                );
                let (version, key_epoch) = (next.version(), next.key_epoch());
                self.audit.note_trust(self.when, version, key_epoch, next.file());
                self.trust = Some(next);
                self.drop_untrusted();
                return Examined::Trusted;
            }
            Ok(Rotated::Same) => {}
            Ok(Rotated::Older) => {
                let text = "a newer trust file holds; sign the next one on top of that";
                return refused(None, Refusal::new("older-trust", text));
            }
            Err(error) => {
                if self.may_warn() {
                    warn!(%error, code = error.code(), "a trust file was refused");
                }
                return refused(None, Refusal::new(error.code(), error.to_string()));
            }
        }
        Examined::Nothing
    }

    /// What waits must be good under the trust that holds now.
    fn drop_untrusted(&mut self) {
        for wanted in std::mem::take(&mut self.wanted) {
            let is_good = self
                .trust
                .as_ref()
                .is_some_and(|trust| open::verify(&wanted.envelope, trust).is_ok());
            if is_good {
                self.wanted.push_back(wanted);
            }
        }
        self.forget_unwanted();
    }
}
