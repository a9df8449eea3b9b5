//! One file a command. A command reads its own arguments, prints its result to standard output and
//! everything else to standard error.

pub mod audit;
pub mod board;
pub mod build;
pub mod demo;
pub mod history;
pub mod invoke;
pub mod keygen;
pub mod logs;
pub mod new;
pub mod outbox;
pub mod plan;
pub mod push;
pub mod receive;
pub mod remove;
pub mod rollback;
mod signing;
pub mod status;
pub mod test;
pub mod trust;
pub mod try_event;

use crate::failure::Failure;

/// One command: its name, the line of `tidegate --help`, its own `--help`, and what it does.
pub struct Command {
    pub name: &'static str,
    pub usage: &'static str,
    pub about: &'static str,
    pub help: &'static str,
    pub run: fn(Vec<String>) -> Result<(), Failure>,
}

/// Every command, in the order of `--help`.
pub const COMMANDS: &[Command] = &[
    demo::COMMAND,
    new::COMMAND,
    build::COMMAND,
    try_event::COMMAND,
    test::COMMAND,
    keygen::COMMAND,
    trust::COMMAND,
    push::COMMAND,
    status::COMMAND,
    history::COMMAND,
    audit::COMMAND,
    rollback::COMMAND,
    remove::COMMAND,
    logs::COMMAND,
    invoke::COMMAND,
    board::COMMAND,
    plan::COMMAND,
    outbox::COMMAND,
    receive::COMMAND,
];
