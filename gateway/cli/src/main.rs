//! `tidegate`: finds the command and runs it.

use std::process::ExitCode;

use tidegate::cmd::{COMMANDS, Command};
use tidegate::failure::{Failure, Kind};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    match &name[..] {
        "-h" | "--help" | "help" => {
            let wanted = words.first().and_then(|name| find(name));
            print!("{}", wanted.map_or_else(overview, help));
            ExitCode::SUCCESS
        }
        "-V" | "--version" => {
            println!("{}", version());
            ExitCode::SUCCESS
        }
        "" => {
            eprint!("{}", overview());
            ExitCode::from(Kind::Usage.code())
        }
        name => match find(name) {
            Some(command) => run(command, words),
            None => {
                eprintln!("tidegate: there is no command `{name}`\nTry `tidegate --help`.");
                ExitCode::from(Kind::Usage.code())
            }
        },
    }
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn run(command: &Command, words: Vec<String>) -> ExitCode {
    if words.iter().take_while(|word| *word != "--").any(|word| word == "-h" || word == "--help") {
        print!("{}", help(command));
        return ExitCode::SUCCESS;
    }
    match (command.run)(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { kind, text }) => {
            eprintln!("tidegate {}: {text}", command.name);
            if kind == Kind::Usage {
                eprintln!("Try `tidegate {} --help`.", command.name);
            }
            ExitCode::from(kind.code())
        }
    }
}

fn help(command: &Command) -> String {
    // What several commands share stands in one place.
    let text = command.help.replace("@BROKER@", tidegate::broker::HELP);
    format!("{}\n\nUsage: tidegate {}\n\n{text}", command.about, command.usage)
}

fn overview() -> String {
    let mut text = String::from(
        "tidegate: makes, builds, tries and pushes Tidegate handlers, and plans gateways for them\n\nUsage:\n",
    );
    for command in COMMANDS {
        text.push_str(&format!("  tidegate {:<45} {}\n", command.usage, command.about));
    }
    text.push_str(
        "\n  -h, --help       this text, or a command's\n  -V, --version    version, commit, target, features\n\n\
         Exit status: 0 done; 1 tried and failed; 64 the command line is wrong; 65 a module, a key or an\n\
         input is wrong; 69 no broker; 75 no gateway answered; 78 handler.toml or a board is wrong.\n",
    );
    text
}

/// What `--version` prints.
fn version() -> String {
    let commands: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    format!(
        "tidegate {} ({}, {}, features: {})",
        env!("CARGO_PKG_VERSION"),
        env!("TIDEGATE_GIT_HASH"),
        env!("TIDEGATE_TARGET"),
        commands.join(", "),
    )
}
