//! What `src/bin/subject.rs` writes, and whether a disk after a cut has it.

use super::image::Image;
use crate::simulation::Random;

pub const APPENDED: &str = "log";
pub const REPLACED: &str = "value";

/// Record `number`: its number, its length, its bytes (60 to 1500, the same for the same number), a sum.
pub fn record(number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let len = 60 + random.below(1440) as usize;
    let mut bytes = [number.to_le_bytes(), (len as u64).to_le_bytes()].concat();
    while bytes.len() < len - 8 {
        // No zeros: they are what a hole has.
        bytes.push(1 + random.below(255) as u8);
    }
    bytes.extend(sum(&bytes).to_le_bytes());
    bytes
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// Takes the record at the start of some bytes, if it is whole.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<u64> {
    let whole: &'a [u8] = bytes;
    let number = |at: usize| {
        let eight = whole.get(at..at + 8)?;
        Some(u64::from_le_bytes(eight.try_into().ok()?))
    };
    let len = usize::try_from(number(8)?).ok()?;
    let record = whole.get(..len).filter(|record| record.len() >= 24)?;
    if sum(&record[..len - 8]) != number(len - 8)? {
        return None;
    }
    *bytes = &whole[len..];
    number(0)
}

/// How many records the appended file holds, from the first on, in order.
pub fn appended(image: &Image) -> u64 {
    let mut rest = image.files.get(APPENDED).map_or(&[][..], Vec::as_slice);
    (0..).take_while(|number| take(&mut rest) == Some(*number)).count() as u64
}

/// How many records have been put in the replaced file's place; none when it holds nonsense, or is not there.
pub fn replaced(image: &Image) -> u64 {
    let mut rest = image.files.get(REPLACED).map_or(&[][..], Vec::as_slice);
    take(&mut rest).map_or(0, |number| number + 1)
}
