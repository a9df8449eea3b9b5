//! What a cut may leave, and what it must not.

use std::collections::BTreeSet;

use super::disk::{Change, Disk};
use super::image::{Image, Mood};

const SECTOR: usize = 512;

fn write(disk: &mut Disk, path: &str, at: usize, bytes: &[u8]) {
    let node = match disk.find(path) {
        Some(node) => node,
        None => disk.create(path).expect("its folder is there"),
    };
    disk.change(node, Change::Bytes { at, bytes: bytes.to_vec() }).expect("it is a file");
}

fn sync(disk: &mut Disk, path: &str) {
    let (node, start) = (disk.known(path).expect("it is there"), disk.next_step());
    disk.sync(Some(node), start, true);
}

/// A disk with durable files of these contents.
fn with(files: &[(&str, &[u8])]) -> Disk {
    let mut disk = Disk::new();
    for (path, bytes) in files {
        write(&mut disk, path, 0, bytes);
        sync(&mut disk, path);
    }
    sync(&mut disk, "");
    disk
}

/// Many of the disks that a cut may leave, with and without luck.
fn images(disk: &Disk) -> Vec<Image> {
    let moods = (0..500).map(Mood::Random);
    [Mood::AllKept, Mood::NoneKept]
        .into_iter()
        .chain(moods)
        .map(|mood| Image::after(disk, mood))
        .collect()
}

/// Every content that a file may have; none when it may be away.
fn contents<'a>(images: &'a [Image], path: &str) -> BTreeSet<Option<&'a [u8]>> {
    images.iter().map(|image| image.files.get(path).map(Vec::as_slice)).collect()
}

#[test]
fn what_is_synced_is_there_after_every_cut() {
    let mut disk = with(&[("a", b"one")]);
    write(&mut disk, "a", 3, b" two");
    sync(&mut disk, "a");
    assert_eq!(contents(&images(&disk), "a"), [Some(&b"one two"[..])].into());
}

#[test]
fn sectors_are_old_or_new_each_for_itself_and_so_is_the_length() {
    let mut disk = with(&[("a", &[1; 4 * SECTOR])]);
    write(&mut disk, "a", SECTOR / 2, &[2; 4 * SECTOR]);
    let images = images(&disk);
    let contents = contents(&images, "a");
    let lens: BTreeSet<usize> = contents.iter().map(|file| file.expect("durable").len()).collect();
    assert_eq!(lens, [4 * SECTOR, 4 * SECTOR + SECTOR / 2].into());
    let mut kinds = BTreeSet::new();
    for file in contents.into_iter().flatten() {
        assert!(file[..SECTOR / 2].iter().all(|byte| *byte == 1));
        let sectors: Vec<u8> = (0..4).map(|sector| file[sector * SECTOR + SECTOR - 1]).collect();
        for (sector, byte) in sectors.iter().enumerate() {
            let start = if sector == 0 { SECTOR / 2 } else { sector * SECTOR };
            let whole = &file[start..(sector + 1) * SECTOR];
            assert!(whole.iter().all(|other| other == byte), "no sector is torn");
        }
        kinds.insert(sectors);
    }
    assert_eq!(kinds.len(), 16, "old and new in every combination");
}

#[test]
fn a_later_write_may_be_there_without_an_earlier_one() {
    let mut disk = with(&[("a", &[0; 2 * SECTOR])]);
    write(&mut disk, "a", 0, b"first");
    write(&mut disk, "a", SECTOR, b"second");
    let images = images(&disk);
    let seen: BTreeSet<(u8, u8)> =
        contents(&images, "a").into_iter().flatten().map(|file| (file[0], file[SECTOR])).collect();
    assert_eq!(seen, [(0, 0), (0, b's'), (b'f', 0), (b'f', b's')].into());
}

#[test]
fn bytes_that_did_not_reach_the_disk_are_zeros_behind_the_length_that_did() {
    let mut disk = with(&[("a", b"")]);
    write(&mut disk, "a", 0, &[7; 10]);
    let images = images(&disk);
    let expect = [Some(&[][..]), Some(&[0; 10][..]), Some(&[7; 10][..])];
    assert_eq!(contents(&images, "a"), expect.into());
}

#[test]
fn a_shorter_file_may_still_be_the_longer_one() {
    let mut disk = with(&[("a", b"longer")]);
    let node = disk.known("a").expect("it is there");
    disk.change(node, Change::Length(0)).expect("it is a file");
    assert_eq!(contents(&images(&disk), "a"), [Some(&b""[..]), Some(b"longer")].into());
}

#[test]
fn a_sync_covers_what_came_before_it_began() {
    let mut disk = with(&[("a", &[0; 2 * SECTOR])]);
    write(&mut disk, "a", 0, b"before");
    let (node, start) = (disk.known("a").expect("it is there"), disk.next_step());
    write(&mut disk, "a", SECTOR, b"meanwhile");
    let images_during = images(&disk);
    assert!(contents(&images_during, "a").into_iter().flatten().any(|file| file[0] == 0));
    disk.sync(Some(node), start, true);
    let images = images(&disk);
    for file in contents(&images, "a").into_iter().flatten() {
        assert_eq!(&file[..6], b"before");
    }
    assert!(contents(&images, "a").into_iter().flatten().any(|file| file[SECTOR] == 0));
    assert!(contents(&images, "a").into_iter().flatten().any(|file| file[SECTOR] == b'm'));
}

#[test]
fn a_failed_sync_loses_what_it_was_for() {
    let mut disk = with(&[("a", b"old")]);
    write(&mut disk, "a", 0, b"new");
    let (node, start) = (disk.known("a").expect("it is there"), disk.next_step());
    disk.sync(Some(node), start, false);
    sync(&mut disk, "a");
    assert_eq!(contents(&images(&disk), "a"), [Some(&b"old"[..])].into());
    assert_eq!(Image::seen(&disk).files["a"], b"new");
}

#[test]
fn a_file_without_its_folders_sync_may_be_away() {
    let mut disk = with(&[]);
    write(&mut disk, "a", 0, b"x");
    sync(&mut disk, "a");
    assert_eq!(contents(&images(&disk), "a"), [None, Some(&b"x"[..])].into());
    sync(&mut disk, "");
    assert_eq!(contents(&images(&disk), "a"), [Some(&b"x"[..])].into());
}

#[test]
fn a_removed_file_may_come_back_with_what_it_had() {
    let mut disk = with(&[("a", b"x")]);
    write(&mut disk, "a", 0, b"y");
    disk.remove("a").expect("it is there");
    let expect = [None, Some(&b"x"[..]), Some(b"y")];
    assert_eq!(contents(&images(&disk), "a"), expect.into());
    sync(&mut disk, "");
    assert_eq!(contents(&images(&disk), "a"), [None].into());
}

#[test]
fn a_rename_is_whole_or_not_at_all_and_brings_what_the_file_has() {
    let mut disk = with(&[("a", b"old")]);
    write(&mut disk, "next", 0, b"new");
    disk.rename("next", "a").expect("it is there");
    let unsynced = images(&disk);
    let expect = [Some(&b""[..]), Some(&[0; 3][..]), Some(b"new"), Some(b"old")];
    assert_eq!(contents(&unsynced, "a"), expect.into());
    assert!(unsynced.iter().any(|image| image.files.contains_key("next")));

    let mut disk = with(&[("a", b"old")]);
    write(&mut disk, "next", 0, b"new");
    sync(&mut disk, "next");
    disk.rename("next", "a").expect("it is there");
    assert_eq!(contents(&images(&disk), "a"), [Some(&b"new"[..]), Some(b"old")].into());
    sync(&mut disk, "");
    assert_eq!(contents(&images(&disk), "a"), [Some(&b"new"[..])].into());
    assert_eq!(contents(&images(&disk), "next"), [None].into());
}

#[test]
fn a_move_between_folders_needs_both_synced() {
    let mut disk = with(&[("a", b"x")]);
    disk.make_folder("f").expect("its folder is there");
    sync(&mut disk, "");
    disk.rename("a", "f/a").expect("it is there");
    sync(&mut disk, "f");
    let there = images(&disk);
    assert_eq!(contents(&there, "a"), [None, Some(&b"x"[..])].into());
    assert!(there.iter().all(|image| image.files.len() == 1), "never both, never neither");
    sync(&mut disk, "");
    assert_eq!(contents(&images(&disk), "f/a"), [Some(&b"x"[..])].into());
}

#[test]
fn a_folder_that_is_away_takes_everything_with_it() {
    let mut disk = with(&[]);
    disk.make_folder("f").expect("its folder is there");
    write(&mut disk, "f/a", 0, b"x");
    sync(&mut disk, "f/a");
    sync(&mut disk, "f");
    let images = images(&disk);
    assert_eq!(contents(&images, "f/a"), [None, Some(&b"x"[..])].into());
    assert!(images.iter().all(|image| image.folders.len() == image.files.len()));
}
