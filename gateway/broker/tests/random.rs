//! Random clients: valid packets cut anywhere, mutated ones, plain noise. Nothing panics, nothing is
//! left behind, and how the transport cuts the bytes does not show. A failure names its seed.

mod peer;

use peer::{
    Hello, V3, V5, World, ack, connect, publish, publish_with, show_event, subscribe, unsubscribe,
};
use tidegate_broker::{CloseReason, Event, Limits, Version};

const BOTH: [Version; 2] = [V3, V5];

/// SplitMix64: small, seeded, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A conversation of valid packets, random in kind and content.
fn conversation(version: Version, random: &mut Random, packets: usize) -> Vec<Vec<u8>> {
    let topics = ["a", "a/b", "a/b/c", "", "$SYS/x", "b/long/long/long/topic", "a/ü"];
    let filters = ["a", "a/+", "#", "+/b/#", "$share/g/a", "$SYS/#", "a/b"];
    let will = (random.below(2) == 0).then_some(("a/will", "bye", random.below(3) as u8, true));
    let hello = Hello { keep_alive_s: 5, will, ..Hello::default() };
    let mut out = vec![connect(version, "x", &hello)];
    for id in 1..=packets as u16 {
        let topic = topics[random.below(topics.len())];
        let topic = if topic.is_empty() { "a" } else { topic };
        let payload = vec![b'p'; [0, 1, 100, 130, 5000][random.below(5)]];
        let properties: &[u8] = match random.below(4) {
            0 => &[0x02, 0, 0, 0, 9, 0x26, 0, 1, b'k', 0, 1, b'v'],
            1 => &[0x23, 0, 1],
            _ => &[],
        };
        let properties = if version == V5 { properties } else { &[] };
        out.push(match random.below(12) {
            0..=2 => publish_with(version, random.below(2) as u8, 0, topic, properties, &payload),
            3 | 4 => publish_with(version, 2, id, topic, properties, &payload),
            5 => publish_with(version, 4, 1 + id % 4, topic, properties, &payload),
            6 => ack(0x62, 1 + id % 4),
            7 | 8 => {
                let options = random.below(3) as u8 | if version == V5 { 0x08 } else { 0 };
                subscribe(version, id, &[(filters[random.below(filters.len())], options)])
            }
            9 => unsubscribe(version, id, &[filters[random.below(filters.len())]]),
            10 => ack(0x40, 1 + random.below(20) as u16),
            _ => vec![0xC0, 0],
        });
    }
    if random.below(2) == 0 {
        out.push(vec![0xE0, 0]);
    }
    out
}

/// Plays a client's bytes in these pieces, acks what the core is given if it is to, and tells all
/// that came out.
fn play<'a>(
    version: Version,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: Limits,
    acks: bool,
) -> Vec<String> {
    let mut w = World::new(limits);
    w.join_subscribed("watcher", V5, &[("#", 1)]);
    w.dial("x", version);
    let conn = w.conn("x");
    let mut told = Vec::new();
    'pieces: for piece in pieces {
        let mut rest = piece;
        loop {
            let used = w.send("x", rest);
            rest = &rest[used..];
            while let Some(event) = w.broker.poll_event() {
                if let (true, Event::Message { ack: Some(ack), .. }) = (acks, &event) {
                    w.broker.ack(*ack);
                }
                told.push(show_event(&event));
            }
            if w.broker.is_closing(conn) || (w.broker.is_paused(conn) && !acks) {
                break 'pieces;
            }
            assert!(rest.is_empty() || acks, "bytes left without a reason");
            if rest.is_empty() {
                break;
            }
        }
    }
    told.push("out:".to_owned());
    told.extend(w.hear("x"));
    w.wait(7_499);
    w.hang_up("x");
    told.extend(w.events());
    told.extend(w.hear("watcher"));
    told.push(format!("{:?}", w.broker.counters()));
    while w.broker.poll_dirty().is_some() {}
    assert_eq!(w.broker.buffered_bytes(), 0);
    assert_eq!(w.broker.clients().count(), 1);
    assert_eq!(w.broker.counters().subscriptions, 1);
    told
}

/// Cuts bytes into random pieces of at most `max`.
fn cut<'a>(mut bytes: &'a [u8], random: &mut Random, max: usize) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((1 + random.below(max)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

#[test]
fn how_the_bytes_are_cut_does_not_show() {
    let limits = Limits { packet_bytes_max: 8000, ..Limits::DEV };
    for version in BOTH {
        for seed in 0..150 {
            let mut random = Random(seed);
            let bytes = conversation(version, &mut random, 40).concat();
            let whole = play(version, [&bytes[..]], limits, false);
            let single = play(version, bytes.chunks(1), limits, false);
            assert_eq!(whole, single, "{version:?} seed {seed}");
            let pieces = cut(&bytes, &mut random, 300);
            assert_eq!(whole, play(version, pieces, limits, false), "{version:?} seed {seed}");
        }
    }
}

/// With acks after each piece, the order of answers follows the pieces; cuts inside packets do not
/// show. With little room for unacked messages a 3.1.1 client is stopped and goes on.
#[test]
fn how_one_packet_is_cut_does_not_show_while_acks_go_out() {
    let limits = Limits { packet_bytes_max: 8000, receive_max: 1, ..Limits::DEV };
    for version in BOTH {
        for seed in 0..150 {
            let mut random = Random(seed);
            let packets = conversation(version, &mut random, 40);
            let whole = play(version, packets.iter().map(|p| &p[..]), limits, true);
            let single = play(version, packets.iter().flat_map(|p| p.chunks(1)), limits, true);
            assert_eq!(whole, single, "{version:?} seed {seed}");
            let mut pieces = Vec::new();
            for packet in &packets {
                pieces.extend(cut(packet, &mut random, 20));
            }
            assert_eq!(whole, play(version, pieces, limits, true), "{version:?} seed {seed}");
        }
    }
}

/// What a random client is played with.
const NARROW: Limits = Limits { packet_bytes_max: 8000, receive_max: 30, ..Limits::DEV };

#[test]
fn mutated_packets_harm_nobody() {
    for version in BOTH {
        for seed in 0..3_000 {
            let mut random = Random(0x1000_0000 + seed);
            let packets = conversation(version, &mut random, 8);
            let mut bytes = packets.concat();
            let start = if random.below(4) == 0 { 0 } else { packets[0].len() };
            for _ in 0..1 + random.below(4) {
                let at = start + random.below(bytes.len() - start);
                match random.below(4) {
                    0 => bytes[at] ^= 1 << random.below(8),
                    1 => bytes[at] = random.next() as u8,
                    2 => bytes.truncate(at.max(start + 1)),
                    _ => bytes.insert(at, random.next() as u8),
                }
            }
            play(version, cut(&bytes, &mut random, 64), NARROW, true);
        }
    }
}

#[test]
fn random_bytes_harm_nobody() {
    for version in BOTH {
        for seed in 0..3_000 {
            let mut random = Random(0x2000_0000 + seed);
            let mut bytes = if random.below(3) == 0 {
                Vec::new()
            } else {
                connect(version, "x", &Hello::default())
            };
            for _ in 0..random.below(200) {
                bytes.push(random.next() as u8);
            }
            play(version, cut(&bytes, &mut random, 64), NARROW, true);
        }
    }
}

#[test]
fn a_crowd_that_comes_and_goes_leaves_nothing_behind() {
    let mut random = Random(7);
    let mut w = World::new(Limits { clients_max: 20, ..Limits::DEV });
    for _ in 0..5_000 {
        let name = format!("c{}", random.below(30));
        let version = BOTH[random.below(2)];
        match random.below(6) {
            0 if !w.peers.contains_key(&name) && w.peers.len() < 20 => {
                w.dial(&name, version);
                let hello = Hello {
                    keep_alive_s: 1,
                    will: Some(("a/w", "", 1, false)),
                    ..Hello::default()
                };
                w.send(&name, &connect(version, &format!("id{}", random.below(10)), &hello));
            }
            1 if w.peers.contains_key(&name) => w.hang_up(&name),
            2 => w.wait(100),
            _ if w.peers.contains_key(&name) => {
                let version = w.peers[&name].1;
                w.send(&name, &subscribe(version, 1, &[("a/#", 1), ("+/w", 0)]));
                w.send(&name, &publish(version, 2, 1, "a/x", b"1"));
                w.hear(&name);
            }
            _ => {}
        }
        while w.broker.poll_event().is_some() {}
    }
    for name in w.peers.keys().cloned().collect::<Vec<_>>() {
        w.hang_up(&name);
    }
    let counters = w.broker.counters();
    assert!(counters.connects > 100 && counters.closed(CloseReason::TakenOver) > 10);
    assert!(counters.closed(CloseReason::KeepAlive) > 10, "{counters:?}");
    assert_eq!((counters.clients, counters.subscriptions), (0, 0));
    assert_eq!(w.broker.poll_timeout(), None);
    assert_eq!(w.broker.poll_dirty(), None);
    assert_eq!(w.broker.buffered_bytes(), 0);
    assert_eq!(w.broker.clients().count(), 0);
}
