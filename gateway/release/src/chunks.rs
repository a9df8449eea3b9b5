//! Blobs in chunks: cut by the tool, put together by the gateway, in any order and more than once.

use std::collections::BTreeMap;

use crate::hash::{Digest, Hasher};

/// Bytes of a chunk, but for the last: what the large cloud brokers take in a message, less the topic.
pub const CHUNK_BYTES_MAX: usize = 96 * 1024;
/// Longest blob where a board does not say otherwise.
pub const BLOB_BYTES_MAX: u64 = 1024 * 1024;

/// The chunks of a blob, in order.
pub fn split(blob: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> {
    blob.chunks(CHUNK_BYTES_MAX)
}

/// How many chunks a blob of so many bytes has.
pub fn chunks_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(CHUNK_BYTES_MAX as u64)).unwrap_or(u32::MAX)
}

/// A blob that arrives. Holds the chunks that came and nothing more; each one's length is known beforehand.
#[derive(Clone)]
pub struct Reassembly {
    digest: Digest,
    bytes: u64,
    held: BTreeMap<u32, Box<[u8]>>,
    wrong: u64,
}

/// When a blob is not to be taken in at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// When it has no bytes.
    #[error("the blob has no bytes; build the module again, then push it")]
    Empty,
    /// When it is longer than the board allows.
    #[error(
        "the blob has {bytes} bytes, this gateway takes {max}; make it smaller (strip it, optimise for size)"
    )]
    TooLarge { bytes: u64, max: u64 },
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// When it is kept.
    Stored,
    /// When the same was there already.
    Duplicate,
    /// When it cannot belong to the blob; it was counted.
    Wrong(WrongChunk),
}

/// Why a chunk is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongChunk {
    /// When the blob has no chunk of that number.
    #[error("chunk {n} does not exist: the blob has {of}")]
    NoSuch { n: u32, of: u32 },
    /// When its length is not the one it must have.
    #[error("chunk {n} has {is} bytes, not {must}")]
    Length { n: u32, is: usize, must: usize },
    /// When another content is held for its number. The first is kept; the digest decides in the end.
    #[error("chunk {n} differs from the one that came first")]
    Differs { n: u32 },
}

/// Why there is no blob yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// When chunks are missing; those that are there stay.
    #[error("{have} of {of} chunks are there")]
    Missing { have: u32, of: u32 },
    /// When all came and the digest is another: all were dropped, and the blob starts anew.
    #[error("the chunks make {is}, not the blob {must}; they were dropped and are taken in again")]
    WrongDigest { is: Digest, must: Digest },
}

impl Reassembly {
    /// A blob of at most [`BLOB_BYTES_MAX`]. Allocates nothing.
    ///
    /// # Errors
    /// When it is empty or too large.
    pub fn new(digest: Digest, bytes: u64) -> Result<Reassembly, Unfit> {
        Reassembly::within(digest, bytes, BLOB_BYTES_MAX)
    }

    /// The same with the board's own limit.
    ///
    /// # Errors
    /// When it is empty or too large.
    pub fn within(digest: Digest, bytes: u64, bytes_max: u64) -> Result<Reassembly, Unfit> {
        if bytes == 0 {
            return Err(Unfit::Empty);
        }
        // So many chunks can be numbered; no board comes near.
        let max = bytes_max.min(u64::from(u32::MAX) * CHUNK_BYTES_MAX as u64);
        if bytes > max {
            return Err(Unfit::TooLarge { bytes, max });
        }
        Ok(Reassembly { digest, bytes, held: BTreeMap::new(), wrong: 0 })
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many chunks the blob has.
    pub fn of(&self) -> u32 {
        chunks_of(self.bytes)
    }

    /// How many are held.
    pub fn held(&self) -> u32 {
        u32::try_from(self.held.len()).expect("there are at most `of` of them")
    }

    /// How many chunks were wrong, since the beginning.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Takes a chunk in.
    pub fn put(&mut self, n: u32, chunk: &[u8]) -> Put {
        let put = self.judge(n, chunk);
        match put {
            Put::Stored => {
                self.held.insert(n, Box::from(chunk));
            }
            Put::Duplicate => {}
            Put::Wrong(_) => self.wrong = self.wrong.saturating_add(1),
        }
        put
    }

    fn judge(&self, n: u32, chunk: &[u8]) -> Put {
        let of = self.of();
        if n >= of {
            return Put::Wrong(WrongChunk::NoSuch { n, of });
        }
        let must = self.len_of(n);
        if chunk.len() != must {
            return Put::Wrong(WrongChunk::Length { n, is: chunk.len(), must });
        }
        match self.held.get(&n) {
            None => Put::Stored,
            Some(held) if **held == *chunk => Put::Duplicate,
            Some(_) => Put::Wrong(WrongChunk::Differs { n }),
        }
    }

    /// The length of a chunk that exists.
    fn len_of(&self, n: u32) -> usize {
        let before = u64::from(n) * CHUNK_BYTES_MAX as u64;
        let len = (self.bytes - before).min(CHUNK_BYTES_MAX as u64);
        usize::try_from(len).expect("a chunk's length is small")
    }

    /// Which chunks are held: chunk `n` is bit `n % 8` of byte `n / 8`.
    pub fn have(&self) -> Vec<u8> {
        let len = self.held.keys().next_back().map_or(0, |last| last / 8 + 1);
        let mut bits = vec![0; len as usize];
        for n in self.held.keys() {
            bits[(n / 8) as usize] |= 1 << (n % 8);
        }
        bits
    }

    /// The chunks that are missing, ascending.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.of()).filter(|n| !self.held.contains_key(n))
    }

    /// The blob, once every chunk is there and the digest is right. Its chunks are gone then, either way.
    ///
    /// # Errors
    /// When chunks are missing, or together are not the blob.
    pub fn finish(&mut self) -> Result<Vec<u8>, Unfinished> {
        let (have, of) = (self.held(), self.of());
        if have < of {
            return Err(Unfinished::Missing { have, of });
        }
        let mut hasher = Hasher::new();
        self.held.values().for_each(|chunk| hasher.update(chunk));
        let is = hasher.finish();
        let held = std::mem::take(&mut self.held);
        if is != self.digest {
            return Err(Unfinished::WrongDigest { is, must: self.digest });
        }
        // One chunk at a time is there twice, not the blob.
        let mut blob = Vec::new();
        for chunk in held.into_values() {
            blob.extend_from_slice(&chunk);
        }
        Ok(blob)
    }
}

impl std::fmt::Debug for Reassembly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reassembly({} {}/{})", self.digest.short(), self.held(), self.of())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::digest_of;

    fn blob(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n / 7 + n / CHUNK_BYTES_MAX) as u8).collect()
    }

    fn empty(blob: &[u8]) -> Reassembly {
        Reassembly::new(digest_of(blob), blob.len() as u64).expect("it fits")
    }

    #[test]
    fn a_blob_comes_back_from_chunks_in_any_order() {
        for len in
            [1, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 1, 10 * CHUNK_BYTES_MAX + 5]
        {
            let blob = blob(len);
            let chunks: Vec<&[u8]> = split(&blob).collect();
            assert_eq!(chunks.len(), chunks_of(len as u64) as usize);
            let mut reassembly = empty(&blob);
            for (n, chunk) in (0..).zip(&chunks).collect::<Vec<_>>().into_iter().rev() {
                assert_eq!(reassembly.put(n, chunk), Put::Stored);
                assert_eq!(reassembly.put(n, chunk), Put::Duplicate);
            }
            assert_eq!(reassembly.missing().count(), 0);
            assert_eq!(reassembly.finish(), Ok(blob));
            assert_eq!(reassembly.wrong(), 0);
            assert_eq!(reassembly.held(), 0);
        }
    }

    #[test]
    fn what_is_held_and_missing_is_known() {
        let blob = blob(9 * CHUNK_BYTES_MAX + 1);
        let mut reassembly = empty(&blob);
        assert_eq!(reassembly.have(), [0; 0]);
        assert_eq!(reassembly.missing().collect::<Vec<_>>(), Vec::from_iter(0..10));
        for (n, have) in [(0, vec![1]), (3, vec![0b0000_1001]), (9, vec![0b0000_1001, 0b10])] {
            let chunk = split(&blob).nth(n as usize).expect("it exists");
            assert_eq!(reassembly.put(n, chunk), Put::Stored);
            assert_eq!(reassembly.have(), have);
        }
        assert_eq!(reassembly.missing().collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7, 8]);
        assert_eq!(reassembly.finish(), Err(Unfinished::Missing { have: 3, of: 10 }));
        assert_eq!(reassembly.held(), 3, "what is there stays");
        assert_eq!((reassembly.of(), reassembly.bytes()), (10, blob.len() as u64));
    }

    #[test]
    fn a_wrong_chunk_is_counted_and_changes_nothing() {
        let blob = blob(CHUNK_BYTES_MAX + 10);
        let mut reassembly = empty(&blob);
        let wrong = |reassembly: &mut Reassembly, n, chunk: &[u8], why| {
            assert_eq!(reassembly.put(n, chunk), Put::Wrong(why));
        };
        wrong(&mut reassembly, 2, &[0; 10], WrongChunk::NoSuch { n: 2, of: 2 });
        wrong(&mut reassembly, u32::MAX, &[], WrongChunk::NoSuch { n: u32::MAX, of: 2 });
        wrong(
            &mut reassembly,
            0,
            &blob[..10],
            WrongChunk::Length { n: 0, is: 10, must: CHUNK_BYTES_MAX },
        );
        wrong(&mut reassembly, 1, &[0; 9], WrongChunk::Length { n: 1, is: 9, must: 10 });
        wrong(&mut reassembly, 1, &[0; 11], WrongChunk::Length { n: 1, is: 11, must: 10 });
        assert_eq!((reassembly.held(), reassembly.wrong()), (0, 5));
        assert_eq!(reassembly.put(1, &blob[CHUNK_BYTES_MAX..]), Put::Stored);
        wrong(&mut reassembly, 1, &[0xff; 10], WrongChunk::Differs { n: 1 });
        assert_eq!(reassembly.put(0, &blob[..CHUNK_BYTES_MAX]), Put::Stored);
        assert_eq!(reassembly.finish(), Ok(blob), "the first content was kept");
        assert_eq!(reassembly.wrong(), 6);
    }

    #[test]
    fn after_a_wrong_digest_it_starts_anew() {
        let blob = blob(CHUNK_BYTES_MAX + 10);
        let mut reassembly = empty(&blob);
        let mut forged = blob.clone();
        forged[5] ^= 1;
        for (n, chunk) in (0..).zip(split(&forged)) {
            assert_eq!(reassembly.put(n, chunk), Put::Stored);
        }
        let wrong = Unfinished::WrongDigest { is: digest_of(&forged), must: digest_of(&blob) };
        assert_eq!(reassembly.finish(), Err(wrong));
        assert_eq!(reassembly.held(), 0);
        for (n, chunk) in (0..).zip(split(&blob)) {
            assert_eq!(reassembly.put(n, chunk), Put::Stored);
        }
        assert_eq!(reassembly.finish(), Ok(blob));
    }

    #[test]
    fn the_size_is_bounded_before_anything_arrives() {
        let new = |bytes| Reassembly::new(Digest([0; 32]), bytes).map(|fit| fit.of());
        assert_eq!(new(0), Err(Unfit::Empty));
        assert_eq!(new(1), Ok(1));
        assert_eq!(new(BLOB_BYTES_MAX), Ok(11));
        let over = BLOB_BYTES_MAX + 1;
        assert_eq!(new(over), Err(Unfit::TooLarge { bytes: over, max: BLOB_BYTES_MAX }));
        let within =
            |bytes, max| Reassembly::within(Digest([0; 32]), bytes, max).map(|fit| fit.of());
        assert_eq!(within(10, 10), Ok(1));
        assert_eq!(within(11, 10), Err(Unfit::TooLarge { bytes: 11, max: 10 }));
        let most = u64::from(u32::MAX) * CHUNK_BYTES_MAX as u64;
        assert_eq!(within(most, u64::MAX), Ok(u32::MAX));
        assert_eq!(within(u64::MAX, u64::MAX), Err(Unfit::TooLarge { bytes: u64::MAX, max: most }));
        assert_eq!((chunks_of(0), chunks_of(u64::MAX)), (0, u32::MAX));
    }
}
