//! What a person sees while the demo runs.

use std::fmt::Write as _;
use std::io::Write as _;

use super::device::Tally;

/// Draws over what it drew before, on a terminal.
#[derive(Debug, Default)]
pub struct Table {
    lines: usize,
}

impl Table {
    /// One row a device, and a last line with the daemon's memory.
    pub fn draw<'a>(
        &mut self,
        tallies: impl Iterator<Item = &'a Tally>,
        rss_kb: u64,
        seconds: u64,
        hint: &str,
    ) {
        let mut text = String::new();
        if self.lines > 0 {
            // Up to the start of the first line of the last drawing, and clear from there. An echoed ^C has
            // moved the cursor along its line.
            write!(text, "\r\x1b[{}A\x1b[J", self.lines).expect("a string takes everything");
        }
        let mut rows = vec![format!(
            "\x1b[1m{:<12}{:>8}{:>9}{:>10}{:>11}{:>9}{:>10}{:>10}\x1b[0m",
            "device", "temp C", "EWMA C", "messages", "reactions", "missing", "p50 us", "p99 us"
        )];
        for tally in tallies {
            let ewma = tally.ewma.unwrap_or(tally.temp);
            let (hot, cool) = if ewma > 60.0 { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
            let missing = tally.missing + tally.wrong;
            let (bad, good) = if missing > 0 { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
            rows.push(format!(
                "{:<12}{:>8.1}{hot}{ewma:>9.1}{cool}{:>10}{:>11}{bad}{missing:>9}{good}{:>10}{:>10}",
                tally.id,
                tally.temp,
                tally.messages,
                tally.reactions,
                tally.latency_us.value_at_quantile(0.5),
                tally.latency_us.value_at_quantile(0.99),
            ));
        }
        rows.push(format!("\ntidegated {:.1} MB, {seconds} s. {hint}", rss_kb as f64 / 1024.0));
        text.push_str(&rows.join("\n"));
        text.push('\n');
        self.lines = text.matches('\n').count();
        print(&text);
    }
}

/// One plain line, where there is no terminal.
pub fn line<'a>(tallies: impl Iterator<Item = &'a Tally>, rss_kb: u64, seconds: u64) {
    let (mut messages, mut reactions, mut missing, mut p99) = (0, 0, 0, 0);
    for tally in tallies {
        messages += tally.messages;
        reactions += tally.reactions;
        missing += tally.missing + tally.wrong;
        p99 = p99.max(tally.latency_us.value_at_quantile(0.99));
    }
    print(&format!(
        "{seconds:>4} s  {messages} messages  {reactions} reactions  {missing} missing  p99 {p99} us  {rss_kb} KB\n"
    ));
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        // Nobody is looking any more; the exit status still tells.
    }
}
