//! The first start of a flashed board: what its boot partition says becomes its configuration, and the secrets go from
//! there. A mistake never stops the start: the gateway runs as it was, or under the id [`UNNAMED`], and says so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_config::{
    Json, PROVISION_FILE, PROVISION_FOLDER, Provision, read_board, read_gateway, read_provision,
};

mod files;
mod tell;

pub use tell::{TellError, tell};

/// The id of a gateway that nobody has named.
const UNNAMED: &str = "gw-unnamed";
/// The settings, in the folder of the configuration.
const GATEWAY: &str = "gateway.toml";
/// An `authorized_keys` that is as open as its folder is not used by the ssh server.
const SECRET: u32 = 0o600;

/// Where from, where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Where the boot partition is mounted.
    pub from: PathBuf,
    /// The folder of the configuration; the data folder is `data` beside it.
    pub to: PathBuf,
    pub board: String,
    /// A file that [`tell`] reads later.
    pub report: PathBuf,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Provisioned {
    /// When the boot partition said something, and that is the configuration now.
    Taken(String),
    /// When it said nothing, and there is a configuration from an earlier start.
    AsBefore(String),
    /// When the gateway runs as it was, or unnamed, because of this.
    Wrong { id: String, problems: Vec<String> },
}

impl Provisioned {
    pub fn id(&self) -> &str {
        match self {
            Provisioned::Taken(id)
            | Provisioned::AsBefore(id)
            | Provisioned::Wrong { id, problems: _ } => id,
        }
    }

    /// One JSON object, for the report.
    fn json(&self) -> String {
        let (state, problems) = match self {
            Provisioned::Taken(_) => ("provisioned", Json::Null),
            Provisioned::AsBefore(_) => ("as-before", Json::Null),
            Provisioned::Wrong { id: _, problems } => ("wrong", Json::texts(problems)),
        };
        Json::Object(vec![
            ("gateway", Json::text(self.id())),
            ("provision", Json::text(state)),
            ("problems", problems),
        ])
        .render()
    }
}

/// Does it all: configuration, secrets, name, light, report.
///
/// # Errors
/// When not even the report can be written. What else goes wrong is in [`Provisioned::Wrong`].
pub fn provision(job: &Job) -> io::Result<Provisioned> {
    let done = match take(job) {
        Ok(done) => done,
        Err(problems) => fall_back(job, problems),
    };
    if let Provisioned::Wrong { .. } = done {
        show(&job.board);
    }
    // A name in the network, or none: neither stops the start.
    if let Err(error) = fs::write("/proc/sys/kernel/hostname", done.id()) {
        eprintln!("tidegated: the name {} is not set: {error}", done.id());
    }
    fs::write(&job.report, done.json())?;
    Ok(done)
}

/// From the boot partition to the folder of the configuration.
fn take(job: &Job) -> Result<Provisioned, Vec<String>> {
    let told = |what: &str, path: &Path, error: io::Error| {
        vec![format!("{} cannot be {what}: {error}", path.display())]
    };
    fs::create_dir_all(&job.to).map_err(|error| told("made", &job.to, error))?;
    let file = job.from.join(PROVISION_FILE);
    let current = job.to.join(GATEWAY);
    if !file.exists() {
        return match read_gateway(&current) {
            Ok(settings) => Ok(Provisioned::AsBefore(settings.id)),
            Err(problems) if current.exists() => Err(lines(&problems)),
            Err(_) => Err(vec![format!(
                "{PROVISION_FILE} is not on the boot partition; `tidegate flash` writes it, boards/image/README.md shows one"
            )]),
        };
    }
    let provision = read_provision(&file).map_err(|problems| lines(&problems))?;
    let folder = job.from.join(PROVISION_FOLDER);
    let next = job.to.with_extension("new");
    files::remove_tree(&next).map_err(|error| told("removed", &next, error))?;
    files::copy_tree(&folder, &next).map_err(|error| told("copied", &folder, error))?;
    fill(job, &provision, &next).map_err(|error| told("written", &next, error))?;
    // Checked where it will lie: paths in it start there.
    let settings = read_gateway(&next.join(GATEWAY)).map_err(|problems| lines(&problems))?;
    if settings.id != provision.id {
        return Err(vec![format!(
            "{PROVISION_FOLDER}/{GATEWAY} says the id is {:?}, {PROVISION_FILE} says {:?}; make them the same",
            settings.id, provision.id
        )]);
    }
    files::keep_host_keys(&job.to, &next).map_err(|error| told("kept", &job.to, error))?;
    files::exchange(&next, &job.to).map_err(|error| told("written", &job.to, error))?;
    // Only now: a cut before this reads the same files again.
    for path in [&file, &folder] {
        files::wipe(path).map_err(|error| told("removed", path, error))?;
    }
    Ok(Provisioned::Taken(provision.id))
}

/// Everything that is not copied as it is.
fn fill(job: &Job, provision: &Provision, next: &Path) -> io::Result<()> {
    let data = job.to.with_file_name("data");
    let gateway = next.join(GATEWAY);
    if !gateway.exists() {
        let has_trust = next.join("trust").is_file();
        let text = provision.gateway_toml(&job.board, &data, has_trust);
        files::write(&gateway, text.as_bytes(), SECRET)?;
    }
    let ssh = next.join("ssh");
    fs::create_dir_all(&ssh)?;
    files::close(&ssh)?;
    let keys: String = provision.ssh_keys.iter().map(|key| format!("{key}\n")).collect();
    files::write(&ssh.join("authorized_keys"), keys.as_bytes(), SECRET)?;
    if let Some(wifi) = &provision.wifi {
        let text = wifi.wpa_supplicant();
        files::write(&next.join("wpa_supplicant.conf"), text.as_bytes(), SECRET)?;
    }
    if provision.console_shell {
        files::write(&next.join("console-shell"), b"", SECRET)?;
    }
    Ok(())
}

/// What runs when the boot partition cannot be followed: the configuration that is there, or one without a name.
fn fall_back(job: &Job, mut problems: Vec<String>) -> Provisioned {
    let current = job.to.join(GATEWAY);
    if let Ok(settings) = read_gateway(&current) {
        return Provisioned::Wrong { id: settings.id, problems };
    }
    let unnamed = Provision {
        id: UNNAMED.to_owned(),
        groups: Vec::new(),
        listen: "0.0.0.0:1883".to_owned(),
        ssh_keys: Vec::new(),
        console_shell: false,
        wifi: None,
    };
    let data = job.to.with_file_name("data");
    let text = unnamed.gateway_toml(&job.board, &data, false);
    if let Err(error) = files::write(&current, text.as_bytes(), SECRET) {
        problems.push(format!("{} cannot be written: {error}", current.display()));
    }
    Provisioned::Wrong { id: UNNAMED.to_owned(), problems }
}

/// The board's light blinks fast. A board without one has the console and the report.
fn show(board: &str) {
    let Some(led) = read_board(board).ok().and_then(|board| board.led) else {
        return;
    };
    let folder = Path::new("/sys/class/leds").join(led);
    for (file, text) in [("trigger", "timer"), ("delay_on", "100"), ("delay_off", "100")] {
        if let Err(error) = fs::write(folder.join(file), text) {
            eprintln!("tidegated: {} does not blink: {error}", folder.display());
            return;
        }
    }
}

fn lines(problems: &tidegate_config::Problems) -> Vec<String> {
    problems.0.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
