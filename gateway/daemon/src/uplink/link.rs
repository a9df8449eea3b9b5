//! One connection: records go out within the window, acks come in. Reading never waits for writing, so that a
//! broker that takes nothing more is still heard.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tidegate_config::UplinkSettings;
use tidegate_core::manifest::is_control;
use tidegate_core::record::{Refusal, Sending};
use tidegate_core::time::ClockQuality;
use tidegate_core::topic::{Filter, Topic};
use tidegate_core::{Input, Message};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::dial::{Dialed, Stream};
use super::driver::{Asked, say};
use super::flight::{Flight, Load};
use super::outlet::Outlets;
use super::pulse::Pulse;
use super::report::Report;
use super::wire::{FAILURE, Heard, Wire};
use crate::hub::ToUplink;
use crate::tls::Trust;

/// Bytes that are written down ahead of what the socket takes; beyond it the next record waits as it is.
const OUTGOING_BYTES: usize = 64 * 1024;
/// Acks of a whole window fit.
const INCOMING_BYTES: usize = 4096;
/// For the last words of a gateway that stops.
const BYE_WAIT: Duration = Duration::from_millis(200);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// When there is no connection (any more), and why.
    Lost(String),
    /// When the gateway stops.
    NobodyAsks,
}

impl End {
    pub fn given_up() -> End {
        End::Lost("it does not answer; given up".to_owned())
    }
}

/// What goes beside the records. Bounded by the core: so many answers, and a filter for each thing that may be pushed.
#[derive(Debug)]
enum Aside {
    Listen(Filter),
    Tell(Arc<Message>),
}

/// What woke the connection up.
enum Woken {
    /// When there is a record to write down, or room for one.
    Work,
    Heard,
    /// When what there is to say has been held back long enough.
    Report,
    Time,
    Ended(End),
}

pub(super) struct Link<'d> {
    stream: Box<dyn Stream>,
    wire: Wire,
    flight: Flight,
    waiting: VecDeque<Sending>,
    /// What goes beside the records; it goes first, and there is little of it.
    aside: VecDeque<Aside>,
    packet_bytes_max: usize,
    outgoing: BytesMut,
    /// TLS may hold back what it was given until it is flushed.
    is_flushed: bool,
    incoming: BytesMut,
    report: Report,
    pulse: Pulse,
    trust: &'d Arc<Trust>,
    /// The clock's quality when a certificate was let pass that is out of date by that clock.
    let_pass: Option<ClockQuality>,
}

impl<'d> Link<'d> {
    pub fn new(dialed: Dialed, settings: &UplinkSettings, trust: &'d Arc<Trust>) -> Link<'d> {
        let Dialed { stream, wire, accepted, incoming } = dialed;
        let keep_alive_s = match accepted.keep_alive_s {
            None | Some(0) => settings.broker.keep_alive_s,
            Some(theirs) => theirs,
        };
        let window = settings.window.min(accepted.receive_max);
        Link {
            stream,
            wire,
            flight: Flight::new(window),
            report: Report::new(window),
            waiting: VecDeque::new(),
            aside: VecDeque::new(),
            packet_bytes_max: settings.message_bytes_max.min(accepted.packet_bytes_max),
            outgoing: BytesMut::new(),
            is_flushed: true,
            incoming,
            pulse: Pulse::new(Duration::from_secs(keep_alive_s.into())),
            trust,
            let_pass: trust.take_lenient().then(|| trust.quality()),
        }
    }

    /// Until the connection ends.
    pub async fn serve(
        mut self,
        outlets: &mut Outlets,
        asked: &mut Asked,
        to_hub: &mpsc::UnboundedSender<Vec<Input>>,
    ) -> End {
        loop {
            let mut said = std::mem::take(&mut self.report.said);
            let taken_in = self.take_in(&mut said);
            self.write_down(outlets, &mut said);
            self.report.said = said;
            let woken = match taken_in {
                Ok(()) => {
                    if self.report.is_due(&self.flight) {
                        say(to_hub, self.report.take());
                    }
                    poll_fn(|context| self.poll(context, asked)).await
                }
                Err(why) => Woken::Ended(End::Lost(why)),
            };
            let end = match woken {
                Woken::Work | Woken::Heard => continue,
                Woken::Report => {
                    say(to_hub, self.report.take());
                    continue;
                }
                Woken::Time => match self.handle_timeout() {
                    Ok(()) => continue,
                    Err(why) => End::Lost(why),
                },
                Woken::Ended(end) => end,
            };
            say(to_hub, self.report.take());
            return match end {
                End::NobodyAsks => self.say_goodbye().await,
                End::Lost(why) => End::Lost(why),
            };
        }
    }

    /// Takes in what has been heard. What it adds to `said` is true even when the rest is no good.
    fn take_in(&mut self, said: &mut Vec<Input>) -> Result<(), String> {
        while let Some(heard) = self.wire.read(&mut self.incoming)? {
            match heard {
                Heard::Acked { packet_id, code } => {
                    let load = self.flight.end(packet_id);
                    match load.ok_or("it acked a message that was not sent")? {
                        Load::Record(seq) => said.push(verdict(seq, code)?),
                        Load::Telling(message) => {
                            if code >= FAILURE {
                                warn!(topic = %message.topic, code, "upstream refused what the gateway says about a handler");
                            }
                            said.push(Input::Told(message));
                        }
                        Load::Listening => {
                            return Err("it acked a subscription as a message".to_owned());
                        }
                    }
                }
                Heard::Subscribed { packet_id, code } => {
                    if self.flight.end(packet_id) != Some(Load::Listening) {
                        return Err("it acked a subscription that was not made".to_owned());
                    }
                    if code >= FAILURE {
                        warn!(
                            "upstream does not let us subscribe to pushes; see its access rules for this client"
                        );
                    }
                }
                Heard::Message { topic, payload } => match Topic::new(&topic) {
                    Ok(topic) if is_control(topic.as_str()) => {
                        said.push(Input::FromUpstream { topic, payload: Arc::from(&*payload) });
                    }
                    Ok(_) | Err(_) => return Err("it sends what nobody asked for".to_owned()),
                },
                Heard::Pong => {}
                Heard::Bye(why) | Heard::Rejected(why) => return Err(why),
                Heard::Accepted(_) | Heard::Other => {
                    return Err("it sends what nobody asked for".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Writes down what goes beside the records.
    fn write_aside(&mut self) {
        while self.has_room()
            && let Some(aside) = self.aside.pop_front()
        {
            match aside {
                Aside::Listen(filter) => {
                    let packet_id = self.flight.begin(Load::Listening);
                    self.wire.subscribe(filter.as_str(), packet_id, &mut self.outgoing);
                }
                Aside::Tell(message) => {
                    let packet_id = self.flight.begin(Load::Telling(Arc::clone(&message)));
                    let max = self.packet_bytes_max;
                    let told = self.wire.tell(&message, packet_id, max, &mut self.outgoing);
                    if let Err(bytes) = told {
                        self.flight.end(packet_id);
                        warn!(
                            bytes,
                            max,
                            "upstream takes no message as long as what the gateway says about a handler"
                        );
                    }
                }
            }
        }
    }

    /// Writes waiting records down, as far as the window and the buffer go.
    fn write_down(&mut self, outlets: &mut Outlets, said: &mut Vec<Input>) {
        self.write_aside();
        while self.has_room()
            && let Some(sending) = self.waiting.pop_front()
        {
            let seq = sending.record.seq;
            let (topic, encoded) = match outlets.form(&sending) {
                Ok(formed) => formed,
                Err(refusal) => {
                    said.push(Input::Refused { seq, refusal });
                    continue;
                }
            };
            let packet_id = self.flight.begin(Load::Record(seq));
            let max = self.packet_bytes_max;
            if let Err(bytes) =
                self.wire.publish(topic, packet_id, encoded, max, &mut self.outgoing)
            {
                self.flight.end(packet_id);
                said.push(Input::Refused { seq, refusal: Refusal::TooLarge { bytes, max } });
            }
        }
    }

    fn has_work(&self) -> bool {
        self.has_room() && !(self.waiting.is_empty() && self.aside.is_empty())
    }

    fn has_room(&self) -> bool {
        self.flight.has_room() && self.outgoing.len() < OUTGOING_BYTES
    }

    fn poll(&mut self, context: &mut Context<'_>, asked: &mut Asked) -> Poll<Woken> {
        loop {
            match asked.poll(context) {
                Poll::Ready(Some(ToUplink::Send(sending))) => self.waiting.push_back(sending),
                Poll::Ready(Some(ToUplink::Listen(filter))) => {
                    self.aside.push_back(Aside::Listen(filter));
                }
                Poll::Ready(Some(ToUplink::Tell(message))) => {
                    self.aside.push_back(Aside::Tell(message));
                }
                Poll::Ready(Some(ToUplink::Connect)) => {}
                Poll::Ready(Some(ToUplink::Drop)) => {
                    return Poll::Ready(Woken::Ended(End::given_up()));
                }
                Poll::Ready(None) => return Poll::Ready(Woken::Ended(End::NobodyAsks)),
                Poll::Pending => break,
            }
        }
        if self.has_work() {
            return Poll::Ready(Woken::Work);
        }
        if let Err(error) = self.poll_write(context) {
            return Poll::Ready(Woken::Ended(End::Lost(error.to_string())));
        }
        if self.has_work() {
            return Poll::Ready(Woken::Work);
        }
        match self.poll_read(context) {
            Poll::Ready(Ok(0)) => {
                let why = "it closed the connection".to_owned();
                return Poll::Ready(Woken::Ended(End::Lost(why)));
            }
            Poll::Ready(Ok(_)) => return Poll::Ready(Woken::Heard),
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Woken::Ended(End::Lost(error.to_string())));
            }
            Poll::Pending => {}
        }
        if self.report.poll(context).is_ready() {
            return Poll::Ready(Woken::Report);
        }
        self.pulse.poll(context).map(|()| Woken::Time)
    }

    /// Writes as much as the socket takes. It wakes us when it takes more.
    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.outgoing) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.outgoing.advance(written);
                    self.is_flushed = false;
                    self.pulse.sent();
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.is_flushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.is_flushed = true;
                }
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    /// How many bytes came; 0 when no more will.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; INCOMING_BYTES];
        let mut into = ReadBuf::new(&mut bytes);
        Pin::new(&mut self.stream).poll_read(context, &mut into).map_ok(|()| {
            let came = into.filled();
            self.incoming.extend_from_slice(came);
            if !came.is_empty() {
                self.pulse.heard();
            }
            came.len()
        })
    }

    fn handle_timeout(&mut self) -> Result<(), String> {
        if self.let_pass.is_some_and(|before| self.trust.quality() > before) {
            return Err("more is known about the clock: connects again, to check dates".to_owned());
        }
        if self.pulse.handle_timeout()? {
            self.wire.ping(&mut self.outgoing);
        }
        Ok(())
    }

    /// Ends the connection as MQTT wants it, if that can be done at once.
    async fn say_goodbye(mut self) -> End {
        self.wire.disconnect(&mut self.outgoing);
        let last_words = async {
            self.stream.write_all(&self.outgoing).await?;
            self.stream.shutdown().await
        };
        if !matches!(timeout(BYE_WAIT, last_words).await, Ok(Ok(()))) {
            debug!("the broker did not take our goodbye");
        }
        End::NobodyAsks
    }
}

/// What an ack means. What may be otherwise in a moment is a reason to connect again later, not to give the record
/// up: the broker's quota (0x97), and where it does not say what the matter is (0x80, 0x83). The core counts how
/// often a record was under way when that happened. A packet identifier in use (0x91) is a doubt about the
/// connection.
fn verdict(seq: u64, code: u8) -> Result<Input, String> {
    match code {
        0..FAILURE => Ok(Input::Delivered { seq }),
        0x80 | 0x83 => {
            Err(format!("it could not take a record and does not say why (0x{code:02x})"))
        }
        0x91 => Err("it says that a packet identifier is in use (0x91)".to_owned()),
        0x97 => Err("it takes no more for now: its quota is used up (0x97)".to_owned()),
        _ => Ok(Input::Refused { seq, refusal: Refusal::Code(code) }),
    }
}
