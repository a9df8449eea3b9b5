//! A trust file on its way to standard output.

use std::io::{self, IsTerminal as _, Write as _};

use tidegate_release::trust::Content;

use crate::failure::Failure;

/// A trust file is no text.
pub(super) fn check_redirected() -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::usage(
            "the file goes to standard output and is no text; write it somewhere: ... > trust",
        ));
    }
    Ok(())
}

/// `note` is what is still missing before a gateway takes it.
pub(super) fn write(file: &[u8], content: &Content, note: Option<String>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(file)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("standard output cannot be written: {error}")))?;
    eprintln!(
        "trust file {} of fleet {}, key epoch {}: {} roots, {} release keys, {} revoked",
        content.version,
        content.fleet,
        content.key_epoch,
        content.roots.keys.len(),
        content.release.keys.len(),
        content.revoked.len(),
    );
    if let Some(note) = note {
        eprintln!("no gateway takes it yet: {note}");
    }
    Ok(())
}
