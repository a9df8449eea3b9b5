//! The post-init image: what memory and globals hold when an event starts.

use wasmi::Val;

/// Bytes compared at a time. Small enough that one changed byte costs little copying, large enough
/// that the loop inside runs in vector registers; 256 was a quarter slower.
const CHUNK: usize = 1024;

/// What is restored after an event.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// Where `bytes` begin: below, memory is all zeroes. A guest's stack lies there.
    start: usize,
    /// Memory from its first to its last chunk that is not all zeroes.
    bytes: Box<[u8]>,
    /// Length of the whole memory.
    pub memory_len: usize,
    pub globals: Box<[Val]>,
}

impl Image {
    pub fn take(memory: &[u8], globals: Box<[Val]>) -> Image {
        let used = |byte: &u8| *byte != 0;
        let start = memory.iter().position(used).unwrap_or(0) / CHUNK * CHUNK;
        let end = memory.iter().rposition(used).map_or(0, |last| last + 1);
        let end = end.next_multiple_of(CHUNK).min(memory.len());
        Image { start, bytes: memory[start..end].into(), memory_len: memory.len(), globals }
    }

    /// Bytes that the image takes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Makes `memory`, of the length it had, what it was. Reads all of it, writes only what differs, so that pages which
    /// no handler ever touched stay untouched.
    pub fn restore(&self, memory: &mut [u8]) {
        let (below, rest) = memory.split_at_mut(self.start);
        let (used, above) = rest.split_at_mut(self.bytes.len());
        clear(below);
        let (blocks, rest) = used.as_chunks_mut::<CHUNK>();
        let (images, rest_image) = self.bytes.as_chunks::<CHUNK>();
        for (now, then) in blocks.iter_mut().zip(images) {
            if differs(now, then) {
                *now = *then;
            }
        }
        rest.copy_from_slice(rest_image);
        clear(above);
    }
}

fn clear(memory: &mut [u8]) {
    let (blocks, rest) = memory.as_chunks_mut::<CHUNK>();
    for now in blocks {
        if !is_zero(now) {
            now.fill(0);
        }
    }
    rest.fill(0);
}

/// Whether two chunks differ. Written out, because the C library's `memcmp` goes byte by byte on some
/// targets we build for; this becomes vector instructions everywhere.
fn differs(a: &[u8; CHUNK], b: &[u8; CHUNK]) -> bool {
    a.iter().zip(b).fold(0, |any, (a, b)| any | (a ^ b)) != 0
}

fn is_zero(chunk: &[u8; CHUNK]) -> bool {
    chunk.iter().fold(0, |any, byte| any | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_restored() {
        let mut memory = vec![0u8; 4 * CHUNK];
        memory[3] = 1;
        memory[CHUNK + 7] = 2;
        let image = Image::take(&memory, Box::default());
        assert_eq!(image.len(), 2 * CHUNK);
        check_every_byte(&image, &memory);
    }

    #[test]
    fn zeroes_on_both_sides_are_no_part_of_the_image() {
        let mut memory = vec![0u8; 4 * CHUNK + 16];
        memory[2 * CHUNK + 1] = 1;
        let image = Image::take(&memory, Box::default());
        assert_eq!((image.start, image.len()), (2 * CHUNK, CHUNK));
        check_every_byte(&image, &memory);
        memory[4 * CHUNK + 15] = 1;
        let image = Image::take(&memory, Box::default());
        assert_eq!((image.start, image.len()), (2 * CHUNK, 2 * CHUNK + 16));
        check_every_byte(&image, &memory);
    }

    #[track_caller]
    fn check_every_byte(image: &Image, memory: &[u8]) {
        for at in 0..memory.len() {
            let mut dirty = memory.to_vec();
            dirty[at] ^= 0x80;
            image.restore(&mut dirty);
            assert_eq!(dirty, memory, "byte {at}");
        }
    }

    #[test]
    fn an_empty_memory_has_an_empty_image() {
        let image = Image::take(&[0; 1000], Box::default());
        assert_eq!(image.len(), 0);
        let mut memory = vec![9; 1000];
        image.restore(&mut memory);
        assert_eq!(memory, vec![0; 1000]);
        Image::take(&[], Box::default()).restore(&mut []);
    }
}
