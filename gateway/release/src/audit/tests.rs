use super::*;
use crate::cbor::Flaw;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// One of each.
fn all() -> Vec<What> {
    let (handler, digest) = (name("overheat"), Digest([7; 32]));
    let rank = Rank { key_epoch: 3, seq: 70_000 };
    let h = || handler.clone();
    let signers = vec![KeyId([1; 8]), KeyId([2; 8])];
    let version = Some("1.2.3".to_owned());
    let code = || "p99".to_owned();
    vec![
        What::Accepted { handler: h(), rank, digest, version, signers },
        What::Accepted { handler: h(), rank, digest, version: None, signers: Vec::new() },
        What::Refused { handler: Some(h()), digest, code: code() },
        What::Refused { handler: None, digest, code: code() },
        What::Activated { handler: h(), digest },
        What::Passed { handler: h(), digest },
        What::RolledBack { handler: h(), digest, to: Some(Digest([8; 32])), code: code() },
        What::RolledBack { handler: h(), digest, to: None, code: code() },
        What::Removed { handler: h(), rank },
        What::Invoked { handler: h(), rank, is_dry: true },
        What::Trusted { version: 9, key_epoch: 3, digest },
        What::SafeMode,
        What::Gap { entries: 2, bytes: 70 },
        What::MoreRefused { count: 9_000, code: code() },
    ]
}

fn log(max: usize) -> Log {
    let mut log = Log::new(max);
    for (n, what) in (1..).zip(all()) {
        let entry = log.append(1_000 + n, what).clone();
        assert_eq!(entry.counter, n);
        assert_eq!(log.head(), (n, entry.digest()));
    }
    log
}

fn entries(log: &Log) -> Vec<Entry> {
    log.entries().cloned().collect()
}

#[test]
fn entries_come_back_and_have_one_encoding() {
    for entry in log(100).entries() {
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes).as_ref(), Ok(entry));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Entry::decode(&bad) {
                assert_eq!(other.encode(), bad);
                assert_ne!(other.digest(), entry.digest());
            }
        }
        for len in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..len]).is_err(), "{len} of {entry:?}");
        }
    }
    let long = Entry::decode(&[0; ENTRY_BYTES_MAX + 1]);
    assert!(matches!(long, Err(Flaw::Limit { .. })));
}

#[test]
fn the_first_changed_entry_is_told() {
    let good = log(100);
    let (entries, head) = (entries(&good), good.head());
    assert_eq!(verify_to(&entries, head), Ok(()));
    for index in 0..entries.len() {
        let mut bad = entries.clone();
        bad[index].wall_ms += 1;
        assert_eq!(verify_to(&bad, head), Err(Broken::Changed { index }), "{index}");
        let mut bad = entries.clone();
        bad[index].prev.0[31] ^= 1;
        let expect = if index == 0 {
            Broken::Begin { index: 0 }
        } else {
            Broken::Changed { index: index - 1 }
        };
        assert_eq!(verify_to(&bad, head), Err(expect), "{index}");
    }
    // What is before the first of them is not known, so its own change shows in the second.
    let rest = &entries[3..];
    assert_eq!(verify_to(rest, head), Ok(()));
}

#[test]
fn entries_that_are_left_out_or_cut_off_are_told() {
    let good = log(100);
    let (entries, (count, head)) = (entries(&good), good.head());
    let mut bad = entries.clone();
    bad.remove(4);
    assert_eq!(verify(&bad), Err(Broken::Gap { index: 4, is: 6, must: 5 }));
    let mut bad = entries.clone();
    bad.swap(2, 3);
    assert_eq!(verify(&bad), Err(Broken::Gap { index: 2, is: 4, must: 3 }));
    let cut = &entries[..entries.len() - 1];
    assert_eq!(verify(cut), Ok(()), "only the head tells");
    let expect = Broken::Cut { is: count - 1, must: count };
    assert_eq!(verify_to(cut, (count, head)), Err(expect));
    assert_eq!(verify_to(&[], (count, head)), Err(Broken::Cut { is: 0, must: count }));
    let mut none = entries[0].clone();
    none.counter = 0;
    assert_eq!(verify(&[none]), Err(Broken::Begin { index: 0 }));
    let mut last = entries[0].clone();
    last.counter = u64::MAX;
    let next = Entry { counter: 0, wall_ms: 0, what: What::SafeMode, prev: last.digest() };
    assert_eq!(verify(&[last, next.clone()]), Ok(()), "nobody gets there, and nothing overflows");
    assert_eq!(verify_to(&[], Log::new(1).head()), Ok(()));
}

#[test]
fn the_oldest_go_and_the_chain_goes_on() {
    let log = log(5);
    let kept = entries(&log);
    assert_eq!(kept.iter().map(|entry| entry.counter).collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    assert_eq!(verify_to(&kept, log.head()), Ok(()));
    let mut again = Log::restore(kept.clone(), 5).expect("it fits");
    assert_eq!(again, log);
    again.append(0, What::SafeMode);
    assert_eq!(again.head().0, 15);
    assert_eq!(verify(&entries(&again)), Ok(()));
    let shorter = Log::restore(kept.clone(), 2).expect("it fits");
    assert_eq!((shorter.entries().len(), shorter.head()), (2, log.head()));
    let mut bad = kept;
    bad[1].wall_ms = 0;
    assert_eq!(Log::restore(bad, 5), Err(Broken::Changed { index: 1 }));
    assert_eq!(Log::restore(Vec::new(), 5), Ok(Log::new(5)));
    let mut least = Log::new(0);
    least.append(1, What::SafeMode);
    assert_eq!(least.entries().len(), 1);
}

#[test]
fn what_is_too_long_is_cut_so_that_every_entry_is_read_back() {
    let mut log = Log::new(9);
    let (handler, digest) = (name(&"h".repeat(64)), Digest([1; 32]));
    let rank = Rank { key_epoch: u32::MAX, seq: u64::MAX };
    let version = Some("ü".repeat(40));
    let signers = vec![KeyId([1; 8]); 20];
    log.append(
        u64::MAX,
        What::Accepted { handler: handler.clone(), rank, digest, version, signers },
    );
    let code = format!("x{}", "ü".repeat(30));
    log.append(0, What::Refused { handler: Some(handler), digest, code });
    for entry in log.entries() {
        assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(entry));
    }
    let [first, second] = &entries(&log)[..] else {
        panic!("there are two");
    };
    let What::Accepted { version: Some(version), signers, .. } = &first.what else {
        panic!("{first:?}");
    };
    assert_eq!((version.len(), signers.len()), (64, 8));
    assert!(matches!(&second.what, What::Refused { code, .. } if code.len() == 47));
}

#[test]
fn a_log_goes_on_behind_its_last_entry() {
    let before = log(100);
    let mut entries = entries(&before);
    let mut after = Log::behind(entries[entries.len() - 1].clone(), 1);
    assert_eq!(after.head(), before.head());
    entries.push(after.append(5, What::Gap { entries: 0, bytes: 3 }).clone());
    assert_eq!(verify_to(&entries, after.head()), Ok(()));
}

#[test]
fn a_file_is_read_up_to_where_it_was_torn() {
    let entries = entries(&log(100));
    let mut file = Vec::new();
    let mut ends = vec![0];
    for entry in &entries {
        file.extend(frames::frame(entry));
        ends.push(file.len());
    }
    for len in 0..=file.len() {
        let read = frames::read(&file[..len]);
        let whole = ends.iter().rposition(|end| *end <= len).expect("0 is one");
        assert_eq!(read.bytes, ends[whole], "cut to {len}");
        assert_eq!(read.entries, entries[..whole]);
    }
    file[ends[3] + 2] ^= 0xff;
    assert_eq!(frames::read(&file).entries, entries[..3]);
}
