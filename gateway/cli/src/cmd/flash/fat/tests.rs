use fatfs::{FatType, FormatVolumeOptions, format_volume};

use super::*;

/// An image with a boot partition of 64 MiB at 1 MiB.
fn image(name: &str) -> (std::path::PathBuf, Partition) {
    let path = std::env::temp_dir().join(format!("tidegate-fat-{name}-{}", std::process::id()));
    let place = Partition { kind: 0x0C, start: 1 << 20, bytes: 64 << 20 };
    let mut sector = vec![0; 512];
    sector[446 + 4] = place.kind;
    sector[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    sector[446 + 12..446 + 16].copy_from_slice(&131_072_u32.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    let mut file = File::create(&path).expect("a file");
    file.write_all(&sector).expect("a file that can be written");
    file.set_len(place.start + place.bytes).expect("a sparse file");
    let options = FormatVolumeOptions::new().fat_type(FatType::Fat32);
    format_volume(window(&path, place), options).expect("a file system");
    (path, place)
}

fn window(path: &Path, place: Partition) -> Window {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the image");
    Window { file, place, at: 0 }
}

#[test]
fn files_have_their_long_names_and_what_was_there_is_replaced() {
    let (path, place) = image("names");
    let long = "tidegate-provision.toml";
    for text in ["a first text that is longer", "id"] {
        let files = [(long, text), ("tidegate/gateway.toml", text), ("tidegate/trust", text)];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        assert_eq!(put(&path, &files), Ok(()));
    }
    let system = FileSystem::new(window(&path, place), FsOptions::new()).expect("a file system");
    let names = |folder: fatfs::Dir<'_, Window>| -> Vec<String> {
        let names = folder.iter().map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| !name.starts_with('.')).collect()
    };
    assert_eq!(names(system.root_dir()), [long, "tidegate"]);
    let folder = system.root_dir().open_dir("tidegate").expect("a folder");
    assert_eq!(names(folder), ["gateway.toml", "trust"]);
    let mut text = String::new();
    let mut file = system.root_dir().open_file(long).expect("the file");
    file.read_to_string(&mut text).expect("a text");
    assert_eq!(text, "id");
    std::fs::remove_file(path).expect("a file that was there");
}

#[test]
fn a_file_that_is_no_image_is_told() {
    let path = std::env::temp_dir().join(format!("tidegate-fat-none-{}", std::process::id()));
    std::fs::write(&path, vec![0; 1024]).expect("a file");
    let told = put(&path, &[("a".to_owned(), Vec::new())]).expect_err("no table");
    assert!(told.text.contains("no FAT partition"), "{}", told.text);
    std::fs::remove_file(path).expect("a file that was there");
}
