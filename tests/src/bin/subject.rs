//! A program for the recorder to watch, good or bad on purpose. See `tests/power_cut`.
//!
//!     subject append FOLDER COUNT [no-sync] [no-folder-sync]     records at the end of a file
//!     subject replace FOLDER COUNT [no-sync] [no-folder-sync]    one file, replaced by renaming
//!     subject exercise FOLDER SEED                               everything that std can do to a folder
//!     subject link FOLDER                                        what the recorder does not record
//!
//! `append` and `replace` say "acked N" when record N is safe, and wait for a line before they go on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, thread};

use tidegate_tests::power_cut::subject;
use tidegate_tests::simulation::Random;

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().collect();
    let folder = Path::new(&words[2]);
    let number = || words[3].parse::<u64>().expect("a number");
    let has = |word: &str| words.iter().any(|other| other == word);
    let careful = Careful { file: !has("no-sync"), folder: !has("no-folder-sync") };
    match words[1].as_str() {
        "append" => append(folder, number(), careful),
        "replace" => replace(folder, number(), careful),
        "exercise" => exercise(folder, number()),
        "link" => fs::hard_link(folder.join("a"), folder.join("b")),
        other => panic!("no such thing: {other}"),
    }
}

/// What is synced.
#[derive(Clone, Copy)]
struct Careful {
    file: bool,
    folder: bool,
}

fn append(folder: &Path, count: u64, careful: Careful) -> io::Result<()> {
    let mut file =
        OpenOptions::new().create(true).append(true).open(folder.join(subject::APPENDED))?;
    if careful.folder {
        File::open(folder)?.sync_all()?;
    }
    for number in 0..count {
        file.write_all(&subject::record(number))?;
        if careful.file {
            file.sync_data()?;
        }
        ack(number)?;
    }
    Ok(())
}

fn replace(folder: &Path, count: u64, careful: Careful) -> io::Result<()> {
    let (next, path) = (folder.join("next"), folder.join(subject::REPLACED));
    for number in 0..count {
        let mut file = File::create(&next)?;
        file.write_all(&subject::record(number))?;
        if careful.file {
            file.sync_data()?;
        }
        fs::rename(&next, &path)?;
        if careful.folder {
            File::open(folder)?.sync_all()?;
        }
        ack(number)?;
    }
    Ok(())
}

fn ack(number: u64) -> io::Result<()> {
    println!("acked {number}");
    io::stdin().lock().read_line(&mut String::new()).map(|_| ())
}

/// Does much of what `std` can do to a folder, some of it in a second thread and in a child.
fn exercise(folder: &Path, seed: u64) -> io::Result<()> {
    let mut random = Random::new(seed);
    let within = |name: u64| folder.join(format!("f{name}"));
    for step in 0..200 {
        let (path, other) = (within(random.below(6)), within(random.below(6)));
        let bytes = subject::record(random.below(1000));
        match random.below(16) {
            0 => fs::write(&path, &bytes)?,
            1 => drop(fs::remove_file(&path)),
            2 => drop(fs::rename(&path, &other)),
            3 => drop(fs::copy(&path, &other)),
            4 => grow(&path, random.below(3000))?,
            5 => OpenOptions::new().create(true).append(true).open(&path)?.write_all(&bytes)?,
            6 => patch(&path, &bytes, random.below(2000))?,
            7 => gather(&path, &bytes)?,
            8 => cloned(&path, &bytes)?,
            9 => folders(folder, &bytes)?,
            10 => together(&path, &other)?,
            11 => File::open(folder)?.sync_all()?,
            12 => fs::write(&path, vec![0; random.below(10_000) as usize])?,
            13 => drop(fs::read(&path)),
            14 => {
                let socket = folder.join("socket");
                drop(fs::remove_file(&socket));
                drop(UnixListener::bind(&socket)?);
            }
            _ if step > 150 && seed > 0 => {
                let child = Command::new(env::current_exe()?)
                    .args(["exercise".as_ref(), folder.as_os_str(), "0".as_ref()])
                    .status()?;
                assert!(child.success());
            }
            _ => File::create(&path)?.sync_all()?,
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn grow(path: &Path, len: u64) -> io::Result<()> {
    let file = open(path)?;
    file.set_len(len)?;
    file.sync_data()
}

/// Writes where it has sought to, and at an offset.
fn patch(path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)?;
    file.write_all_at(b"patched", at / 2)?;
    file.read_exact_at(&mut [0; 7], at / 2)?;
    file.write_all(b"behind")
}

fn gather(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    let parts = [IoSlice::new(b"head "), IoSlice::new(bytes), IoSlice::new(b" tail")];
    file.write_vectored(&parts).map(|_| ())
}

fn cloned(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = open(path)?;
    let mut twin = file.try_clone()?;
    drop(file);
    twin.read_exact(&mut [0; 3]).or_else(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(error),
    })?;
    twin.write_all(bytes)
}

fn folders(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let (one, two) = (folder.join("one"), folder.join("two"));
    fs::create_dir_all(one.join("deep/er"))?;
    fs::write(one.join("deep/er/file"), bytes)?;
    if two.exists() {
        fs::remove_dir_all(&two)?;
        return Ok(());
    }
    fs::rename(one.join("deep/er/file"), one.join("file"))?;
    // A way about, then paths from where we are.
    fs::rename(&one, folder.join("./one/..//two"))?;
    env::set_current_dir(two.join("deep"))?;
    fs::write("here", bytes)?;
    fs::remove_dir("er")?;
    env::set_current_dir("/")
}

/// Two threads with two files.
fn together(one: &Path, two: &Path) -> io::Result<()> {
    let work = |path: PathBuf| -> io::Result<()> {
        for number in 0..20 {
            let file = open(&path)?;
            file.write_all_at(&subject::record(number)[..60], number * 64)?;
            file.sync_data()?;
        }
        Ok(())
    };
    if one == two {
        return Ok(());
    }
    let one = one.to_owned();
    let other = thread::spawn(move || work(one));
    work(two.to_owned())?;
    other.join().expect("it does not panic")
}
