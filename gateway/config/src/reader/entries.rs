//! Tables whose keys are not known beforehand: the user's own, or a class's limits.

use toml::de::DeValue;

use super::{Numbers, Table};
use crate::place::{At, kind};

impl<'a> Table<'a> {
    /// Every entry of a table whose keys are the user's own; each value must be a string.
    pub fn strings(&self) -> Vec<(&'a str, At<'a, &'a str>)> {
        let mut strings = Vec::new();
        for (name, value) in self.map.into_iter().flatten() {
            let place = self.place_of(name);
            match value.get_ref() {
                DeValue::String(text) => {
                    strings.push((&**name.get_ref(), At { value: &**text, place }))
                }
                other @ (DeValue::Array(_) | DeValue::Table(_)) => {
                    place.wrong(format!("must be a string, not {}", kind(other)));
                }
                other => place.wrong(format!(
                    "must be a string, not {}; write {} = {:?}",
                    kind(other),
                    name.get_ref(),
                    self.place.page.quote(value.span())
                )),
            }
        }
        strings
    }

    /// Every entry of a table whose keys are the user's own; each value must be a table.
    pub fn tables_by_name(&self) -> Vec<(&'a str, Table<'a>)> {
        let mut tables = Vec::new();
        for (name, value) in self.map.into_iter().flatten() {
            let place = self.place_of(name);
            match value.get_ref() {
                DeValue::Table(map) => {
                    tables.push((&**name.get_ref(), Table::new(place, Some(map))))
                }
                other => place.wrong(format!("must be a table, not {}", kind(other))),
            }
        }
        tables
    }

    /// Every whole number of a table.
    pub fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::new();
        for (name, value) in self.map.into_iter().flatten() {
            let number = match value.get_ref() {
                DeValue::Integer(number) => {
                    u64::from_str_radix(number.as_str(), number.radix()).ok()
                }
                _ => None,
            };
            match number {
                Some(number) => {
                    numbers.insert(name.get_ref().to_string(), number);
                }
                None => self.place_of(name).wrong("must be a whole number"),
            }
        }
        numbers
    }
}
