//! What came upstream.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_envelope::{Envelope, Loss, decode};

use crate::mqtt::Received;

/// One record, as it came first.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where the recording stood; 0 when there is none.
    pub mark: u64,
    pub envelope: Envelope,
}

/// Every record by `(epoch, seq)`, and what was wrong.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub records: BTreeMap<(u64, u64), Arrival>,
    /// Records that came again as they were.
    pub duplicates: u64,
    /// Records that came again with other content, and what was no record at all.
    pub wrong: Vec<String>,
    /// What the gateway says it has lost.
    pub losses: Vec<(u64, Loss)>,
    /// Seqs that were refused, by an upstream that does so.
    pub refused: BTreeSet<u64>,
}

impl Books {
    /// Takes a message down.
    pub fn enter(&mut self, message: &Received, mark: u64) {
        if message.qos != 1 || message.retain {
            self.wrong.push(format!("not QoS 1, or retained: {}", message.topic));
        }
        match decode(&message.payload, &[]) {
            Ok(envelope) => {
                if message.topic != format!("{}/{}", envelope.gateway, envelope.stream) {
                    self.wrong.push(format!("seq {} came on {}", envelope.seq, message.topic));
                }
                self.take(Arrival { mark, envelope });
            }
            Err(error) => self.wrong.push(format!("what came on {} {error}", message.topic)),
        }
    }

    /// Whether it is a record for [`super::Mood::RefusesThirds`]; it is noted then.
    pub fn refuse(&mut self, message: &Received) -> bool {
        let envelope = decode(&message.payload, &[]).ok();
        let seq = envelope.filter(|envelope| envelope.stream == "up" && envelope.seq % 3 == 0);
        seq.is_some_and(|envelope| {
            self.refused.insert(envelope.seq);
            true
        })
    }

    /// Takes over what other books have, as if it had come now.
    pub fn take_all(&mut self, other: &Books, mut if_so: impl FnMut(&Arrival) -> bool) {
        for arrival in other.records.values().filter(|arrival| if_so(arrival)) {
            self.take(arrival.clone());
        }
    }

    fn take(&mut self, arrival: Arrival) {
        let envelope = &arrival.envelope;
        let key = (envelope.epoch, envelope.seq);
        if let Some(old) = self.records.get(&key) {
            self.duplicates += 1;
            if content(&old.envelope) != content(envelope) {
                self.wrong.push(format!("{key:?} twice: {:?} and {envelope:?}", old.envelope));
            }
            return;
        }
        if envelope.stream == "losses" {
            match Loss::read(&envelope.payload) {
                Ok(loss) => self.losses.push((envelope.epoch, loss)),
                Err(error) => self.wrong.push(format!("a loss that is none: {error}")),
            }
        }
        self.records.insert(key, arrival);
    }

    /// The payloads of a stream, by seq.
    pub fn payloads<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let of_it = move |arrival: &&Arrival| arrival.envelope.stream == stream;
        self.records.values().filter(of_it).map(|arrival| &arrival.envelope.payload[..])
    }

    /// Records of a stream.
    pub fn count(&self, stream: &str) -> usize {
        self.payloads(stream).count()
    }

    /// Records of a stream that evictions gave up, as the gateway says.
    pub fn given_up(&self, stream: &str) -> u64 {
        let mut counts: BTreeMap<(u64, &str), u64> = BTreeMap::new();
        for (epoch, loss) in self.losses.iter().filter(|(_, loss)| loss.stream == stream) {
            // Each announcement says how many it is by now.
            let count = counts.entry((*epoch, &loss.reason)).or_default();
            *count = loss.count.max(*count);
        }
        counts.values().sum()
    }

    /// Seqs below the highest one that neither came nor were announced as lost.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        let epochs: BTreeSet<u64> = self.records.keys().map(|(epoch, _)| *epoch).collect();
        epochs.into_iter().flat_map(|epoch| self.missing_of(epoch)).collect()
    }

    fn missing_of(&self, epoch: u64) -> Vec<(u64, u64)> {
        let announced: Vec<&Loss> =
            self.losses.iter().filter(|(of, _)| *of == epoch).map(|(_, loss)| loss).collect();
        // Jumps of a million are announced in one piece: not every seq is looked at.
        let mut next = 1;
        let mut missing = Vec::new();
        for (_, seq) in self.records.range((epoch, 0)..=(epoch, u64::MAX)).map(|(key, _)| key) {
            while next < *seq && missing.len() < 1000 {
                let loss =
                    announced.iter().find(|loss| (loss.first_seq..=loss.last_seq).contains(&next));
                match loss {
                    Some(loss) => next = loss.last_seq + 1,
                    None => {
                        missing.push((epoch, next));
                        next += 1;
                    }
                }
            }
            next = next.max(seq + 1);
        }
        missing
    }
}

/// What must not differ when a record comes again: all but what depends on when it is sent.
fn content(envelope: &Envelope) -> (&str, &str, u32, u64, Option<&str>, &[u8]) {
    let Envelope { gateway, stream, boot, mono_ms, topic, payload, .. } = envelope;
    (gateway, stream, *boot, *mono_ms, topic.as_deref(), payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, stream: &str, payload: &str) -> Received {
        let envelope = format!(
            "{{\"gateway\":\"g\",\"epoch\":\"00000000000000aa\",\"seq\":{seq},\"stream\":\"{stream}\",\"ts\":1,\
             \"clock_quality\":\"none\",\"historical\":false,\"boot\":1,\"mono_ms\":5,\"payload\":{payload}}}"
        );
        Received {
            topic: format!("g/{stream}"),
            payload: envelope.into_bytes(),
            qos: 1,
            retain: false,
            dup: false,
            packet_id: 1,
        }
    }

    fn books(messages: &[(u64, &str, &str)]) -> Books {
        let mut books = Books::default();
        for (seq, stream, payload) in messages {
            books.enter(&message(*seq, stream, payload), 0);
        }
        books
    }

    #[test]
    fn a_seq_with_two_contents_is_found() {
        let same = books(&[(1, "up", "1"), (1, "up", "1")]);
        assert_eq!((same.duplicates, same.wrong.len()), (1, 0));
        assert_eq!(books(&[(1, "up", "1"), (1, "up", "2")]).wrong.len(), 1);
        assert_eq!(books(&[(1, "up", "1"), (1, "down", "1")]).wrong.len(), 1);
    }

    #[test]
    fn what_is_missing_is_found_unless_it_was_announced() {
        assert_eq!(books(&[(1, "up", "1"), (2, "up", "2")]).missing(), []);
        assert_eq!(
            books(&[(2, "up", "1"), (5, "up", "2")]).missing(),
            [1, 3, 4].map(|n| (0xaa, n))
        );
        let loss =
            r#"{"stream":"up","reason":"damaged","count":2,"first_seq":3,"last_seq":4,"bytes":0}"#;
        assert_eq!(books(&[(2, "up", "1"), (5, "losses", loss)]).missing(), [(0xaa, 1)]);
    }

    #[test]
    fn what_is_no_record_is_found() {
        let mut of = message(1, "up", "1");
        of.payload = b"{}".to_vec();
        let mut books = Books::default();
        books.enter(&of, 0);
        assert_eq!(books.wrong.len(), 1);
    }
}
