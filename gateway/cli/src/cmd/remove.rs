//! `tidegate remove`: a handler is to run no more.

use tidegate_release::manifest::What;

use super::Command;
use super::signing::{self, FLAGS, Signing};
use crate::args::Args;
use crate::failure::Failure;
use crate::push::sign::Wanted;
use crate::push::{package, targets};

pub const COMMAND: Command = Command {
    name: "remove",
    usage: "remove HANDLER --to GATEWAY|group:NAME --key F --broker URL",
    about: "take a pushed handler from gateways",
    help: "\
Signs an order that the handler is to run no more, and sends it, retained: a gateway that is offline takes it
when it is back. What the handler kept stays with its name, for a later push.

Options:
  --to T               a gateway's id or group:NAME; more with commas
  --key F, --passphrase-file F, --trust F      as for `tidegate push`
@BROKER@  --gateway-key F      the gateway's gateway.pub, instead of believing the key that it shows first
  --no-wait            end when the broker has it
  --timeout S          how long a gateway may say nothing (default: 30)
  --clean              afterwards, take chunks from the broker that no order on it refers to
  --json               the result as one JSON object

Example
  tidegate remove overheat --to gw-01 --key ops.key --trust trust --broker mqtt://127.0.0.1:1883
",
    run,
};

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &FLAGS, &signing::options(&[]))?;
    let handler = targets::handler(args.word("the handler's name")?)?;
    let provenance = package::provenance(None);
    let wanted = Wanted { what: What::Remove, blobs: Vec::new(), provenance };
    Signing::of(&args)?.run(&handler, &|_| Ok(wanted.clone()))
}
