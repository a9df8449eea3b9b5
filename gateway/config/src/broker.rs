//! From `broker = "mqtt://..."` and the keys around it, in `[local]` and `[uplink]`, to [`BrokerSettings`].

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::page::read_text;
use crate::place::{At, Place};
use crate::reader::Table;
use crate::settings::{BrokerSettings, ClientCert, Secret, Tls};

/// Keys that mean nothing without `broker`.
pub(crate) const BROKER_KEYS: [&str; 7] =
    ["username", "password_file", "ca", "cert", "key", "client_id", "keep_alive_s"];

/// What brokers commonly close the connection after is a minute; half of it keeps us well inside.
const KEEP_ALIVE_S_DEFAULT: u16 = 30;
/// Brokers must take 23 bytes and most take this many (MQTT 3.1.3.1).
const CLIENT_ID_BYTES_MAX: usize = 128;
/// Longest password that MQTT can carry (1.5.6: a two-byte length), and a newline.
const PASSWORD_BYTES_MAX: u64 = 65_537;
/// Bundles of every public authority are a quarter of this.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// The scheme's meaning: whether TLS, and the default port.
const SCHEMES: [(&str, bool, u16); 2] = [("mqtt://", false, 1883), ("mqtts://", true, 8883)];

/// Who we are to a broker when `client_id` is left out: as a person is told, and from the gateway's id.
pub(crate) struct ClientIdDefault {
    pub told: &'static str,
    pub make: fn(&str) -> String,
}

/// What `broker` and its neighbours mean; `None` when `broker` is not written or something is wrong.
pub(crate) fn broker(
    table: &Table<'_>,
    id: Option<&str>,
    client_id_default: &ClientIdDefault,
    folder: &Path,
) -> Option<BrokerSettings> {
    let url = table
        .text("broker", "\"mqtt://127.0.0.1:1883\"")
        .map(|at| at.value.parse().map_err(|why: String| at.place.wrong(why)).ok());
    let username = table.text("username", "\"gateway\"");
    let password = table
        .text("password_file", "\"password\"")
        .map(|at| (at.place.clone(), password(&at, folder)));
    let ca = file(table, "ca", "\"ca.pem\"", folder);
    let cert = file(table, "cert", "\"client.pem\"", folder);
    let key = file(table, "key", "\"client.key\"", folder);
    let client_id = table
        .text("client_id", "\"tidegate-gw-01\"")
        .map(|at| client_id(&at, client_id_default.told));
    // Above an hour a lost broker goes unnoticed for longer than anybody means.
    let keep_alive_s = table.number("keep_alive_s", &(5..=3600), "");

    if let (Some((place, _)), None) = (&password, &username) {
        place.wrong("goes with `username`; MQTT 3.1.1 has no password without one");
    }
    if let Some(file) = &key {
        warn_if_readable(file);
    }
    let BrokerUrl { tls, host, port } = url??;
    let tls = if tls {
        Some(self::tls(table, ca, cert, key))
    } else {
        for place in [&ca, &cert, &key].into_iter().flatten() {
            place.place.wrong("goes with TLS; remove it, or write broker = \"mqtts://...\"");
        }
        None
    };
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    Some(BrokerSettings {
        host,
        port,
        tls,
        username: username.map(|at| at.value.to_owned()),
        password: match password {
            Some((_, secret)) => Some(secret?),
            None => None,
        },
        client_id: match client_id {
            Some(id) => id?,
            None => (client_id_default.make)(id?),
        },
        keep_alive_s: keep_alive_s.map_or(KEEP_ALIVE_S_DEFAULT, |at| {
            u16::try_from(at.value).expect("the range lies within a u16")
        }),
    })
}

/// Where a broker is: `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    pub tls: bool,
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
}

impl FromStr for BrokerUrl {
    type Err = String;

    /// Takes it apart.
    ///
    /// # Errors
    /// What is wrong with it and what to write instead.
    fn from_str(url: &str) -> Result<BrokerUrl, String> {
        let wrong = |why: &str| {
            // A URL with a password in it must not be repeated in a message.
            match url.rsplit_once('@') {
                Some((_, rest)) => format!("{:?} {why}", format!("...@{rest}")),
                None => format!("{url:?} {why}"),
            }
        };
        let form = "use mqtt://HOST:PORT or mqtts://HOST:PORT";
        let Some((rest, tls, default_port)) = SCHEMES.iter().find_map(|(scheme, tls, port)| {
            url.strip_prefix(scheme).map(|rest| (rest, *tls, *port))
        }) else {
            return Err(wrong(&format!("is not the address of a broker; {form}")));
        };
        if rest.contains('@') {
            return Err(wrong(
                "holds a user name; write `username` and `password_file` instead, because URLs end up in logs",
            ));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').or(port.is_empty().then_some(""))),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, Some("")),
            },
        };
        let port = port.and_then(|port| match port {
            "" if !rest.ends_with(':') => Some(default_port),
            digits => digits.parse().ok().filter(|port| *port != 0),
        });
        let bracketed = rest.starts_with('[');
        let good_host = if bracketed {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        match port {
            Some(port) if good_host => Ok(BrokerUrl { tls, host: host.to_owned(), port }),
            _ => Err(wrong(&format!("has no good host and port; {form}"))),
        }
    }
}

fn client_id(at: &At<'_, &str>, default: &str) -> Option<String> {
    let good = (1..=CLIENT_ID_BYTES_MAX).contains(&at.value.len())
        && !at.value.chars().any(char::is_control);
    if !good {
        at.place.wrong(format!(
            "must have 1 to {CLIENT_ID_BYTES_MAX} bytes and no control characters; leave it out for {default}"
        ));
    }
    good.then(|| at.value.to_owned())
}

/// Reads the password. Its place in messages is the key, its content never is.
fn password(at: &At<'_, &str>, folder: &Path) -> Option<Secret> {
    let path = folder.join(at.value);
    let text = match read_text(&path, PASSWORD_BYTES_MAX) {
        Ok(text) => text,
        Err(what) => {
            at.place.wrong(format!("{} {what}", path.display()));
            return None;
        }
    };
    warn_if_readable(&FileAt { path: path.clone(), place: at.place.clone() });
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        at.place.wrong(format!(
            "{} is empty; put the password into it, or remove the key",
            path.display()
        ));
        return None;
    }
    Some(Secret::new(text))
}

struct FileAt<'a> {
    path: PathBuf,
    place: Place<'a>,
}

/// A PEM file that is named by a key. It is there and readable, or something has been noted.
fn file<'a>(
    table: &Table<'a>,
    key: &'static str,
    example: &str,
    folder: &Path,
) -> Option<FileAt<'a>> {
    let at = table.text(key, example)?;
    let path = folder.join(at.value);
    match read_text(&path, PEM_BYTES_MAX) {
        Ok(text) if text.contains("-----BEGIN ") => {}
        Ok(_) => at.place.wrong(format!(
            "{} holds no PEM (-----BEGIN ...); convert it, or name another file",
            path.display()
        )),
        Err(what) => at.place.wrong(format!("{} {what}", path.display())),
    }
    Some(FileAt { path, place: at.place })
}

fn tls(
    table: &Table<'_>,
    ca: Option<FileAt<'_>>,
    cert: Option<FileAt<'_>>,
    key: Option<FileAt<'_>>,
) -> Option<Tls> {
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some(ClientCert { cert: cert.path, key: key.path }),
        (Some(cert), None) => {
            cert.place.wrong("goes with `key`; add the certificate's private key");
            None
        }
        (None, Some(key)) => {
            key.place.wrong("goes with `cert`; add the key's certificate");
            None
        }
        (None, None) => None,
    };
    if !table.has("ca") {
        table.place("ca").wrong(
            "is missing; mqtts needs to know whom to trust, for example ca = \"/etc/ssl/certs/ca-certificates.crt\"",
        );
    }
    Some(Tls { ca: ca?.path, client })
}

fn warn_if_readable(file: &FileAt<'_>) {
    // A file that cannot be looked at has been reported by whoever read it.
    let Ok(metadata) = std::fs::metadata(&file.path) else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        file.place.warn(format!(
            "{} can be read by every user (mode {mode:o}); run `chmod 600 {0}`",
            file.path.display()
        ));
    }
}
