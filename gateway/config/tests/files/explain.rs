//! What `tidegated check` prints about good files, word for word.

use std::path::Path;

use tidegate_config::{Problem, Problems, explain, explain_json, read_gateway};

use crate::folder::Folder;

const LOCAL_BROKER: &str = "[local]\nbroker = \"mqtt://[::1]\"\nusername = \"u\"\n";

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder
        .write(
            "h/handler.toml",
            "name = \"overheat\"\nversion = \"0.1.0\"\nmodule = \"m.wasm\"\nabi = 1\nreact = \"durable\"\n\
             isolation = \"instance\"\n[[trigger]]\nmqtt = \"devices/+/telemetry\"\n[[trigger]]\nmqtt = \"a/#\"\n\
             [limits]\nfuel = 1000\n[grants]\npublish = [\"devices/+/cmd\"]\n[config]\nb = \"1\"\na = \"2\"\n",
        )
        .write("h/m.wasm", b"\0asm\x01\0\0\0")
        .handler("plain", "plain")
        .handler("broken", "broken")
        .write("broken/m.wasm", "")
        .write(
            "gateway.toml",
            format!(
                "[gateway]\nid = \"gw-01\"\ndata_dir = \"data\"\nboard = \"dev\"\n{LOCAL_BROKER}\
                 [[handler]]\npath = \"h\"\n[[handler]]\npath = \"plain\"\n[[handler]]\npath = \"broken\"\n"
            ),
        );
    folder
}

fn strip(folder: &Folder, text: &str) -> String {
    text.replace(folder.path.to_str().unwrap(), "DIR")
}

#[test]
fn a_summary_for_people() {
    let folder = folder("explain");
    let mut settings = read_gateway(&folder.path.join("gateway.toml")).unwrap();
    settings.warnings.push(Problem {
        file: "gateway.toml".into(),
        line: 7,
        column: 1,
        key: "local.listen".to_owned(),
        what: "look here".to_owned(),
    });
    // The sum of the board's limits is tested with the boards.
    settings.board.memory.base_kib = 0;
    settings.board.core_limits.messages_bytes_max = 0;
    settings.board.core_limits.handlers_max = 0;
    settings.board.door.clients_max = 0;
    settings.board.door.packet_bytes_max = 0;
    settings.board.door.buffered_bytes_max = 1024 * 1024;
    assert_eq!(
        strip(&folder, &explain(&settings)),
        "\
gateway     gw-01
data        DIR/data
board       dev: a laptop or CI machine, 64-bit x86 Linux
memory      at most 22 MiB of 7168 MiB, with every limit reached at once
local       broker mqtt://[::1]:1883, client tidegate-gw-01, user u, keep-alive 30 s
store       at most 256 MB of journal, commits after 5 ms, lazy state after 2000 ms
pushes      none: there is no [trust]
uplink      none: nothing goes upstream

handler     overheat 0.1.0
  module    DIR/h/m.wasm
  wakes on  devices/+/telemetry
  wakes on  a/#
  publishes devices/+/cmd
  per event 1000 fuel, 50 ms, 16 publishes, 256 KiB of memory
  starts    each event from the memory the last one left
  reacts    when its commit is durable
  config    a, b

handler     plain 0.1.0
  module    DIR/plain/m.wasm
  wakes on  devices/+/telemetry
  publishes nothing
  per event 2000000 fuel, 50 ms, 16 publishes, 256 KiB of memory
  starts    each event from the same memory
  reacts    when it returns

handler     broken, does not run
  folder    DIR/broken
  problem   DIR/broken/m.wasm: is not a WebAssembly module; run `tidegate build DIR/broken`

warning     gateway.toml:7: local.listen: look here
"
    );
}

#[test]
fn a_summary_for_programs() {
    let folder = folder("explain-json");
    let settings = read_gateway(&folder.path.join("gateway.toml")).unwrap();
    let json = strip(&folder, &explain_json(&settings));
    let memory = settings.board.worst_case().total_kib();
    assert_eq!(
        json,
        format!(
            concat!(
                r#"{{"ok":false,"gateway":"gw-01","data_dir":"DIR/data","board":"dev","memory_kib_max":{memory},"#,
                r#""local":{{"broker":"mqtt://[::1]:1883","client_id":"tidegate-gw-01"}},"#,
                r#""store":{{"commit_ms":5,"lazy_ms":2000,"quota_mb":256}},"uplink":null,"streams":[],"forwards":[],"trust":null,"groups":[],"#,
                r#""handlers":["#,
                r#"{{"name":"overheat","runs":true,"version":"0.1.0","dir":"DIR/h","module":"DIR/h/m.wasm","#,
                r#""triggers":["devices/+/telemetry","a/#"],"publish":["devices/+/cmd"],"send":[],"gpio":[],"fuel":1000,"#,
                r#""memory_kib":256,"deadline_ms":50,"publishes":16,"isolation":"instance","react":"durable"}},"#,
                r#"{{"name":"plain","runs":true,"version":"0.1.0","dir":"DIR/plain","module":"DIR/plain/m.wasm","#,
                r#""triggers":["devices/+/telemetry"],"publish":[],"send":[],"gpio":[],"fuel":2000000,"#,
                r#""memory_kib":256,"deadline_ms":50,"publishes":16,"isolation":"event","react":"now"}},"#,
                r#"{{"name":"broken","runs":false,"dir":"DIR/broken","problems":[{{"file":"DIR/broken/m.wasm","#,
                r#""line":0,"column":0,"key":"","#,
                r#""what":"is not a WebAssembly module; run `tidegate build DIR/broken`"}}]}}],"warnings":[]}}"#
            ),
            memory = memory
        )
    );
}

#[test]
fn problems_for_programs() {
    let problems = read_gateway(Path::new("no such file")).unwrap_err();
    assert_eq!(
        problems.to_json(),
        r#"{"ok":false,"problems":[{"file":"no such file","line":0,"column":0,"key":"","what":"cannot be read: no such file or directory; name the file with --config, README.md shows one"}]}"#
    );
    let at =
        Problem { file: "a".into(), line: 2, column: 3, key: "k".to_owned(), what: "w".to_owned() };
    let two = Problems(vec![at.clone(), at]);
    assert_eq!(two.to_string(), "a:2: k: w\na:2: k: w");
    assert!(two.to_json().contains(r#""line":2,"column":3"#));
}
