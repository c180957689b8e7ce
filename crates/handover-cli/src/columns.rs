//! Tables for people: columns as wide as their widest cell.

/// How the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    /// Left, and not padded: the last column, whose cells may be long.
    Ragged,
}

/// The lines of a table, the heads first. Columns that `align` does not name are to the right.
pub(crate) fn columns<Row: AsRef<[String]>>(heads: &[&str], rows: &[Row], align: &[Align]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let all = || std::iter::once(heads.as_slice()).chain(rows.iter().map(AsRef::as_ref));
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match align.get(column) {
            Some(Align::Ragged) => cell.clone(),
            Some(Align::Left) => format!("{cell:<width$}"),
            Some(Align::Right) | None => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

/// Bytes as people read them: "640 KiB".
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes.is_multiple_of(*unit) => format!("{} {name}", bytes / unit),
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// A text that others chose, without what would move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::Align::{Left, Ragged, Right};
    use super::{columns, printable, size};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "12".to_owned(), "x, y".to_owned()], ["größe".into(), "3".into(), String::new()]];
        let lines = columns(&["name", "n", "who"], &rows, &[Left, Right, Ragged]);
        assert_eq!(lines, ["name    n  who", "a      12  x, y", "größe   3"]);
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 1023, 1024, 1536, 5 << 20, (5 << 20) + 1, 3 << 30, u64::MAX].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "5 MiB", "5.0 MiB", "3 GiB", "16777216.0 TiB"]);
    }

    #[test]
    fn nobodys_name_moves_the_cursor() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }
}
