//! The image before anything is put on it: built in a checkout, or given.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tidegate_config::read_board;

use super::order::Order;
use crate::failure::Failure;

const BUILD: &str = "boards/image/build";

/// Brings it to `stage`.
pub(super) fn bring(order: &Order, stage: &Path) -> Result<(), Failure> {
    match &order.image {
        Some(image) if image.extension().is_some_and(|ending| ending == "xz") => {
            unpack(image, stage)
        }
        Some(image) => fs::copy(image, stage).map(|_| ()).map_err(|error| {
            Failure::data(format!("{} cannot be copied: {error}", image.display()))
        }),
        None => build(order, stage),
    }
}

fn unpack(image: &Path, stage: &Path) -> Result<(), Failure> {
    let failed = |what: String| Failure::data(format!("{}: {what}", image.display()));
    let out = File::create(stage).map_err(|error| failed(error.to_string()))?;
    let status = Command::new("xz")
        .args(["-dc", "--"])
        .arg(image)
        .stdout(Stdio::from(out))
        .status()
        .map_err(|error| failed(format!("xz does not start: {error}; install xz-utils")))?;
    if status.success() { Ok(()) } else { Err(failed("xz cannot unpack it".to_owned())) }
}

fn build(order: &Order, stage: &Path) -> Result<(), Failure> {
    let house = checkout().ok_or_else(|| {
        Failure::usage(
            "this is no checkout of Tidegate, where an image could be built; give --image FILE",
        )
    })?;
    let board = read_board(&order.board)?;
    let binaries = order
        .binaries
        .clone()
        .unwrap_or_else(|| house.join("target/cross").join(&board.triple).join("release"));
    if !binaries.join("tidegated").is_file() {
        return Err(Failure::failed(format!(
            "{} is not there; run cross/build {}, or give --binaries DIR",
            binaries.join("tidegated").display(),
            order.board
        )));
    }
    let status = Command::new(house.join(BUILD))
        .arg(&order.board)
        .arg("--binaries")
        .arg(&binaries)
        .arg("--out")
        .arg(stage)
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .map_err(|error| Failure::failed(format!("{BUILD} does not start: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::failed(format!("{BUILD} has failed; what it said stands above")))
}

/// The checkout that the current folder lies in.
fn checkout() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().find(|folder| folder.join(BUILD).is_file()).map(Path::to_path_buf)
}
