//! A broker that means harm: whatever it sends, nothing runs that the fleet did not sign for this gateway, newer than
//! all before; and the gateway goes on as if nothing had been.
//!
//! The daemon uses it as `local.broker`. It has what any broker has: everything that was ever published, in any order,
//! as often as it likes, changed as it likes. It does not have the fleet's key; some cases have what the fleet once
//! signed by mistake.

mod bench;
mod broker;
mod forging;
mod orders;
mod replays;
mod transfers;
mod trust;

pub use bench::{Bench, Report};

/// One thing that it does. What it sends goes through [`Bench::send`]; after each case the bench looks at the gateway.
pub struct Case {
    pub name: &'static str,
    pub run: fn(&mut Bench),
}

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [forging::CASES, orders::CASES, replays::CASES, transfers::CASES, trust::CASES]
        .into_iter()
        .flatten()
}
