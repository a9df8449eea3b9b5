//! One push to very many gateways: real daemons, one real broker, and half of the gateways away while it is pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tidegate_release::answer::{Heard, Stage, verify};
use tidegate_release::keys::{PublicKey, parse_public};
use tidegate_release::topics::ControlTopic;

use crate::handlers::Handler;
use crate::mosquitto::Mosquitto;
use crate::mqtt::Client;
use crate::process::Process;
use crate::pusher::Fleet;
use crate::scratch::Scratch;
use crate::{ports, programs};

/// The group that all are in.
const GROUP: &str = "all";
const HANDLER: &str = "echo";

/// How it went.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub gateways: usize,
    /// Those that were there at the push and ran it when `tidegate push` ended.
    pub at_push: usize,
    /// From the command's start to its end.
    pub push: Duration,
    /// From the start of the first that had been away to the last one's word that it runs it.
    pub returned: Duration,
    pub active: usize,
}

/// Gateways under one broker.
struct House {
    broker: Mosquitto,
    folder: Scratch,
    running: Vec<Process>,
    listener: Client,
    keys: BTreeMap<String, PublicKey>,
    active: BTreeSet<String>,
    /// Answers whose gateway's key has not come yet.
    early: Vec<(String, Vec<u8>)>,
}

/// Pushes one handler to `count` gateways, every other one of which comes later.
///
/// # Errors
/// What did not go as it must.
pub fn converge(count: usize, handler: &Handler, wait: Duration) -> Result<Report, String> {
    let mut house = House::new(handler)?;
    let here = count.div_ceil(2);
    (0..here).for_each(|n| house.start(n));
    house.listen_until(wait, |house| house.keys.len() >= here);
    if house.keys.len() < here {
        return Err(format!("{} of {here} gateways are connected", house.keys.len()));
    }
    let begun = Instant::now();
    let pushed = house.push(wait)?;
    let push = begun.elapsed();
    house.listen_until(wait, |house| house.active.len() >= here);
    let at_push = house.active.len();
    if at_push < here || pushed < here {
        return Err(format!("{at_push} of {here} run it, {pushed} say so to who pushed"));
    }
    let begun = Instant::now();
    (here..count).for_each(|n| house.start(n));
    house.listen_until(wait, |house| house.active.len() >= count);
    let (returned, active) = (begun.elapsed(), house.active.len());
    if active < count {
        return Err(format!("{active} of {count} gateways run it"));
    }
    Ok(Report { gateways: count, at_push, push, returned, active })
}

impl House {
    fn new(handler: &Handler) -> Result<House, String> {
        let (broker, fleet, folder) = (Mosquitto::start(), Fleet::new(1), Scratch::new("many"));
        folder.write("trust", fleet.trust());
        folder.write("ops.key", fleet.key.to_plain_file().as_bytes());
        let probation = "\n[probation]\nevents = 1\nuptime_s = 1\n";
        folder.write("handler.toml", format!("{}{probation}", handler.manifest()));
        folder.write("module.wasm", &handler.module);
        let said = |error: std::io::Error| format!("the broker: {error}");
        let mut listener = Client::connect(broker.address, "listener").map_err(said)?;
        for filter in ["tidegate/1/+/key".to_owned(), format!("tidegate/1/+/handler/{HANDLER}")] {
            listener.subscribe(&filter, 1).map_err(said)?;
        }
        Ok(House {
            broker,
            folder,
            running: Vec::new(),
            listener,
            keys: BTreeMap::new(),
            active: BTreeSet::new(),
            early: Vec::new(),
        })
    }

    fn start(&mut self, n: usize) {
        let (name, door) = (format!("gw-{n:04}"), ports::free());
        let trust = self.folder.path().join("trust");
        let text = format!(
            "[gateway]\nid = \"{name}\"\ndata_dir = \"data-{name}\"\nboard = \"dev\"\ngroups = [\"{GROUP}\"]\n\
             [trust]\nfile = {trust:?}\n[local]\nlisten = \"{door}\"\n\
             [uplink]\nbroker = \"mqtt://{}\"\ninsecure = true\n",
            self.broker.address
        );
        let config: PathBuf = self.folder.write(&format!("{name}.toml"), text);
        let data = self.folder.path().join(format!("data-{name}"));
        std::fs::create_dir_all(data).expect("a scratch folder can be made");
        let mut command = Command::new(programs::tidegated());
        command.arg("--config").arg(config).current_dir(self.folder.path());
        self.running.push(Process::start("tidegated", &mut command));
    }

    /// How many gateways the tool says run it.
    fn push(&self, wait: Duration) -> Result<usize, String> {
        let to = format!("group:{GROUP}");
        let mut command = Command::new(programs::tidegate());
        command
            .args(["push", ".", "--to", &to, "--key", "ops.key", "--trust", "trust"])
            .args(["--broker", &format!("mqtt://{}", self.broker.address), "--yes", "--json"])
            .args(["--timeout", &wait.as_secs().to_string()])
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", state(self.folder.path()));
        let output = command.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("tidegate push: {}: {said}", output.status));
        }
        let value: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let gateways = value["gateways"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(gateways.iter().filter(|gateway| gateway["stage"] == "active").count())
    }

    /// Listens until it is so, or the time is over.
    fn listen_until(&mut self, wait: Duration, is_so: impl Fn(&House) -> bool) {
        let end = Instant::now() + wait;
        while !is_so(self) && Instant::now() < end {
            if let Ok(Some(message)) = self.listener.message(Duration::from_millis(100)) {
                self.hear(&message.topic, message.payload);
            }
        }
    }

    /// An answer counts when it is signed by the gateway that it is of.
    fn hear(&mut self, topic: &str, payload: Vec<u8>) {
        if let Some(gateway) = topic.strip_suffix("/key") {
            let key = std::str::from_utf8(&payload).ok().and_then(|text| parse_public(text).ok());
            let gateway = gateway.trim_start_matches("tidegate/1/").to_owned();
            self.keys.extend(key.map(|key| (gateway, key)));
            for (topic, payload) in std::mem::take(&mut self.early) {
                self.hear(&topic, payload);
            }
            return;
        }
        let Ok(ControlTopic::Answer { gateway, .. }) = ControlTopic::parse(topic) else {
            return;
        };
        let Some(key) = self.keys.get(gateway.as_str()) else {
            return self.early.push((topic.to_owned(), payload));
        };
        if let Heard::New(answer) = verify(&payload, key, 0)
            && answer.gateway == gateway
            && answer.stage == Stage::Active
        {
            self.active.insert(gateway.to_string());
        }
    }
}

fn state(folder: &Path) -> PathBuf {
    folder.join("state")
}

impl Drop for House {
    fn drop(&mut self) {
        self.running.iter_mut().for_each(Process::kill);
    }
}
