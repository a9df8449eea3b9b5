//! The corpus is what it was, and what it is elsewhere.

#[test]
fn every_hash_is_the_one_in_the_file() {
    let (is, expect) = (tidegate_corpus::corpus(), include_str!("../hashes.txt"));
    let changed: Vec<&str> =
        is.lines().filter(|line| !expect.lines().any(|e| e == *line)).collect();
    assert!(
        is == expect,
        "these are not as in tests/corpus/hashes.txt: {changed:#?}\nIf that was wanted: cargo run -p tidegate-corpus > \
         tests/corpus/hashes.txt"
    );
}
