//! Makes modules of `guests/*.wat`; each is what stands in `head.wat`, and what stands in its own file.

use std::path::Path;
use std::{env, fs};

const GUESTS: [&str; 7] = ["bits", "echo", "ends", "nan", "numbers", "state", "words"];

fn main() {
    println!("cargo::rerun-if-changed=guests");
    let out = env::var("OUT_DIR").expect("cargo says where");
    let read = |name: &str| {
        fs::read_to_string(format!("guests/{name}.wat"))
            .unwrap_or_else(|error| panic!("{name}.wat: {error}"))
    };
    let head = read("head");
    for name in GUESTS {
        let module = wat::parse_str(format!("(module {head} {})", read(name)))
            .unwrap_or_else(|error| panic!("{name}.wat: {error}"));
        fs::write(Path::new(&out).join(name).with_extension("wasm"), module)
            .expect("cargo's folder can be written");
    }
}
