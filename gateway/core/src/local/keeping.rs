//! Whether a foreign broker takes retained messages. MQTT 3.1.1 has no word for "no": a broker that does not hangs up,
//! and our client would say the same again on its next connection, for ever.

use core::time::Duration;

use crate::message::Message;
use crate::time::Timestamp;

/// A broker that hangs up so soon behind a retained message may have done so because of it.
const SUSPICIOUS: Duration = Duration::from_secs(1);
/// So often in a row it is no accident: a broker that is being restarted comes back more slowly.
const DOUBTS_MAX: u8 = 3;

/// What the broker has done behind retained messages.
#[derive(Debug, Default)]
pub struct Keeping {
    /// When it got the last one on this connection.
    sent: Option<Timestamp>,
    /// Connections in a row that ended right behind one.
    doubts: u8,
}

impl Keeping {
    pub fn handle_sent(&mut self, now: Timestamp, message: &Message) {
        if message.retain {
            self.sent = Some(now);
        }
    }

    /// The client says again what was not acked.
    pub fn handle_up(&mut self, now: Timestamp) {
        self.sent = (self.doubts > 0).then_some(now);
    }

    pub fn handle_down(&mut self, now: Timestamp) {
        match self.sent.take() {
            Some(sent) if now.since(sent) < SUSPICIOUS => {
                self.doubts = self.doubts.saturating_add(1);
            }
            // It was there long enough to have taken it.
            Some(_) => self.doubts = 0,
            // It could not be reached: that says nothing.
            None => {}
        }
    }

    /// Whether it has just turned out that it takes none. Told once for so many doubts.
    pub fn take_refused(&mut self) -> bool {
        let is_refused = self.doubts >= DOUBTS_MAX;
        if is_refused {
            self.doubts = 0;
        }
        is_refused
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;
    use crate::message::QoS;
    use crate::time::WallTime;
    use crate::topic::Topic;

    /// `u` up, `r` a retained message, `m` another, `d` down, `.` half a second. Whether it takes none in the end.
    #[track_caller]
    fn check(script: &str, expect: bool) {
        let (mut keeping, mut now, mut refused) = (Keeping::default(), Timestamp(0), false);
        for word in script.chars() {
            match word {
                'u' => keeping.handle_up(now),
                'r' | 'm' => keeping.handle_sent(now, &message(word == 'r')),
                'd' => keeping.handle_down(now),
                _ => now = now.after(Duration::from_millis(500)),
            }
            refused |= keeping.take_refused();
        }
        assert_eq!(refused, expect, "{script}");
    }

    fn message(retain: bool) -> Message {
        Message {
            topic: Topic::new("a").expect("a topic"),
            payload: Arc::from(&b"x"[..]),
            qos: QoS::AtLeastOnce,
            retain,
            dup: false,
            source: Arc::from("s"),
            at: WallTime::default(),
            hops: 0,
            mark: None,
        }
    }

    #[test]
    fn three_times_in_a_row_is_no_accident() {
        check("urdudud", true);
        check("urd...d.d.u.du.d", true);
        check("urdud", false);
        check("umdumdumdumd", false);
        check("ur..dur..dur..d", false);
        check("urdudu..durd", false);
    }
}
