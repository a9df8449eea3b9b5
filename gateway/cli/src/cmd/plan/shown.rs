//! A plan for people.

use std::fmt::Write as _;

use super::Plan;
use crate::duration;
use crate::sizes::{bytes, count};

/// Words of the first column.
const NAME_WIDTH: usize = 20;
const CONSTANT_WIDTH: usize = 24;

/// Lines of a name, a figure, and what there is to say about it.
struct Page(String);

impl Page {
    fn head(&mut self, text: &str) {
        self.put(&format!("\n{text}\n"));
    }

    fn line(&mut self, name: &str, figure: &str, note: &str) {
        let line = format!("  {name:<NAME_WIDTH$}{figure:>12}  {note}");
        self.put(&format!("{}\n", line.trim_end()));
    }

    fn put(&mut self, text: &str) {
        self.0.push_str(text);
    }
}

impl Plan {
    pub fn describe(&self) -> String {
        let asked = &self.asked;
        let mut page = Page(String::new());
        page.put(&format!(
            "{}: {} messages/s, {} records/s of {} bytes, QoS {}\n",
            self.board,
            count(asked.rate),
            count(asked.records_per_s),
            asked.bytes,
            asked.qos
        ));
        self.outage(&mut page);
        self.flash(&mut page);
        self.memory(&mut page);
        self.constants(&mut page);
        page.0
    }

    fn outage(&self, page: &mut Page) {
        let (journal, drain) = (&self.journal, &self.drain);
        page.head(&format!("An outage of {}", duration::describe(self.asked.outage_s as f64)));
        page.line("records that wait", &count(journal.records), "");
        let quota = self.asked.quota_mb;
        let room = bytes(journal.room_bytes);
        let verdict = match journal.fits {
            true => format!("quota_mb = {quota} has room for {room}: it holds them"),
            false => format!(
                "quota_mb = {quota} has room for {room}: records are lost; {} would hold them",
                journal.quota_mb_needed
            ),
        };
        page.line("journal", &bytes(journal.bytes), &verdict);
        let full = journal.full_after_s.map_or("never".to_owned(), duration::describe);
        page.line("full after", &full, "then the oldest records of the lowest priority go first");
        let time = drain.time_s.map_or("never".to_owned(), duration::describe);
        let note = format!(
            "at {} records/s (the {} allows no more), less what comes meanwhile",
            count(drain.records_per_s),
            drain.held_by
        );
        page.line("drained in", &time, &note);
    }

    fn flash(&self, page: &mut Page) {
        let flash = &self.flash;
        page.head("Flash, a day with the link up");
        let note = flash.amplification.map_or(String::new(), |amplification| {
            format!(
                "{amplification:.1} for each payload byte, {} syncs",
                count(flash.syncs_per_day)
            )
        });
        page.line("records", &bytes(flash.records_bytes_per_day), &note);
        page.line("state", &bytes(flash.state_bytes_per_day), &self.state_note());
        page.line("checkpoints", &bytes(flash.checkpoints_bytes_per_day), "");
        page.line("exports", &bytes(flash.exports_bytes_per_day), "");
        page.line(
            "file system",
            &bytes(flash.file_system_bytes_per_day),
            "ext4's own journal; less with the mount option commit=60",
        );
        let budget = bytes(flash.budget_bytes_per_day);
        let note = format!("{} of the board's budget, {budget} a day", percent(flash.share));
        page.line("together", &bytes(flash.total_bytes_per_day), &note);
        let years = match flash.years {
            Some(years) if years < 1000.0 => format!("{years:.1} years"),
            Some(_) => "1000 years".to_owned(),
            None => "for ever".to_owned(),
        };
        let note = if flash.years.is_some_and(|years| years >= 1000.0) { "or more" } else { "" };
        page.line("the budget lasts", &years, note);
    }

    fn state_note(&self) -> String {
        match (self.asked.state_keys, self.asked.qos) {
            (0, _) => String::new(),
            (_, 0) => format!("in commits of its own, every {} ms", self.asked.lazy_ms),
            (keys, _) => format!("{keys} keys, written in the records' commits"),
        }
    }

    fn memory(&self, page: &mut Page) {
        let memory = &self.memory;
        page.head("Memory");
        page.line("daemon, 1 handler", &bytes(memory.daemon_bytes), "");
        if self.asked.handlers > 1 {
            let name = format!("{} more handlers", self.asked.handlers - 1);
            page.line(&name, &bytes(memory.more_handlers_bytes), "");
        }
        page.line("state", &bytes(memory.state_bytes), "");
        page.line("records that drain", &bytes(memory.records_bytes), "");
        let share = percent(memory.total_bytes / memory.budget_bytes);
        let note = format!("{share} of the board's budget, {}", bytes(memory.budget_bytes));
        page.line("together", &bytes(memory.total_bytes), &note);
    }

    fn constants(&self, page: &mut Page) {
        page.head("Reckoned with");
        for constant in &self.constants {
            writeln!(
                page.0,
                "  {:<CONSTANT_WIDTH$}{:>10}  {}\n{:>w$}{}",
                constant.name,
                constant.value,
                constant.unit,
                "",
                constant.source,
                w = CONSTANT_WIDTH + 14
            )
            .expect("a string takes everything");
        }
        page.put(&format!(
            "Measured on: {}.\nBytes are the same elsewhere; times and memory differ.\n",
            self.measured_on
        ));
    }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.1 => "under 0.1 %".to_owned(),
        percent if percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}
