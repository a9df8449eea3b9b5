//! A board for people.

use std::fmt::Write;

use tidegate_config::{Board, Direction, Pin};

use super::limits;

/// Width of the first column.
const LABEL: usize = 12;

pub(super) fn describe(board: &Board) -> String {
    let mut out = String::new();
    let mut line = |label: &str, text: &str| {
        writeln!(out, "{label:LABEL$}{text}").expect("a String takes everything");
    };
    let cores = if board.cores == 1 { "core" } else { "cores" };
    let clock = if board.has_rtc { "a clock that lives on" } else { "no clock that lives on" };
    line("board", &format!("{}: {}", board.name, board.description));
    line("target", &board.triple);
    line("machine", &format!("{} {cores}, {clock}", board.cores));
    if let Some(watchdog) = &board.watchdog {
        line("watchdog", &watchdog.display().to_string());
    }
    if let Some(led) = &board.led {
        line("led", led);
    }
    let (memory, worst) = (&board.memory, board.worst_case());
    let mib = |kib: u64| kib.div_ceil(1024);
    line(
        "memory",
        &format!(
            "{} MiB: {} for the system, {} for the daemon",
            memory.total_mib, memory.system_mib, memory.budget_mib
        ),
    );
    line(
        "  at most",
        &format!(
            "{} MiB with every limit reached at once: base {}, door {}, messages {}, handlers {}",
            mib(worst.total_kib()),
            mib(worst.base_kib),
            mib(worst.door_kib),
            mib(worst.messages_kib),
            mib(worst.handlers_kib)
        ),
    );
    line(
        "flash",
        &format!(
            "{} MiB, at most {} MiB written a day",
            board.flash.total_mib, board.flash.write_mib_per_day_max
        ),
    );
    match &board.image {
        Some(image) => {
            let packages = image.packages.iter().map(|name| format!(" {name}")).collect::<String>();
            line("image", &format!("{} {}{packages}", image.architecture, image.kernel));
            line(
                "  parts",
                &format!(
                    "boot {} MiB, two roots of {} MiB, data {} MiB or more",
                    image.boot_mib, image.root_mib, image.data_mib_min
                ),
            );
        }
        None => line("image", "none can be built"),
    }
    for (name, of) in &board.pins {
        line("pin", &format!("{name}: {}", pin(of)));
    }
    for (name, device) in &board.buses {
        line("bus", &format!("{name}: {device}"));
    }
    for (table, keys) in limits(board) {
        line("", "");
        line(&format!("[{table}]"), "");
        for (key, value) in keys {
            line(
                key,
                &format!("{:>width$}", value, width = 36usize.saturating_sub(key.len().max(LABEL))),
            );
        }
    }
    let lines = out.lines().map(str::trim_end);
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn pin(pin: &Pin) -> String {
    let direction = match pin.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    let low = if pin.is_active_low { ", active low" } else { "" };
    format!("{direction}, line {} of {}{low}", pin.line, pin.chip)
}
