//! `tidegate-provision.toml`: what a flashed gateway is told on its boot partition before its first start. The tool writes
//! it, the daemon reads it, and people may do either.

use std::path::Path;

use tidegate_core::manifest::is_name;

use crate::page::Source;
use crate::problem::Problems;
use crate::reader::Table;
use crate::settings::Secret;

/// Its name on the boot partition.
pub const PROVISION_FILE: &str = "tidegate-provision.toml";
/// A folder beside it: `trust`, certificates, a `gateway.toml` of one's own. All of it becomes the gateway's.
pub const PROVISION_FOLDER: &str = "tidegate";
/// Where devices connect when nothing else is said: a board is there to be reached.
const LISTEN: &str = "0.0.0.0:1883";

/// What a gateway is told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    pub id: String,
    pub groups: Vec<String>,
    pub listen: String,
    /// Lines of an `authorized_keys`.
    pub ssh_keys: Vec<String>,
    /// Whether the serial console has a root shell.
    pub console_shell: bool,
    pub wifi: Option<Wifi>,
}

/// A radio network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wifi {
    pub ssid: String,
    /// `None`: an open network.
    pub password: Option<Secret>,
    /// Two letters: which channels the radio may use.
    pub country: String,
}

/// Reads the file.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn read_provision(path: &Path) -> Result<Provision, Problems> {
    let source =
        Source::open(path, "; `tidegate flash` writes it, boards/image/README.md shows one")?;
    let (provision, _) = source.read(|root| provision(&root))?;
    Ok(provision)
}

fn provision(root: &Table<'_>) -> Option<Provision> {
    let id = root.need_text("id", "\"gw-01\"");
    if let Some(id) = &id
        && !is_name(id.value)
    {
        id.place.wrong(format!("{:?} is not an id; use 1 to 32 of a-z, 0-9 and -", id.value));
    }
    let mut groups = Vec::new();
    for group in root.texts("groups", "\"boilers\"") {
        if !is_name(group.value) {
            group.place.wrong(format!(
                "{:?} is not a group's name; use 1 to 32 of a-z, 0-9 and -",
                group.value
            ));
        }
        groups.push(group.value.to_owned());
    }
    let listen = root.text("listen", "\"0.0.0.0:1883\"");
    if let Some(listen) = &listen
        && listen.value.parse::<std::net::SocketAddr>().is_err()
    {
        listen.place.wrong(format!("{:?} is no address with a port; use {LISTEN}", listen.value));
    }
    let mut ssh_keys = Vec::new();
    for key in root.texts("ssh_keys", "\"ssh-ed25519 AAAA... me\"") {
        if let Some(problem) = key_problem(key.value) {
            key.place.wrong(problem);
        }
        ssh_keys.push(key.value.to_owned());
    }
    let console_shell = root.flag("console_shell").is_some_and(|flag| flag.value);
    let wifi = if root.has("wifi") { wifi(&root.table("wifi")) } else { None };
    Some(Provision {
        id: id?.value.to_owned(),
        groups,
        listen: listen.map_or(LISTEN, |listen| listen.value).to_owned(),
        ssh_keys,
        console_shell,
        wifi,
    })
}

/// What is wrong with a line for `authorized_keys`.
fn key_problem(key: &str) -> Option<String> {
    let mut words = key.split(' ');
    let kind = words.next().unwrap_or_default();
    let known = kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-");
    let body = words.next().unwrap_or_default();
    if key.contains("PRIVATE KEY") {
        return Some("is the secret key; write the line of the .pub file beside it".to_owned());
    }
    let plain = key.chars().all(|letter| !letter.is_control());
    let whole = known && plain && body.len() >= 40 && body.starts_with("AAAA");
    (!whole).then(|| "is no public ssh key; write the one line of a .pub file".to_owned())
}

fn wifi(table: &Table<'_>) -> Option<Wifi> {
    let ssid = table.need_text("ssid", "\"workshop\"");
    let password = table.text("password", "\"a long one\"");
    let country = table.need_text("country", "\"DE\"");
    if let Some(ssid) = &ssid
        && (ssid.value.is_empty() || ssid.value.len() > 32 || !is_plain(ssid.value))
    {
        ssid.place.wrong("must be 1 to 32 bytes without control characters or \"");
    }
    if let Some(password) = &password
        && (!(8..=63).contains(&password.value.len())
            || !password.value.is_ascii()
            || !is_plain(password.value))
    {
        password.place.wrong(
            "must be 8 to 63 letters of ASCII without \" (WPA); leave it out for an open network",
        );
    }
    if let Some(country) = &country
        && !(country.value.len() == 2 && country.value.bytes().all(|b| b.is_ascii_uppercase()))
    {
        country
            .place
            .wrong(format!("{:?} is no country; use two letters such as \"DE\"", country.value));
    }
    Some(Wifi {
        ssid: ssid?.value.to_owned(),
        password: password.map(|password| Secret::new(password.value)),
        country: country?.value.to_owned(),
    })
}

/// What may stand between quotes in `wpa_supplicant.conf`.
fn is_plain(text: &str) -> bool {
    text.chars().all(|letter| !letter.is_control() && letter != '"')
}

impl Provision {
    /// The file as the tool writes it; [`read_provision`] reads it as the same.
    pub fn render(&self) -> String {
        let mut text = String::from("# Read at the next start, and then removed from here.\n");
        text.push_str(&format!("id = {}\n", quoted(&self.id)));
        text.push_str(&format!("groups = [{}]\n", quoted_all(&self.groups)));
        text.push_str(&format!("listen = {}\n", quoted(&self.listen)));
        text.push_str(&format!("ssh_keys = [{}]\n", quoted_all(&self.ssh_keys)));
        text.push_str(&format!("console_shell = {}\n", self.console_shell));
        if let Some(wifi) = &self.wifi {
            text.push_str(&format!("\n[wifi]\nssid = {}\n", quoted(&wifi.ssid)));
            if let Some(password) = &wifi.password {
                text.push_str(&format!("password = {}\n", quoted(password.expose())));
            }
            text.push_str(&format!("country = {}\n", quoted(&wifi.country)));
        }
        text
    }

    /// The `gateway.toml` of a gateway that brings none of its own.
    pub fn gateway_toml(&self, board: &str, data_dir: &Path, has_trust: bool) -> String {
        let mut text = format!(
            "# Written from {PROVISION_FILE}.\n[gateway]\nid = {}\ndata_dir = {}\nboard = {}\ngroups = [{}]\n",
            quoted(&self.id),
            quoted(&data_dir.to_string_lossy()),
            quoted(board),
            quoted_all(&self.groups),
        );
        if has_trust {
            text.push_str("\n[trust]\nfile = \"trust\"\n");
        }
        text.push_str(&format!("\n[local]\nlisten = {}\n", quoted(&self.listen)));
        text
    }
}

impl Wifi {
    /// The `wpa_supplicant.conf` for it.
    pub fn wpa_supplicant(&self) -> String {
        let access = match &self.password {
            Some(password) => format!("psk=\"{}\"", password.expose()),
            None => "key_mgmt=NONE".to_owned(),
        };
        format!(
            "country={}\nnetwork={{\n  ssid=\"{}\"\n  scan_ssid=1\n  {access}\n}}\n",
            self.country, self.ssid
        )
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if letter.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn quoted_all(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Provision {
        Provision {
            id: "gw-07".to_owned(),
            groups: vec!["boilers".to_owned()],
            listen: LISTEN.to_owned(),
            ssh_keys: vec![format!("ssh-ed25519 AAAA{} me \\ you", "x".repeat(64))],
            console_shell: true,
            wifi: Some(Wifi {
                ssid: "work: shop\\".to_owned(),
                password: Some(Secret::new("eight: letters")),
                country: "DE".to_owned(),
            }),
        }
    }

    fn read(text: &str) -> Result<Provision, String> {
        let source = Source { file: "p".into(), text: text.to_owned() };
        let read = source.read(|root| provision(&root)).map(|(provision, _)| provision);
        read.map_err(|problems| problems.to_string())
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        assert_eq!(read(&full().render()), Ok(full()));
        let open = Provision { wifi: None, ssh_keys: Vec::new(), ..full() };
        assert_eq!(read(&open.render()), Ok(open));
    }

    #[test]
    fn mistakes_are_named() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let problems = read(text).expect_err(text);
            assert!(problems.contains(expect), "{problems}");
        }
        check("", "id: is missing");
        check("id = \"GW\"", "p:1: id: \"GW\" is not an id");
        check("id = \"a\"\nlisten = \"1883\"", "p:2: listen: \"1883\" is no address");
        check("id = \"a\"\nssh_keys = [\"ssh-ed25519 x\"]", "is no public ssh key");
        check(
            "id = \"a\"\nssh_keys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]",
            "is the secret key",
        );
        check(
            "id = \"a\"\n[wifi]\nssid = \"s\"\npassword = \"short\"\ncountry = \"DE\"",
            "8 to 63",
        );
        check("id = \"a\"\n[wifi]\nssid = \"a\\nb\"\ncountry = \"DE\"", "control characters");
        check("id = \"a\"\n[wifi]\nssid = \"s\"\ncountry = \"de\"", "is no country");
    }
}
