//! What the command line asks for, as files of the boot partition.

use std::fs;
use std::path::PathBuf;

use tidegate_config::{PROVISION_FILE, PROVISION_FOLDER, Provision, Secret, Wifi, read_provision};

use crate::args::Args;
use crate::failure::Failure;

/// Where the image goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    File(PathBuf),
    Device(PathBuf),
}

#[derive(Debug)]
pub(super) struct Order {
    pub board: String,
    pub target: Target,
    pub image: Option<PathBuf>,
    pub binaries: Option<PathBuf>,
    /// Path on the boot partition, content.
    pub files: Vec<(String, Vec<u8>)>,
    pub is_agreed: bool,
}

/// Reads and checks it all, so that nothing is found wrong after minutes of work.
pub(super) fn read(args: &Args) -> Result<Order, Failure> {
    let board = args.word("the board")?.to_owned();
    let target = match (args.option("out"), args.option("device")) {
        (Some(out), None) => Target::File(PathBuf::from(out)),
        (None, Some(device)) => Target::Device(PathBuf::from(device)),
        (None, None) => return Err(Failure::usage("--out FILE or --device DEV is missing")),
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--out and --device exclude each other; give one"));
        }
    };
    Ok(Order {
        board,
        target,
        image: args.option("image").map(PathBuf::from),
        binaries: args.option("binaries").map(PathBuf::from),
        files: files(args)?,
        is_agreed: args.has("yes"),
    })
}

fn files(args: &Args) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let Some(id) = args.option("id") else {
        let rest = ["trust", "wifi", "ssh-key", "group", "gateway-toml", "file", "country"];
        return match rest.iter().find(|name| args.option(name).is_some()) {
            Some(name) => Err(Failure::usage(format!("--{name} needs --id ID beside it"))),
            None if args.has("console-shell") => {
                Err(Failure::usage("--console-shell needs --id ID beside it"))
            }
            None => Ok(Vec::new()),
        };
    };
    let provision = Provision {
        id: id.to_owned(),
        groups: args.options("group").into_iter().map(str::to_owned).collect(),
        listen: "0.0.0.0:1883".to_owned(),
        ssh_keys: ssh_keys(args)?,
        console_shell: args.has("console-shell"),
        wifi: wifi(args)?,
    };
    let text = provision.render();
    check(&text)?;
    let mut files = vec![(PROVISION_FILE.to_owned(), text.into_bytes())];
    let named = [("trust", "trust"), ("gateway-toml", "gateway.toml")];
    for (option, name) in named {
        if let Some(path) = args.option(option) {
            files.push((format!("{PROVISION_FOLDER}/{name}"), content(path)?));
        }
    }
    for path in args.options("file") {
        let name = PathBuf::from(path);
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or_else(|| Failure::usage(format!("--file {path} is no file")))?;
        files.push((format!("{PROVISION_FOLDER}/{name}"), content(path)?));
    }
    Ok(files)
}

/// The gateway reads it with the same eyes: what it would refuse is refused here.
fn check(text: &str) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("tidegate-flash-{}", std::process::id()));
    let failed = |error| Failure::failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&folder, closed).map_err(failed)?;
    let path = folder.join(PROVISION_FILE);
    let read = fs::write(&path, text).map(|()| read_provision(&path));
    fs::remove_dir_all(&folder).map_err(failed)?;
    match read.map_err(failed)? {
        Ok(_) => Ok(()),
        Err(problems) => {
            let lines: Vec<String> =
                problems.0.iter().map(|p| format!("{} {}", p.key, p.what)).collect();
            Err(Failure::usage(lines.join("\n")))
        }
    }
}

fn ssh_keys(args: &Args) -> Result<Vec<String>, Failure> {
    let mut keys = Vec::new();
    for path in args.options("ssh-key") {
        let text = String::from_utf8(content(path)?)
            .map_err(|_| Failure::data(format!("{path} is no text; name a .pub file")))?;
        keys.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
    }
    Ok(keys)
}

fn wifi(args: &Args) -> Result<Option<Wifi>, Failure> {
    let Some(written) = args.option("wifi") else {
        return Ok(None);
    };
    let country = args.option("country").ok_or_else(|| {
        Failure::usage("--wifi needs --country CC: the radio's channels depend on it")
    })?;
    let (ssid, password) = match written.split_once(':') {
        Some((ssid, password)) => (ssid, Some(Secret::new(password))),
        None => (written, None),
    };
    Ok(Some(Wifi { ssid: ssid.to_owned(), password, country: country.to_owned() }))
}

fn content(path: &str) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::data(format!("{path} cannot be read: {error}")))
}
