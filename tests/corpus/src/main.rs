//! `tidegate-corpus` prints the corpus, `tidegate-corpus NAME` what is behind the hash of that name. When something has
//! changed on purpose: `cargo run -p tidegate-corpus > tests/corpus/hashes.txt`.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted = match std::env::args().nth(1) {
        None => Some(tidegate_corpus::corpus().into_bytes()),
        Some(name) => tidegate_corpus::behind(&name),
    };
    let Some(bytes) = wanted else {
        eprintln!("tidegate-corpus: there is no such name; without one, all are listed");
        return ExitCode::FAILURE;
    };
    match std::io::stdout().write_all(&bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-corpus: {error}");
            ExitCode::FAILURE
        }
    }
}
