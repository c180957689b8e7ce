//! Rows of a table about headers: what Rust has, what the table says.

use std::collections::{BTreeMap, BTreeSet};

/// What a row is about: the header, the name in C (`struct a`, `struct a.field`, `A_NUMBER`), and the kind.
pub(crate) type Key = (String, String, String);

/// Rows made from the crate's own structs and numbers, and the Rust names that were seen.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    header: &'static str,
    pub(crate) found: BTreeMap<Key, u64>,
    pub(crate) covered: BTreeSet<String>,
}

impl Rows {
    /// What follows is of this header.
    pub(crate) fn header(&mut self, header: &'static str) {
        self.header = header;
    }

    pub(crate) fn add(&mut self, rust: &str, name: &str, kind: &str, value: u64) {
        self.covered.insert(rust.replace(' ', ""));
        let key = (self.header.to_owned(), name.to_owned(), kind.to_owned());
        let before = self.found.insert(key, value);
        // Two structs may stand for one of C, where they are members of a union.
        assert!(before.is_none_or(|before| before == value), "{name}, {kind}: {before:?} and {value}");
    }
}

/// Reads lines of tabs: header, name, kind, value; `#` begins a comment. The value is text, for it may say `absent`.
pub(crate) fn read(table: &str) -> Vec<(Key, String)> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut cells = line.split('\t').map(str::to_owned);
            let mut cell = || cells.next().unwrap_or_else(|| panic!("four cells are wanted: {line}"));
            ((cell(), cell(), cell()), cell())
        })
        .collect()
}

/// A number as the table writes it.
pub(crate) fn number(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Size of a struct and the offsets of its fields. `part`: the C struct is longer, or the fields are `at` an offset of it.
macro_rules! layout {
    ($rows:ident, whole $c:literal = $ty:ty { $($fields:tt)* }) => {
        $rows.add(stringify!($ty), $c, "size", size_of::<$ty>() as u64);
        layout!($rows, part $c = $ty { $($fields)* });
    };
    ($rows:ident, part $c:literal = $ty:ty { $($fields:tt)* }) => {
        layout!($rows, part at 0, $c = $ty { $($fields)* });
    };
    ($rows:ident, part at $start:expr, $c:literal = $ty:ty { $($field:ident $(as $name:literal)?),* $(,)? }) => {
        $({
            let name = [$($name,)? stringify!($field)];
            let offset = $start + std::mem::offset_of!($ty, $field);
            $rows.add(stringify!($ty), &format!("{}.{}", $c, name[0]), "offset", offset as u64);
        })*
    };
}

/// Request numbers.
macro_rules! numbers {
    ($rows:ident, $($c:literal = $request:path),* $(,)?) => {
        $($rows.add(stringify!($request), $c, "number", $request.number().into());)*
    };
}

/// Flags and other constants.
macro_rules! constants {
    ($rows:ident, $($c:literal = $constant:path),* $(,)?) => {
        $($rows.add(stringify!($constant), $c, "constant", $constant.into());)*
    };
}

pub(crate) use {constants, layout, numbers};
