//! Opens a connection: looks the name up, TCP, TLS, CONNECT, CONNACK.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tidegate_config::{BrokerSettings, UplinkSettings};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::wire::{Accepted, Heard, Wire};
use crate::tls::{self, Trust};

/// A lost SYN is sent again after one second and then three: at two it is quicker to start over.
const TCP_WAIT: Duration = Duration::from_secs(2);
/// From the open socket to CONNACK, TLS included: two or three round trips on the slowest links in use.
const CONNACK_WAIT: Duration = Duration::from_secs(5);
/// A name server that takes longer is as good as away, when addresses are known from the last time.
const LOOKUP_WAIT: Duration = Duration::from_secs(2);
/// Addresses of one name that are tried, each with its own [`TCP_WAIT`].
const ADDRESSES_MAX: usize = 4;

/// A byte stream, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection.
pub(super) struct Dialed {
    pub stream: Box<dyn Stream>,
    pub wire: Wire,
    pub accepted: Accepted,
    /// What came behind the CONNACK.
    pub incoming: BytesMut,
}

pub(super) struct Dialer {
    settings: Arc<UplinkSettings>,
    trust: Arc<Trust>,
    /// Where the last connection went, for when names cannot be looked up.
    known: Vec<SocketAddr>,
}

impl Dialer {
    pub fn new(settings: Arc<UplinkSettings>, trust: Arc<Trust>) -> Dialer {
        Dialer { settings, trust, known: Vec::new() }
    }

    /// Opens a connection, or says in a person's words why there is none.
    pub async fn dial(&mut self) -> Result<Dialed, String> {
        let addresses = self.addresses().await?;
        let tcp = connect(&addresses).await?;
        let settings = Arc::clone(&self.settings);
        let greeted = async {
            let stream = secure(tcp, &settings.broker, &self.trust).await?;
            greet(stream, &settings).await
        };
        let dialed = match timeout(CONNACK_WAIT, greeted).await {
            Ok(dialed) => dialed?,
            Err(_) => return Err("it takes the connection and does not answer".to_owned()),
        };
        self.known = addresses;
        Ok(dialed)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let BrokerSettings { host, port, .. } = &self.settings.broker;
        let looked_up = timeout(LOOKUP_WAIT, lookup_host((host.as_str(), *port))).await;
        let why = match looked_up {
            Ok(Ok(found)) => {
                let found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
                if !found.is_empty() {
                    return Ok(found);
                }
                "it has no address".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no name server answers".to_owned(),
        };
        if self.known.is_empty() {
            return Err(format!("the name {host} cannot be looked up: {why}"));
        }
        Ok(self.known.clone())
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut why = String::new();
    for address in addresses {
        match timeout(TCP_WAIT, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                return match prepare(&tcp) {
                    Ok(()) => Ok(tcp),
                    Err(error) => Err(error.to_string()),
                };
            }
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address} does not answer"),
        }
    }
    Err(why)
}

fn prepare(tcp: &TcpStream) -> io::Result<()> {
    // Without it a record waits for the ack of the one before, 40 ms at worst.
    tcp.set_nodelay(true)?;
    // A connection that is given up takes what it has not sent with it: all of that goes over the next one again.
    socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO))
}

async fn secure(
    tcp: TcpStream,
    broker: &BrokerSettings,
    trust: &Arc<Trust>,
) -> Result<Box<dyn Stream>, String> {
    let Some(tls) = &broker.tls else {
        return Ok(Box::new(tcp));
    };
    let config = tls::client_config(tls, trust).map_err(|error| format!("{error:#}"))?;
    let name = ServerName::try_from(broker.host.clone())
        .map_err(|_| format!("{} is no name that a certificate can have", broker.host))?;
    match TlsConnector::from(config).connect(name, tcp).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(format!("TLS: {error}")),
    }
}

async fn greet(mut stream: Box<dyn Stream>, settings: &UplinkSettings) -> Result<Dialed, String> {
    let wire = Wire::new(settings.protocol);
    let mut bytes = BytesMut::new();
    wire.connect(&settings.broker, &mut bytes)?;
    let plain = |error: io::Error| error.to_string();
    stream.write_all(&bytes).await.map_err(plain)?;
    stream.flush().await.map_err(plain)?;
    let mut incoming = BytesMut::new();
    loop {
        if let Some(heard) = wire.read(&mut incoming)? {
            return match heard {
                Heard::Accepted(accepted) => Ok(Dialed { stream, wire, accepted, incoming }),
                Heard::Rejected(why) | Heard::Bye(why) => Err(why),
                Heard::Acked { .. }
                | Heard::Subscribed { .. }
                | Heard::Message { .. }
                | Heard::Pong
                | Heard::Other => Err("it answers with something that is no CONNACK".to_owned()),
            };
        }
        if stream.read_buf(&mut incoming).await.map_err(plain)? == 0 {
            return Err("it closed the connection without a word".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidegate_config::Protocol;
    use tidegate_core::time::WallTime;

    use super::*;

    fn dialer(host: &str) -> Dialer {
        let broker = BrokerSettings {
            host: host.to_owned(),
            port: 1883,
            tls: None,
            username: None,
            password: None,
            client_id: "gw".to_owned(),
            keep_alive_s: 30,
        };
        let settings = UplinkSettings {
            broker,
            protocol: Protocol::V5,
            window: 32,
            rate_per_s: 0,
            message_bytes_max: 1024,
            outlets: BTreeMap::new(),
        };
        Dialer::new(Arc::new(settings), Trust::new(WallTime::default))
    }

    /// What a dialer that knows these addresses would connect to.
    #[track_caller]
    fn check(host: &str, known: &[&str], expect: Result<&[&str], &str>) {
        let parse = |all: &[&str]| -> Vec<SocketAddr> {
            all.iter().map(|one| one.parse().expect("an address")).collect()
        };
        let mut dialer = dialer(host);
        dialer.known = parse(known);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = runtime.expect("a runtime").block_on(dialer.addresses());
        match (found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found, parse(expect), "{host}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{host}: {why}"),
            (found, expect) => panic!("{host}: {found:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn an_address_of_before_is_better_than_none() {
        // No name has an empty label, so nobody is asked.
        check("a..b", &[], Err("a..b cannot be looked up"));
        check("a..b", &["127.0.0.9:1883"], Ok(&["127.0.0.9:1883"]));
        check("127.0.0.1", &["127.0.0.9:1883"], Ok(&["127.0.0.1:1883"]));
        check("::1", &[], Ok(&["[::1]:1883"]));
    }
}
