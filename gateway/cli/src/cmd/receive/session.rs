//! The broker's side: one kept session in MQTT 5 or 3.1.1, every message acked by hand.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5;
use rumqttc::{TlsConfiguration, Transport};
use rustls::ClientConfig;
use tidegate_config::{BrokerUrl, Protocol};
use tokio::sync::mpsc;
use tokio::task::{spawn_local, yield_now};
use tokio::time::sleep;

/// Messages that the broker may send before it has an ack; it may allow fewer itself. What has come and is not
/// written yet is bounded by it; in MQTT 3.1.1 by the broker's own limit (mosquitto: 20).
const RECEIVE_MAX: u16 = 1000;
/// Acks that wait for their way out. When it is full, the next ones wait.
const REQUESTS: usize = 1024;
/// `uplink.message_bytes_max` goes up to half of it.
const PACKET_BYTES_MAX: u32 = 2 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const CONNECT_WAIT_S: u64 = 5;
const RECONNECT_WAIT: Duration = Duration::from_millis(500);

/// Where to connect, as whom, for what.
#[derive(Debug)]
pub(super) struct Target {
    pub url: BrokerUrl,
    pub topics: Vec<String>,
    pub protocol: Protocol,
    pub client_id: String,
    pub login: Option<(String, String)>,
    pub tls: Option<Arc<ClientConfig>>,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Happened {
    /// When the broker has taken our subscriptions.
    Subscribed,
    /// When it has refused one.
    Refused,
    Message(Message),
    /// When there is no connection (any more), and why.
    Lost(String),
    /// When somebody wants us to stop.
    Stop,
}

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    pub payload: bytes::Bytes,
    pub properties: Vec<(String, String)>,
    pub ack: Option<Ack>,
}

/// What it takes to ack a message: a packet identifier counts in its own connection only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    connection: u64,
    packet_id: u16,
}

enum Client {
    V5(rumqttc::v5::AsyncClient),
    V311(rumqttc::AsyncClient),
}

/// One session over all its connections.
pub(super) struct Session {
    client: Client,
    connection: Rc<Cell<u64>>,
}

impl Session {
    /// Starts to connect, and tells `to` what happens, for ever. Must be called within a `LocalSet`.
    pub fn open(target: &Target, to: mpsc::UnboundedSender<Happened>) -> Session {
        let connection = Rc::new(Cell::new(0));
        let listener =
            Listener { topics: target.topics.clone(), connection: Rc::clone(&connection), to };
        let client = match target.protocol {
            Protocol::V5 => {
                let (client, events) = rumqttc::v5::AsyncClient::new(options_v5(target), REQUESTS);
                spawn_local(listener.listen_v5(client.clone(), events));
                Client::V5(client)
            }
            Protocol::V311 => {
                let (client, mut events) =
                    rumqttc::AsyncClient::new(options_v311(target), REQUESTS);
                events.network_options.set_tcp_nodelay(true);
                events.network_options.set_connection_timeout(CONNECT_WAIT_S);
                spawn_local(listener.listen_v311(client.clone(), events));
                Client::V311(client)
            }
        };
        Session { client, connection }
    }

    /// Acks a message, if its connection is still there: otherwise it comes again.
    pub async fn ack(&self, ack: Ack) {
        // No waiting between look and ack: in another connection the number may stand for another message.
        while ack.connection == self.connection.get() && !self.try_ack(ack) {
            yield_now().await;
        }
    }

    /// False when there is no room for it.
    fn try_ack(&self, ack: Ack) -> bool {
        match &self.client {
            Client::V5(client) => {
                let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
                let publish = v5::Publish { pkid: ack.packet_id, qos, ..Default::default() };
                client.try_ack(&publish).is_ok()
            }
            Client::V311(client) => {
                let mut publish = rumqttc::Publish::new("", rumqttc::QoS::AtLeastOnce, Vec::new());
                publish.pkid = ack.packet_id;
                client.try_ack(&publish).is_ok()
            }
        }
    }

    /// Says goodbye. What was acked goes out before that.
    pub fn close(&self) {
        let closed = match &self.client {
            Client::V5(client) => client.try_disconnect().is_ok(),
            Client::V311(client) => client.try_disconnect().is_ok(),
        };
        if !closed {
            // Then the broker notices by itself.
        }
    }
}

fn transport(target: &Target) -> Transport {
    match &target.tls {
        None => Transport::tcp(),
        Some(config) => Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(config))),
    }
}

fn options_v5(target: &Target) -> rumqttc::v5::MqttOptions {
    let url = &target.url;
    let mut options = rumqttc::v5::MqttOptions::new(&target.client_id, &url.host, url.port);
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(false)
        .set_manual_acks(true)
        // For ever: gateways count on it that nothing is lost while we are away.
        .set_session_expiry_interval(Some(u32::MAX))
        .set_receive_maximum(Some(RECEIVE_MAX))
        .set_max_packet_size(Some(PACKET_BYTES_MAX))
        .set_connection_timeout(CONNECT_WAIT_S)
        .set_transport(transport(target));
    options.set_network_options(network);
    if let Some((username, password)) = &target.login {
        options.set_credentials(username, password);
    }
    options
}

fn options_v311(target: &Target) -> rumqttc::MqttOptions {
    let url = &target.url;
    let mut options = rumqttc::MqttOptions::new(&target.client_id, &url.host, url.port);
    let bytes_max = PACKET_BYTES_MAX as usize;
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_session(false)
        .set_manual_acks(true)
        .set_max_packet_size(bytes_max, bytes_max)
        .set_transport(transport(target));
    if let Some((username, password)) = &target.login {
        options.set_credentials(username, password);
    }
    options
}

/// Drives the event loop and passes on what matters.
struct Listener {
    topics: Vec<String>,
    connection: Rc<Cell<u64>>,
    to: mpsc::UnboundedSender<Happened>,
}

impl Listener {
    async fn listen_v5(self, client: rumqttc::v5::AsyncClient, mut events: rumqttc::v5::EventLoop) {
        use rumqttc::v5::Event;
        loop {
            let happened = match events.poll().await {
                Ok(Event::Incoming(v5::Packet::ConnAck(_))) => {
                    for topic in &self.topics {
                        let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
                        expect_room(client.try_subscribe(topic.as_str(), qos).is_ok());
                    }
                    continue;
                }
                Ok(Event::Incoming(v5::Packet::SubAck(ack))) => {
                    let is_good = |code: &v5::SubscribeReasonCode| {
                        matches!(code, v5::SubscribeReasonCode::Success(_))
                    };
                    subscribed(ack.return_codes.iter().all(is_good))
                }
                Ok(Event::Incoming(v5::Packet::Publish(publish))) => {
                    let properties =
                        publish.properties.map(|properties| properties.user_properties);
                    self.message(publish.payload, properties.unwrap_or_default(), publish.pkid)
                }
                Ok(Event::Incoming(_) | Event::Outgoing(_)) => continue,
                Err(error) => self.lost(error.to_string()),
            };
            if !self.tell(happened).await {
                return;
            }
        }
    }

    async fn listen_v311(self, client: rumqttc::AsyncClient, mut events: rumqttc::EventLoop) {
        use rumqttc::{Event, Packet, SubscribeReasonCode};
        loop {
            let happened = match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    for topic in &self.topics {
                        let qos = rumqttc::QoS::AtLeastOnce;
                        expect_room(client.try_subscribe(topic.as_str(), qos).is_ok());
                    }
                    continue;
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let is_good = |code: &SubscribeReasonCode| {
                        matches!(code, SubscribeReasonCode::Success(_))
                    };
                    subscribed(ack.return_codes.iter().all(is_good))
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    self.message(publish.payload, Vec::new(), publish.pkid)
                }
                Ok(Event::Incoming(_) | Event::Outgoing(_)) => continue,
                Err(error) => self.lost(error.to_string()),
            };
            if !self.tell(happened).await {
                return;
            }
        }
    }

    fn message(
        &self,
        payload: bytes::Bytes,
        properties: Vec<(String, String)>,
        packet_id: u16,
    ) -> Happened {
        let connection = self.connection.get();
        // 0 is none: QoS 0.
        let ack = (packet_id != 0).then_some(Ack { connection, packet_id });
        Happened::Message(Message { payload, properties, ack })
    }

    fn lost(&self, why: String) -> Happened {
        self.connection.set(self.connection.get() + 1);
        Happened::Lost(why)
    }

    /// False when nobody listens any more.
    async fn tell(&self, happened: Happened) -> bool {
        let is_lost = matches!(happened, Happened::Lost(_));
        let told = self.to.send(happened).is_ok();
        if is_lost {
            sleep(RECONNECT_WAIT).await;
        }
        told
    }
}

fn subscribed(is_good: bool) -> Happened {
    if is_good { Happened::Subscribed } else { Happened::Refused }
}

fn expect_room(sent: bool) {
    assert!(sent, "a fresh connection has room for its subscriptions");
}
