use super::*;

/// xorshift64* (Vigna 2016): the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// One packet of each kind, with properties where there are some.
const PACKETS: [&[u8]; 8] = [
    b"\x20\x02\x00\x00",
    b"\x20\x13\x00\x00\x10\x21\x00\x05\x27\x00\x00\x10\x00\x13\x00\x1e\x1f\x00\x02ok",
    b"\x40\x02\x00\x07",
    b"\x40\x0c\x00\x07\x87\x08\x1f\x00\x05never",
    b"\xd0\x00",
    b"\xe0\x0b\x97\x09\x1f\x00\x06enough",
    b"\x30\x08\x00\x01a\x03\x23\x00\x01x",
    b"\x90\x06\x00\x01\x00\x01\x87\x00",
];

/// The library behind it reads what any broker may send; if it panicked, the gateway would end.
#[test]
fn no_bytes_are_too_strange() {
    let mut random = Random(1);
    let (mut packets, mut nonsense) = (0, 0);
    for _ in 0..200_000 {
        let mut bytes = PACKETS[random.next() as usize % PACKETS.len()].to_vec();
        for _ in 0..random.next() % 4 {
            let at = random.next() as usize % bytes.len();
            match random.next() % 3 {
                0 => bytes[at] = random.next() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, random.next() as u8),
            }
        }
        for protocol in [Protocol::V5, Protocol::V311] {
            let mut incoming = BytesMut::from(&bytes[..]);
            match Wire::new(protocol).read(&mut incoming) {
                Ok(Some(_)) => packets += 1,
                Ok(None) => assert_eq!(incoming.len(), bytes.len()),
                Err(_) => nonsense += 1,
            }
        }
    }
    assert!(packets > 50_000 && nonsense > 50_000, "{packets} packets, {nonsense} nonsense");
}

#[test]
fn a_packet_in_pieces_is_read_when_it_is_whole() {
    for packet in PACKETS {
        let mut incoming = BytesMut::new();
        for (at, byte) in packet.iter().enumerate() {
            incoming.extend_from_slice(&[*byte]);
            let read = Wire::new(Protocol::V5).read(&mut incoming);
            if at + 1 < packet.len() {
                assert_eq!(read, Ok(None), "{packet:x?} up to {at}");
            }
        }
    }
}
