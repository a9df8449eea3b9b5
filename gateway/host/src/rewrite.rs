//! Exports every mutable global, so that the host can save and restore it: a module's stack pointer
//! is one. Takes away memory that the module promises never to touch. Custom sections (names, debug
//! information) are left out on the way.

use crate::scan::Scan;

/// Prefix of the exports that are added. A module that uses it itself is refused.
pub(crate) const PREFIX: &str = "tidegate:";

const CUSTOM_SECTION: u8 = 0;
const MEMORY_SECTION: u8 = 5;
const EXPORT_SECTION: u8 = 7;
const KIND_GLOBAL: u8 = 3;
const HEADER_LEN: usize = 8;
/// Limits with a maximum and a page size of their own (custom-page-sizes proposal, binary format).
const LIMITS_MAX_AND_PAGE_SIZE: u8 = 0x01 | 0x08;
/// A page of one byte, as its logarithm.
const PAGE_OF_ONE_BYTE: u8 = 0;

/// Name under which the global with that index is exported.
pub(crate) fn global_name(index: u32) -> String {
    format!("{PREFIX}g{index}")
}

/// The module with its mutable globals exported, and, if `memory_bytes` says so, with a memory of
/// exactly that length. `module` must have gone through [`crate::scan`].
pub(crate) fn rewrite(module: &[u8], scan: &Scan, memory_bytes: Option<u32>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(module.len() + 16 * scan.mutable_globals.len());
    out.extend_from_slice(module.get(..HEADER_LEN)?);
    let mut rest = module.get(HEADER_LEN..)?;
    while let Some((&id, behind)) = rest.split_first() {
        let (len, behind) = read_u32(behind)?;
        let (body, behind) = behind.split_at_checked(len as usize)?;
        rest = behind;
        match (id, memory_bytes) {
            (CUSTOM_SECTION, _) => {}
            (MEMORY_SECTION, Some(bytes)) => section(&mut out, id, &memory(bytes)),
            (EXPORT_SECTION, _) => section(&mut out, id, &exports(body, scan)?),
            _ => section(&mut out, id, body),
        }
    }
    Some(out)
}

/// One memory of that length, which cannot grow.
fn memory(bytes: u32) -> Vec<u8> {
    let mut out = vec![1, LIMITS_MAX_AND_PAGE_SIZE];
    write_u32(&mut out, bytes);
    write_u32(&mut out, bytes);
    out.push(PAGE_OF_ONE_BYTE);
    out
}

fn exports(body: &[u8], scan: &Scan) -> Option<Vec<u8>> {
    let (count, entries) = read_u32(body)?;
    let mut out = Vec::with_capacity(body.len() + 16 * scan.mutable_globals.len());
    write_u32(&mut out, count.checked_add(u32::try_from(scan.mutable_globals.len()).ok()?)?);
    out.extend_from_slice(entries);
    for &index in &scan.mutable_globals {
        let name = global_name(index);
        write_u32(&mut out, name.len() as u32);
        out.extend_from_slice(name.as_bytes());
        out.push(KIND_GLOBAL);
        write_u32(&mut out, index);
    }
    Some(out)
}

fn section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    write_u32(out, body.len() as u32);
    out.extend_from_slice(body);
}

/// Reads an unsigned LEB128 of at most 32 bits.
fn read_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

fn write_u32(out: &mut Vec<u8>, mut value: u32) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round_trip() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX] {
            let mut bytes = Vec::new();
            write_u32(&mut bytes, value);
            assert_eq!(read_u32(&bytes), Some((value, &[][..])));
            assert_eq!(read_u32(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(read_u32(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(read_u32(&[0x80; 6]), None);
    }

    #[test]
    fn only_mutable_globals_are_added() {
        let module = wat::parse_str(
            r#"(module (global i32 (i32.const 1)) (global (mut i32) (i32.const 2))
                (global $e (mut f64) (f64.const 3)) (memory 1)
                (export "memory" (memory 0)) (export "mine" (global $e)) (@custom "x" "y"))"#,
        )
        .expect("good text");
        let scan = crate::scan::scan(&module).expect("a module");
        let rewritten = rewrite(&module, &scan, None).expect("sections");
        let names: Vec<String> = crate::scan::scan(&rewritten)
            .expect("a module")
            .exports
            .into_iter()
            .map(|export| export.name)
            .collect();
        assert_eq!(names, ["memory", "mine", "tidegate:g1", "tidegate:g2"]);
        assert!(!rewritten.windows(2).any(|bytes| bytes == b"xy"));
    }
}
