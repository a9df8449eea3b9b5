//! Handlers for tests, written as WebAssembly text and put into folders as a user would.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::programs;
use crate::scratch::Scratch;

/// Where [`guest`] puts the inbox, and how long it is.
pub const INBOX: u32 = 1024;
pub const INBOX_LEN: u32 = 8192;

/// A handler folder in the making.
#[derive(Clone, Debug)]
pub struct Handler {
    pub name: String,
    pub module: Vec<u8>,
    pub triggers: Vec<String>,
    pub publish: Vec<String>,
    /// Streams that it may send to.
    pub send: Vec<String>,
    pub fuel: u64,
    pub memory_kib: u32,
    pub deadline_ms: u32,
    pub publishes: u32,
    pub isolation: &'static str,
}

impl Handler {
    /// A handler that wakes up for `trigger` and may publish nothing.
    pub fn new(name: &str, trigger: &str, module: Vec<u8>) -> Handler {
        Handler {
            name: name.to_owned(),
            module,
            triggers: vec![trigger.to_owned()],
            publish: Vec::new(),
            send: Vec::new(),
            fuel: 10_000_000,
            memory_kib: 256,
            deadline_ms: 50,
            publishes: 16,
            isolation: "event",
        }
    }

    /// Lets it publish to topics under `filter`.
    pub fn may_publish(mut self, filter: &str) -> Handler {
        self.publish.push(filter.to_owned());
        self
    }

    /// Lets it send to a stream.
    pub fn may_send(mut self, stream: &str) -> Handler {
        self.send.push(stream.to_owned());
        self
    }

    /// `handler.toml`.
    pub fn manifest(&self) -> String {
        let mut text = format!(
            "name = \"{}\"\nversion = \"1.0.0\"\nmodule = \"module.wasm\"\nabi = 1\nisolation = \"{}\"\n",
            self.name, self.isolation
        );
        for trigger in &self.triggers {
            write!(text, "\n[[trigger]]\nmqtt = \"{trigger}\"\n").expect("a String takes all");
        }
        write!(
            text,
            "\n[limits]\nfuel = {}\nmemory_kib = {}\ndeadline_ms = {}\npublishes = {}\n\
             \n[grants]\npublish = {:?}\nsend = {:?}\n",
            self.fuel, self.memory_kib, self.deadline_ms, self.publishes, self.publish, self.send
        )
        .expect("a String takes all");
        text
    }

    /// Writes `handlers/<name>/` and returns its path.
    pub fn write(&self, scratch: &Scratch) -> PathBuf {
        let folder = format!("handlers/{}", self.name);
        scratch.write(&format!("{folder}/module.wasm"), &self.module);
        let manifest = scratch.write(&format!("{folder}/handler.toml"), self.manifest());
        manifest.parent().expect("it lies in its folder").to_path_buf()
    }
}

/// Text to module.
pub fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A whole guest around the body of `on_event`: the imports that it uses, one memory of two pages,
/// the inbox at [`INBOX`]. The body may read its parameter `$len`, use the locals `$i`, `$j` and
/// `$k` and must leave an i32.
pub fn guest(body: &str) -> Vec<u8> {
    guest_with("", body)
}

/// The same with more fields in the module.
pub fn guest_with(fields: &str, body: &str) -> Vec<u8> {
    // As a linker would leave it: what is not called is not imported.
    let imports: Vec<&str> = IMPORTS
        .lines()
        .filter(|line| {
            let name = line.split_once('$').and_then(|(_, rest)| rest.split(' ').next());
            let call = |name| format!("(call ${name} ");
            name.is_some_and(|name| [fields, body].iter().any(|text| text.contains(&call(name))))
        })
        .collect();
    let imports = imports.join("\n");
    wasm(&format!(
        "(module {imports} (memory (export \"memory\") 2 4) {fields}
           (func (export \"tidegate_inbox\") (result i64) (i64.const {}))
           (func $on_event (export \"on_event\") (param $len i32) (result i32)
             (local $i i32) (local $j i32) (local $k i64) {body}))",
        (u64::from(INBOX_LEN) << 32) | u64::from(INBOX),
    ))
}

/// A module with a custom section more: bytes that nobody reads. The name has less than 128 bytes.
pub fn with_section(module: &[u8], name: &str, bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut section = vec![name.len() as u8];
    section.extend(name.bytes().chain(bytes));
    let mut module = module.to_vec();
    module.push(0);
    let mut len = section.len();
    while len > 0x7f {
        module.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    module.push(len as u8);
    module.extend(section);
    module
}

/// The imports of [`guest`].
pub const IMPORTS: &str = r#"
  (import "tidegate1" "publish" (func $publish (param i32 i32 i32 i32 i32) (result i32)))
  (import "tidegate1" "send" (func $send (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "tidegate1" "log" (func $log (param i32 i32 i32)))
  (import "tidegate1" "ev_read" (func $ev_read (param i32 i32 i32 i32) (result i32)))
  (import "tidegate1" "ev_num" (func $ev_num (param i32 i32 i32) (result i32)))
  (import "tidegate1" "ev_str" (func $ev_str (param i32 i32 i32 i32) (result i32)))
  (import "tidegate1" "state_get" (func $state_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "tidegate1" "state_set" (func $state_set (param i32 i32 i32 i32 i32) (result i32)))
  (import "tidegate1" "state_cas" (func $state_cas (param i32 i32 i64 i32 i32) (result i32)))
  (import "tidegate1" "state_del" (func $state_del (param i32 i32) (result i32)))
  (import "tidegate1" "state_list" (func $state_list (param i32 i32 i64 i32 i32 i32) (result i32)))
  (import "tidegate1" "state_add" (func $state_add (param i32 i32 i64 i32) (result i32)))
  (import "tidegate1" "now_us" (func $now_us (param i32) (result i64)))
  (import "tidegate1" "random" (func $random (param i32 i32) (result i32)))
  (import "tidegate1" "config_get" (func $config_get (param i32 i32 i32 i32) (result i32)))
"#;

/// A handler that publishes each payload it gets on `to`, QoS as asked.
pub fn echo(name: &str, from: &str, to: &str, qos: u8) -> Handler {
    let module = guest_with(
        &format!("(data (i32.const 16) \"{to}\")"),
        &format!(
            "(call $publish (i32.const 16) (i32.const {})
               (i32.add (i32.const {INBOX}) (i32.load (i32.const {}))) (i32.load (i32.const {}))
               (i32.const {qos}))",
            to.len(),
            INBOX + 64,
            INBOX + 68,
        ),
    );
    Handler::new(name, from, module).may_publish(to)
}

/// A handler that counts its messages in its state, under their topic, and sends each payload to the stream `up`. A
/// payload that begins with `?` is not counted: it is answered on `tally/count` with the topic's count, 8 bytes,
/// little-endian, and with nothing while there is none.
pub fn tally(from: &str) -> Handler {
    let (payload, payload_len) = (INBOX + 64, INBOX + 68);
    let send = format!(
        "(drop (call $send (i32.const 48) (i32.const 2)
           (i32.add (i32.const {INBOX}) (i32.load (i32.const {payload}))) (i32.load (i32.const {payload_len}))
           (i32.const -1) (i32.const 0)))"
    );
    counting("tally", from, &send).may_send("up")
}

/// A handler that counts as [`tally`] does, and sends nothing. It answers on `plain/count`.
pub fn plain(from: &str) -> Handler {
    counting("plain", from, "")
}

/// A handler that counts, and answers on `<name>/count`; a name of five letters.
fn counting(name: &str, from: &str, more: &str) -> Handler {
    let payload = INBOX + 64;
    let (topic, topic_len) = (INBOX + 32, INBOX + 36);
    let key = format!(
        "(i32.add (i32.const {INBOX}) (i32.load (i32.const {topic}))) (i32.load (i32.const {topic_len}))"
    );
    let answers = format!("{name}/count");
    assert_eq!(answers.len(), 11, "the name has five letters");
    let module = guest_with(
        &format!("(data (i32.const 16) \"{answers}\") (data (i32.const 48) \"up\")"),
        &format!(
            "(local.set $i (i32.add (i32.const {INBOX}) (i32.load (i32.const {payload}))))
             (if (i32.eq (i32.load8_u (local.get $i)) (i32.const 63))
               (then
                 (local.set $j (call $state_get {key} (i32.const 8) (i32.const 8) (i32.const 0)))
                 (drop (call $publish (i32.const 16) (i32.const 11) (i32.const 8)
                         (select (i32.const 8) (i32.const 0) (i32.eq (local.get $j) (i32.const 8))) (i32.const 1)))
                 (return (i32.const 0))))
             (drop (call $state_add {key} (i64.const 1) (i32.const 8)))
             {more}
             (i32.const 0)"
        ),
    );
    Handler::new(name, from, module).may_publish(&answers)
}

/// A handler that counts its messages in its state, under their topic, and does nothing else.
pub fn counter(name: &str, from: &str) -> Handler {
    let (topic, topic_len) = (INBOX + 32, INBOX + 36);
    let module = guest(&format!(
        "(drop (call $state_add (i32.add (i32.const {INBOX}) (i32.load (i32.const {topic}))) (i32.load (i32.const {topic_len}))
                 (i64.const 1) (i32.const 8)))
         (i32.const 0)"
    ));
    Handler::new(name, from, module)
}

/// The example handler, built as its user would, with the limits of its own manifest.
pub fn overheat() -> Handler {
    let module = programs::example("overheat").join("overheat.wasm");
    let module = std::fs::read(module).expect("it was just built");
    let handler = Handler {
        fuel: 100_000,
        memory_kib: 64,
        publishes: 1,
        ..Handler::new("overheat", "devices/+/telemetry", module)
    };
    handler.may_publish("devices/+/cmd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_what_a_user_would_write() {
        let scratch = Scratch::new("handlers");
        let folder = echo("echo", "a/+/in", "a/out", 1).write(&scratch);
        let manifest = std::fs::read_to_string(folder.join("handler.toml")).expect("written");
        for line in ["name = \"echo\"", "mqtt = \"a/+/in\"", "publish = [\"a/out\"]", "abi = 1"] {
            assert!(manifest.lines().any(|have| have == line), "{line} in {manifest}");
        }
        let module = std::fs::read(folder.join("module.wasm")).expect("written");
        assert_eq!(&module[..4], b"\0asm");
    }
}
