//! `tidegate trust`: the file that says whose signatures count.
//!
//! In reading order: `init` (the first one), `show`, `next` (rotate, revoke, sign), `send`, `output`.

mod init;
mod next;
mod output;
mod send;
mod show;

use super::Command;
use crate::failure::Failure;

pub const COMMAND: Command = Command {
    name: "trust",
    usage: "trust init | show | rotate | revoke | sign | send",
    about: "make and change the file that says whose signatures count",
    help: "\
A trust file names a fleet, its roots (who sign trust files) and its release keys (who sign pushes). A gateway
gets its first one by hand, as [trust] file = \"...\" in gateway.toml; later ones come over MQTT, each signed by
enough roots of the one before. All but `show` and `send` write the new file to standard output.

tidegate trust init --root F.. [--release F..] [--key F..]
  --fleet NAME           what the fleet is called (default: fleet)
  --root F               the .pub file of a root; may be given more than once
  --release F            the same for a release key (default: the roots)
  --key F                a root's secret key, to sign (default: the .key file beside each --root)
  --threshold N          so many roots must sign (default: 1)
  --release-threshold N  so many release keys must sign a push (default: 1)

tidegate trust show FILE [--json]

tidegate trust rotate FILE --key F.. [changes]
  --add-root F, --add-release F                 .pub files
  --remove-root K, --remove-release K           .pub files or key ids
  --threshold N, --release-threshold N

tidegate trust revoke KEYID FILE --key F..
  The key is not to count any more, and what it signed is behind: the key epoch rises. Push every handler
  again afterwards, so that gateways have a release of the new epoch.

tidegate trust sign FILE --key F..
  Adds signatures, when the roots' keys lie in different places.

tidegate trust send FILE.. --to GATEWAY|group:NAME --broker URL
  Retained, so that a gateway that is away takes it when it is back. Several files, one version after the other,
  lead gateways on that have missed some.

Everywhere: --passphrase-file F, or TIDEGATE_PASSPHRASE; otherwise it is asked for.

Example: a second person may push, and the first one's key was stolen
  tidegate trust rotate trust --add-release eve.pub --key root.key > trust.2
  tidegate trust revoke 5f0c6a1b2c3d4e5f trust.2 --key root.key > trust.3
  tidegate trust send trust.2 trust.3 --to group:boilers --broker mqtt://broker.example
",
    run,
};

fn run(mut words: Vec<String>) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(Failure::usage("say what to do: init, show, rotate, revoke, sign or send"));
    }
    let what = words.remove(0);
    match &what[..] {
        "init" => init::run(words),
        "show" => show::run(words),
        "rotate" => next::rotate(words),
        "revoke" => next::revoke(words),
        "sign" => next::sign(words),
        "send" => send::run(words),
        other => Err(Failure::usage(format!(
            "`{other}` is none of init, show, rotate, revoke, sign and send"
        ))),
    }
}
