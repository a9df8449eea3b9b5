//! From a module's file to an instance.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_core::job::HandlerId;
use tidegate_core::pins::Pins;
use tidegate_core::release::{CheckId, Version};
use tidegate_core::stream::Streams;
use tidegate_host::{Caps, Instance};
use tidegate_release::golden;
use tidegate_release::hash::digest_of;

use crate::release_desk::Drive;

/// All it takes to load a module.
pub struct Load {
    pub(super) handler: HandlerId,
    pub(super) check: CheckId,
    pub(super) version: Version,
    pub(super) module_path: PathBuf,
    /// Events that it must answer as they say.
    pub(super) golden_path: Option<PathBuf>,
    pub(super) drive: Arc<dyn Drive>,
    pub(super) streams: Arc<Streams>,
    pub(super) pins: Arc<Pins>,
    pub(super) caps: Caps,
    pub(super) seed: u64,
}

impl Load {
    pub(super) fn run(&self) -> Result<Instance, String> {
        let module = self.read(&self.module_path)?;
        if let Version::Pushed(release) = &self.version
            && digest_of(&module).0 != release.module.0
        {
            return Err("the module's file is damaged; push it again".to_owned());
        }
        if let Some(path) = &self.golden_path {
            let golden = golden::decode(&self.read(path)?).map_err(|error| error.to_string())?;
            // On an instance of its own: what it learns from them is forgotten.
            crate::golden::check(&mut self.load(&module)?, &golden)?;
        }
        self.load(&module)
    }

    fn load(&self, module: &[u8]) -> Result<Instance, String> {
        let manifest = Arc::clone(self.version.manifest());
        let mut instance = tidegate_host::load(module, manifest, &self.caps, self.seed)
            .map_err(|error| error.to_string())?;
        instance.set_streams(Arc::clone(&self.streams));
        instance.set_pins(Arc::clone(&self.pins));
        Ok(instance)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let unreadable = |error| format!("cannot read the module {}: {error}", path.display());
        let bytes = self.drive.len(path).map_err(unreadable)?;
        // Asked before it is read: a module far beyond the limit need not be in memory to be refused.
        if bytes > self.caps.module_bytes_max as u64 {
            return Err(format!(
                "the module {} has {bytes} bytes; the board allows {} (handler.module_bytes_max)",
                path.display(),
                self.caps.module_bytes_max
            ));
        }
        self.drive.read(path).map_err(unreadable)
    }
}
