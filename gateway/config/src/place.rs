//! Where something is written: what a message needs to point at it.

use toml::de::DeValue;

use crate::page::Page;

/// Where a key or a value is written.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    pub page: &'a Page<'a>,
    pub key: String,
    pub byte: usize,
}

impl Place<'_> {
    pub fn wrong(&self, what: impl Into<String>) {
        self.page.note(self.byte, self.key.clone(), what.into());
    }

    pub fn warn(&self, what: impl Into<String>) {
        self.page.warn(self.byte, self.key.clone(), what.into());
    }
}

/// A value and where it is written.
pub(crate) struct At<'a, T> {
    pub value: T,
    pub place: Place<'a>,
}

/// What a value is, with its article.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
