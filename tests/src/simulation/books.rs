//! The books at the end: what devices were promised against what upstream has.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::record::StreamId;

use super::check::Checker;
use super::device::Id;
use super::handlers::{self, NAMES, STREAMS};
use super::house::OUTBOX;
use super::releases::PUSHED;
use super::troubles::Harm;
use super::upstream::Upstream;

/// What the receiver knows of one handler.
#[derive(Debug, Default)]
struct Account {
    /// Counts that came with records, by device, in order of seq.
    counts: BTreeMap<usize, Vec<(Id, i64)>>,
    sent: BTreeSet<Id>,
    /// Messages that came back as dead letters.
    buried: BTreeSet<Id>,
}

/// Checks that every acked message has had its effect, that state never went back, and that every missing record
/// was announced. Returns how many messages were looked at.
///
/// # Errors
/// What does not add up.
pub(super) fn balance(
    checker: &Checker,
    upstream: &Upstream,
    is_calm: bool,
    harm: Harm,
) -> Result<u64, String> {
    let mut accounts: Vec<Account> = NAMES.iter().map(|_| Account::default()).collect();
    for record in upstream.received.values() {
        if record.stream == StreamId::DEAD_LETTERS {
            read_dead_letter(&record.payload, &mut accounts)?;
        } else if record.stream != StreamId::LOSSES && record.stream != StreamId::of(PUSHED) {
            read_record(record.stream, &record.payload, &mut accounts)?;
        }
    }
    let lost = upstream.announced();
    check_gaps(upstream, lost, is_calm, harm)?;
    let mut verified = 0;
    for (account, name) in accounts.iter().zip(NAMES) {
        if harm == Harm::default() {
            check_counts(account, name, checker, lost)?;
        }
        let mut missing = 0;
        for id in checker.acked_ids() {
            verified += 1;
            let needs = handlers::sends(id.kind) || !handlers::reacts(id.kind);
            if needs && !account.sent.contains(&id) && !account.buried.contains(&id) {
                missing += 1;
                if missing > lost && !harm.has_lied {
                    return Err(format!("{name}: {id:?} was acked, and nothing of it is upstream"));
                }
            }
        }
    }
    Ok(verified)
}

fn read_record(stream: StreamId, payload: &[u8], accounts: &mut [Account]) -> Result<(), String> {
    let handler = STREAMS.iter().position(|(name, ..)| StreamId::of(name) == stream);
    let handler =
        handler.ok_or_else(|| format!("a record of a stream that nobody has: {stream:?}"))?;
    let read = || -> Option<(Id, i64)> {
        let (text, count) = payload.split_at_checked(payload.len().checked_sub(9)?)?;
        Some((Id::parse(text)?, i64::from_le_bytes(count[1..].try_into().ok()?)))
    };
    let (id, count) =
        read().ok_or_else(|| format!("a record that no handler made: {payload:?}"))?;
    if !handlers::sends(id.kind) {
        return Err(format!("{id:?} failed or sends nothing, and yet its record is upstream"));
    }
    let account = &mut accounts[handler];
    account.sent.insert(id);
    account.counts.entry(id.device).or_default().push((id, count));
    Ok(())
}

fn read_dead_letter(payload: &[u8], accounts: &mut [Account]) -> Result<(), String> {
    let value: serde_json::Value = serde_json::from_slice(payload)
        .map_err(|error| format!("a dead letter that is no JSON: {error}"))?;
    let text = |key: &str| value.get(key).and_then(|value| value.as_str());
    // Letters for records, not for messages, name a stream.
    let Some(name) = text("handler") else {
        return Ok(());
    };
    let handler = NAMES.iter().position(|known| *known == name);
    let id = text("payload_text").and_then(|payload| Id::parse(payload.as_bytes()));
    let (Some(handler), Some(id)) = (handler, id) else {
        return Err(format!("a dead letter that nobody wrote: {value}"));
    };
    accounts[handler].buried.insert(id);
    Ok(())
}

/// Records that a lying disk has lost and no start could know of.
pub(super) fn untold(upstream: &Upstream) -> u64 {
    missing(upstream).saturating_sub(upstream.announced())
}

fn missing(upstream: &Upstream) -> u64 {
    let last = upstream.received.last_key_value().map_or(0, |(seq, _)| *seq);
    last - upstream.received.len() as u64
}

/// Seqs are dense: what is missing was lost, and every loss was announced. After a disk has lied that cannot be
/// promised: what shows a gap may be gone with it. How much it was is counted instead, see [`untold`].
fn check_gaps(upstream: &Upstream, lost: u64, is_calm: bool, harm: Harm) -> Result<(), String> {
    let last = upstream.received.last_key_value().map_or(0, |(seq, _)| *seq);
    let missing = missing(upstream);
    // A record that arrived and whose ack did not, or came before that of an older one when the link broke, may be given
    // up later: nobody knew, or remembers, that it had arrived. After a
    // power cut, nobody knows what was delivered since progress was last committed; and what a disk fault interrupted
    // may come true when it is out of date.
    let forgotten = upstream.unheard + upstream.connects * OUTBOX.window as u64;
    let may_be_both = if is_calm { forgotten } else { lost };
    // What stood in a damaged frame may have been delivered.
    let is_too_much = lost > missing + may_be_both && harm == Harm::default();
    if (missing > lost && !harm.has_lied) || is_too_much {
        let first = (1..=last).find(|seq| !upstream.received.contains_key(seq));
        return Err(format!(
            "{missing} of {last} records are missing, the first is {first:?}; {lost} were announced as lost"
        ));
    }
    Ok(())
}

/// The counts that came with a handler's records rise, and have every acked message in them.
fn check_counts(account: &Account, name: &str, checker: &Checker, lost: u64) -> Result<(), String> {
    for (device, counts) in &account.counts {
        for pair in counts.windows(2) {
            let [(before, count), (id, next)] = pair else {
                continue;
            };
            if next <= count {
                return Err(format!(
                    "{name}: state went back: {next} with {id:?} after {count} with {before:?}"
                ));
            }
        }
        let Some((id, count)) = counts.last() else {
            continue;
        };
        let Some((arrival, _)) = checker.arrival(*id) else {
            return Err(format!("{name}: a record of {id:?}, which never arrived"));
        };
        let acked = checker.acked_ids().filter(|acked| {
            acked.device == *device
                && handlers::reacts(acked.kind)
                && !account.buried.contains(acked)
                && checker.arrival(*acked).is_some_and(|(_, number)| number <= arrival)
        });
        let acked = acked.count() as i64;
        if *count < acked - lost as i64 {
            return Err(format!(
                "{name}: device {device} had {acked} messages acked up to {id:?}, the state counts {count}"
            ));
        }
    }
    Ok(())
}
