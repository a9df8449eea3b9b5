//! What a message costs here: `cargo run --profile quick -p tidegate-broker --example measure`.
//! One device publishes 200 bytes; a handler answers each message to one subscriber.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tidegate_broker::{Broker, ConnId, Event, Limits, Version};
use tidegate_core::message::QoS;
use tidegate_core::time::WallTime;
use tidegate_core::topic::Topic;
use tidegate_core::{Message, Timestamp};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "a counting allocator is unsafe by its trait")]
// SAFETY: every call goes to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: `pointer` came from `alloc` above, and so from the system allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Time that this process had on a core, so that what else runs here does not show (Linux only).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux has it");
    let ns = stat.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("its first word is nanoseconds on a core"))
}

const NOW: Timestamp = Timestamp(1000);
const MESSAGES: usize = 2_000_000;
/// Messages in one read of the transport.
const BATCH: usize = 32;

fn connect(version: Version, client: &str) -> Vec<u8> {
    let level = if version == Version::V5 { 5 } else { 4 };
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 0];
    if version == Version::V5 {
        body.push(0);
    }
    body.extend((client.len() as u16).to_be_bytes());
    body.extend(client.as_bytes());
    [&[0x10, body.len() as u8][..], &body].concat()
}

fn subscribe(version: Version, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    if version == Version::V5 {
        body.push(0);
    }
    body.extend((filter.len() as u16).to_be_bytes());
    body.extend(filter.as_bytes());
    body.push(qos);
    [&[0x82, body.len() as u8][..], &body].concat()
}

fn publish(version: Version, qos: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(payload);
    assert!((128..16_384).contains(&body.len()));
    [&[0x30 | qos << 1, body.len() as u8 | 0x80, (body.len() >> 7) as u8][..], &body].concat()
}

fn flush(broker: &mut Broker) -> usize {
    let mut bytes = 0;
    while let Some(conn) = broker.poll_dirty() {
        let waiting = black_box(broker.output(conn)).len();
        bytes += waiting;
        broker.written(conn, waiting);
    }
    bytes
}

fn join(broker: &mut Broker, version: Version, client: &str) -> ConnId {
    let conn = broker.handle_connected(NOW).expect("room");
    broker.handle_bytes(NOW, WallTime::default(), conn, &connect(version, client));
    conn
}

fn measure(version: Version, qos: u8, devices: usize) {
    let mut broker = Broker::new(Limits::DEV);
    let mut conns = Vec::new();
    let mut chunks = Vec::new();
    let mut replies = Vec::new();
    for n in 0..devices {
        let conn = join(&mut broker, version, &format!("device-{n:04}"));
        let cmd = format!("devices/{n:04}/cmd");
        broker.handle_bytes(NOW, WallTime::default(), conn, &subscribe(version, &cmd, qos));
        conns.push(conn);
        let topic = format!("devices/{n:04}/telemetry");
        let chunk: Vec<u8> = (1..=BATCH as u16)
            .flat_map(|id| publish(version, qos, id, &topic, &[b'x'; 200]))
            .collect();
        chunks.push(chunk);
        replies.push(Message {
            topic: Topic::new(&cmd).expect("a topic"),
            payload: vec![b'y'; 48].into(),
            qos: QoS::from_bits(qos).expect("a QoS"),
            retain: false,
            dup: false,
            source: "overheat".into(),
            at: WallTime::default(),
            hops: 1,
            mark: None,
        });
    }
    while broker.poll_event().is_some() {}
    flush(&mut broker);
    let acks: Vec<Vec<u8>> =
        (0..=u16::MAX).map(|id| [&[0x40, 2][..], &id.to_be_bytes()].concat()).collect();
    let mut next_id = vec![0u16; devices];

    let rounds = MESSAGES / BATCH;
    let before = ALLOCATIONS.load(Relaxed);
    let start = cpu_time();
    let mut bytes = 0;
    for round in 0..rounds {
        let device = round % devices;
        let conn = conns[device];
        let used = broker.handle_bytes(NOW, WallTime::default(), conn, &chunks[device]);
        assert_eq!(used, chunks[device].len());
        while let Some(event) = broker.poll_event() {
            let Event::Message { message, ack } = event else { panic!("nobody comes or goes") };
            black_box(&message);
            broker.publish(&replies[device]);
            if let Some(ack) = ack {
                broker.ack(ack);
                let id = next_id[device].checked_add(1).unwrap_or(1);
                next_id[device] = id;
                broker.handle_bytes(NOW, WallTime::default(), conn, &acks[usize::from(id)]);
            }
        }
        bytes += flush(&mut broker);
    }
    let elapsed = cpu_time() - start;
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    let messages = (rounds * BATCH) as f64;
    assert!(bytes > rounds * BATCH * 60);
    assert_eq!(broker.counters().unknown_acks, 0);
    println!(
        "{version:?} QoS {qos}, {devices:4} devices: {:.0} messages/s, {:.0} ns in and out, {:.2} allocations",
        messages / elapsed.as_secs_f64(),
        elapsed.as_nanos() as f64 / messages,
        allocations as f64 / messages,
    );
}

/// One message to many subscribers.
fn measure_fan_out(version: Version, qos: u8, subscribers: usize) {
    let mut broker = Broker::new(Limits { inflight_max: u16::MAX, ..Limits::DEV });
    let conns: Vec<ConnId> = (0..subscribers)
        .map(|n| {
            let conn = join(&mut broker, version, &format!("s{n}"));
            broker.handle_bytes(NOW, WallTime::default(), conn, &subscribe(version, "a/+", qos));
            conn
        })
        .collect();
    let publisher = join(&mut broker, version, "publisher");
    let chunk = publish(version, 0, 0, "a/b", &[b'x'; 200]);
    flush(&mut broker);
    let rounds = MESSAGES / subscribers;
    let start = cpu_time();
    for _ in 0..rounds {
        broker.handle_bytes(NOW, WallTime::default(), publisher, &chunk);
        while broker.poll_event().is_some() {}
        flush(&mut broker);
    }
    black_box(conns);
    println!(
        "{version:?} QoS {qos} to {subscribers} subscribers: {:.0} ns each",
        (cpu_time() - start).as_nanos() as f64 / (rounds * subscribers) as f64
    );
}

/// The same way through the codec library's connections, without subscriptions or limits: why the hot
/// path has its own codec.
fn measure_library() {
    use mqtt_protocol_core::mqtt;
    use mqtt_protocol_core::mqtt::common::Cursor;
    use mqtt_protocol_core::mqtt::connection::{Connection, Event, role};
    use mqtt_protocol_core::mqtt::packet::{GenericPacket, GenericPacketTrait, v3_1_1};

    let mut connection = Connection::<role::Server>::new(mqtt::Version::Undetermined);
    connection.recv(&mut Cursor::new(&connect(Version::V3_1_1, "a")));
    let connack = v3_1_1::Connack::builder()
        .session_present(false)
        .return_code(mqtt::result_code::ConnectReturnCode::Accepted)
        .build()
        .expect("a CONNACK");
    connection.send(connack.into());
    let chunk =
        publish(Version::V3_1_1, 0, 0, "devices/0000/telemetry", &[b'x'; 200]).repeat(BATCH);
    let (mut out, mut messages) = (Vec::new(), 0u64);
    let before = ALLOCATIONS.load(Relaxed);
    let start = cpu_time();
    for _ in 0..MESSAGES / BATCH / 4 {
        let mut cursor = Cursor::new(&chunk[..]);
        while (cursor.position() as usize) < chunk.len() {
            for event in connection.recv(&mut cursor) {
                let Event::NotifyPacketReceived(GenericPacket::V3_1_1Publish(packet)) = event
                else {
                    continue;
                };
                black_box(packet.payload().as_slice());
                let answer = v3_1_1::Publish::builder()
                    .topic_name("devices/0000/cmd")
                    .expect("a topic")
                    .payload(vec![b'y'; 48])
                    .build()
                    .expect("a PUBLISH");
                for event in connection.send(answer.into()) {
                    if let Event::RequestSendPacket { packet, .. } = event {
                        out.extend_from_slice(&packet.to_continuous_buffer());
                    }
                }
                messages += 1;
            }
        }
        black_box(&out);
        out.clear();
    }
    assert_eq!(messages as usize, MESSAGES / BATCH / 4 * BATCH);
    println!(
        "codec library alone: {:.0} ns in and out, {:.2} allocations, {} bytes of state a connection",
        (cpu_time() - start).as_nanos() as f64 / messages as f64,
        (ALLOCATIONS.load(Relaxed) - before) as f64 / messages as f64,
        size_of::<Connection<role::Server>>(),
    );
}

fn measure_memory(version: Version) {
    let clients = 1000;
    let mut broker = Broker::new(Limits::DEV);
    join(&mut broker, version, "first");
    let before = BYTES.load(Relaxed);
    for n in 0..clients {
        let conn = join(&mut broker, version, &format!("device-{n:04}"));
        let filter = format!("devices/{n:04}/cmd");
        broker.handle_bytes(NOW, WallTime::default(), conn, &subscribe(version, &filter, 1));
        while broker.poll_event().is_some() {}
        flush(&mut broker);
    }
    let bytes = BYTES.load(Relaxed) - before;
    println!("{version:?}: {} bytes per idle client with one subscription", bytes / clients);
}

fn main() {
    measure_library();
    for version in [Version::V3_1_1, Version::V5] {
        for devices in [1, 5, 100, 1000] {
            measure(version, 0, devices);
        }
        measure(version, 1, 5);
        measure(version, 1, 100);
        measure_fan_out(version, 0, 100);
        measure_memory(version);
    }
}
