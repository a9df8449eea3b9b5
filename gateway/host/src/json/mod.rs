//! JSON of a payload, read on the host: an interpreter would spend most of an event on it.

mod parse;
mod path;
mod text;

use parse::Token;
pub(crate) use path::Found;

use crate::costs::{BYTE_FUEL, ITEM_FUEL};

/// Token buffers longer than this are given back after the event, so that one odd payload does
/// not keep memory for ever.
const TOKENS_KEPT: usize = 512;

/// Why a payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// When it is not one JSON document, or deeper than allowed.
    NotJson,
    /// When it has more bytes or values than allowed.
    TooLarge,
}

/// The payload of the current event, parsed at most once.
#[derive(Debug, Default)]
pub(crate) struct Json {
    tokens: Vec<Token>,
    parsed: Option<Result<(), Unreadable>>,
}

/// How much of a payload is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonLimits {
    pub bytes_max: usize,
    pub tokens_max: usize,
    pub depth_max: usize,
}

impl Json {
    /// Forgets the last event's payload; its buffer serves the next one.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.tokens.shrink_to(TOKENS_KEPT);
        self.parsed = None;
    }

    /// What [`Json::parse`] will cost: nothing the second time.
    pub fn parse_fuel(&self, payload: &[u8], limits: &JsonLimits) -> u64 {
        if self.parsed.is_some() || payload.len() > limits.bytes_max {
            return 0;
        }
        payload.len() as u64 * BYTE_FUEL
    }

    /// Validates the whole payload and indexes it; the second time it only repeats the answer.
    pub fn parse(&mut self, payload: &[u8], limits: &JsonLimits) -> Result<(), Unreadable> {
        if let Some(parsed) = self.parsed {
            return parsed;
        }
        let parsed = if payload.len() > limits.bytes_max {
            Err(Unreadable::TooLarge)
        } else {
            parse::parse(payload, limits, &mut self.tokens)
        };
        self.parsed = Some(parsed);
        parsed
    }

    /// The value at `path`, the last one where a key stands twice, and what finding it cost.
    pub fn find<'p>(&self, payload: &'p [u8], path: &str) -> (Option<Found<'p>>, u64) {
        let mut passed = 0;
        let found = path::find(&self.tokens, payload, path, &mut passed);
        let reading = found.map_or(0, |found| found.fuel());
        (found, passed * ITEM_FUEL + reading)
    }
}
