//! The command line.

use std::path::PathBuf;

use tracing::Level;

use crate::provision::Job;

pub const HELP: &str = "\
tidegated: the Tidegate gateway daemon

Usage:
  tidegated --config FILE [--log LEVEL]     run in the foreground; logs go to standard error
  tidegated check --config FILE [--json]    read the configuration, explain it, run nothing

Options:
  -c, --config FILE   gateway.toml
      --log LEVEL     error, warn, info (default), debug or trace
      --json          with check: one JSON object
  -h, --help          this text
  -V, --version       version, commit, target, features

Signals: SIGTERM and SIGINT stop it within 5 s; SIGUSR1 logs every counter.

Exit status: 0 stopped as asked; 64 the command line is wrong; 71 a system call failed, such as
binding the port; 78 the configuration is wrong.

A minimal gateway.toml:
  [gateway]
  id = \"gw-01\"
  data_dir = \"/var/lib/tidegate\"
  board = \"dev\"

  [local]
  listen = \"127.0.0.1:1883\"

  [[handler]]
  path = \"/etc/tidegate/handlers/overheat\"
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Args {
    Run {
        config: PathBuf,
        level: Level,
    },
    Check {
        config: PathBuf,
        json: bool,
    },
    /// Keep the folder of state, for the daemon that has started this process.
    StateShelf {
        dir: PathBuf,
        cache_mb: u64,
    },
    /// Take what a flashed board's boot partition says.
    Provision(Job),
    /// Say at the front door how that went.
    Tell {
        report: PathBuf,
        config: PathBuf,
    },
    Help,
    Version,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// One sentence that says what is wrong.
pub fn parse(args: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = args.peekable();
    if args.next_if(|arg| arg == "state-shelf").is_some() {
        let words: Vec<String> = args.collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["--cache-mb", mb, "--dir", dir] = words[..]
            && let Ok(cache_mb) = mb.parse()
        {
            return Ok(Args::StateShelf { dir: PathBuf::from(dir), cache_mb });
        }
        return Err("state-shelf needs --cache-mb N --dir DIR".to_owned());
    }
    if args.next_if(|arg| arg == "provision").is_some() {
        let words: Vec<String> = args.collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        return match words[..] {
            ["--from", from, "--to", to, "--board", board, "--report", report] => {
                Ok(Args::Provision(Job {
                    from: PathBuf::from(from),
                    to: PathBuf::from(to),
                    board: board.to_owned(),
                    report: PathBuf::from(report),
                }))
            }
            ["--tell", report, "--config", config] => {
                Ok(Args::Tell { report: PathBuf::from(report), config: PathBuf::from(config) })
            }
            _ => Err("provision needs --from DIR --to DIR --board BOARD --report FILE, or --tell FILE --config FILE"
                .to_owned()),
        };
    }
    let check = args.next_if(|arg| arg == "check").is_some();
    let (mut config, mut level, mut json) = (None, None, false);
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value =
            |what| inline.clone().or_else(|| args.next()).ok_or(format!("{name} needs {what}"));
        match name {
            "-h" | "--help" => return Ok(Args::Help),
            "-V" | "--version" => return Ok(Args::Version),
            "-c" | "--config" => config = Some(PathBuf::from(value("a file")?)),
            "--log" if !check => {
                let text = value("a level")?;
                let parsed = text.parse::<Level>();
                level =
                    Some(parsed.map_err(|_| {
                        format!("--log {text}: use error, warn, info, debug or trace")
                    })?);
            }
            "--json" if check => json = true,
            _ => return Err(format!("`{arg}` is not an option here")),
        }
    }
    let config = config.ok_or("say which configuration: --config FILE")?;
    Ok(if check {
        Args::Check { config, json }
    } else {
        Args::Run { config, level: level.unwrap_or(Level::INFO) }
    })
}

/// What `--version` prints.
pub fn version() -> String {
    format!(
        "tidegated {} ({}, {}, features: front-door, local-broker, tls)",
        env!("CARGO_PKG_VERSION"),
        env!("TIDEGATE_GIT_HASH"),
        env!("TIDEGATE_TARGET"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Result<Args, &str>) {
        let args = line.split_whitespace().map(str::to_owned);
        assert_eq!(parse(args), expect.map_err(str::to_owned), "{line}");
    }

    #[test]
    fn says_what_is_wrong() {
        check("", Err("say which configuration: --config FILE"));
        check("--config", Err("--config needs a file"));
        check("--config a --log loud", Err("--log loud: use error, warn, info, debug or trace"));
        check("--config a --jsn", Err("`--jsn` is not an option here"));
        check("--config a --json", Err("`--json` is not an option here"));
        check("check --config a --log info", Err("`--log` is not an option here"));
        for words in ["", "--dir d", "--cache-mb x --dir d", "--cache-mb 2 --dir d e"] {
            check(&format!("state-shelf {words}"), Err("state-shelf needs --cache-mb N --dir DIR"));
        }
        check("--config a check", Err("`check` is not an option here"));
    }

    #[test]
    fn reads_what_is_right() {
        let config = PathBuf::from("a.toml");
        check("-c a.toml", Ok(Args::Run { config: config.clone(), level: Level::INFO }));
        check(
            "--config=a.toml --log=debug",
            Ok(Args::Run { config: config.clone(), level: Level::DEBUG }),
        );
        check("check --json --config a.toml", Ok(Args::Check { config, json: true }));
        check("check --help", Ok(Args::Help));
        let shelf = Args::StateShelf { dir: PathBuf::from("d"), cache_mb: 2 };
        check("state-shelf --cache-mb 2 --dir d", Ok(shelf));
    }
}
