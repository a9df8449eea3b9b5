//! What a person gets to see when the configuration is wrong: everything at once, and exit 78.

use std::process::Output;

use tidegate_tests::daemon::{Local, tidegated, write_config};
use tidegate_tests::handlers;
use tidegate_tests::ports;
use tidegate_tests::process::Process;
use tidegate_tests::programs;
use tidegate_tests::scratch::Scratch;

use crate::house::PATIENCE;

/// Runs `tidegated check` and `tidegated` on a configuration; both must say the same.
#[track_caller]
fn refused(config: &str, words: &[&str]) {
    let scratch = Scratch::new("config");
    let data = scratch.path().display().to_string();
    let path = scratch.write("gateway.toml", config.replace("DATA", &data));
    let checked = tidegated(&["check"], &path).output().expect("it starts");
    let mut run = Process::start("tidegated", &mut tidegated(&[], &path));
    let run_status = run.wait(PATIENCE).expect("it ends by itself");
    let checked_text = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(78), "{checked_text}");
    assert_eq!(run_status.code(), Some(78), "{}", run.text());
    for text in [checked_text, run.text()] {
        for word in words {
            assert!(text.contains(word), "no `{word}` in:\n{text}");
        }
    }
}

const HEAD: &str = "[gateway]\nid = \"gw-01\"\ndata_dir = \"DATA\"\nboard = \"dev\"\n";

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    refused(
        "[gateway]\nid = \"Gate Way\"\ndata_dir = 7\nboard = \"toaster\"\ncolour = \"red\"\n\
         [local]\nlisten = \"nowhere\"\n[[handler]]\npath = \"/does/not/exist\"\n[extra]\n",
        &[
            "gateway.toml",
            "gateway.id",
            "gateway.data_dir",
            "gateway.board",
            "colour",
            "local.listen",
            "extra",
        ],
    );
}

#[test]
fn both_sides_at_once_is_refused() {
    let both = "[local]\nlisten = \"127.0.0.1:1883\"\nbroker = \"mqtt://127.0.0.1:1883\"\n";
    refused(&format!("{HEAD}{both}"), &["listen", "broker"]);
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    refused("[gateway]\nid = gw\n", &["gateway.toml", "2"]);
    refused("", &["gateway.id"]);
}

#[test]
fn a_missing_file_is_named() {
    let scratch = Scratch::new("config");
    let path = scratch.path().join("nowhere.toml");
    let output = tidegated(&["check"], &path).output().expect("it starts");
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere.toml"));
}

#[test]
fn a_good_configuration_is_explained() {
    let scratch = Scratch::new("config");
    let folder = handlers::echo("echo", "a/+/in", "a/out", 0).write(&scratch);
    let config = write_config(&scratch, &Local::Listen(ports::free()), &[folder], "");
    let output = tidegated(&["check"], &config).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for word in ["gw-01", "echo", "a/+/in"] {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
}

#[test]
fn an_unknown_key_of_a_handler_is_told() {
    let scratch = Scratch::new("config");
    let folder = handlers::echo("echo", "a/in", "a/out", 0).write(&scratch);
    let manifest = folder.join("handler.toml");
    let text = std::fs::read_to_string(&manifest).expect("it was just written");
    std::fs::write(&manifest, format!("colour = \"red\"\n{text}")).expect("a scratch file");
    let config = write_config(&scratch, &Local::Listen(ports::free()), &[folder], "");
    let output = tidegated(&["check"], &config).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("colour") && text.contains("handler.toml"), "{text}");
}

fn ask(program: &std::path::Path, argument: &str) -> Output {
    std::process::Command::new(program).arg(argument).output().expect("it starts")
}

#[test]
fn both_programs_say_who_they_are() {
    for (program, name) in
        [(programs::tidegated(), "tidegated"), (programs::tidegate(), "tidegate")]
    {
        for argument in ["--help", "--version"] {
            let output = ask(program, argument);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && text.contains(name), "{name} {argument}: {text}");
        }
        let version = String::from_utf8_lossy(&ask(program, "--version").stdout).into_owned();
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
        let nonsense = ask(program, "--nonsense");
        assert!(!nonsense.status.success() && !nonsense.stderr.is_empty());
    }
}
