//! `tidegate board`: what a gateway may run on.

use tidegate_config::{Board, Json, read_board};

use super::Command;
use crate::args::Args;
use crate::board;
use crate::columns::columns;
use crate::failure::Failure;

mod describe;
mod json;

pub const COMMAND: Command = Command {
    name: "board",
    usage: "board list | show BOARD [--json]",
    about: "the boards that are built in, and one in full",
    help: "\
`list` prints the boards that are built in. `show` prints one of them, or a file of your own: the machine,
its pins, what its image is made of, every limit, and what the limits add up to. A file is checked while it
is read: every problem is named with its line and key.

Options:
  --json    one JSON object a board, on a line
",
    run,
};

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &[])?;
    let json = args.has("json");
    let words: Vec<&str> = args.words().iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => {
            let boards = board::names().into_iter().map(read_board);
            let boards: Vec<Board> = boards.collect::<Result<_, _>>()?;
            print!("{}", if json { lines(&boards) } else { table(&boards) });
            Ok(())
        }
        ["show", name] => {
            let board = read_board(name)?;
            print!("{}", if json { lines(&[board]) } else { describe::describe(&board) });
            Ok(())
        }
        ["show"] => Err(Failure::usage(format!(
            "the board is missing: a file, or one of {}",
            board::names().join(", ")
        ))),
        [] => Err(Failure::usage("`list` or `show BOARD` is missing")),
        ["list", more, ..] | ["show", _, more, ..] => {
            Err(Failure::usage(format!("`{more}` is one word too many")))
        }
        [word, ..] => Err(Failure::usage(format!("`{word}` is neither `list` nor `show`"))),
    }
}

fn lines(boards: &[Board]) -> String {
    boards.iter().map(|board| json::json(board).render() + "\n").collect()
}

fn table(boards: &[Board]) -> String {
    let heading = ["BOARD", "CORES", "MEMORY", "HANDLERS", "CLIENTS", "TARGET", "WHAT"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(boards.iter().map(|board| {
        [
            board.name.clone(),
            board.cores.to_string(),
            format!("{} MiB", board.memory.total_mib),
            board.core_limits.handlers_max.to_string(),
            board.door.clients_max.to_string(),
            board.triple.clone(),
            board.description.clone(),
        ]
    }));
    columns(&rows)
}

/// The four tables of limits, as a board file writes them: name, and keys with their numbers.
type Limits = [(&'static str, Vec<(&'static str, u64)>); 4];

/// Every limit of a board under its key.
fn limits(board: &Board) -> Limits {
    macro_rules! keys {
        ($of:expr; $($key:ident),+) => { [$((stringify!($key), $of.$key as u64)),+] };
    }
    let host = &board.host;
    let core = keys!(board.core_limits; messages_max, messages_bytes_max, message_bytes_max,
        line_messages_max, batch_messages_max, handlers_max, filters_max, hops_max, retries_max,
        backoff_min_ms, backoff_max_ms, failures_max, quarantine_min_ms, quarantine_max_ms,
        echoes_max, local_waiting_max);
    let door = keys!(board.door; clients_max, packet_bytes_max, subscriptions_max, filters_max,
        outbound_bytes_max, buffered_bytes_max, queued_messages_max, inflight_max, receive_max,
        topic_aliases_max, retained_messages_max, retained_bytes_max, topics_cached_max,
        connect_timeout_ms, keep_alive_max_s);
    let caps = keys!(host.caps; module_bytes_max, memory_kib_max, table_elements_max,
        stack_bytes_max, calls_max, fuel_max, init_fuel_max, deadline_ms_max, publish_bytes_max,
        record_bytes_max, sends_max, effects_bytes_max, state_bytes_max, state_keys_max,
        log_lines_max, json_bytes_max, json_tokens_max, json_depth_max);
    let manifest = keys!(host; memory_kib_default, fuel_default, deadline_ms_default,
        publishes_max, publishes_default, config_bytes_max);
    let runner = keys!(board.runner; threads, slice_us);
    [
        ("limits", core.to_vec()),
        ("door", door.to_vec()),
        ("handler", [&caps[..], &manifest[..]].concat()),
        ("runner", runner.to_vec()),
    ]
}

fn number(number: u64) -> Json {
    Json::Number(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_a_board_file_is_shown() {
        let dev = include_str!("../../../../boards/dev.toml");
        let dev = &dev[dev.find("[limits]").expect("its first table of limits")..];
        let shown = limits(&read_board("dev").expect("built in"));
        let mut rest: Vec<(&str, u64)> = shown.iter().flat_map(|(_, keys)| keys.clone()).collect();
        for line in dev.lines() {
            let Some((key, value)) = line.split_once(" = ") else {
                continue;
            };
            let value = value.split_whitespace().next().and_then(|value| value.parse().ok());
            let at = rest.iter().position(|shown| Some(*shown) == value.map(|value| (key, value)));
            rest.remove(at.unwrap_or_else(|| panic!("{key} is not shown")));
        }
        assert_eq!(rest, []);
    }
}
