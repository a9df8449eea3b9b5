//! Who can say that the system clock is synchronised. The kernel knows, but only by a call (`adjtimex`) that no
//! small safe library offers; so whoever sets the clock is asked: systemd-timesyncd by the file that it leaves,
//! chrony and any other NTP server of this machine by a datagram on loopback. A clock that something else keeps
//! right (PTP, busybox's ntpd without -l) is not known to be.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer on loopback may take; a closed port is told at once.
const ANSWER: Duration = Duration::from_millis(200);
/// chrony's answer to "tracking", protocol version 6 (`candm.h`): 28 bytes of head, then 76. The question is as
/// long as the answer, or chrony does not answer.
const TRACKING_BYTES: usize = 104;
/// RFC 5905, 7.3: an NTP packet without extensions.
const NTP_BYTES: usize = 48;
/// Leap indicator "unknown (clock unsynchronized)", RFC 5905, figure 9; chrony uses the same number.
const UNSYNCHRONISED: u16 = 3;

/// Where the answers are found.
#[derive(Clone, Debug)]
pub struct Authority {
    /// There as soon as systemd-timesyncd has set the clock, until the next boot.
    pub timesyncd: PathBuf,
    /// chrony's command port.
    pub chrony: SocketAddr,
    /// NTP's port.
    pub ntp: SocketAddr,
}

impl Default for Authority {
    fn default() -> Authority {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Authority {
            timesyncd: "/run/systemd/timesync/synchronized".into(),
            chrony: local(323),
            ntp: local(123),
        }
    }
}

impl Authority {
    /// Whether anybody says so.
    pub async fn says_synchronised(&self) -> bool {
        if self.timesyncd.exists() {
            return true;
        }
        // Nobody there, or no answer: not an error, just no word of it.
        let chrony = ask(self.chrony, &tracking_question()).await;
        if chrony.is_ok_and(|answer| tracks(&answer)) {
            return true;
        }
        ask(self.ntp, &ntp_question()).await.is_ok_and(|answer| serves(&answer))
    }
}

async fn ask(whom: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(whom).await?;
    socket.send(question).await?;
    let mut answer = [0; 256];
    let len = timeout(ANSWER, socket.recv(&mut answer)).await.map_err(io::Error::other)??;
    Ok(answer[..len].to_vec())
}

/// Version 6, a request, command 33.
fn tracking_question() -> [u8; TRACKING_BYTES] {
    let mut question = [0; TRACKING_BYTES];
    question[..2].copy_from_slice(&[6, 1]);
    question[5] = 33;
    question
}

/// Whether chrony follows a source other than this machine's own clock.
fn tracks(answer: &[u8]) -> bool {
    // Version 6, a reply to command 33, of type 5, with status 0.
    const HEAD: [u8; 10] = [6, 2, 0, 0, 0, 33, 0, 5, 0, 0];
    if answer.len() < TRACKING_BYTES || answer[..HEAD.len()] != HEAD {
        return false;
    }
    let number = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let (stratum, leap) = (number(52), number(54));
    is_good(leap, stratum, &answer[28..32])
}

/// Version 4, client.
fn ntp_question() -> [u8; NTP_BYTES] {
    let mut question = [0; NTP_BYTES];
    question[0] = 4 << 3 | 3;
    question
}

/// Whether an NTP server follows a source other than this machine's own clock.
fn serves(answer: &[u8]) -> bool {
    const SERVER: u8 = 4;
    if answer.len() < NTP_BYTES || answer[0] & 7 != SERVER {
        return false;
    }
    is_good(u16::from(answer[0] >> 6), u16::from(answer[1]), &answer[12..16])
}

fn is_good(leap: u16, stratum: u16, reference: &[u8]) -> bool {
    // 127.127.x.x, or the name: a server that was told to serve its own clock if there is nothing better.
    let own_clock = reference[..2] == [127, 127] || reference == b"LOCL";
    leap < UNSYNCHRONISED && (1..16).contains(&stratum) && !own_clock
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as Std;

    use super::*;

    /// chronyd 4.3's answer to "tracking", as it was seen, with another stratum, leap and reference.
    fn tracking(reference: [u8; 4], stratum: u8, leap: u8) -> Vec<u8> {
        let mut answer = vec![0; TRACKING_BYTES];
        answer[..12].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5, 0, 0, 0, 0]);
        answer[28..32].copy_from_slice(&reference);
        (answer[53], answer[55]) = (stratum, leap);
        answer
    }

    fn ntp(first: u8, stratum: u8, reference: &[u8; 4]) -> Vec<u8> {
        let mut answer = vec![0; NTP_BYTES];
        (answer[0], answer[1]) = (first, stratum);
        answer[12..16].copy_from_slice(reference);
        answer
    }

    #[test]
    fn only_a_good_source_counts() {
        const HOST: [u8; 4] = [10, 0, 0, 1];
        assert!(tracks(&tracking(HOST, 3, 0)));
        assert!(tracks(&tracking(HOST, 3, 1)), "a leap second is announced");
        assert!(!tracks(&tracking(HOST, 0, 0)));
        assert!(!tracks(&tracking(HOST, 3, 3)));
        assert!(!tracks(&tracking(HOST, 16, 0)));
        assert!(!tracks(&tracking([127, 127, 1, 1], 10, 0)), "local stratum 10");
        assert!(!tracks(&tracking(HOST, 3, 0)[..TRACKING_BYTES - 1]));
        let mut refused = tracking(HOST, 3, 0);
        refused[9] = 2;
        assert!(!tracks(&refused));

        assert!(serves(&ntp(0x24, 2, &HOST)));
        assert!(serves(&ntp(0x24, 1, b"GPS\0")));
        assert!(!serves(&ntp(0xe4, 0, b"INIT")));
        assert!(!serves(&ntp(0x24, 0, b"RATE")));
        assert!(!serves(&ntp(0x24, 5, b"LOCL")));
        assert!(!serves(&ntp(0x23, 2, &HOST)), "a client's");
        assert!(!serves(&ntp(0x24, 2, &HOST)[..NTP_BYTES - 1]));
        assert!(!serves(&[]) && !tracks(&[]));
    }

    /// A socket that nobody answers on, and where it is.
    fn silent() -> (Std, SocketAddr) {
        let socket = Std::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = socket.local_addr().expect("it is bound");
        (socket, address)
    }

    /// Answers one question in a thread of its own.
    fn answering(answer: Vec<u8>) -> SocketAddr {
        let (socket, address) = silent();
        std::thread::spawn(move || {
            let mut question = [0; 256];
            let (len, from) = socket.recv_from(&mut question).expect("a question");
            assert_eq!(len, answer.len(), "no answer is longer than its question");
            socket.send_to(&answer, from).expect("loopback");
        });
        address
    }

    fn says(authority: &Authority) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(authority.says_synchronised())
    }

    #[test]
    fn each_of_them_can_say_it_and_none_need_be_there() {
        let (socket, closed) = silent();
        drop(socket);
        let nobody = Authority { timesyncd: "/nowhere".into(), chrony: closed, ntp: closed };
        assert!(!says(&nobody));
        let (_kept, silent) = silent();
        assert!(!says(&Authority { chrony: silent, ..nobody.clone() }));
        assert!(says(&Authority { timesyncd: "/".into(), ..nobody.clone() }));
        let chrony = answering(tracking([10, 0, 0, 1], 3, 0));
        assert!(says(&Authority { chrony, ..nobody.clone() }));
        let chrony = answering(tracking([127, 127, 1, 1], 10, 0));
        let server = answering(ntp(0x24, 2, &[10, 0, 0, 1]));
        assert!(says(&Authority { chrony, ntp: server, ..nobody.clone() }));
        let server = answering(ntp(0xe4, 0, b"INIT"));
        assert!(!says(&Authority { ntp: server, ..nobody }));
    }
}
