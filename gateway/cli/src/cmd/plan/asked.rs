//! What the command line asks for.

use std::str::FromStr;

use serde::Serialize;
use tidegate_config::Board;

use crate::args::Args;
use crate::duration;
use crate::failure::Failure;

/// Every option with a value.
pub const OPTIONS: &[&str] = &[
    "board",
    "rate",
    "bytes",
    "records",
    "outage",
    "handlers",
    "state-keys",
    "state-bytes",
    "lazy-ms",
    "qos",
    "link-rate",
    "quota-mb",
    "sync-ms",
];

// As in `[store]` of gateway.toml; a test compares them with what it means.
const LAZY_MS_DEFAULT: u64 = 2000;
const LAZY_MS_MAX: u64 = 3_600_000;
const QUOTA_MB_DEFAULT: u64 = 256;
const QUOTA_MB_MIN: u64 = 32;
const QUOTA_MB_MAX: u64 = 1_000_000;

const OUTAGE_DEFAULT_S: u64 = 6 * 3600;
/// Ten years: what is beyond is a slip.
const OUTAGE_MAX_S: u64 = 10 * 366 * 86_400;
/// More than any machine takes.
const RATE_MAX: f64 = 10_000_000.0;
/// A disk that takes longer is broken.
const SYNC_MS_MAX: f64 = 60_000.0;
/// A state value is never longer.
const STATE_BYTES_MAX: u64 = 16 * 1024;
const STATE_BYTES_DEFAULT: u64 = 16;

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// Messages a second from all devices.
    pub rate: f64,
    /// Bytes of a record's payload.
    pub bytes: u64,
    /// Records a second.
    pub records_per_s: f64,
    pub outage_s: u64,
    pub handlers: u64,
    /// Keys of all handlers together; each message changes one.
    pub state_keys: u64,
    /// Bytes of a value.
    pub state_bytes: u64,
    pub lazy_ms: u64,
    pub qos: u8,
    /// What the link takes, records a second.
    pub link_rate: Option<f64>,
    pub quota_mb: u64,
    /// Of the board's disk.
    pub sync_ms: Option<f64>,
}

impl Asked {
    /// Reads the options and holds them against the board.
    ///
    /// # Errors
    /// What is missing, or is no number, or is more than the board allows.
    pub fn read(args: &Args, board: &Board) -> Result<Asked, Failure> {
        let rate = rate(args, "rate")?.ok_or_else(|| missing("rate", "messages a second"))?;
        let caps = &board.host.caps;
        let handlers_max = board.core_limits.handlers_max as u64;
        let bytes = whole(args, "bytes", 0, caps.record_bytes_max as u64)?
            .ok_or_else(|| missing("bytes", "the bytes of a payload"))?;
        let handlers = whole(args, "handlers", 1, handlers_max)?.unwrap_or(1);
        let keys_max = handlers * caps.state_keys_max as u64;
        let state_keys = whole(args, "state-keys", 0, keys_max)?.unwrap_or(0);
        let state_bytes = whole(args, "state-bytes", 0, STATE_BYTES_MAX)?;
        if state_bytes.is_some() && state_keys == 0 {
            return Err(Failure::usage("--state-bytes needs --state-keys"));
        }
        let qos = whole(args, "qos", 0, 1)?.unwrap_or(0);
        Ok(Asked {
            rate,
            bytes,
            records_per_s: self::rate(args, "records")?.unwrap_or(rate),
            outage_s: outage(args)?,
            handlers,
            state_keys,
            state_bytes: state_bytes.unwrap_or(STATE_BYTES_DEFAULT),
            lazy_ms: whole(args, "lazy-ms", 0, LAZY_MS_MAX)?.unwrap_or(LAZY_MS_DEFAULT),
            qos: u8::from(qos == 1),
            link_rate: self::rate(args, "link-rate")?.filter(|rate| *rate > 0.0),
            sync_ms: sync_ms(args)?,
            quota_mb: whole(args, "quota-mb", QUOTA_MB_MIN, QUOTA_MB_MAX)?
                .unwrap_or(QUOTA_MB_DEFAULT),
        })
    }
}

fn missing(name: &str, what: &str) -> Failure {
    Failure::usage(format!("--{name} is missing: {what}"))
}

fn parse<T: FromStr>(args: &Args, name: &str, wanted: &str) -> Result<Option<T>, Failure> {
    let Some(text) = args.option(name) else {
        return Ok(None);
    };
    let wrong = |_| Failure::usage(format!("--{name} {text}: {wanted} is wanted"));
    text.parse().map(Some).map_err(wrong)
}

/// A whole number between two bounds.
fn whole(args: &Args, name: &str, min: u64, max: u64) -> Result<Option<u64>, Failure> {
    let number = parse(args, name, "a whole number")?;
    match number {
        Some(number) if !(min..=max).contains(&number) => {
            Err(Failure::usage(format!("--{name} {number}: it must lie between {min} and {max}")))
        }
        number => Ok(number),
    }
}

/// Something a second; less than one is allowed.
fn rate(args: &Args, name: &str) -> Result<Option<f64>, Failure> {
    let number: Option<f64> = parse(args, name, "a number a second")?;
    match number {
        // Not a number is not in it either.
        Some(number) if !(0.0..=RATE_MAX).contains(&number) => {
            Err(Failure::usage(format!("--{name} {number}: it must lie between 0 and {RATE_MAX}")))
        }
        number => Ok(number),
    }
}

fn sync_ms(args: &Args) -> Result<Option<f64>, Failure> {
    let number: Option<f64> = parse(args, "sync-ms", "a number of ms")?;
    match number {
        Some(number) if !(0.0..=SYNC_MS_MAX).contains(&number) => Err(Failure::usage(format!(
            "--sync-ms {number}: it must lie between 0 and {SYNC_MS_MAX}"
        ))),
        number => Ok(number),
    }
}

fn outage(args: &Args) -> Result<u64, Failure> {
    let Some(text) = args.option("outage") else {
        return Ok(OUTAGE_DEFAULT_S);
    };
    match duration::read(text) {
        Ok(seconds) if seconds > OUTAGE_MAX_S => {
            Err(Failure::usage(format!("--outage {text}: that is more than ten years")))
        }
        Ok(seconds) => Ok(seconds),
        Err(why) => Err(Failure::usage(format!("--outage {text}: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    pub fn read(line: &str) -> Result<Asked, String> {
        let board = tidegate_config::read_board("dev").expect("built in");
        let args = Args::read(line.split_whitespace().map(str::to_owned), &[], OPTIONS);
        args.and_then(|args| Asked::read(&args, &board)).map_err(|failure| failure.text)
    }

    #[track_caller]
    fn refused(line: &str, says: &str) {
        let text = read(line).expect_err(line);
        assert!(text.contains(says), "{line}: {text}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        refused("--bytes 200", "--rate is missing");
        refused("--rate 20", "--bytes is missing");
        refused("--rate x --bytes 200", "--rate x");
        refused("--rate NaN --bytes 200", "--rate NaN");
        refused("--rate -1 --bytes 200", "between 0");
        refused("--rate 1e9 --bytes 200", "between 0");
        refused("--rate 1 --bytes 2.5", "a whole number is wanted");
        refused("--rate 1 --bytes 65537", "between 0 and 65536");
        refused("--rate 1 --bytes 1 --outage 6", "no unit");
        refused("--rate 1 --bytes 1 --outage 9999d", "ten years");
        refused("--rate 1 --bytes 1 --qos 2", "between 0 and 1");
        refused("--rate 1 --bytes 1 --handlers 0", "between 1 and 256");
        refused("--rate 1 --bytes 1 --handlers 257", "between 1 and 256");
        refused("--rate 1 --bytes 1 --state-keys 4097", "between 0 and 4096");
        refused("--rate 1 --bytes 1 --state-bytes 8", "--state-keys");
        refused("--rate 1 --bytes 1 --quota-mb 31", "between 32");
        refused("--rate 1 --bytes 1 --sync-ms -2", "between 0");
    }

    #[test]
    fn defaults_are_those_of_a_gateway() {
        let asked = read("--rate 20 --bytes 200").expect("complete");
        assert_eq!((asked.outage_s, asked.records_per_s, asked.link_rate), (21_600, 20.0, None));
        let dir = std::env::temp_dir().join(format!("tidegate-plan-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let file = dir.join("gateway.toml");
        std::fs::write(&file, "[gateway]\nid = \"a\"\ndata_dir = \".\"\nboard = \"dev\"\n")
            .expect("written");
        let settings = tidegate_config::read_gateway(&file).expect("complete");
        std::fs::remove_dir_all(&dir).expect("it was ours");
        let store = settings.store;
        assert_eq!(u64::from(store.lazy_ms), asked.lazy_ms);
        assert_eq!(u64::from(store.quota_mb), asked.quota_mb);
    }
}
