//! `[local]`: the front door or a broker, and word for word what is said when it is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tidegate_config::Local;

use crate::folder::Folder;
use crate::gateway::{GATEWAY, check_local, read};

#[test]
fn addresses() {
    check_local(
        "listen",
        "[local]\nlisten = [\"localhost:1883\", \"127.0.0.1\", \"127.0.0.1:1\", \"127.0.0.1:1\"]\n",
        r#"
gateway.toml:6: local.listen[0]: "localhost:1883" is not an address; use IP:PORT, for example 127.0.0.1:1883
gateway.toml:6: local.listen[1]: "127.0.0.1" is not an address; use IP:PORT, for example 127.0.0.1:1883
gateway.toml:6: local.listen[3]: 127.0.0.1:1 is listed twice; remove one of the two
"#,
    );
    check_local(
        "listen-empty",
        "[local]\nlisten = []\n",
        "gateway.toml:6: local.listen: is empty; write an address, for example \"127.0.0.1:1883\"",
    );
    check_local(
        "listen-keys",
        "[local]\nusername = \"u\"\nca = \"h/m.wasm\"\n",
        r#"
gateway.toml:6: local.username: goes with `broker` only; remove it, or add broker = "mqtt://HOST:1883"
gateway.toml:7: local.ca: h/m.wasm holds no PEM (-----BEGIN ...); convert it, or name another file
gateway.toml:7: local.ca: goes with `broker` only; remove it, or add broker = "mqtt://HOST:1883"
"#,
    );
}

#[test]
fn brokers() {
    for (i, (url, why)) in [
        ("127.0.0.1:1883", "\"127.0.0.1:1883\" is not the address of a broker"),
        ("http://b", "\"http://b\" is not the address of a broker"),
        ("mqtt://", "\"mqtt://\" has no good host and port"),
        ("mqtt://b:", "\"mqtt://b:\" has no good host and port"),
        ("mqtt://b:0", "\"mqtt://b:0\" has no good host and port"),
        ("mqtt://b:70000", "\"mqtt://b:70000\" has no good host and port"),
        ("mqtt://a b", "\"mqtt://a b\" has no good host and port"),
        ("mqtt://b/topic", "\"mqtt://b/topic\" has no good host and port"),
        ("mqtt://[::1", "\"mqtt://[::1\" has no good host and port"),
        ("mqtt://[b]:1", "\"mqtt://[b]:1\" has no good host and port"),
        ("mqtt://::1:1", "\"mqtt://::1:1\" has no good host and port"),
    ]
    .into_iter()
    .enumerate()
    {
        check_local(
            &format!("broker-{i}"),
            &format!("[local]\nbroker = {url:?}\n"),
            &format!(
                "gateway.toml:6: local.broker: {why}; use mqtt://HOST:PORT or mqtts://HOST:PORT"
            ),
        );
    }
    check_local(
        "broker-secret",
        "[local]\nbroker = \"mqtt://me:s3cret@b\"\n",
        "gateway.toml:6: local.broker: \"...@b\" holds a user name; write `username` and `password_file` instead, \
         because URLs end up in logs",
    );
}

#[test]
fn what_goes_with_a_broker() {
    check_local(
        "broker-tls",
        "[local]\nbroker = \"mqtts://b\"\ncert = \"none.pem\"\npassword_file = \"h\"\nclient_id = \"\"\nkeep_alive_s = 4\n",
        r#"
gateway.toml:5: local.ca: is missing; mqtts needs to know whom to trust, for example ca = "/etc/ssl/certs/ca-certificates.crt"
gateway.toml:7: local.cert: none.pem cannot be read: no such file or directory
gateway.toml:7: local.cert: goes with `key`; add the certificate's private key
gateway.toml:8: local.password_file: h cannot be read: is a directory
gateway.toml:8: local.password_file: goes with `username`; MQTT 3.1.1 has no password without one
gateway.toml:9: local.client_id: must have 1 to 128 bytes and no control characters; leave it out for tidegate-ID
gateway.toml:10: local.keep_alive_s: 4 is out of range; use 5 to 3600
"#,
    );
    let folder = Folder::new("broker-plain");
    folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\n").write("empty", "\n");
    let messages = read(
        &folder,
        &format!(
            "{GATEWAY}[local]\nbroker = \"mqtt://b\"\nca = \"ca.pem\"\nusername = \"u\"\npassword_file = \"empty\"\n"
        ),
    );
    assert_eq!(
        messages.unwrap_err(),
        "gateway.toml:7: local.ca: goes with TLS; remove it, or write broker = \"mqtts://...\"\n\
         gateway.toml:9: local.password_file: empty is empty; put the password into it, or remove the key"
    );
}

#[test]
fn a_good_broker() {
    let folder = Folder::new("broker-good");
    folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\n").write("pass", "s3 cret\r\n");
    let pass = folder.path.join("pass");
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "{GATEWAY}[local]\nbroker = \"mqtts://[::1]\"\nca = \"ca.pem\"\nusername = \"u\"\npassword_file = \"pass\"\n\
         [[handler]]\npath = \"h\"\n"
    );
    folder.handler("h", "overheat");
    let settings = read(&folder, &text).unwrap();
    let Local::Broker(broker) = &settings.local else {
        panic!("a broker is meant");
    };
    assert_eq!((broker.host.as_str(), broker.port), ("::1", 8883));
    assert_eq!(broker.client_id, "tidegate-gw-01");
    assert_eq!(broker.keep_alive_s, 30);
    assert_eq!(broker.password.as_ref().unwrap().expose(), "s3 cret");
    assert_eq!(broker.tls.as_ref().unwrap().ca, folder.path.join("ca.pem"));
    assert!(!format!("{settings:?}").contains("s3 cret"));
    assert_eq!(folder.show(&settings.warnings), "");

    fs::set_permissions(&pass, fs::Permissions::from_mode(0o644)).unwrap();
    let settings = read(&folder, &text).unwrap();
    assert_eq!(
        folder.show(&settings.warnings),
        "gateway.toml:9: local.password_file: pass can be read by every user (mode 644); run `chmod 600 pass`"
    );
}

#[test]
fn the_front_door_is_the_default() {
    let folder = Folder::new("default");
    let settings = read(&folder, GATEWAY).unwrap();
    let listen = |text: &str| vec![text.parse().unwrap()];
    let expect = Local::FrontDoor { listen: listen("127.0.0.1:1883") };
    assert_eq!(settings.local, expect);
    assert_eq!(settings.id, "gw-01");
    assert_eq!(settings.data_dir, folder.path.join("data"));
    assert_eq!(settings.board.name, "dev");
    assert_eq!(
        folder.show(&settings.warnings),
        "gateway.toml:1: there is no [[handler]]: messages are passed on and nothing reacts to them"
    );

    let text = format!("{GATEWAY}[local]\nlisten = \"0.0.0.0:1883\"\n");
    let settings = read(&folder, &text).unwrap();
    let expect = Local::FrontDoor { listen: listen("0.0.0.0:1883") };
    assert_eq!(settings.local, expect);
    assert_eq!(
        folder.show(&settings.warnings[1..]),
        "gateway.toml:6: local.listen: 0.0.0.0:1883 can be reached from other machines, and the front door lets \
         everyone in who can reach it"
    );
}
