use super::*;

/// A machine in a folder: a disk that it runs from, a card, a card that is mounted, an empty reader.
fn machine(name: &str) -> (System, PathBuf) {
    let root = std::env::temp_dir().join(format!("tidegate-machine-{name}-{}", std::process::id()));
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    for (disk, dev, size, model, parts) in [
        ("sda", "8:0", "500118192", "Samsung SSD", &[("sda1", "8:1")][..]),
        ("sdb", "8:16", "15523840", "SD/MMC", &[("sdb1", "8:17"), ("sdb2", "8:18")]),
        ("sdc", "8:32", "15523840", "SD/MMC", &[("sdc1", "8:33")]),
        ("sdd", "8:48", "0", "Reader", &[]),
    ] {
        put(&format!("sys/block/{disk}/dev"), dev);
        put(&format!("sys/block/{disk}/size"), size);
        put(&format!("sys/block/{disk}/device/model"), &format!("{model}   \n"));
        put(&format!("dev/{disk}"), "");
        for (part, dev) in parts {
            put(&format!("sys/block/{disk}/{part}/dev"), dev);
            put(&format!("sys/block/{disk}/{part}/partition"), "1");
            put(&format!("sys/block/{disk}/{part}/size"), "131072");
            put(&format!("dev/{part}"), "");
        }
    }
    put("sys/block/loop0/size", "8");
    put("sys/block/sdb/removable", "1");
    let mut ext4 = vec![0; 4096];
    ext4[1080..1082].copy_from_slice(&[0x53, 0xEF]);
    ext4[1144..1150].copy_from_slice(b"photos");
    fs::write(root.join("dev/sdb1"), ext4).expect("a file");
    put(
        "proc/self/mountinfo",
        "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n90 22 8:33 / /media/card rw - vfat /dev/sdc1 rw\n",
    );
    put("proc/swaps", "Filename Type Size Used Priority\n");
    (System::at(&root), root)
}

#[test]
fn what_must_not_be_written_is_refused() {
    let (system, root) = machine("refused");
    let refused = |path: &str| match system.device(Path::new(path)) {
        Err(why) => why,
        Ok(device) => device.may_be_written().expect_err(path),
    };
    assert!(refused("/dev/sda").contains("this system runs from"));
    assert!(refused("/dev/sdc").contains("mounted: sdc1 at /media/card"));
    assert!(refused("/dev/sdd").contains("no card in it"));
    assert!(refused("/dev/sdb1").contains("no whole device"));
    assert!(refused("/dev/sdx").contains("--list"));
    fs::write(root.join("proc/swaps"), "Filename\n/dev/sdb2 partition 1 0 -2\n").expect("a file");
    assert!(refused("/dev/sdb").contains("this system runs from"), "it swaps there");
    fs::write(root.join("proc/swaps"), "").expect("a file");
    fs::write(root.join("sys/block/sdb/ro"), "1\n").expect("a file");
    assert!(refused("/dev/sdb").contains("read-only"));
    fs::remove_dir_all(root).expect("a folder that was there");
}

#[test]
fn a_card_is_described_and_may_be_written() {
    let (system, root) = machine("described");
    let card = system.device(Path::new("/dev/sdb")).expect("a card");
    assert_eq!(card.may_be_written(), Ok(()));
    assert_eq!((&card.model[..], card.bytes, card.is_removable), ("SD/MMC", 7_948_206_080, true));
    let labels: Vec<_> = card.parts.iter().map(|part| part.label.as_deref()).collect();
    assert_eq!(labels, [None, Some("photos"), None]);
    assert_eq!(card.has_room_for(7_948_206_080), Ok(()));
    let small = card.has_room_for(7_948_206_081).expect_err("one byte too many");
    assert!(small.contains("take a larger card"), "{small}");
    let names: Vec<String> =
        system.devices().expect("a list").into_iter().map(|device| device.name).collect();
    assert_eq!(names, ["sda", "sdb", "sdc"], "no loops, and no reader without a card");
    fs::remove_dir_all(root).expect("a folder that was there");
}
