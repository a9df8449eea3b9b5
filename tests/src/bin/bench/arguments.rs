//! The command line.

use std::net::SocketAddr;

pub const USAGE: &str = "\
usage: bench reaction|throughput [options]

  --rates 100,1000,5000   messages a second (reaction)
  --seconds 5             length of one measurement
  --rounds 3              how often every system is measured; ratios are medians over rounds
  --devices 100           simulated devices
  --connections 8         sockets they share
  --systems hop,native,behind,door   which of the four ways (reaction)
  --only reaction,memory,start,host   which parts (reaction)
  --free                  do not pin: generator on core 0 and all else on core 1 is the default
  --realtime              first-in-first-out scheduling for everything here: on a machine with other
                          work. Needs root; not for throughput";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Reaction,
    Throughput,
    Native { broker: SocketAddr },
    EchoDoor { listen: SocketAddr },
}

/// The command line, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    pub command: Command,
    pub rates: Vec<f64>,
    pub seconds: f64,
    pub rounds: usize,
    pub devices: usize,
    pub connections: usize,
    pub systems: Vec<String>,
    pub only: Vec<String>,
    pub pinned: bool,
    pub realtime: bool,
}

impl Arguments {
    /// Reads the words after the program's name.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut words = words;
        let command = match words.next().as_deref() {
            None | Some("--help" | "-h") => Command::Help,
            Some("reaction") => Command::Reaction,
            Some("throughput") => Command::Throughput,
            Some("native") => Command::Native {
                broker: address(words.next())?,
            },
            Some("echo-door") => Command::EchoDoor {
                listen: address(words.next())?,
            },
            Some(other) => return Err(format!("unknown command {other}")),
        };
        let mut arguments = Arguments {
            command,
            rates: vec![100.0, 1000.0, 5000.0],
            seconds: 5.0,
            rounds: 3,
            devices: 100,
            connections: 8,
            systems: list("hop,native,behind,door"),
            only: list("reaction,memory,start,host"),
            pinned: true,
            realtime: false,
        };
        while let Some(key) = words.next() {
            let mut value = || words.next().ok_or(format!("{key} needs a value"));
            match key.as_str() {
                "--rates" => {
                    arguments.rates = list(&value()?)
                        .iter()
                        .map(|word| number(word))
                        .collect::<Result<_, _>>()?;
                }
                "--seconds" => arguments.seconds = number(&value()?)?,
                "--rounds" => arguments.rounds = number(&value()?)? as usize,
                "--devices" => arguments.devices = number(&value()?)? as usize,
                "--connections" => arguments.connections = number(&value()?)? as usize,
                "--systems" => arguments.systems = list(&value()?),
                "--only" => arguments.only = list(&value()?),
                "--free" => arguments.pinned = false,
                "--realtime" => arguments.realtime = true,
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(arguments)
    }

    /// Whether this part was asked for.
    pub fn wants(&self, part: &str) -> bool {
        self.only.iter().any(|word| word == part)
    }
}

fn address(word: Option<String>) -> Result<SocketAddr, String> {
    let word = word.ok_or("an address is missing")?;
    word.parse().map_err(|_| format!("no address: {word}"))
}

fn list(words: &str) -> Vec<String> {
    words.split(',').map(str::to_owned).collect()
}

fn number(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok(number),
        _ => Err(format!("not a number above 0: {word}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "dance",
            "reaction --rates",
            "reaction --rates x",
            "reaction --seconds 0",
            "reaction --fast",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_are_read() {
        let read = parse("reaction --rates 10,20 --free --only host").expect("good");
        assert_eq!(read.rates, [10.0, 20.0]);
        assert!(!read.pinned && read.wants("host") && !read.wants("memory"));
        assert_eq!(parse("").expect("good").command, Command::Help);
    }
}
