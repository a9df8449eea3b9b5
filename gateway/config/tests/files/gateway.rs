//! `gateway.toml`: what it means, and word for word what is said when it is wrong.

use std::fs;

use crate::folder::Folder;
use tidegate_config::{HandlerEntry, Settings, read_gateway};

pub fn read(folder: &Folder, text: &str) -> Result<Settings, String> {
    folder.write("gateway.toml", text);
    read_gateway(&folder.path.join("gateway.toml")).map_err(|p| folder.show(&p.0))
}

/// Reads `text` beside a good handler in `h` and expects exactly these messages.
#[track_caller]
fn check(test: &str, text: &str, expect: &str) {
    let folder = Folder::new(test);
    folder.handler("h", "overheat");
    let messages = read(&folder, text).expect_err("something is wrong");
    assert_eq!(messages, expect.trim_matches('\n'));
}

pub const GATEWAY: &str = "[gateway]\nid = \"gw-01\"\ndata_dir = \"data\"\nboard = \"dev\"\n";

/// [`check`] with a good `[gateway]` before `text`, which starts at line 5.
#[track_caller]
pub fn check_local(test: &str, text: &str, expect: &str) {
    check(test, &format!("{GATEWAY}{text}"), expect);
}

#[test]
fn everything_is_found_at_once() {
    check(
        "everything",
        r#"[gateway]
id = "GW 01"
data_dri = "data"
board = "dve"

[local]
listen = "127.0.0.1:99999"
broker = "mqtt://broker"
keep_alive_s = "30"

[[handler]]
path = "h"

[[handler]]
path = "nowhere"
name = "x"

[[handler]]
path = 7

[upink]
"#,
        r#"
gateway.toml:1: gateway.data_dir: is missing; add it, for example data_dir = "/var/lib/tidegate"
gateway.toml:2: gateway.id: "GW 01" is not an id; use 1 to 32 of a-z, 0-9 and -
gateway.toml:3: gateway.data_dri: is not a key here; did you mean `data_dir`?
gateway.toml:4: gateway.board: there is no board "dve"; did you mean "dev"? Built in: beaglebone-black, dev, imx8mm-evk, pi-3, pi-4, pi-5, pi-zero, pi-zero-2w, qemu-virt
gateway.toml:8: local.broker: stands beside `listen`; keep `listen` for the embedded front door or `broker` for one that is there already
gateway.toml:9: local.keep_alive_s: must be a whole number from 5 to 3600, not a string
gateway.toml:15: handler[1].path: the folder nowhere is not there; correct the path, or make it with `tidegate new NAME`
gateway.toml:16: handler[1].name: is not a key here; the keys are path
gateway.toml:19: handler[2].path: must be a string, not a whole number; for example path = "/etc/tidegate/handlers/overheat"
gateway.toml:21: upink: is not a key here; did you mean `uplink`?
"#,
    );
}

#[test]
fn an_empty_file_says_what_belongs_in() {
    check(
        "empty",
        "",
        r#"
gateway.toml:1: gateway.id: is missing; add it, for example id = "gw-01"
gateway.toml:1: gateway.data_dir: is missing; add it, for example data_dir = "/var/lib/tidegate"
gateway.toml:1: gateway.board: is missing; add it, for example board = "dev"
"#,
    );
}

#[test]
fn a_file_that_is_no_toml() {
    check(
        "syntax",
        "[gateway]\nid = \"gw\nboard = 7\n",
        "gateway.toml:2: is not TOML: invalid basic string, expected `\"`",
    );
    let folder = Folder::new("utf8");
    folder.write("gateway.toml", b"id = \"\xff\"");
    let path = folder.path.join("gateway.toml");
    assert_eq!(
        folder.show(&read_gateway(&path).unwrap_err().0),
        "gateway.toml: is not UTF-8 at byte 6; save it as UTF-8"
    );
    fs::remove_file(&path).unwrap();
    assert_eq!(
        folder.show(&read_gateway(&path).unwrap_err().0),
        "gateway.toml: cannot be read: no such file or directory; name the file with --config, README.md shows one"
    );
    folder.write("gateway.toml", "#".repeat(1024 * 1024 + 1));
    assert_eq!(
        folder.show(&read_gateway(&path).unwrap_err().0),
        "gateway.toml: is longer than 1048576 bytes"
    );
}

#[test]
fn keys_written_twice_hide_nothing_else() {
    check(
        "twice",
        "[gateway]\nid = \"gw\"\nid = \"gw\"\ndata_dir = \"data\"\nboard = \"dve\"\nboard = \"dev\"\n",
        r#"
gateway.toml:3: `id` is written twice; remove one of the two
gateway.toml:5: gateway.board: there is no board "dve"; did you mean "dev"? Built in: beaglebone-black, dev, imx8mm-evk, pi-3, pi-4, pi-5, pi-zero, pi-zero-2w, qemu-virt
gateway.toml:6: `board` is written twice; remove one of the two
"#,
    );
}

#[test]
fn wrong_types() {
    check(
        "types",
        "handler = 1\nlocal = [1]\n[gateway]\nid = 1.5\ndata_dir = true\nboard = 1979-05-27\n",
        r#"
gateway.toml:1: handler: must be a list of tables [[handler]], not a whole number
gateway.toml:2: local: must be a table [local], not a list
gateway.toml:4: gateway.id: must be a string, not a number with a fraction; for example id = "gw-01"
gateway.toml:5: gateway.data_dir: must be a string, not true or false; for example data_dir = "/var/lib/tidegate"
gateway.toml:6: gateway.board: must be a string, not a date; for example board = "dev"
"#,
    );
    check_local(
        "types-inline",
        "[local]\nlisten = [\"127.0.0.1:1\", 2]\n",
        "gateway.toml:6: local.listen[1]: must be a string, not a whole number; for example listen = [\"127.0.0.1:1883\"]",
    );
    check_local(
        "types-handler",
        "[handler]\npath = \"h\"\n",
        "gateway.toml:5: handler: must be a list of tables [[handler]], not a table",
    );
}

#[test]
fn folders_that_are_not_there() {
    check(
        "folders",
        "[gateway]\nid = \"gw\"\ndata_dir = \"a/b\"\nboard = \"x/y.toml\"\n[[handler]]\npath = \"h/m.wasm\"\n",
        r#"
gateway.toml:3: gateway.data_dir: the folder a is not there; create it, tidegated makes only the last part of a/b
gateway.toml:4: gateway.board: the board file x/y.toml is not there; correct the path
gateway.toml:6: handler[0].path: the folder h/m.wasm is a file; correct the path, or make it with `tidegate new NAME`
"#,
    );
    check(
        "folders-file",
        "[gateway]\nid = \"gw\"\ndata_dir = \"h/m.wasm\"\nboard = \"dev\"\n[[handler]]\npath = \".\"\n",
        r#"
gateway.toml:3: gateway.data_dir: h/m.wasm is a file; name a folder
./handler.toml: cannot be read: no such file or directory; a handler is a folder with handler.toml and its module: `tidegate new NAME` makes one
"#,
    );
}

#[test]
fn a_mistake_in_the_board_hides_none_in_the_handlers() {
    let folder = Folder::new("board-and-handler");
    let board = crate::boards::written("dev.toml").replace("cores = 2", "cores = 0");
    folder.write("b.toml", board).handler("h", "h").write(
        "h/handler.toml",
        "abi = 1\nname = \"h\"\nversion = \"1\"\nmodule = \"m\"\n[limits]\nfuel = 0\n",
    );
    let text = format!("{}[[handler]]\npath = \"h\"\n", GATEWAY.replace("\"dev\"", "\"b.toml\""));
    let messages = read(&folder, &text).unwrap_err();
    assert!(messages.starts_with("b.toml:7: cores: 0 is out of range"), "{messages}");
    assert!(messages.contains("\nh/handler.toml:6: limits.fuel: 0 is out of range"), "{messages}");
}

#[test]
fn more_handlers_and_triggers_than_the_board_allows() {
    let folder = Folder::new("totals");
    let board = crate::boards::written("dev.toml")
        .replace("handlers_max = 256", "handlers_max = 1")
        .replacen("filters_max = 1024", "filters_max = 1", 1);
    folder.write("b.toml", board).handler("a", "a").handler("b", "b");
    let text = format!(
        "{}[[handler]]\npath = \"a\"\n[[handler]]\npath = \"b\"\n",
        GATEWAY.replace("\"dev\"", "\"b.toml\"")
    );
    assert_eq!(
        read(&folder, &text).unwrap_err(),
        "gateway.toml:5: handler: there are 2 handlers; the board allows 1 (limits.handlers_max)\n\
         gateway.toml:5: handler: the handlers have 2 triggers; the board allows 1 (limits.filters_max)"
    );
}

#[test]
fn two_handlers_of_one_name() {
    let folder = Folder::new("names");
    folder.handler("a", "overheat").handler("b", "overheat");
    let text = format!("{GATEWAY}[[handler]]\npath = \"a\"\n[[handler]]\npath = \"b\"\n");
    assert_eq!(
        read(&folder, &text).unwrap_err(),
        "gateway.toml:8: handler[1].path: its name \"overheat\" is taken by handler[0].path; state belongs to the \
         name, so give one of the two another"
    );
}

#[test]
fn a_bad_module_stops_nobody_else() {
    let folder = Folder::new("modules");
    folder
        .handler("good", "good")
        .handler("gone", "gone")
        .handler("text", "text")
        .handler("long", "long")
        .write("text/m.wasm", "not wasm")
        .write("long/m.wasm", vec![0; 1024 * 1024 + 1]);
    fs::remove_file(folder.path.join("gone/m.wasm")).unwrap();
    let mut text = GATEWAY.to_owned();
    for name in ["gone", "good", "text", "long"] {
        text += &format!("[[handler]]\npath = {name:?}\n");
    }
    let settings = read(&folder, &text).unwrap();
    let runs: Vec<(&str, bool)> =
        settings.handlers.iter().map(|h| (h.name(), matches!(h, HandlerEntry::Ready(_)))).collect();
    assert_eq!(runs, [("gone", false), ("good", true), ("text", false), ("long", false)]);
    assert_eq!(
        folder.show(&settings.broken().0),
        "gone/m.wasm: the module is not there; run `tidegate build gone`\n\
         text/m.wasm: is not a WebAssembly module; run `tidegate build text`\n\
         long/m.wasm: the module has 1048577 bytes, the board allows 1048576; make it smaller (strip it, optimise for size)"
            .replace("build gone", &format!("build {}", folder.path.join("gone").display()))
            .replace("build text", &format!("build {}", folder.path.join("text").display()))
            .replace(&format!("{}/", folder.path.display()), "")
    );
    // Beside a mistake that stops the start they are listed too: one look finds everything.
    let messages = read(&folder, &format!("{text}colour = 1\n")).unwrap_err();
    assert_eq!(messages.lines().count(), 4, "{messages}");
}

#[test]
fn mistakes_in_a_handlers_file_stop_the_start() {
    let folder = Folder::new("handler-file");
    folder.handler("a", "a").write("b/handler.toml", "name = ");
    folder.handler("c", "c").write("c/handler.toml", "nam = \"c\"");
    let text = format!(
        "{GATEWAY}colour = 1\n[[handler]]\npath = \"a\"\n[[handler]]\npath = \"b\"\n[[handler]]\npath = \"c\"\n"
    );
    let messages = read(&folder, &text).unwrap_err();
    let firsts: Vec<&str> = messages.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        firsts,
        [
            "gateway.toml:5:",
            "b/handler.toml:1:",
            "c/handler.toml:1:",
            "c/handler.toml:1:",
            "c/handler.toml:1:",
            "c/handler.toml:1:",
            "c/handler.toml:1:",
            "c/handler.toml:1:",
        ]
    );
}

#[test]
fn pins_that_the_board_has_not_are_warned_of() {
    let folder = Folder::new("odd-pins");
    folder.handler("h", "pump");
    let manifest = std::fs::read_to_string(folder.path.join("h/handler.toml")).unwrap();
    let more = "[[trigger]]\ngpio = \"buton1\"\n[grants]\ngpio = [\"relay1\", \"horn\"]\n";
    folder.write("h/handler.toml", manifest + more);
    let text = format!("{}[[handler]]\npath = \"h\"\n", GATEWAY.replace("\"dev\"", "\"pi-4\""));
    folder.write("gateway.toml", text);
    let settings = read_gateway(&folder.path.join("gateway.toml")).unwrap();
    assert_eq!(
        folder.show(&settings.warnings),
        r#"
gateway.toml:6: handler[0].path: its handler pump waits for the pin "buton1", which the board pi-4 has not: it never comes; did you mean "button1"?
gateway.toml:6: handler[0].path: its handler pump uses the pin "horn", which the board pi-4 has not: the handler is told so; add horn to [pins] in a copy of its file
"#
        .trim_matches('\n')
    );
    assert_eq!(
        settings.board.pin_names().find("relay1").map(|(id, pin)| (id.0, pin.is_output)),
        Some((2, true))
    );
}
