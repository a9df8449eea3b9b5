//! A folder of files for one test, and the messages about it with the folder's path cut off.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_config::{Problem, Problems};

pub struct Folder {
    pub path: PathBuf,
}

impl Folder {
    /// An empty folder; `name` is the test's own.
    pub fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        Folder { path }
    }

    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> &Folder {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A good handler in a folder of its own.
    pub fn handler(&self, dir: &str, name: &str) -> &Folder {
        let manifest = format!(
            "name = {name:?}\nversion = \"0.1.0\"\nmodule = \"m.wasm\"\nabi = 1\n\
             [[trigger]]\nmqtt = \"devices/+/telemetry\"\n"
        );
        self.write(&format!("{dir}/handler.toml"), manifest);
        self.write(&format!("{dir}/m.wasm"), b"\0asm\x01\0\0\0")
    }

    /// The messages as a person sees them, without the folder's path.
    pub fn show(&self, problems: &[Problem]) -> String {
        let text = Problems(problems.to_vec()).to_string();
        text.replace(&format!("{}/", self.path.display()), "")
    }
}
