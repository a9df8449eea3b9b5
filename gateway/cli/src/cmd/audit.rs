//! `tidegate audit`: what a gateway has decided about pushes, read from its data folder and verified.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use tidegate_release::audit::{Entry, FILE, FILE_BEFORE, What, frames, verify};

use super::Command;
use crate::args::Args;
use crate::columns::columns;
use crate::failure::Failure;

pub const COMMAND: Command = Command {
    name: "audit",
    usage: "audit --data-dir D [--json]",
    about: "what a gateway has decided about pushes, verified",
    help: "\
Lists the audit log of a gateway, the oldest entry first: releases that were accepted, refused, activated, rolled back
and removed, trust files, events that persons sent. Each entry holds the digest of the one before; where one was
changed, left out or torn off, it is said. The daemon may run meanwhile.

Options:
  --data-dir D     the daemon's gateway.data_dir
  --json           a JSON object for each entry

Exit status 1 when the log breaks somewhere, or there is none.
",
    run,
};

#[derive(Serialize)]
struct Shown {
    counter: u64,
    wall_ms: u64,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<String>,
    /// Whatever else is to be said of it.
    about: String,
    digest: String,
}

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &["data-dir"])?;
    if let Some(word) = args.word_or_none()? {
        return Err(Failure::usage(format!(
            "`{word}` is not wanted here; write --data-dir {word}"
        )));
    }
    let Some(folder) = args.option("data-dir").map(Path::new) else {
        return Err(Failure::usage("say where: --data-dir, it is gateway.data_dir"));
    };
    let (before, newer) = (read(&folder.join(FILE_BEFORE))?, read(&folder.join(FILE))?);
    if before.is_none() && newer.is_none() {
        let where_ = folder.display();
        return Err(Failure::failed(format!(
            "{where_}: there is no audit log; a gateway keeps one when its [trust] file is set"
        )));
    }
    let mut entries = Vec::new();
    let mut torn = None;
    for (name, bytes) in [(FILE_BEFORE, before), (FILE, newer)] {
        let bytes = bytes.unwrap_or_default();
        let read = frames::read(&bytes);
        entries.extend(read.entries);
        if read.bytes < bytes.len() {
            torn = torn.or(Some((name, bytes.len() - read.bytes)));
        }
    }
    print!("{}", if args.has("json") { lines(&entries) } else { table(&entries) });
    if let Err(broken) = verify(&entries) {
        return Err(Failure::failed(broken.to_string()));
    }
    match torn {
        None => Ok(()),
        Some((name, bytes)) => Err(Failure::failed(format!(
            "the last {bytes} bytes of {} are no entry: a power cut tore them, or somebody wrote them; the daemon notes \
             them at its next start and goes on behind them",
            folder.join(name).display()
        ))),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::failed(format!("{}: {error}", path.display()))),
    }
}

fn lines(entries: &[Entry]) -> String {
    let lines = entries.iter().map(|entry| {
        let line = serde_json::to_string(&shown(entry));
        line.expect("texts and numbers are JSON") + "\n"
    });
    lines.collect()
}

fn table(entries: &[Entry]) -> String {
    let head = ["entry", "at", "what", "handler", "about"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let Shown { counter, wall_ms, what, handler, about, .. } = shown(entry);
        let handler = handler.unwrap_or_else(|| "-".to_owned());
        [counter.to_string(), at(wall_ms), what.to_owned(), handler, about]
    });
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn shown(entry: &Entry) -> Shown {
    let (what, handler, about) = match &entry.what {
        What::Accepted { handler, rank, digest, version, signers } => {
            let signers: Vec<String> = signers.iter().map(ToString::to_string).collect();
            let version = version.as_deref().unwrap_or("to remove it");
            let about = format!("{version} {} {rank} by {}", digest.short(), signers.join(", "));
            ("accepted", Some(handler), about)
        }
        What::Refused { handler, digest, code } => {
            ("refused", handler.as_ref(), format!("{code} {}", digest.short()))
        }
        What::Activated { handler, digest } => ("activated", Some(handler), digest.short()),
        What::Passed { handler, digest } => ("passed", Some(handler), digest.short()),
        What::RolledBack { handler, digest, to, code } => {
            let to = to.map_or_else(|| "none that was pushed".to_owned(), |to| to.short());
            ("rolled-back", Some(handler), format!("{code} {} to {to}", digest.short()))
        }
        What::Removed { handler, rank } => ("removed", Some(handler), rank.to_string()),
        What::Invoked { handler, rank, is_dry } => {
            let dry = if *is_dry { ", dry" } else { "" };
            ("invoked", Some(handler), format!("{rank}{dry}"))
        }
        What::Trusted { version, key_epoch, digest } => {
            let about = format!("version {version}, key epoch {key_epoch}, {}", digest.short());
            ("trusted", None, about)
        }
        What::SafeMode => ("safe-mode", None, "no handler was started".to_owned()),
        What::Gap { entries, bytes } => {
            let about =
                format!("{entries} entries could not be written, {bytes} bytes could not be read");
            ("gap", None, about)
        }
        What::MoreRefused { count, code } => {
            ("more-refused", None, format!("{count} times, {code} the last"))
        }
    };
    let (counter, wall_ms) = (entry.counter, entry.wall_ms);
    let (handler, digest) = (handler.map(ToString::to_string), entry.digest().to_string());
    Shown { counter, wall_ms, what, handler, about, digest }
}

/// UTC, as far as the gateway knew it (days to a date: Howard Hinnant, `civil_from_days`).
fn at(wall_ms: u64) -> String {
    let (days, s) = (wall_ms / 86_400_000, wall_ms / 1000 % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_people_write_it() {
        assert_eq!(at(0), "1970-01-01 00:00:00");
        assert_eq!(at(1_709_210_096_789), "2024-02-29 12:34:56");
        assert_eq!(at(1_795_651_199_000), "2026-11-25 23:59:59");
    }
}
