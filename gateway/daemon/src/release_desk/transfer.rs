//! Chunks in, until everything that a release needs is here.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_core::Input;
use tidegate_core::release::{self as core, ExamineId, Examined, Refusal};
use tidegate_core::topic::Filter;
use tidegate_release::chunks::{Put, Reassembly, Unfinished, chunks_of};
use tidegate_release::hash::Digest;
use tidegate_release::manifest::What;
use tidegate_release::topics::ROOT;
use tracing::{error, warn};

use super::{Desk, WANTED_MAX, Wanted, manifest, refused};

impl Desk {
    /// An install is followed at once when its bytes are here; otherwise they are asked for.
    pub(super) fn want(&mut self, wanted: Wanted) -> Examined {
        if let Some(examined) = self.followed(&wanted) {
            self.drop_overtaken(&wanted.opened.order.handler);
            return examined;
        }
        let digest = wanted.opened.digest;
        let handler = &wanted.opened.order.handler;
        self.wanted.retain(|other| {
            other.opened.digest != digest && other.opened.order.handler != *handler
        });
        if self.wanted.len() >= WANTED_MAX
            && let Some(oldest) = self.wanted.pop_front()
            && self.may_warn()
        {
            warn!(handler = %oldest.opened.order.handler, "too many releases wait for chunks; this one must be pushed again");
        }
        for blob in &wanted.blobs {
            if self.files.has_blob(blob.digest) || self.staged.contains_key(&blob.digest) {
                continue;
            }
            match Reassembly::within(blob.digest, blob.bytes, self.caps.module_bytes_max as u64) {
                Ok(mut staged) => {
                    self.files.staged(blob.digest, |n, chunk| _ = staged.put(n, chunk));
                    self.staged.insert(blob.digest, staged);
                }
                Err(error) => {
                    return refused(Some(handler), Refusal::new("module-size", error.to_string()));
                }
            }
        }
        let checking = self.checking(&wanted);
        self.wanted.push_back(wanted);
        self.forget_unwanted();
        // What was staged before the power went may have been all.
        let complete: Vec<Digest> = self
            .staged
            .values()
            .filter(|s| s.missing().next().is_none())
            .map(Reassembly::digest)
            .collect();
        for digest in complete {
            self.finish(digest);
        }
        checking
    }

    fn checking(&self, wanted: &Wanted) -> Examined {
        let order = &wanted.opened.order;
        let (mut have, mut of) = (0, 0);
        let mut filters = Vec::new();
        for blob in &wanted.blobs {
            let count = chunks_of(blob.bytes);
            of += count;
            match self.staged.get(&blob.digest) {
                Some(staged) => {
                    have += staged.held();
                    let filter = format!("{}blob/{}/+", ROOT, blob.digest);
                    filters.extend(Filter::new(&filter).ok());
                }
                None => have += count,
            }
        }
        Examined::Checking {
            handler: order.handler.as_str().into(),
            release: (manifest::rank(order.rank), core::Digest(wanted.opened.digest.0)),
            have,
            of,
            blobs: filters,
        }
    }

    /// What follows from an install whose bytes are all here.
    fn followed(&mut self, wanted: &Wanted) -> Option<Examined> {
        if !wanted.blobs.iter().all(|blob| self.files.has_blob(blob.digest)) {
            return None;
        }
        let opened = &wanted.opened;
        let What::Install(install) = &opened.order.what else {
            return None;
        };
        self.turn_ratchet(&opened.order.handler, opened.order.rank, opened.digest);
        self.note_accepted(opened);
        Some(match manifest::release(opened, install, &self.caps) {
            Ok(release) => Examined::Install { release: Arc::new(release) },
            Err(refusal) => refused(Some(&opened.order.handler), refusal),
        })
    }

    pub(super) fn take_chunk(&mut self, digest: Digest, n: u32, chunk: &[u8]) -> Examined {
        let Some(staged) = self.staged.get_mut(&digest) else {
            return Examined::Nothing;
        };
        match staged.put(n, chunk) {
            Put::Stored => {}
            Put::Duplicate => return Examined::Nothing,
            Put::Wrong(why) => {
                if self.may_warn() {
                    warn!(%why, blob = digest.short(), "a chunk was refused");
                }
                return Examined::Nothing;
            }
        }
        if let Err(error) = self.files.stage(digest, n, chunk) {
            warn!(%error, "a chunk is kept in memory only");
        }
        if self.staged.get(&digest).is_some_and(|staged| staged.missing().next().is_none()) {
            return self.finish(digest);
        }
        let wants = |wanted: &&Wanted| wanted.blobs.iter().any(|blob| blob.digest == digest);
        self.wanted.iter().find(wants).map_or(Examined::Nothing, |wanted| self.checking(wanted))
    }

    /// All chunks of a blob are here: it becomes a file, and who waited for it goes on.
    fn finish(&mut self, digest: Digest) -> Examined {
        let Some(staged) = self.staged.get_mut(&digest) else {
            return Examined::Nothing;
        };
        let blob = match staged.finish() {
            Ok(blob) => blob,
            Err(error @ Unfinished::WrongDigest { .. }) => {
                if self.may_warn() {
                    warn!(%error, "chunks were refused");
                }
                self.files.unstage(digest);
                let wants = |wanted: &&Wanted| wanted.blobs.iter().any(|b| b.digest == digest);
                let wanted = self.wanted.iter().find(wants);
                return wanted.map_or(Examined::Nothing, |wanted| self.checking(wanted));
            }
            Err(Unfinished::Missing { .. }) => return Examined::Nothing,
        };
        if let Err(error) = self.files.keep_blob(digest, &blob) {
            error!(%error, "a module cannot be written; push it again when the disk is well");
            self.files.unstage(digest);
            return Examined::Nothing;
        }
        self.staged.remove(&digest);
        self.files.unstage(digest);
        let mut first = Examined::Nothing;
        for wanted in std::mem::take(&mut self.wanted) {
            let examined = match self.followed(&wanted) {
                Some(examined) => examined,
                None => {
                    let examined = self.checking(&wanted);
                    let waits = wanted.blobs.iter().any(|blob| blob.digest == digest);
                    self.wanted.push_back(wanted);
                    if waits { examined } else { Examined::Nothing }
                }
            };
            if first == Examined::Nothing {
                first = examined;
            } else {
                self.say(ExamineId(0), examined);
            }
        }
        if first != Examined::Nothing {
            self.said.push_back(Input::Examined { id: ExamineId(0), examined: first });
        }
        Examined::Nothing
    }

    pub(super) fn forget_unwanted(&mut self) {
        let wanted: BTreeSet<Digest> =
            self.wanted.iter().flat_map(|wanted| &wanted.blobs).map(|blob| blob.digest).collect();
        let gone: Vec<Digest> =
            self.staged.keys().filter(|digest| !wanted.contains(digest)).copied().collect();
        for digest in gone {
            self.staged.remove(&digest);
            self.files.unstage(digest);
        }
    }
}
