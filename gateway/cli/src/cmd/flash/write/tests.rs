use std::io::{Cursor, Seek, Write};

use super::*;

/// A card in memory, with a fault.
struct Fake {
    bytes: Cursor<Vec<u8>>,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// When it is pulled at this byte.
    Pulled(u64),
    /// When it says that it has what it has not: writes from this byte on are lost.
    Forgets(u64),
    /// When the last sync fails.
    Sync,
}

impl Read for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Write for Fake {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let at = self.bytes.position();
        match self.fault {
            Fault::Pulled(from) if at >= from => Err(io::Error::from_raw_os_error(5)),
            Fault::Forgets(from) if at >= from => {
                self.bytes.set_position(at + buffer.len() as u64);
                Ok(buffer.len())
            }
            Fault::None | Fault::Pulled(_) | Fault::Forgets(_) | Fault::Sync => {
                self.bytes.write(buffer)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Fake {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl Card for Fake {
    fn sync(&mut self) -> io::Result<()> {
        if self.fault == Fault::Sync { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Seen(Vec<(String, u64)>);

impl Watch for Seen {
    fn at(&mut self, what: &str, done: u64, _of: u64) {
        self.0.push((what.to_owned(), done));
    }
}

/// Three blocks and a bit: something, nothing, something, something.
fn image() -> Vec<u8> {
    let mut image = vec![7; 3 * BLOCK + 4096];
    image[BLOCK..2 * BLOCK].fill(0);
    image
}

fn flash(fault: Fault) -> (Result<(), String>, Vec<u8>, Seen) {
    let image = image();
    let old = vec![0xEE; image.len() + BLOCK];
    let mut card = Fake { bytes: Cursor::new(old), fault };
    let mut seen = Seen::default();
    let size = image.len() as u64;
    let done = write(Cursor::new(image), size, size, &mut card, &mut seen);
    (done.map_err(|error| error.to_string()), card.bytes.into_inner(), seen)
}

#[track_caller]
fn fails(fault: Fault, with: &str) -> Vec<u8> {
    let (done, bytes, _) = flash(fault);
    match done {
        Err(text) => assert!(text.starts_with(with), "{fault:?}: {text}"),
        Ok(()) => panic!("{fault:?}: nothing failed"),
    }
    bytes
}

#[test]
fn a_card_that_is_pulled_is_told_from_one_that_forgets() {
    fails(Fault::Pulled(0), "the write failed at 0 MiB");
    fails(Fault::Pulled(2 * BLOCK as u64), "the write failed at 8 MiB");
    fails(Fault::Sync, "the card does not take what was written");
    let from = 2 * BLOCK as u64;
    fails(Fault::Forgets(from), &format!("byte {from} reads otherwise"));
}

#[test]
fn a_card_that_was_pulled_has_no_partition_table() {
    let bytes = fails(Fault::Pulled(BLOCK as u64 * 3), "the write failed at 12 MiB");
    assert!(bytes[..BLOCK].iter().all(|byte| *byte == 0));
}

#[test]
fn what_was_there_is_gone_and_nothing_behind_the_image_is_touched() {
    let (done, bytes, seen) = flash(Fault::None);
    assert_eq!(done, Ok(()));
    let image = image();
    assert!(bytes[..image.len()] == image, "the card reads as the image");
    assert!(bytes[image.len()..].iter().all(|byte| *byte == 0xEE));
    let end = image.len() as u64;
    assert_eq!(seen.0.last(), Some(&("compared".to_owned(), end)));
}
