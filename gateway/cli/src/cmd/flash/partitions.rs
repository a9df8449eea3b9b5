//! The partition table of an image, and what partitions are called. MBR (as `sfdisk` writes it): four entries of 16 bytes
//! from byte 446: status, 3 bytes of cylinders, type, 3 bytes of cylinders, first sector, sectors; little-endian.

/// Bytes of a sector in an MBR, whatever the card's own are.
pub(super) const SECTOR: u64 = 512;
const TABLE: usize = 446;
const ENTRY: usize = 16;
const MAGIC: [u8; 2] = [0x55, 0xAA];
/// FAT32 with LBA: the boot partition.
const FAT: u8 = 0x0C;
/// The data partition's place in the table.
const DATA: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub kind: u8,
    pub start: u64,
    pub bytes: u64,
}

/// The four entries; `None` where there is no table.
pub(super) fn read(sector: &[u8]) -> Option<[Partition; 4]> {
    (sector.get(510..512)? == MAGIC).then(|| {
        std::array::from_fn(|at| {
            let entry = &sector[TABLE + at * ENTRY..][..ENTRY];
            let number = |at: usize| {
                u64::from(u32::from_le_bytes([
                    entry[at],
                    entry[at + 1],
                    entry[at + 2],
                    entry[at + 3],
                ]))
            };
            Partition { kind: entry[4], start: number(8) * SECTOR, bytes: number(12) * SECTOR }
        })
    })
}

/// Where the boot partition lies.
pub(super) fn boot(sector: &[u8]) -> Option<Partition> {
    read(sector)?.into_iter().find(|partition| partition.kind == FAT && partition.bytes > 0)
}

/// Lets the data partition reach the card's end; its file system follows at the first start. The last MiB is left free:
/// some cards that bear one name differ in their last sectors.
pub(super) fn extend_data(sector: &mut [u8], card_bytes: u64) {
    let Some(data) = read(sector).map(|partitions| partitions[DATA]) else {
        return;
    };
    let end = (card_bytes / (1 << 20)).saturating_sub(1) << 20;
    let sectors = end.saturating_sub(data.start) / SECTOR;
    if data.bytes == 0 || sectors * SECTOR <= data.bytes {
        return;
    }
    // An MBR counts to 2 TiB.
    let sectors = u32::try_from(sectors).unwrap_or(u32::MAX);
    sector[TABLE + DATA * ENTRY + 12..][..4].copy_from_slice(&sectors.to_le_bytes());
}

/// The label of an ext4 (superblock at 1024, label at 120 of it) or FAT32 (label at 71) file system.
pub(super) fn label(start: &[u8]) -> Option<String> {
    let plain = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches(['\0', ' ']).to_owned();
        (!text.is_empty() && text.chars().all(|letter| !letter.is_control())).then_some(text)
    };
    if start.get(1080..1082)? == [0x53, 0xEF] {
        return plain(&start[1144..1160]);
    }
    (&start[82..87] == b"FAT32").then(|| plain(&start[71..82])).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with the data partition at 1 GiB, 512 MiB long.
    fn table() -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&MAGIC);
        for (at, kind, start, sectors) in
            [(0, FAT, 8192_u32, 131_072_u32), (3, 0x83, 2_097_152, 1_048_576)]
        {
            let entry = &mut sector[TABLE + at * ENTRY..][..ENTRY];
            entry[4] = kind;
            entry[8..12].copy_from_slice(&start.to_le_bytes());
            entry[12..16].copy_from_slice(&sectors.to_le_bytes());
        }
        sector
    }

    #[test]
    fn no_table_is_no_table() {
        assert_eq!(read(&[0; 512]), None);
        assert_eq!(boot(&[0; 100]), None);
        let mut empty = vec![0; 512];
        extend_data(&mut empty, 1 << 34);
        assert_eq!(empty, vec![0; 512]);
    }

    #[test]
    fn the_boot_partition_is_found() {
        let found = boot(&table());
        assert_eq!(found, Some(Partition { kind: FAT, start: 8192 * 512, bytes: 131_072 * 512 }));
    }

    #[test]
    fn the_data_reach_the_cards_end_and_never_shrink() {
        #[track_caller]
        fn check(card_mib: u64, expect_mib: u64) {
            let mut sector = table();
            extend_data(&mut sector, card_mib << 20);
            assert_eq!(read(&sector).map(|all| all[DATA].bytes >> 20), Some(expect_mib));
        }
        check(1024, 512);
        check(1024 + 512, 512);
        check(1024 + 514, 513);
        check(8000, 8000 - 1024 - 1);
        check(3 << 20, (u64::from(u32::MAX) * 512) >> 20);
    }
}
