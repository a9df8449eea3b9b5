//! The local side when a broker is there already: one rumqttc client with a kept session and manual acks.
//! It connects when the core says so; messages go in as they come, what the core asks for goes out after a turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, MqttOptions,
    Publish, Request, TlsConfiguration, Transport,
};
use tidegate_config::BrokerSettings;
use tidegate_core::message::{AckTo, QoS, SourceId};
use tidegate_core::topic::Topic;
use tidegate_core::{Input, Message};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::hub::{Hub, ToBroker};
use crate::shell::Shell;
use crate::tls::{self, Trust};

/// The broker is one source; its packet identifiers tell its messages apart.
const SOURCE: SourceId = SourceId(0);
/// Requests that wait in the client. When it is full, the rest waits in the hub.
const REQUESTS: usize = 1024;
/// Unacknowledged QoS 1 publishes of ours; what most brokers take from one client.
const INFLIGHT: u16 = 100;
/// Longest packet that is taken from the broker at all: what a small board's memory can bear for a moment.
const INCOMING_BYTES_MAX: usize = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The client's hands.
#[derive(Debug)]
pub struct LocalClient {
    client: AsyncClient,
    /// Rings when the core wants a connection.
    connect: Notify,
    /// What the full request channel did not take.
    stuck: RefCell<Option<ToBroker>>,
    /// The broker takes no retained messages.
    unretained: Cell<bool>,
}

/// Where the broker is and who we are to it.
#[derive(Debug)]
pub struct Target {
    options: MqttOptions,
    packet_bytes_max: usize,
}

impl Target {
    /// # Errors
    /// When a TLS file cannot be used.
    pub fn new(
        broker: &BrokerSettings,
        packet_bytes_max: usize,
        trust: &Arc<Trust>,
    ) -> anyhow::Result<Target> {
        let mut options = MqttOptions::new(&broker.client_id, &broker.host, broker.port);
        options.set_keep_alive(Duration::from_secs(u64::from(broker.keep_alive_s)));
        if let Some(username) = &broker.username {
            let password = broker.password.as_ref().map_or("", |secret| secret.expose());
            options.set_credentials(username, password);
        }
        if let Some(tls) = &broker.tls {
            let config = TlsConfiguration::Rustls(tls::client_config(tls, trust)?);
            options.set_transport(Transport::tls_with_config(config));
        }
        Ok(Target { options, packet_bytes_max })
    }
}

impl LocalClient {
    pub fn new(target: Target) -> (Rc<LocalClient>, EventLoop) {
        let Target { mut options, packet_bytes_max } = target;
        options.set_clean_session(false).set_manual_acks(true).set_inflight(INFLIGHT);
        // Longer than any message that is kept: what the core refuses it also acks, and the broker does not
        // bring it again. Beyond it the connection ends, with a longer wait each time.
        options.set_max_packet_size(packet_bytes_max.max(INCOMING_BYTES_MAX), packet_bytes_max);
        let (client, mut events) = AsyncClient::new(options, REQUESTS);
        events.network_options.set_tcp_nodelay(true);
        events.network_options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
        let (connect, stuck) = (Notify::new(), RefCell::new(None));
        let unretained = Cell::new(false);
        (Rc::new(LocalClient { client, connect, stuck, unretained }), events)
    }

    /// Connects when the core asks, and brings what the broker delivers to the core, for ever.
    pub async fn serve(self: Rc<Self>, mut events: EventLoop, shell: Rc<Shell>) {
        let source: Arc<str> = Arc::from("");
        loop {
            self.connect.notified().await;
            if self.unretained.get() {
                unretain(&mut events);
            }
            let error = loop {
                match events.poll().await {
                    Ok(Event::Incoming(incoming)) => self.handle(incoming, &source, &shell),
                    // The client has room again.
                    Ok(Event::Outgoing(_)) if self.stuck.borrow().is_some() => shell.ring(),
                    Ok(Event::Outgoing(_)) => {}
                    Err(error) => break error,
                }
            };
            shell.input(Input::LocalDown { reason: tell(&error) });
        }
    }

    fn handle(&self, incoming: Incoming, source: &Arc<str>, shell: &Shell) {
        match incoming {
            Incoming::ConnAck(ack) => {
                info!(session_present = ack.session_present, "connected to the local broker");
                shell.input(Input::LocalUp { session_present: ack.session_present });
            }
            Incoming::Publish(publish) => {
                let at_least_once = publish.qos != rumqttc::QoS::AtMostOnce;
                let ack =
                    at_least_once.then_some(AckTo { source: SOURCE, packet_id: publish.pkid });
                match Topic::new(&publish.topic) {
                    Ok(topic) => {
                        let message = Message {
                            topic,
                            payload: Arc::from(&*publish.payload),
                            qos: if at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce },
                            retain: publish.retain,
                            dup: publish.dup,
                            source: Arc::clone(source),
                            at: shell.clock.wall(),
                            hops: 0,
                            mark: None,
                        };
                        shell.input(Input::Message { message, ack });
                    }
                    Err(error) => {
                        warn!(%error, "the broker delivered a message whose topic is none; it is left out");
                        self.try_send(ack.map(ToBroker::Ack));
                    }
                }
            }
            Incoming::SubAck(ack) => {
                let refused = |code: &rumqttc::SubscribeReasonCode| {
                    *code == rumqttc::SubscribeReasonCode::Failure
                };
                if ack.return_codes.iter().any(refused) {
                    warn!(
                        "the local broker refused a subscription; see its access rules for this client"
                    );
                }
            }
            _ => {}
        }
    }

    /// Hands the client what the core asked for since the last turn.
    pub fn send(&self, shell: &Shell) {
        let stuck = self.stuck.borrow_mut().take();
        if !self.try_send(stuck) {
            return;
        }
        while let Some(next) = shell.with_hub(Hub::poll_broker) {
            if !self.try_send(Some(next)) {
                return;
            }
        }
    }

    /// False when the client's channel is full; the request then waits in `stuck`.
    fn try_send(&self, request: Option<ToBroker>) -> bool {
        let Some(request) = request else { return true };
        let sent = match &request {
            ToBroker::Connect => {
                self.connect.notify_one();
                Ok(())
            }
            ToBroker::Unretain => {
                self.unretained.set(true);
                Ok(())
            }
            ToBroker::Subscribe(filter) => {
                self.client.try_subscribe(filter.as_str(), rumqttc::QoS::AtLeastOnce)
            }
            ToBroker::Publish(message) => {
                let qos = match message.qos {
                    QoS::AtMostOnce => rumqttc::QoS::AtMostOnce,
                    QoS::AtLeastOnce | QoS::ExactlyOnce => rumqttc::QoS::AtLeastOnce,
                };
                self.client.try_publish(
                    message.topic.as_str(),
                    qos,
                    message.retain && !self.unretained.get(),
                    &*message.payload,
                )
            }
            ToBroker::Ack(to) => {
                let mut publish = Publish::new("", rumqttc::QoS::AtLeastOnce, Vec::new());
                publish.pkid = to.packet_id;
                self.client.try_ack(&publish)
            }
        };
        if sent.is_err() {
            *self.stuck.borrow_mut() = Some(request);
        }
        sent.is_ok()
    }
}

/// What the client would say again.
fn unretain(events: &mut EventLoop) {
    for request in &mut events.pending {
        if let Request::Publish(publish) = request {
            publish.retain = false;
        }
    }
}

/// A connection error in a person's words.
fn tell(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "it refused our user name or password (local.username, local.password_file)".into()
            }
            other => format!("it refused the connection: {other:?}"),
        },
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "it does not answer".into()
        }
        other => other.to_string(),
    }
}
