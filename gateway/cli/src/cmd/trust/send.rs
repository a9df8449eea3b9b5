//! Trust files on their way to gateways.

use tidegate_release::topics::ControlTopic;
use tidegate_release::trust::{chain, peek};

use crate::args::Args;
use crate::broker::{self, Server};
use crate::failure::Failure;
use crate::key_files;
use crate::push::{self, targets};

pub(super) fn run(words: Vec<String>) -> Result<(), Failure> {
    let options: Vec<&'static str> = broker::OPTIONS.into_iter().chain(["to"]).collect();
    let args = Args::read(words, &[], &options)?;
    if args.words().is_empty() {
        return Err(Failure::usage("the trust file is missing"));
    }
    let targets = targets::of(&args)?;
    let server = Server::of(&args)?;
    let mut files = Vec::new();
    for path in args.words() {
        let file = key_files::bytes(path)?;
        let (content, _) =
            peek(&file).map_err(|error| Failure::data(format!("{path}: {error}")))?;
        files.push((content.version, file));
    }
    files.sort_unstable_by_key(|(version, _)| *version);
    let message = match &files[..] {
        [(_, file)] => file.clone(),
        files => chain(&files.iter().map(|(_, file)| &file[..]).collect::<Vec<_>>()),
    };
    let messages: Vec<(String, Vec<u8>)> = targets
        .into_iter()
        .map(|target| (ControlTopic::Trust { target }.to_string(), message.clone()))
        .collect();
    let count = messages.len();
    let keeps = push::runtime()?.run(push::deliver(&server, messages))?;
    println!("sent to {count} targets");
    if !keeps {
        eprintln!(
            "this broker keeps no messages: only gateways that were there have it; send it again for the others"
        );
    }
    Ok(())
}
