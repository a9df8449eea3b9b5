//! Opens what was pushed: the registry's rows from the store, the releases they name from their files, the trust file,
//! and the gateway's own key.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tidegate_config::Settings;
use tidegate_core::commit::StateChange;
use tidegate_core::limits::Caps;
use tidegate_core::release::{self as core, Registered, RegisteredHandler, Release, Row};
use tidegate_core::{INVOKES, REGISTRY, STARTS};
use tidegate_release::hash::Digest;
use tidegate_release::manifest::What;
use tidegate_release::name::Name;
use tidegate_release::trust::{Rotated, Trust};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::release_desk::{Audit, Desk, Files, Identity, Setting, When, recall, release};

/// What is there for pushed handlers.
pub struct OpenedReleases {
    pub desk: Desk,
    pub registered: Registered,
    pub files: Files,
}

/// Takes the registry out of the tables of the handlers' state.
pub fn take_registry(tables: &mut Vec<StateChange>) -> Option<StateChange> {
    let at = tables.iter().position(|state| *state.handler == *REGISTRY)?;
    Some(tables.remove(at))
}

/// Opens all of it.
///
/// # Errors
/// When the trust file that is configured cannot be used. A disk that cannot be written to is no error: then nothing is
/// accepted. Nor is a damaged key of the gateway's own: it is set aside.
pub fn open(
    settings: &Settings,
    registry: Option<StateChange>,
    seed: u64,
    clock: Clock,
) -> anyhow::Result<OpenedReleases> {
    let data_dir = &settings.data_dir;
    let files = Files::at(data_dir);
    let trust = trust(settings, &files)?;
    let identity = match &trust {
        Some(_) => {
            if let Err(error) = files.make_folders() {
                warn!(%error, "no folder for pushed handlers in {}", data_dir.display());
            }
            identity(data_dir, seed)?
        }
        // Nobody will hear of it, and nothing is pushed: nothing is written.
        None => Identity::passing([0; 32], data_dir),
    };
    match &trust {
        Some(trust) => info!(
            fleet = trust.fleet().as_str(),
            version = trust.version(),
            key_epoch = trust.key_epoch(),
            key = %identity.key().public(),
            "pushes are taken from this fleet; the key is the one that signs our answers"
        ),
        None => info!("no trust file: pushes are refused ([trust] file)"),
    }
    let when = When { now: clock.timestamp(), wall: clock.wall() };
    let audit = trust.as_ref().map_or_else(Audit::none, |_| Audit::open(data_dir, when));
    let name = |text: &str| Name::new(text).map_err(|error| anyhow::anyhow!("{text:?} {error}"));
    let groups: BTreeSet<Name> =
        settings.groups.iter().map(|group| name(group)).collect::<Result<_, _>>()?;
    let (caps, pins) = (settings.board.host.caps, settings.board.pin_names());
    let is_trusting = trust.is_some();
    let setting = Setting { gateway: name(&settings.id)?, groups, caps, pins, trust };
    let mut desk = Desk::new(files.clone(), identity, audit, setting);
    let mut registered = Registered {
        gateway: is_trusting.then(|| settings.id.clone()),
        groups: settings.groups.clone(),
        boot: boot(),
        uptime_ms: uptime_ms(),
        restarts_max: settings.restarts_max,
        stale_after_ms: u64::from(settings.stale_after_s) * 1000,
        ..Registered::default()
    };
    if let Some(registry) = registry {
        registered.version = registry.version;
        read_rows(registry, &files, &caps, &mut desk, &mut registered);
    }
    Ok(OpenedReleases { desk, registered, files })
}

/// Reads the registry, for the desk and for the core.
pub fn read_rows(
    registry: StateChange,
    files: &Files,
    caps: &Caps,
    desk: &mut Desk,
    registered: &mut Registered,
) {
    let mut invokes = Vec::new();
    for change in registry.changes {
        let Some(value) = change.value else {
            continue;
        };
        if *change.key == *STARTS.as_bytes() {
            registered.starts = Some(value.bytes.to_vec());
            continue;
        }
        let key = String::from_utf8_lossy(&change.key).into_owned();
        if let Some(name) = key.strip_prefix(INVOKES).and_then(|name| Name::new(name).ok()) {
            invokes.push((name, Row::decode(&value.bytes)));
            continue;
        }
        let Ok(name) = Name::new(&key) else {
            error!(key, "the registry has a row for no handler's name");
            continue;
        };
        let row = Row::decode(&value.bytes);
        desk.know(name, row.as_ref());
        let Some(row) = row else {
            error!(
                handler = key,
                "the registry's row is damaged; nothing is accepted for this handler"
            );
            continue;
        };
        let find = |digest: Option<core::Digest>| find(files, caps, digest?);
        let (running, previous) = (find(row.running), find(row.previous));
        let name = Arc::from(key.as_str());
        registered.handlers.push(RegisteredHandler { name, row, running, previous });
    }
    for (name, row) in invokes {
        desk.know_invokes(name, row.as_ref());
    }
}

/// A release that ran before. Its signatures were checked then; the registry names it by its digest.
fn find(files: &Files, caps: &Caps, digest: core::Digest) -> Option<Arc<Release>> {
    let digest = Digest(digest.0);
    let found = files.release(digest).ok().and_then(|envelope| recall(&envelope, digest));
    let opened = found.or_else(|| {
        error!(release = digest.short(), "the order of a release is damaged or missing");
        None
    })?;
    let What::Install(install) = &opened.order.what else {
        return None;
    };
    if !files.has_blob(install.module.digest) {
        error!(release = digest.short(), "the module of a release is damaged or missing");
        return None;
    }
    match release(&opened, install, caps) {
        Ok(release) => Some(Arc::new(release)),
        Err(refusal) => {
            error!(
                release = digest.short(),
                reason = refusal.text,
                "a release cannot run here any more"
            );
            None
        }
    }
}

fn identity(data_dir: &Path, seed: u64) -> anyhow::Result<Identity> {
    match Identity::open(data_dir) {
        Ok((identity, None)) => Ok(identity),
        Ok((identity, Some(damage))) => {
            error!(
                damage,
                aside = %data_dir.join("gateway.key.damaged").display(),
                "the gateway's own key could not be used and was set aside; it has a new one, and those who push will \
                 ask about it: restore the old one from a backup, or let them pin the new one"
            );
            Ok(identity)
        }
        Err(error) => {
            warn!(%error, "no key in {}; answers are signed with one that lives until the daemon stops", data_dir.display());
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            if let Ok(mut random) = fs::File::open("/dev/urandom") {
                std::io::Read::read_exact(&mut random, &mut bytes)
                    .context("cannot read /dev/urandom")?;
            }
            Ok(Identity::passing(bytes, data_dir))
        }
    }
}

/// The file that is configured, or what came over MQTT after it.
fn trust(settings: &Settings, files: &Files) -> anyhow::Result<Option<Trust>> {
    let Some(path) = &settings.trust else {
        return Ok(None);
    };
    let bytes = fs::read(path)
        .with_context(|| format!("cannot read the trust file {} (trust.file)", path.display()))?;
    let configured = Trust::first(&bytes).map_err(|error| {
        anyhow::anyhow!(
            "the trust file {} (trust.file) cannot be used: {error}; `tidegate trust show` looks at it",
            path.display()
        )
    })?;
    let Some(later) = files.trust() else {
        return Ok(Some(configured));
    };
    match Trust::first(&later) {
        Ok(later) if later.fleet() != configured.fleet() => {
            warn!(
                "the trust file is another fleet's than the one that came over MQTT; the configured one holds"
            );
            Ok(Some(configured))
        }
        // A newer one put there by hand counts, as one that is flashed does.
        Ok(later) if later.version() < configured.version() => Ok(Some(configured)),
        Ok(later) if later.version() == configured.version() => {
            match configured.follow(later.file()) {
                Ok(Rotated::Same) => Ok(Some(configured)),
                Ok(Rotated::Next(_) | Rotated::Older) | Err(_) => {
                    error!(
                        "there are two trust files of the same version; the configured one holds"
                    );
                    Ok(Some(configured))
                }
            }
        }
        Ok(later) => Ok(Some(later)),
        Err(error) => {
            error!(%error, "the trust file that came over MQTT is damaged; the configured one holds");
            Ok(Some(configured))
        }
    }
}

/// Names this run of the kernel.
fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // 64-bit FNV-1a (Fowler, Noll, Vo): it need only differ.
    id.trim().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn uptime_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000
        + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}
