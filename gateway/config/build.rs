//! Builds the boards in: every file of `boards/` and `boards/classes/`, without comments, blank lines and
//! alignment. A gateway needs what they say, not what they explain, and on a small board every page counts.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let boards = Path::new("../../boards");
    let mut code = String::new();
    for (name, folder) in [("BUILT_IN", boards.to_path_buf()), ("CLASSES", boards.join("classes"))]
    {
        println!("cargo::rerun-if-changed={}", folder.display());
        writeln!(code, "pub static {name}: &[(&str, &str)] = &[").map_err(io::Error::other)?;
        for file in files(&folder)? {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let text = compact(&fs::read_to_string(&file)?);
            writeln!(code, "    ({stem:?}, {text:?}),").map_err(io::Error::other)?;
        }
        code.push_str("];\n");
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("boards.rs"), code)
}

/// The TOML files of a folder, by name.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort_by_key(|file| file.file_stem().map(ToOwned::to_owned));
    Ok(files)
}

/// The same meaning in fewer bytes. Knows the strings that board files use: one line, in double quotes.
fn compact(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let (mut quoted, mut escaped) = (false, false);
        let end = line.find(|c| {
            let is_comment = c == '#' && !quoted;
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_comment
        });
        let line = line[..end.unwrap_or(line.len())].trim();
        if !line.is_empty() {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
