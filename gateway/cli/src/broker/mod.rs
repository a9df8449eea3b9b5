//! A broker from the command line: where it is, who we are to it, and a connection.

mod link;
mod tls;

use std::sync::Arc;

use rustls::ClientConfig;
use tidegate_config::BrokerUrl;

use crate::args::Args;
use crate::failure::Failure;

pub use link::{Heard, Link, Message};
pub use tls::config as tls;

/// The options of [`Server::of`].
pub const OPTIONS: [&str; 6] = ["broker", "ca", "cert", "client-key", "username", "password-file"];

/// How `--help` tells of them.
pub const HELP: &str = "\
  --broker URL         mqtt://HOST:PORT or mqtts://HOST:PORT: a gateway's own front door, or the broker
                       that gateways send to (or TIDEGATE_BROKER)
  --ca F               whom to trust with mqtts, in PEM
  --cert F --client-key F    who we are, if the broker asks
  --username U         and --password-file F
";

/// A broker and how to get in.
#[derive(Clone, Debug)]
pub struct Server {
    pub url: BrokerUrl,
    pub login: Option<(String, String)>,
    pub tls: Option<Arc<ClientConfig>>,
}

impl Server {
    /// The broker that a command line names.
    ///
    /// # Errors
    /// When it names none, or what belongs to it cannot be read.
    pub fn of(args: &Args) -> Result<Server, Failure> {
        let url = url(args)?;
        let tls = tls(url.tls, args, "client-key")?;
        Ok(Server { url, login: login(args)?, tls })
    }

    /// Its address, as it is written.
    pub fn name(&self) -> String {
        let BrokerUrl { tls, host, port } = &self.url;
        format!("{}://{host}:{port}", if *tls { "mqtts" } else { "mqtt" })
    }
}

/// `--broker`, or else what the environment says.
pub(crate) fn url(args: &Args) -> Result<BrokerUrl, Failure> {
    if let Some(url) = args.option("broker") {
        return url.parse().map_err(|why| Failure::usage(format!("--broker: {why}")));
    }
    match std::env::var("TIDEGATE_BROKER") {
        Ok(url) => url.parse().map_err(|why| Failure::usage(format!("TIDEGATE_BROKER: {why}"))),
        Err(_) => Err(Failure::usage(
            "--broker is missing, for example --broker mqtt://127.0.0.1:1883 for the front door of a gateway here",
        )),
    }
}

pub(crate) fn login(args: &Args) -> Result<Option<(String, String)>, Failure> {
    let Some(username) = args.option("username") else {
        return match args.option("password-file") {
            None => Ok(None),
            Some(_) => Err(Failure::usage("--password-file goes with --username")),
        };
    };
    let password = match args.option("password-file") {
        None => String::new(),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::config(format!("{file} cannot be read: {error}")))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    Ok(Some((username.to_owned(), password)))
}
