//! `tidegate flash`: a card that starts as a gateway.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tidegate_config::{PROVISION_FILE, read_board};

use super::Command;
use crate::args::Args;
use crate::failure::Failure;

mod base;
mod card;
mod fat;
mod order;
mod partitions;
mod shown;
mod system;
mod write;

use order::{Order, Target};
use system::{Device, System};

pub const COMMAND: Command = Command {
    name: "flash",
    usage: "flash BOARD --out FILE | --device DEV | --list",
    about: "make a card that starts as a gateway",
    help: "\
Makes the board's image, puts on its boot partition what the gateway is to be, and writes it to a file or
to a card. The image is built by boards/image/build in a checkout, or is one that was built before (--image).

A card's old content is shown, and you are asked. A device that is mounted, the system's own disk and a card
that is too small are refused. What was written is synced, read back and compared.

Options:
  --out FILE         write a file
  --device DEV       write a card, such as /dev/sdX
  --list             the devices that a card may be; with --json one object a device, on a line
  --yes              do not ask before a card is overwritten
  --image FILE       an image of this board, .img or .img.xz, instead of building one
  --binaries DIR     where tidegated for the board lies; target/cross/TRIPLE/release when left out
  --id ID            the gateway's id; without it nothing is put on the boot partition
  --group NAME       may stand more than once
  --trust FILE       whose pushes are taken: made by `tidegate trust init`
  --wifi SSID:PASS   a radio network; the password may hold colons. SSID alone: an open one
  --country CC       where the radio is used; needed with --wifi
  --ssh-key FILE     a public key that may log in as root; may stand more than once
  --console-shell    a root shell on the serial console
  --gateway-toml F   settings of your own instead of the ones made from these options
  --file FILE        goes beside them, such as a certificate that they name; may stand more than once

Example:
  tidegate flash pi-4 --device /dev/sdX --id gw-07 --trust trust --wifi workshop:secret88 --country DE \\
      --ssh-key ~/.ssh/id_ed25519.pub
",
    run,
};

const FLAGS: &[&str] = &["list", "json", "yes", "console-shell"];
const OPTIONS: &[&str] = &[
    "out",
    "device",
    "image",
    "binaries",
    "id",
    "group",
    "trust",
    "wifi",
    "country",
    "ssh-key",
    "gateway-toml",
    "file",
];

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, FLAGS, OPTIONS)?;
    let system = System::real();
    if args.has("list") {
        let devices = system.devices().map_err(|e| Failure::failed(format!("/sys: {e}")))?;
        print!("{}", shown::list(&devices, args.has("json")));
        return Ok(());
    }
    if args.has("json") {
        return Err(Failure::usage("--json goes with --list"));
    }
    let order = order::read(&args)?;
    // Before minutes of building: a wrong device is known now.
    let device = match &order.target {
        Target::File(_) => None,
        Target::Device(path) => Some(system.device(path).map_err(Failure::failed)?),
    };
    if let Some(device) = &device {
        device.may_be_written().map_err(Failure::failed)?;
    }
    let stage = match &order.target {
        Target::File(out) => with_ending(out, "unfinished"),
        Target::Device(_) => {
            std::env::temp_dir().join(format!("tidegate-flash-{}.img", std::process::id()))
        }
    };
    let done = make(&order, &stage).and_then(|()| match (&order.target, &device) {
        (Target::File(out), _) => keep(&stage, out),
        (Target::Device(_), Some(device)) => burn(&order, &stage, device, &system),
        (Target::Device(_), None) => unreachable!("a device's facts are read above"),
    });
    // It may hold a password; when it has become `out` it is not there any more.
    match fs::remove_file(&stage) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            eprintln!("tidegate flash: {} stays there: {error}; remove it", stage.display());
        }
        Err(_) | Ok(()) => {}
    }
    done
}

/// The whole image as a file.
fn make(order: &Order, stage: &Path) -> Result<(), Failure> {
    read_board(&order.board)?;
    base::bring(order, stage)?;
    // Before anything secret is in it.
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(stage, closed).map_err(|e| failed(stage, "closed", &e))?;
    if order.files.is_empty() {
        eprintln!(
            "tidegate flash: no --id: the gateway starts as gw-unnamed until {PROVISION_FILE} is on its boot partition"
        );
        return Ok(());
    }
    fat::put(stage, &order.files)
}

fn keep(stage: &Path, out: &Path) -> Result<(), Failure> {
    let file = fs::File::open(stage).map_err(|e| failed(stage, "read", &e))?;
    file.sync_all().map_err(|e| failed(stage, "synced", &e))?;
    fs::rename(stage, out).map_err(|e| failed(out, "written", &e))?;
    println!("{}", out.display());
    Ok(())
}

/// To the card, when the person agrees.
fn burn(order: &Order, stage: &Path, device: &Device, system: &System) -> Result<(), Failure> {
    let size = fs::metadata(stage).map_err(|e| failed(stage, "read", &e))?.len();
    device.has_room_for(size).map_err(Failure::failed)?;
    eprint!("{}", shown::describe(device));
    if !order.is_agreed {
        ask(&device.name)?;
    }
    // A card may have been changed while somebody read.
    let again = system.device(&device.path).map_err(Failure::failed)?;
    if again != *device {
        return Err(Failure::failed(format!(
            "{} is not what it was when you were asked; nothing is written. Start again",
            device.path.display()
        )));
    }
    let image = fs::File::open(stage).map_err(|e| failed(stage, "read", &e))?;
    let mut card = card::BlockDevice::open(&device.path)
        .map_err(|error| failed(&device.path, "opened for writing", &error))?;
    let mut progress = shown::Progress::new(io::stderr().is_terminal());
    write::write(image, size, device.bytes, &mut card, &mut progress)
        .map_err(|error| Failure::failed(format!("{}: {error}", device.path.display())))?;
    println!("{} is written, read back and the same; it may be pulled", device.path.display());
    Ok(())
}

fn ask(name: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody can be asked here; give --yes to overwrite the card"));
    }
    eprint!("All of it is lost. Type {name} to overwrite it: ");
    io::stderr().flush().map_err(|e| Failure::failed(e.to_string()))?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| Failure::failed(e.to_string()))?;
    if line.trim() == name {
        return Ok(());
    }
    Err(Failure::failed("nothing is written"))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be {what}: {error}", path.display()))
}
