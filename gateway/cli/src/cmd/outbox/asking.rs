//! Asking a running daemon.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::seen::Seen;

/// The daemon cuts off who is slower than 2 s; it is not slower itself.
const PATIENCE: Duration = Duration::from_secs(3);
/// Some hundred bytes a stream, and few gateways have a hundred streams.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// When there is no socket.
    NoSocket,
    /// When there is one, and its daemon is gone.
    NobodyListens,
    /// When it did not work otherwise: what happened and what to do.
    Failed(String),
}

/// Asks for the outbox.
pub fn ask(socket: &Path) -> Result<Seen, NotAsked> {
    let stream = UnixStream::connect(socket).map_err(|error| not_connected(&error))?;
    let answer = talk(stream).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => NotAsked::Failed(format!(
            "the daemon did not answer within {} s; try again",
            PATIENCE.as_secs()
        )),
        _ => NotAsked::Failed(format!("the daemon did not answer: {}", plain(&error))),
    })?;
    understand(&answer).map_err(NotAsked::Failed)
}

fn not_connected(error: &io::Error) -> NotAsked {
    match error.kind() {
        ErrorKind::NotFound => NotAsked::NoSocket,
        ErrorKind::ConnectionRefused => NotAsked::NobodyListens,
        ErrorKind::PermissionDenied => NotAsked::Failed(
            "only the daemon's own user may ask it; be that user, or root".to_owned(),
        ),
        _ => NotAsked::Failed(format!("it cannot be asked: {}", plain(error))),
    }
}

fn talk(mut stream: UnixStream) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"outbox\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn understand(answer: &[u8]) -> Result<Seen, String> {
    if answer.is_empty() {
        return Err("the daemon hung up: it is being asked too much; try again".to_owned());
    }
    let strange = |why: &dyn std::fmt::Display| {
        format!("the answer is not that of a Tidegate daemon of this version ({why})")
    };
    let value: Value = serde_json::from_slice(answer).map_err(|error| strange(&error))?;
    if let Some(error) = value.get("error").and_then(Value::as_str) {
        return Err(strange(&error));
    }
    serde_json::from_value(value).map_err(|error| strange(&error))
}

/// An error without the "(os error 2)".
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_nobody_can_be_asked() {
        let of = |kind: ErrorKind| not_connected(&kind.into());
        assert_eq!(of(ErrorKind::NotFound), NotAsked::NoSocket);
        assert_eq!(of(ErrorKind::ConnectionRefused), NotAsked::NobodyListens);
        let NotAsked::Failed(text) = of(ErrorKind::PermissionDenied) else {
            panic!("there is a socket");
        };
        assert!(text.contains("own user"), "{text}");
    }

    #[test]
    fn answers_that_are_none_are_told() {
        for (answer, says) in [
            ("", "too much"),
            ("hello\n", "not that of a Tidegate daemon"),
            ("{\"error\":\"ask for: x\"}\n", "ask for: x"),
            ("{\"epoch\":7}\n", "not that of a Tidegate daemon"),
        ] {
            let text = understand(answer.as_bytes()).expect_err(answer);
            assert!(text.contains(says), "{answer}: {text}");
        }
    }

    #[test]
    fn an_answer_is_understood_also_when_a_later_daemon_says_more() {
        let answer = r#"{"gateway":"gw-1","epoch":"0a","more":1,"uplink":{"state":"down","since_s":7},
            "under_way":2,"journal":null,"streams":[{"name":null,"number":9,"waiting":3,
            "waiting_bytes":600,"oldest_s":70,"oldest":"at-least","delivered":5,"delivered_lately":0,
            "lately_ms":0,"drain_s":null,"lost":{"expired":2},"more":1}]}"#;
        let seen = understand(answer.as_bytes()).expect("complete");
        assert_eq!((seen.gateway.as_deref(), seen.under_way), (Some("gw-1"), Some(2)));
        let again = serde_json::to_vec(&seen).expect("JSON");
        assert_eq!(understand(&again), Ok(seen));
    }
}
