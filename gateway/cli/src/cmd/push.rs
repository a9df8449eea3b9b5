//! `tidegate push`: a handler to its gateways, signed.

use std::path::Path;

use tidegate_release::manifest::What;

use super::Command;
use super::signing::{self, FLAGS, Signing};
use crate::args::Args;
use crate::board;
use crate::failure::Failure;
use crate::push::package::Package;
use crate::push::sign::Wanted;

pub const COMMAND: Command = Command {
    name: "push",
    usage: "push DIR --to GATEWAY|group:NAME --key F --broker URL",
    about: "sign a handler and push it to gateways",
    help: "\
Signs the handler in DIR and sends it: the signed order, then the module in chunks, all retained, so that a
gateway that is offline takes it when it is back. Shows how each gateway checks it, installs it, watches it
(`[probation]` in handler.toml) and keeps it, or why it does not. What it may do more than the version that
runs is listed first and asked for.

Options:
  --to T               a gateway's id or group:NAME; more with commas
  --key F              the key to sign with; more than once where the trust file wants more signatures
  --passphrase-file F  its passphrase (or TIDEGATE_PASSPHRASE; otherwise it is asked for)
  --trust F            the fleet's trust file (or TIDEGATE_TRUST)
@BROKER@  --gateway-key F      the gateway's gateway.pub, instead of believing the key that it shows first
  --board BOARD        the board whose limits count: a name or a file (default: dev)
  --yes                do not ask
  --no-wait            end when the broker has it
  --timeout S          how long a gateway may say nothing (default: 30)
  --clean              afterwards, take chunks from the broker that no order on it refers to
  --json               the result as one JSON object and nothing else on standard output

golden.json in DIR holds events that gateways try before the handler runs; `tidegate test DIR` tries them here.

Exit status: 0 when every gateway that was named, and every one of a group that answered, runs it; 1 when one
refused it or took it back; 69 when the broker cannot be reached; 75 when no gateway answered.

Examples
  tidegate push overheat --to gw-01 --key ops.key --trust trust --broker mqtt://127.0.0.1:1883
  tidegate push overheat --to group:boilers --key ops.key --trust trust --broker mqtts://broker.example \\
      --ca /etc/ssl/certs/ca-certificates.crt --yes
",
    run,
};

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &FLAGS, &signing::options(&["board"]))?;
    let dir = Path::new(args.word("the handler's folder")?);
    let package = Package::read(dir, &board::read(args.option("board"))?)?;
    let wanted = Wanted {
        what: What::Install(package.install),
        blobs: package.blobs,
        provenance: package.provenance,
    };
    Signing::of(&args)?.run(&package.handler, &|_| Ok(wanted.clone()))
}
