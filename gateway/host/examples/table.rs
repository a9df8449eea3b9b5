//! What a handler's state takes in memory: so many tables of so many keys, as ten handlers keep a float for each
//! of a thousand devices. Prints a JSON line.
//!
//! `cargo run --profile quick -p tidegate-host --example table [TABLES [KEYS [VALUE_BYTES]]]`

use tidegate_core::job::Write;
use tidegate_host::Table;

/// Bytes of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second number") * 4096
}

fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse().expect("a number"));
    let mut next = |default| words.next().unwrap_or(default);
    let (tables, keys, value_bytes) = (next(10), next(1000), next(8));
    let before = resident();
    let mut kept: Vec<Table> = (0..tables).map(|_| Table::default()).collect();
    // One event after the other, each with a key of its own, in no order: as devices report.
    for round in 0..keys {
        let device = round * 7919 % keys;
        for table in &mut kept {
            let key = format!("thermo-{device:06}").into_bytes();
            let value = Some(vec![0; value_bytes].into());
            table.apply(&[Write { key: key.into(), value, ttl_s: 0 }], round as i64);
        }
    }
    let taken = resident() - before;
    let entries: usize = kept.iter().map(Table::len).sum();
    println!(
        r#"{{"tables":{tables},"entries":{entries},"value_bytes":{value_bytes},"resident_kib":{},"bytes_an_entry":{}}}"#,
        taken / 1024,
        taken / entries as u64
    );
}
