//! A cursor over a table of a file: hands out typed values with their places, notes what is wrong,
//! and when it is dropped reports the keys that nobody asked for.

mod entries;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::page::Page;
use crate::place::{At, Place, kind};
use crate::problem::{Problem, Problems};
use crate::suggest::nearest;

/// One table. A reader asks for every key it knows before it gives up: what it has not asked for
/// by the time the table is dropped is reported as unknown.
pub(crate) struct Table<'a> {
    place: Place<'a>,
    /// `None` when the table is not there, which reads like an empty one.
    map: Option<&'a DeTable<'a>>,
    asked: RefCell<Vec<&'static str>>,
    /// What keys mean that are not written.
    defaults: Numbers,
}

/// Whole numbers by key.
pub(crate) type Numbers = BTreeMap<String, u64>;

type Entry<'a> = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>);

impl<'a> Table<'a> {
    pub fn root(page: &'a Page<'a>, map: &'a DeTable<'a>) -> Table<'a> {
        let place = Place { page, key: String::new(), byte: 0 };
        Table::new(place, Some(map))
    }

    fn new(place: Place<'a>, map: Option<&'a DeTable<'a>>) -> Table<'a> {
        Table { place, map, asked: RefCell::default(), defaults: Numbers::new() }
    }

    /// The same, where [`Table::need_number`] finds what is not written among these.
    pub fn with_defaults(mut self, defaults: Option<Numbers>) -> Table<'a> {
        self.defaults = defaults.unwrap_or_default();
        self
    }

    /// A string, if it is written.
    pub fn text(&self, key: &'static str, example: &str) -> Option<At<'a, &'a str>> {
        let (name, value) = self.take(key)?;
        self.as_text(self.place_of(name), value, key, example)
    }

    /// A string that must be there.
    pub fn need_text(&self, key: &'static str, example: &str) -> Option<At<'a, &'a str>> {
        if !self.has(key) {
            self.missing(key, example);
        }
        self.text(key, example)
    }

    /// A whole number, if it is written and within `range`; `why` says where the range comes from.
    pub fn number(
        &self,
        key: &'static str,
        range: &RangeInclusive<u64>,
        why: &str,
    ) -> Option<At<'a, u64>> {
        let (name, value) = self.take(key)?;
        let place = self.place_of(name);
        let (low, high) = (range.start(), range.end());
        let DeValue::Integer(number) = value.get_ref() else {
            place.wrong(format!(
                "must be a whole number from {low} to {high}, not {}",
                kind(value.get_ref())
            ));
            return None;
        };
        match i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number))
        {
            Some(value) => Some(At { value, place }),
            None => {
                place.wrong(format!("{number} is out of range; use {low} to {high}{why}"));
                None
            }
        }
    }

    /// A whole number that must be there. After a problem it is the low end of `range`, so that a
    /// reader can go on; what it builds is thrown away.
    pub fn need_number<N: TryFrom<u64>>(&self, key: &'static str, range: RangeInclusive<u64>) -> N {
        let default = self.defaults.get(key).copied().filter(|default| range.contains(default));
        if !self.has(key) && default.is_none() {
            let (low, high) = (range.start(), range.end());
            self.inner(key).wrong(format!("is missing; add a whole number from {low} to {high}"));
        }
        let written = self.number(key, &range, "").map(|at| at.value);
        let value = written.or(default).unwrap_or(*range.start());
        match N::try_from(value) {
            Ok(value) => value,
            Err(_) => unreachable!("the range of {key} lies within its type"),
        }
    }

    /// True or false; must be there.
    pub fn need_flag(&self, key: &'static str) -> bool {
        if !self.has(key) {
            self.missing(key, "false");
        }
        self.flag(key).is_some_and(|at| at.value)
    }

    /// True or false, if it is written.
    pub fn flag(&self, key: &'static str) -> Option<At<'a, bool>> {
        let (name, value) = self.take(key)?;
        let place = self.place_of(name);
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(At { value: *flag, place }),
            other => {
                place.wrong(format!("must be true or false, not {}", kind(other)));
                None
            }
        }
    }

    /// One of a few words, if it is written.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let example = format!("{:?}", choices[0].0);
        let found = self.text(key, &example)?;
        let chosen = choices.iter().find(|(word, _)| *word == found.value);
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            found.place.wrong(format!(
                "{:?} is not a choice here; use {}",
                found.value,
                words.join(" or ")
            ));
        }
        chosen.map(|(_, value)| *value)
    }

    /// A list of strings; empty when it is not written.
    pub fn texts(&self, key: &'static str, example: &str) -> Vec<At<'a, &'a str>> {
        let Some((name, value)) = self.take(key) else {
            return Vec::new();
        };
        self.as_texts(name, value, key, example)
    }

    /// A string or a list of strings, if it is written.
    pub fn text_or_texts(&self, key: &'static str, example: &str) -> Option<Vec<At<'a, &'a str>>> {
        let (name, value) = self.take(key)?;
        Some(match value.get_ref() {
            DeValue::String(_) => {
                self.as_text(self.place_of(name), value, key, example).into_iter().collect()
            }
            _ => self.as_texts(name, value, key, example),
        })
    }

    /// Whether a key holds a table. Counts as asking for it.
    pub fn is_table(&self, key: &'static str) -> bool {
        self.take(key).is_some_and(|(_, value)| value.get_ref().is_table())
    }

    /// A table; an empty one when it is not written.
    pub fn table(&self, key: &'static str) -> Table<'a> {
        let Some((name, value)) = self.take(key) else {
            return Table::new(self.inner(key), None);
        };
        let place = self.place_of(name);
        match value.get_ref() {
            DeValue::Table(map) => Table::new(place, Some(map)),
            other => {
                place.wrong(format!("must be a table [{key}], not {}", kind(other)));
                Table::new(place, None)
            }
        }
    }

    /// The tables of a `[[key]]`; none when it is not written, `None` when it is something else.
    pub fn tables(&self, key: &'static str) -> Option<Vec<Table<'a>>> {
        let Some((name, value)) = self.take(key) else {
            return Some(Vec::new());
        };
        let place = self.place_of(name);
        let DeValue::Array(array) = value.get_ref() else {
            place.wrong(format!(
                "must be a list of tables [[{key}]], not {}",
                kind(value.get_ref())
            ));
            return None;
        };
        let mut tables = Vec::new();
        for (i, item) in array.iter().enumerate() {
            let place =
                Place { key: format!("{}[{i}]", place.key), byte: item.span().start, ..place };
            match item.get_ref() {
                DeValue::Table(map) => tables.push(Table::new(place, Some(map))),
                other => place.wrong(format!("must be a table [[{key}]], not {}", kind(other))),
            }
        }
        Some(tables)
    }

    /// Whether a key is written. Counts as asking for it.
    pub fn has(&self, key: &'static str) -> bool {
        self.take(key).is_some()
    }

    /// Where a key is written, or where it would be.
    pub fn place(&self, key: &'static str) -> Place<'a> {
        match self.take(key) {
            Some((name, _)) => self.place_of(name),
            None => self.inner(key),
        }
    }

    /// Where a key of an inner table is written, or where it would be. Asks for nothing.
    pub fn place_in(&self, table: &'static str, key: &str) -> Place<'a> {
        let place = self.place(table);
        let written = self
            .map
            .and_then(|map| map.get(table))
            .and_then(|value| value.get_ref().as_table())
            .and_then(|inner| inner.get_key_value(key));
        Place {
            key: format!("{}.{key}", place.key),
            byte: written.map_or(place.byte, |(name, _)| name.span().start),
            ..place
        }
    }

    /// Where the table starts.
    pub fn here(&self) -> &Place<'a> {
        &self.place
    }

    pub fn is_clean(&self) -> bool {
        self.place.page.is_clean()
    }

    pub fn adopt(&self, problems: Problems) {
        self.place.page.adopt(problems);
    }

    pub fn mention(&self, problem: Problem) {
        self.place.page.mention(problem);
    }

    fn take(&self, key: &'static str) -> Option<Entry<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        self.map?.get_key_value(key)
    }

    fn missing(&self, key: &'static str, example: &str) {
        self.inner(key).wrong(format!("is missing; add it, for example {key} = {example}"));
    }

    fn place_of(&self, name: &Spanned<DeString<'_>>) -> Place<'a> {
        Place { byte: name.span().start, ..self.inner(name.get_ref()) }
    }

    /// The place of a key that may not be there: the table's own, with the key's path.
    fn inner(&self, key: &str) -> Place<'a> {
        let path = if self.place.key.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.place.key)
        };
        Place { key: path, ..self.place }
    }

    fn as_text(
        &self,
        place: Place<'a>,
        value: &'a Spanned<DeValue<'a>>,
        key: &str,
        example: &str,
    ) -> Option<At<'a, &'a str>> {
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text, place }),
            other => {
                place.wrong(format!(
                    "must be a string, not {}; for example {key} = {example}",
                    kind(other)
                ));
                None
            }
        }
    }

    fn as_texts(
        &self,
        name: &Spanned<DeString<'_>>,
        value: &'a Spanned<DeValue<'a>>,
        key: &str,
        example: &str,
    ) -> Vec<At<'a, &'a str>> {
        let place = self.place_of(name);
        let DeValue::Array(array) = value.get_ref() else {
            place.wrong(format!(
                "must be a list of strings, not {}; for example {key} = [{example}]",
                kind(value.get_ref())
            ));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (i, item) in array.iter().enumerate() {
            let place =
                Place { key: format!("{}[{i}]", place.key), byte: item.span().start, ..place };
            match item.get_ref() {
                DeValue::String(text) => texts.push(At { value: &**text, place }),
                other => place.wrong(format!(
                    "must be a string, not {}; for example {key} = [{example}]",
                    kind(other)
                )),
            }
        }
        texts
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let asked = self.asked.get_mut();
        // A table of the user's own keys is read with `strings` and asks for none by name.
        if asked.is_empty() {
            return;
        }
        for (name, _) in self.map.into_iter().flatten() {
            let word: &str = name.get_ref();
            if asked.contains(&word) {
                continue;
            }
            let place = Place {
                byte: name.span().start,
                key: if self.place.key.is_empty() {
                    word.to_owned()
                } else {
                    format!("{}.{word}", self.place.key)
                },
                ..self.place
            };
            place.wrong(match nearest(word, asked.iter().copied()) {
                Some(key) => format!("is not a key here; did you mean `{key}`?"),
                None => format!("is not a key here; the keys are {}", asked.join(", ")),
            });
        }
    }
}
