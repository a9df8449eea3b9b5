//! Says at the front door, as a retained message, how provisioning went. Four packets of MQTT 3.1.1 by hand: the codec is
//! behind the broker, and a client library would be a second one in this process.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use tidegate_config::{Local, Problems, read_gateway};

/// The daemon opens its store before its door; an emulated board takes its time for that.
const TRIES: u32 = 120;
const BETWEEN: Duration = Duration::from_millis(500);
/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// CONNECT, level 4, clean session, keep-alive 60 s, client `provision` (MQTT 3.1.1, 3.1).
const CONNECT: &[u8] = b"\x10\x15\0\x04MQTT\x04\x02\0\x3c\0\x09provision";
const DISCONNECT: &[u8] = b"\xe0\0";
/// What fits two bytes of length, and is far more than a report has.
const PACKET_BYTES_MAX: usize = 16_383;
const PACKET_ID: u16 = 1;

/// Why a report did not arrive.
#[derive(Debug)]
pub enum TellError {
    /// When the report is not there.
    Report(io::Error),
    /// When the configuration does not say where the front door is.
    Config(Problems),
    /// When devices connect to another broker.
    NoDoor,
    /// When the front door does not answer, or not as it should.
    Door(SocketAddr, io::Error),
}

impl fmt::Display for TellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TellError::Report(error) => write!(f, "the report cannot be read: {error}"),
            TellError::Config(problems) => write!(f, "{problems}"),
            TellError::NoDoor => f.write_str("there is no front door; the console has the report"),
            TellError::Door(door, error) => write!(f, "the front door at {door}: {error}"),
        }
    }
}

impl std::error::Error for TellError {}

/// Publishes the report at `gateways/<id>/provision`.
///
/// # Errors
/// When the front door has not acked it.
pub fn tell(report: &Path, config: &Path) -> Result<(), TellError> {
    let report = fs::read_to_string(report).map_err(TellError::Report)?;
    let settings = read_gateway(config).map_err(TellError::Config)?;
    let Local::FrontDoor { listen } = &settings.local else {
        return Err(TellError::NoDoor);
    };
    let mut door = listen[0];
    if door.ip().is_unspecified() {
        door.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    let topic = format!("gateways/{}/provision", settings.id);
    let mut last = io::Error::other("nobody tried");
    for _ in 0..TRIES {
        match TcpStream::connect(door).and_then(|stream| publish(stream, &topic, &report)) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
        thread::sleep(BETWEEN);
    }
    Err(TellError::Door(door, last))
}

fn publish(mut stream: TcpStream, topic: &str, payload: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(CONNECT)?;
    expect(&mut stream, [0x20, 2, 0, 0])?;
    stream.write_all(&publish_packet(topic, payload))?;
    let [high, low] = PACKET_ID.to_be_bytes();
    expect(&mut stream, [0x40, 2, high, low])?;
    stream.write_all(DISCONNECT)
}

fn expect(stream: &mut TcpStream, wanted: [u8; 4]) -> io::Result<()> {
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    if answer == wanted {
        return Ok(());
    }
    Err(io::Error::other(format!("answers {answer:02x?} instead of {wanted:02x?}")))
}

/// QoS 1, retained (MQTT 3.1.1, 3.3). A payload that is too long is cut off: its beginning says what is wrong.
fn publish_packet(topic: &str, payload: &str) -> Vec<u8> {
    let mut end = payload.len().min(PACKET_BYTES_MAX - topic.len() - 4);
    while !payload.is_char_boundary(end) {
        end -= 1;
    }
    let length = 2 + topic.len() + 2 + end;
    let mut packet = vec![0x33, (length % 128) as u8 | 0x80, (length / 128) as u8];
    packet.extend((topic.len() as u16).to_be_bytes());
    packet.extend(topic.as_bytes());
    packet.extend(PACKET_ID.to_be_bytes());
    packet.extend(&payload.as_bytes()[..end]);
    packet
}
