//! One connection to a broker: what is subscribed, what is published, and what is heard. It ends when it is lost; who
//! wants to go on opens another.

use std::collections::VecDeque;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Filter, Packet, PubAck, PubAckReason, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use super::Server;

/// A chunk of 96 KiB, its topic, and room.
const PACKET_BYTES_MAX: u32 = 256 * 1024;
/// What waits for its way out. When it is full, who publishes waits.
const REQUESTS: usize = 16;
/// Chunks are large; a gateway examines so many control messages at once.
const IN_FLIGHT_MAX: u16 = 8;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const CONNECT_WAIT_S: u64 = 5;
/// A broker that has accepted us answers a subscription at once.
const SUBSCRIBE_WAIT: Duration = Duration::from_secs(10);
/// Our goodbye goes out, or the broker notices by itself.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// What is heard.
#[derive(Debug)]
pub enum Heard {
    Message(Message),
    /// When the broker has taken something that we published; or has refused it, and why.
    Acked(Result<(), String>),
    /// When the connection is lost, and why.
    Lost(String),
}

/// A message.
#[derive(Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    /// When the broker had kept it: it was not said just now.
    pub is_kept: bool,
}

enum Raw {
    Up(ConnAck),
    Subscribed(Result<(), String>),
    Heard(Heard),
}

/// A connection.
pub struct Link {
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Raw>,
    early: VecDeque<Heard>,
    task: JoinHandle<()>,
    /// Whether the broker keeps messages for those who come later.
    pub keeps: bool,
    /// The longest packet that it takes.
    pub packet_bytes_max: u32,
    unacked: usize,
}

impl Link {
    /// Connects and subscribes. Must be called within a `LocalSet`.
    ///
    /// # Errors
    /// Why not.
    pub async fn open(server: &Server, filters: &[String]) -> Result<Link, String> {
        let (client, events) = AsyncClient::new(options(server), REQUESTS);
        let (to, heard) = mpsc::unbounded_channel();
        let task = spawn_local(listen(events, to));
        let mut link = Link {
            client,
            heard,
            early: VecDeque::new(),
            task,
            keeps: true,
            packet_bytes_max: u32::MAX,
            unacked: 0,
        };
        link.connect().await?;
        link.subscribe(filters).await?;
        Ok(link)
    }

    async fn connect(&mut self) -> Result<(), String> {
        loop {
            match self.raw().await {
                Raw::Up(ack) => {
                    if let Some(properties) = ack.properties {
                        self.keeps = properties.retain_available != Some(0);
                        self.packet_bytes_max = properties.max_packet_size.unwrap_or(u32::MAX);
                    }
                    return Ok(());
                }
                Raw::Heard(Heard::Lost(why)) => return Err(why),
                Raw::Heard(_) | Raw::Subscribed(_) => {}
            }
        }
    }

    /// Subscribes to more. What comes meanwhile is heard afterwards.
    ///
    /// # Errors
    /// When the broker refuses, or is lost.
    pub async fn subscribe(&mut self, filters: &[String]) -> Result<(), String> {
        if filters.is_empty() {
            return Ok(());
        }
        let filters: Vec<Filter> =
            filters.iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce)).collect();
        self.client.subscribe_many(filters).await.map_err(|_| gone())?;
        let subscribed = async {
            loop {
                match self.raw().await {
                    Raw::Subscribed(result) => return result,
                    Raw::Heard(Heard::Lost(why)) => return Err(why),
                    Raw::Heard(heard) => self.early.push_back(heard),
                    Raw::Up(_) => {}
                }
            }
        };
        let late = |_| "the broker does not answer a subscription".to_owned();
        timeout(SUBSCRIBE_WAIT, subscribed).await.map_err(late)?
    }

    /// Publishes with QoS 1; [`Heard::Acked`] tells when the broker has it.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn publish(
        &mut self,
        topic: &str,
        keep: bool,
        payload: Vec<u8>,
    ) -> Result<(), String> {
        let sent = self.client.publish(topic, QoS::AtLeastOnce, keep, payload).await;
        sent.map_err(|_| gone())?;
        self.unacked += 1;
        Ok(())
    }

    /// How much the broker has not acked.
    pub fn unacked(&self) -> usize {
        self.unacked
    }

    /// Waits for the next thing. After [`Heard::Lost`] there is nothing more. Nothing is lost when the wait is given up.
    pub async fn heard(&mut self) -> Heard {
        if let Some(heard) = self.early.pop_front() {
            return self.counted(heard);
        }
        loop {
            if let Raw::Heard(heard) = self.raw().await {
                return self.counted(heard);
            }
        }
    }

    fn counted(&mut self, heard: Heard) -> Heard {
        if matches!(heard, Heard::Acked(_)) {
            self.unacked = self.unacked.saturating_sub(1);
        }
        heard
    }

    async fn raw(&mut self) -> Raw {
        self.heard.recv().await.unwrap_or_else(|| Raw::Heard(Heard::Lost(gone())))
    }

    /// Says goodbye.
    pub async fn close(self) {
        if self.client.disconnect().await.is_ok() && timeout(CLOSE_WAIT, self.task).await.is_err() {
            // The broker takes its time; it will notice.
        }
    }
}

fn gone() -> String {
    "the connection is closed".to_owned()
}

fn options(server: &Server) -> MqttOptions {
    // A name of its own for each run: two pushes at once must not throw each other out.
    let id = format!("tidegate-{}-{:x}", std::process::id(), unique());
    let mut options = MqttOptions::new(id, &server.url.host, server.url.port);
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let transport = match &server.tls {
        None => Transport::tcp(),
        Some(config) => Transport::tls_with_config(TlsConfiguration::Rustls(config.clone())),
    };
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(true)
        .set_max_packet_size(Some(PACKET_BYTES_MAX))
        .set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX)
        .set_connection_timeout(CONNECT_WAIT_S)
        .set_transport(transport);
    options.set_network_options(network);
    if let Some((username, password)) = &server.login {
        options.set_credentials(username, password);
    }
    options
}

fn unique() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_nanos()
}

async fn listen(mut events: EventLoop, to: mpsc::UnboundedSender<Raw>) {
    loop {
        let raw = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => Raw::Up(ack),
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let refused = ack
                    .return_codes
                    .iter()
                    .find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
                Raw::Subscribed(refused.map_or(Ok(()), |code| {
                    Err(format!("the broker refuses a subscription to tidegate/1/... ({code:?})"))
                }))
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => Raw::Heard(Heard::Acked(acked(&ack))),
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                // A topic that is no text is nobody's here.
                let Ok(topic) = String::from_utf8(publish.topic.to_vec()) else {
                    continue;
                };
                let (payload, is_kept) = (publish.payload.to_vec(), publish.retain);
                Raw::Heard(Heard::Message(Message { topic, payload, is_kept }))
            }
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => continue,
            Err(error) => {
                // Not read any more: whoever wanted to know has left.
                to.send(Raw::Heard(Heard::Lost(why(&error)))).ok();
                return;
            }
        };
        if to.send(raw).is_err() {
            return;
        }
    }
}

fn acked(ack: &PubAck) -> Result<(), String> {
    match ack.reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
        PubAckReason::NotAuthorized => {
            Err("the broker does not allow us to publish there (not authorized)".to_owned())
        }
        reason => Err(format!("the broker refuses a message ({reason:?})")),
    }
}

/// What went wrong, for a person.
fn why(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::Timeout(_) => "it does not answer in time".to_owned(),
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "it refuses us: see --username and --password-file, or --cert and --client-key"
            .to_owned(),
        error => error.to_string(),
    }
}
