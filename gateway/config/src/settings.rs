//! What the files of one gateway mean.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use tidegate_core::Manifest;

use crate::board::Board;
use crate::problem::{Problem, Problems};

/// One gateway: `gateway.toml`, its board and its handlers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[a-z0-9-]{1,32}`.
    pub id: String,
    /// May not be there yet; the folder it lies in is.
    pub data_dir: PathBuf,
    pub board: Board,
    pub local: Local,
    pub handlers: Vec<HandlerEntry>,
    /// What is allowed but may surprise.
    pub warnings: Vec<Problem>,
}

impl Settings {
    /// What is wrong with handlers that the rest can do without.
    pub fn broken(&self) -> Problems {
        let mut problems = Vec::new();
        for handler in &self.handlers {
            match handler {
                HandlerEntry::Ready(_) => {}
                HandlerEntry::Broken { problems: more, .. } => problems.extend(more.0.clone()),
            }
        }
        Problems(problems)
    }
}

/// Where telemetry comes from and reactions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// When devices connect to us. At least one address.
    FrontDoor { listen: Vec<SocketAddr> },
    /// When devices connect to a broker that is there already.
    Broker(BrokerSettings),
}

/// How to reach a broker that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    pub host: String,
    pub port: u16,
    /// Present for `mqtts://`.
    pub tls: Option<Tls>,
    pub username: Option<String>,
    /// What was in `password_file`, without the newline at its end. Only with a username.
    pub password: Option<Secret>,
    pub client_id: String,
    pub keep_alive_s: u16,
}

/// Whom to trust, and who we are. The files were there and held PEM when they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub ca: PathBuf,
    /// When the broker asks clients for a certificate.
    pub client: Option<ClientCert>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCert {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A string that must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Secret {
        Secret(secret.into())
    }

    /// The string itself. Hand it to who needs it and nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A handler's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerDir {
    pub dir: PathBuf,
    pub manifest: Manifest,
    pub module_path: PathBuf,
}

/// A `[[handler]]` of `gateway.toml`.
#[derive(Clone, Debug)]
pub enum HandlerEntry {
    /// When its module is there and looks like one. Whether it loads, the host finds out.
    Ready(HandlerDir),
    /// When its module is not there or is no module. The rest goes on without it.
    Broken { dir: PathBuf, name: String, problems: Problems },
}

impl HandlerEntry {
    pub fn name(&self) -> &str {
        match self {
            HandlerEntry::Ready(handler) => &handler.manifest.name,
            HandlerEntry::Broken { name, .. } => name,
        }
    }
}
