//! What a person sees of a push: one line for each gateway as long as no other comes between.

use std::io::Write as _;

use tidegate_release::Name;

use super::course::{At, Phase};
use super::session::News;

/// Writes progress, to standard output or nowhere.
#[derive(Debug)]
pub struct Progress {
    out: Out,
    last: Option<Name>,
    is_line_open: bool,
}

#[derive(Debug)]
enum Out {
    Stdout,
    Nowhere,
    #[cfg(test)]
    Text(String),
}

impl Progress {
    pub fn new(is_silent: bool) -> Progress {
        let out = if is_silent { Out::Nowhere } else { Out::Stdout };
        Progress { out, last: None, is_line_open: false }
    }

    pub fn tell(&mut self, news: &News<'_>) {
        match news {
            News::Sending { chunks, bytes, keeps } => {
                self.end_line();
                self.write(&match chunks {
                    0 => "sending the order".to_owned(),
                    chunks => format!("sending {chunks} of {chunks} chunks ({})", size(*bytes)),
                });
                self.is_line_open = true;
                self.last = None;
                if !keeps {
                    self.end_line();
                    self.write(
                        "this broker keeps no messages: the chunks are served from here until this ends, and a \
                         gateway that is offline will not take it later\n",
                    );
                }
            }
            News::Gateway { gateway, at } => self.gateway(gateway, at),
            News::Pinned { gateway, key } => {
                self.end_line();
                self.write(&format!(
                    "{gateway} is new here; from now on only answers signed with this key count as its:\n  {key}\n"
                ));
            }
            News::Note(note) => {
                self.end_line();
                eprintln!("{note}");
            }
        }
    }

    fn gateway(&mut self, gateway: &Name, at: &At) {
        let phrase = phrase(at);
        let is_first = self.last.is_none();
        let is_same = self.last.as_ref() == Some(gateway);
        match (self.is_line_open, is_same, is_first) {
            (true, true, _) => self.write(&format!(" ... {phrase}")),
            (true, false, true) => self.write(&format!(" ... {gateway} {phrase}")),
            (true, false, false) => self.write(&format!("\n{gateway} {phrase}")),
            (false, _, _) => self.write(&format!("{gateway} {phrase}")),
        }
        self.last = Some(gateway.clone());
        self.is_line_open = true;
        if at.phase.is_final() {
            self.end_line();
        }
    }

    /// Ends the line that is being written.
    pub fn end_line(&mut self) {
        if self.is_line_open {
            self.write("\n");
            self.is_line_open = false;
        }
    }

    fn write(&mut self, text: &str) {
        match &mut self.out {
            Out::Nowhere => {}
            Out::Stdout => {
                let mut out = std::io::stdout().lock();
                if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                    // Nobody is looking any more; the exit status still tells.
                }
            }
            #[cfg(test)]
            Out::Text(all) => all.push_str(text),
        }
    }
}

/// `installing`, `probation 60 s`, `active in 0.21 s`
fn phrase(at: &At) -> String {
    match &at.phase {
        Phase::Silent => "silent".to_owned(),
        Phase::Checking { have, of } if have < of => format!("checking ({have} of {of} chunks)"),
        Phase::Checking { .. } => "checking".to_owned(),
        Phase::Installing => "installing".to_owned(),
        Phase::Probation { left_ms } => format!("probation {} s", left_ms.div_ceil(1000)),
        Phase::Active => match at.took {
            Some(took) => format!("active in {:.2} s", took.as_secs_f64()),
            None => "active".to_owned(),
        },
        Phase::Removed => "removed".to_owned(),
        Phase::Rejected { code, text } => format!("rejected ({code}): {text}"),
        Phase::RolledBack { code, text, event } => {
            let event = event.as_ref().map(|event| {
                let payload = String::from_utf8_lossy(&event.payload);
                let payload: String =
                    payload.chars().filter(|c| !c.is_control()).take(200).collect();
                format!("\n  the last event that failed: {} {payload}", event.topic)
            });
            format!("rolled back ({code}): {text}{}", event.unwrap_or_default())
        }
        Phase::Overtaken(rank) => {
            format!("took {rank} instead, which somebody else pushed; look with `tidegate status`")
        }
    }
}

/// `3.1 KB`
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1000.0),
        _ => format!("{:.1} MB", bytes as f64 / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests;
