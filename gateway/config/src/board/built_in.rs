//! The boards that come with the binary, and the classes that board files name.

use std::collections::BTreeMap;

use crate::page::Source;
use crate::reader::{Numbers, Table};
use crate::suggest::nearest_names;

// `BUILT_IN` and `CLASSES`, name and text: `build.rs` makes them of the files in `boards/`.
include!(concat!(env!("OUT_DIR"), "/boards.rs"));

/// The tables of a class, as in a board file.
pub(super) const TABLES: [&str; 4] = ["limits", "door", "handler", "runner"];

/// Limits that several boards share: the numbers of [`TABLES`].
pub(super) type Class = BTreeMap<&'static str, Numbers>;

fn find(texts: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    texts.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// A board by name.
pub(super) fn board(name: &str) -> Option<Source> {
    let text = find(BUILT_IN, name)?;
    Some(Source { file: format!("boards/{name}.toml").into(), text: text.to_owned() })
}

/// A class by name, if there is one.
pub(super) fn class(name: &str) -> Option<Class> {
    let file = format!("boards/classes/{name}.toml").into();
    let source = Source { file, text: find(CLASSES, name)?.to_owned() };
    let tables = |root: Table<'_>| {
        Some(TABLES.into_iter().map(|table| (table, root.table(table).numbers())).collect())
    };
    let (class, _) = source.read(tables).expect("a test reads every class that is shipped");
    Some(class)
}

pub(crate) fn is_built_in(name: &str) -> bool {
    find(BUILT_IN, name).is_some()
}

/// What to say about a board's name that is not built in.
pub(crate) fn unknown(name: &str) -> String {
    say("board", name, BUILT_IN, "write the path of a board file")
}

/// What to say about a class that there is not.
pub(super) fn unknown_class(name: &str) -> String {
    say("class", name, CLASSES, "leave the key out and write every limit")
}

fn say(what: &str, name: &str, texts: &[(&str, &str)], or: &str) -> String {
    let names: Vec<&str> = texts.iter().map(|(name, _)| *name).collect();
    let all = names.join(", ");
    let near: Vec<String> =
        nearest_names(name, &names).into_iter().map(|near| format!("{near:?}")).collect();
    let near = match &near[..] {
        [] => return format!("there is no {what} {name:?}; built in: {all}; or {or}"),
        [one] => one.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    };
    format!("there is no {what} {name:?}; did you mean {near}? Built in: {all}")
}
