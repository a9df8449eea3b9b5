//! What the files of one gateway mean.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_core::Manifest;
use tidegate_core::record::StreamId;
use tidegate_core::release::Probation;
use tidegate_core::stream::{Format, Streams};

use crate::board::Board;
use crate::problem::{Problem, Problems};
use crate::template::TopicTemplate;

/// One gateway: `gateway.toml`, its board and its handlers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[a-z0-9-]{1,32}`.
    pub id: String,
    /// May not be there yet; the folder it lies in is.
    pub data_dir: PathBuf,
    /// Groups that a push may be addressed to: `[a-z0-9-]{1,32}` each.
    pub groups: Vec<String>,
    /// Quick restarts of the daemon after which no handler is started; 0: always started.
    pub restarts_max: u8,
    /// Whose pushes are taken. Without it nobody's are.
    pub trust: Option<PathBuf>,
    /// Without a new signed order or trust file for so long, the gateway says that it is stale; 0: never.
    pub stale_after_s: u32,
    pub board: Board,
    pub local: Local,
    pub store: StoreSettings,
    /// Where records go. Without it there are no streams.
    pub uplink: Option<UplinkSettings>,
    pub streams: Arc<Streams>,
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

/// How the journal is written, and how large it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Longest wait for company in a group commit.
    pub commit_ms: u32,
    /// Longest wait of state that came from QoS 0 alone.
    pub lazy_ms: u32,
    /// The journal's share of the disk, in millions of bytes.
    pub quota_mb: u32,
}

impl StoreSettings {
    pub const fn quota_bytes(&self) -> u64 {
        self.quota_mb as u64 * 1_000_000
    }
}

/// How records leave the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkSettings {
    pub broker: BrokerSettings,
    pub protocol: Protocol,
    /// At most this many records sent and not acked; 1 to 256.
    pub window: u16,
    /// Records a second; 0 is as fast as the window allows.
    pub rate_per_s: u32,
    /// Longest packet that is sent: topic, properties and envelope included.
    pub message_bytes_max: usize,
    /// One for each stream, the gateway's own `losses` and `dead-letters` among them.
    pub outlets: BTreeMap<StreamId, Outlet>,
}

/// Which MQTT is spoken upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// When the broker can say why it refuses a record, and what it takes at most.
    #[default]
    V5,
    /// When the broker is older than that.
    V311,
}

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::V5 => "5",
            Protocol::V311 => "3.1.1",
        }
    }
}

/// How one stream's records look upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// The stream's name.
    pub name: String,
    pub topic: TopicTemplate,
    pub format: Format,
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
    /// What a pushed version of it must show before it stays.
    pub probation: Probation,
}

/// A `[[handler]]` of `gateway.toml`.
#[derive(Clone, Debug)]
pub enum HandlerEntry {
    /// When its module is there and looks like one. Whether it loads, the host finds out.
    Ready(Box<HandlerDir>),
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
