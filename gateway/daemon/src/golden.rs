//! Golden events: what a release says it will do, tried before it runs.

use tidegate_host::{GoldenCase, GoldenExpect, Instance, check_golden};
use tidegate_release::golden::{Case, Expect, Golden};

/// Tries every case.
///
/// # Errors
/// The first one that does something else, and what.
pub fn check(instance: &mut Instance, golden: &Golden) -> Result<(), String> {
    for (number, case) in golden.cases.iter().enumerate() {
        check_golden(instance, number, &as_tried(case))
            .map_err(|why| format!("golden event {} on {:?}: {why}", number + 1, case.topic))?;
    }
    Ok(())
}

fn as_tried(case: &Case) -> GoldenCase<'_> {
    let expect = case.expect.iter().map(|expect| match expect {
        Expect::Publish { topic, payload } => GoldenExpect::Publish { topic, payload },
        Expect::Send { stream, payload } => GoldenExpect::Send { stream: stream.as_str(), payload },
        Expect::Pin { name, on } => GoldenExpect::Pin { name: name.as_str(), on: *on },
        Expect::Nothing => GoldenExpect::Nothing,
        Expect::Fails => GoldenExpect::Fails,
    });
    GoldenCase { topic: &case.topic, payload: &case.payload, expect: expect.collect() }
}
