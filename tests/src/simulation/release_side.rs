//! The release desk of one run of the gateway, and what the start finds of pushed handlers.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use tidegate_core::Timestamp;
use tidegate_core::commit::StateChange;
use tidegate_core::release::Registered;
use tidegate_core::time::WallTime;
use tidegate_release::trust::Trust;
use tidegated::release_desk::{Audit, Desk, Drive, Files, Identity, Setting, ToReleases, When};
use tidegated::release_opening;

use super::disks::Disks;
use super::handlers::CAPS;
use super::pushes::own_key;
use super::releases::{GATEWAY, GROUP};
use crate::pusher::{Fleet, name};

/// Where the data folder would be.
const DATA: &str = "/data";

/// The desk and what it is to do.
pub struct ReleaseSide {
    pub desk: Desk,
    pub files: Files,
    pub todo: VecDeque<ToReleases>,
    pub is_resumed: bool,
}

impl ReleaseSide {
    /// As the daemon opens it.
    pub fn open(
        disks: &Disks,
        fleet: &Fleet,
        registry: Option<StateChange>,
    ) -> (ReleaseSide, Registered) {
        let drive: Arc<dyn Drive> = Arc::clone(&disks.drive) as Arc<dyn Drive>;
        let data = Path::new(DATA);
        let files = Files::on(Arc::clone(&drive), data);
        // When it fails, nothing is accepted in this life.
        files.make_folders().ok();
        let identity = Identity::on(drive, own_key(), data);
        let setting = Setting {
            gateway: name(GATEWAY),
            groups: BTreeSet::from([name(GROUP)]),
            caps: CAPS,
            pins: Arc::default(),
            trust: Some(Trust::first(&fleet.trust()).expect("a good trust file")),
        };
        let mut desk = Desk::new(files.clone(), identity, Audit::none(), setting);
        let mut registered = Registered {
            gateway: Some(GATEWAY.to_owned()),
            groups: vec![GROUP.to_owned()],
            ..Registered::default()
        };
        if let Some(registry) = registry {
            registered.version = registry.version;
            release_opening::read_rows(registry, &files, &CAPS, &mut desk, &mut registered);
        }
        (ReleaseSide { desk, files, todo: VecDeque::new(), is_resumed: false }, registered)
    }

    /// One thing: first it goes on with what had come before.
    pub fn step(&mut self, now: Timestamp) {
        let when = When { now, wall: WallTime::default() };
        if !self.is_resumed {
            self.is_resumed = true;
            self.desk.resume(when);
        } else if let Some(what) = self.todo.pop_front() {
            self.desk.take(when, what);
        }
    }
}
