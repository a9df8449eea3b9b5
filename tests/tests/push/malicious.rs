//! A broker that means harm. More seeds: `cargo run --profile quick -p tidegate-tests --bin malicious -- --seeds 20`.

use tidegate_tests::malicious::{Bench, cases};

/// What the gateway's memory may grow by, over all cases.
const GROWN_KIB_MAX: i64 = 4 * 1024;

#[test]
fn nothing_gets_through() {
    assert!(cases().count() >= 60, "{} cases", cases().count());
    let mut bench = Bench::start(1);
    bench.run(|_| {});
    let report = bench.report;
    println!("{report:?}");
    assert!(report.refusals > 10, "some refusals are answered: {report:?}");
    // What is dropped before it is looked at proves nothing.
    let counters = bench.counters();
    assert_eq!(
        counters.get("messages.dropped.unexamined").copied().unwrap_or(0),
        0,
        "{counters:?}"
    );
    assert_eq!(counters.get("messages.dropped.too-large"), Some(&1), "{counters:?}");
    assert!(report.grown_kib <= GROWN_KIB_MAX, "{report:?}");
}
