//! CRC-32C (Castagnoli, RFC 3720), eight bytes at a time from tables.
//!
//! ARMv6 and ARMv7 have no instruction for it, and the instruction of the others needs `unsafe`. Tables
//! run at more than 1 GB/s on a desktop and stay well above what an SD card takes on a Pi, so a crate
//! that detects processors would bring code without a use for it.

const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (if crc & 1 == 1 { POLYNOMIAL } else { 0 });
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut level = 1;
    while level < 8 {
        let mut byte = 0;
        while byte < 256 {
            let below = tables[level - 1][byte];
            tables[level][byte] = (below >> 8) ^ tables[0][(below & 0xff) as usize];
            byte += 1;
        }
        level += 1;
    }
    tables
}

/// A checksum in the making.
#[derive(Clone, Copy, Debug)]
pub struct Crc(u32);

impl Default for Crc {
    fn default() -> Crc {
        Crc::new()
    }
}

impl Crc {
    /// Of nothing yet.
    pub fn new() -> Crc {
        Crc(!0)
    }

    /// Takes up more bytes.
    pub fn update(mut self, bytes: &[u8]) -> Crc {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let [a, b, c, d, e, f, g, h] = *word;
            let [i, j, k, l] = (self.0 ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
            self.0 = TABLES[7][i as usize]
                ^ TABLES[6][j as usize]
                ^ TABLES[5][k as usize]
                ^ TABLES[4][l as usize]
                ^ TABLES[3][e as usize]
                ^ TABLES[2][f as usize]
                ^ TABLES[1][g as usize]
                ^ TABLES[0][h as usize];
        }
        for byte in rest {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = (self.0 >> 8) ^ TABLES[0][(low ^ byte) as usize];
        }
        self
    }

    /// The checksum of everything taken up.
    pub fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc32c(bytes: &[u8]) -> u32 {
        Crc::new().update(bytes).finish()
    }

    /// RFC 3720, B.4, and the usual check value.
    #[test]
    fn published_values() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        for (bytes, expect) in [
            (&b"123456789"[..], 0xe306_9283),
            (&[0; 32][..], 0x8a91_36aa),
            (&[0xff; 32][..], 0x62a8_ab43),
            (&rising[..], 0x46dd_794e),
            (&falling[..], 0x113f_db5c),
            (&[][..], 0),
        ] {
            assert_eq!(crc32c(bytes), expect, "{bytes:02x?}");
        }
    }

    #[test]
    fn pieces_are_the_whole() {
        let bytes: Vec<u8> = (0..100).map(|n| (n * 37) as u8).collect();
        for cut in 0..bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(Crc::new().update(a).update(b).finish(), crc32c(&bytes), "{cut}");
        }
    }
}
