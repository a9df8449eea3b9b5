//! The command line.

use std::net::SocketAddr;

use crate::systems::System;

pub const USAGE: &str = "\
usage: bench reaction|throughput|store [options]

  reaction     reaction time and CPU at fixed rates, memory, start, cost of the host alone
  throughput   the highest rate held without loss; what is measured has one core, always
  store        what lasting costs: flash wear, memory, acked messages, reactions beside commits, records
               that wait, and what a bridge loses

  --systems hop,native,behind,door    which ways from device to device; also: forward, echo.
                          throughput: door,echo,forward,hop
  --rates 100,1000,5000   messages a second (reaction)
  --seconds 5             length of one measurement (throughput: at most 2; store: 60, acked and
                          reaction there at most 5)
  --rounds 3              how often every system is measured; ratios are medians over rounds
  --devices 100           simulated devices
  --connections 8         sockets they share
  --only reaction,memory,start,host   which parts (reaction)
  --only idle,lazy,rss,acked,reaction,backlog,bridge   which parts (store)
  --records 200000        how many records wait for upstream (store)
  --pin                   generator on core 0 and all else on core 1. The default leaves it to the
                          scheduler: pinned on a virtual machine, each message at a low rate costs two
                          wake-ups of a halted core, and they hide what is measured
  --realtime              first-in-first-out scheduling for everything here: on a machine with other
                          work. Needs root; not for throughput
  --markdown              Markdown tables on standard output, and the JSON lines on standard error";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Reaction,
    Throughput,
    Store,
    Native { broker: SocketAddr },
    EchoDoor { listen: SocketAddr },
}

/// The command line, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    pub command: Command,
    pub rates: Vec<f64>,
    pub seconds: f64,
    pub records: u64,
    pub rounds: usize,
    pub devices: usize,
    pub connections: usize,
    pub systems: Vec<System>,
    pub only: Vec<String>,
    pub pinned: bool,
    pub realtime: bool,
    pub markdown: bool,
}

impl Arguments {
    /// Reads the words after the program's name.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut words = words;
        let command = match words.next().as_deref() {
            None | Some("--help" | "-h") => Command::Help,
            Some("reaction") => Command::Reaction,
            Some("throughput") => Command::Throughput,
            Some("store") => Command::Store,
            Some("native") => Command::Native { broker: address(words.next())? },
            Some("echo-door") => Command::EchoDoor { listen: address(words.next())? },
            Some(other) => return Err(format!("unknown command {other}")),
        };
        let mut arguments = Arguments {
            rates: vec![100.0, 1000.0, 5000.0],
            seconds: if command == Command::Store { 60.0 } else { 5.0 },
            records: 200_000,
            rounds: 3,
            devices: 100,
            connections: 8,
            systems: list(match command {
                Command::Throughput => "door,echo,forward,hop",
                _ => "hop,native,behind,door",
            })
            .iter()
            .map(|name| system(name))
            .collect::<Result<_, _>>()?,
            only: list(match command {
                Command::Store => "idle,lazy,rss,acked,reaction,backlog,bridge",
                _ => "reaction,memory,start,host",
            }),
            command,
            pinned: false,
            realtime: false,
            markdown: false,
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
                "--records" => arguments.records = number(&value()?)? as u64,
                "--devices" => arguments.devices = number(&value()?)? as usize,
                "--connections" => arguments.connections = number(&value()?)? as usize,
                "--systems" => {
                    arguments.systems = list(&value()?)
                        .iter()
                        .map(|word| system(word))
                        .collect::<Result<_, _>>()?;
                }
                "--only" => arguments.only = list(&value()?),
                "--pin" => arguments.pinned = true,
                "--realtime" => arguments.realtime = true,
                "--markdown" => arguments.markdown = true,
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

fn system(name: &str) -> Result<System, String> {
    let known = System::ALL.into_iter().find(|system| system.name() == name);
    known.ok_or(format!("unknown system {name}"))
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
            "reaction --systems hop,hope",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_are_read() {
        let read = parse("reaction --rates 10,20 --pin --only host").expect("good");
        assert_eq!(read.rates, [10.0, 20.0]);
        assert!(read.pinned && read.wants("host") && !read.wants("memory"));
        assert_eq!(read.systems.last(), Some(&System::Door));
        let read = parse("throughput --markdown").expect("good");
        assert!(!read.pinned && read.markdown);
        assert_eq!(read.systems.last(), Some(&System::Hop));
        let read = parse("store --records 1000").expect("good");
        assert!(read.wants("bridge") && !read.wants("memory"));
        assert_eq!((read.records, read.seconds), (1000, 60.0));
        assert_eq!(parse("").expect("good").command, Command::Help);
    }
}
