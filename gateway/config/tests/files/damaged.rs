//! Whatever a file holds, reading it ends in settings or in problems that point into it.

use std::path::Path;

use tidegate_config::{Problems, read_board, read_gateway, read_manifest};

use crate::folder::Folder;

const GATEWAY: &str = "[gateway]\nid = \"gw\"\ndata_dir = \"data\"\nboard = \"dev\"\n[local]\nbroker = \"mqtts://b:1\"\n\
                       username = \"u\"\npassword_file = \"pass\"\nca = \"ca.pem\"\n[[handler]]\npath = \"h\"\n\
                       [store]\ncommit_ms = 1\n[uplink]\nbroker = \"mqtt://c\"\ninsecure = true\nprotocol = \"5\"\n\
                       [[stream]]\nname = \"raw\"\ntopic = \"{gateway}/{topic}\"\nwhen_full = { downsample = { \
                       keep_raw_s = 1, then_every_s = 2 } }\n[[forward]]\nfrom = \"a/#\"\nstream = \"raw\"\n";
const HANDLER: &str = "name = \"h\"\nversion = \"1\"\nmodule = \"m\"\nabi = 1\nreact = \"now\"\n[[trigger]]\n\
                       mqtt = \"a/+\"\n[limits]\nfuel = 1_0\n[grants]\npublish = [\"a\", 'b']\n[config]\nk = \"v\"\n";

/// Every beginning of `text`, and `text` with each character replaced by each of a few that mean something in TOML.
fn damaged(text: &str) -> impl Iterator<Item = String> + '_ {
    (0..text.len()).flat_map(move |at| {
        let (before, after) = text.split_at(at);
        ["\"", "[", "]", "=", ".", "\n", "{", "é", "\0", "#"]
            .into_iter()
            .map(move |c| format!("{before}{c}{}", &after[1..]))
            .chain([before.to_owned()])
    })
}

/// Reads what is left of `text` after every kind of damage; some of it must be refused, some not.
fn check(text: &str, file: &Path, read: impl Fn() -> Result<(), Problems>) {
    let (mut good, mut bad) = (0, 0);
    for text in damaged(text) {
        // A new file each time: some file systems flush one that is cut to nothing and written again.
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
        std::fs::write(file, &text).unwrap();
        match read() {
            Ok(()) => good += 1,
            Err(problems) => {
                bad += 1;
                assert!(!problems.0.is_empty(), "{text}");
                for problem in problems.0 {
                    let lines = text.split('\n').count();
                    assert!(problem.file != file || problem.line <= lines, "{problem}\n{text}");
                }
            }
        }
    }
    assert!(good > 10 && bad > 10 * good, "{good} good, {bad} bad");
}

#[test]
fn no_damage_is_too_strange() {
    let folder = Folder::new("damaged");
    folder
        .write("ca.pem", "-----BEGIN CERTIFICATE-----\n")
        .write("pass", "secret")
        .handler("h", "h")
        .write("d/handler.toml", "");
    let gateway = folder.path.join("gateway.toml");
    check(GATEWAY, &gateway, || read_gateway(&gateway).map(|_| ()));

    let board = read_board("dev").unwrap();
    let dir = folder.path.join("d");
    check(HANDLER, &dir.join("handler.toml"), || read_manifest(&dir, &board).map(|_| ()));
}

#[test]
fn a_board_needs_every_line() {
    let folder = Folder::new("damaged-board");
    let file = folder.path.join("b.toml");
    let dev = crate::boards::written("dev.toml");
    let lines: Vec<&str> = dev.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let mut rest = lines.clone();
        rest.remove(i);
        folder.write("b.toml", rest.join("\n"));
        let read = read_board(file.to_str().unwrap());
        let needed = !(line.is_empty() || line.starts_with('#'));
        assert_eq!(read.is_err(), needed, "without {line:?}");
    }
}
