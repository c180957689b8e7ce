//! The format table of linux-dmabuf feedback: pairs of format and modifier in a file, and lists of positions in it.
//!
//! Sixteen bytes a pair: format (u32), four unused, modifier (u64), in the byte order of the machine. A list is an array of u16. What
//! a compositor sends of either is an allegation.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use handover::{Error, Fourcc, Kind, Modifier, Result, Stage};
use handover_sys::file;
use handover_sys::memfd::{self, Seals};

/// A format and how its elements lie.
pub(crate) type Pair = (Fourcc, Modifier);

const PAIR: usize = 16;
/// More than a position can name.
const MOST: usize = 1 << 16;

fn malformed(asked: &'static str, found: String, why: &'static str) -> Error {
    Error::new(Stage::Negotiate, Kind::Malformed).asked(asked).found(found).why(why)
}

/// Reads a table of so many bytes. By `read`, not by a mapping: a file that its sender shortens is then an error.
pub(crate) fn read(file: OwnedFd, size: u32) -> Result<Vec<Pair>> {
    const ASKED: &str = "the format table of a compositor";
    let found = || format!("{size} B in {}", file::link_text(&file).unwrap_or_else(|_| "a descriptor".into()));
    let size = size as usize;
    if !size.is_multiple_of(PAIR) || size > MOST * PAIR {
        return Err(malformed(ASKED, found(), "a table has at most 65536 pairs of 16 bytes"));
    }
    // First, and it cannot block: a pipe, or a file of a FUSE server, would be read for as long as somebody likes.
    if memfd::seals(file.as_fd()).is_err() {
        return Err(malformed(ASKED, found(), "it is sent in memory (a memfd, or a file of a tmpfs)"));
    }
    let mut bytes = vec![0; size];
    let read = File::from(file).read_exact_at(&mut bytes, 0);
    read.map_err(|error| malformed(ASKED, error.to_string(), "the file is shorter than was said"))?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Vec<Pair> {
    let pair = |pair: &[u8; PAIR]| {
        let (head, modifier) = pair.split_at(8);
        let format = head.first_chunk::<4>().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let modifier = modifier.first_chunk::<8>().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        (Fourcc(format), Modifier(modifier))
    };
    bytes.as_chunks::<PAIR>().0.iter().map(pair).collect()
}

/// The pairs that a list names.
pub(crate) fn choose(table: &[Pair], list: &[u8]) -> Result<Vec<Pair>> {
    const ASKED: &str = "the formats of a tranche";
    let (positions, rest) = list.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(malformed(ASKED, format!("{} B", list.len()), "a position has two bytes"));
    }
    let pair = |position: &[u8; 2]| {
        let position = u16::from_ne_bytes(*position);
        table.get(usize::from(position)).copied().ok_or_else(|| {
            let found = format!("position {position} of a table of {}", table.len());
            malformed(ASKED, found, "the table has no such pair")
        })
    };
    positions.iter().map(pair).collect()
}

/// A sealed file with these pairs, and its size.
pub(crate) fn file(table: &[Pair]) -> Result<(OwnedFd, u32)> {
    let failed = |error: std::io::Error| {
        Error::new(Stage::Negotiate, Kind::Os).asked("a file for a format table").found(error.to_string())
    };
    let mut bytes = Vec::with_capacity(table.len() * PAIR);
    for (format, modifier) in table.iter().take(MOST) {
        bytes.extend(format.0.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(modifier.0.to_ne_bytes());
    }
    let memory = memfd::create("formats", bytes.len() as u64).map_err(failed)?;
    let memory = File::from(memory);
    memory.write_all_at(&bytes, 0).map_err(failed)?;
    memfd::add_seals(&memory, Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::SEAL).map_err(failed)?;
    Ok((memory.into(), u32::try_from(bytes.len()).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use handover::{Fourcc, Modifier};

    use super::{choose, file, read};

    #[test]
    fn a_table_arrives_as_it_was_written() {
        let table = [(Fourcc::from_chars(*b"XR24"), Modifier::LINEAR), (Fourcc(0), Modifier(u64::MAX))];
        let (memory, size) = file(&table).unwrap();
        assert_eq!(size, 32);
        assert_eq!(read(memory, size).unwrap(), table);
        let list = [1u16, 0, 1].map(u16::to_ne_bytes).concat();
        assert_eq!(choose(&table, &list).unwrap(), [table[1], table[0], table[1]]);
        assert_eq!(choose(&table, &[]).unwrap(), []);
    }

    #[test]
    fn a_table_that_lies_is_refused() {
        let table = [(Fourcc(1), Modifier(2))];
        let sent = || file(&table).unwrap().0;
        for size in [1, 15, 17, 32, u32::MAX, u32::MAX - 15] {
            assert!(read(sent(), size).is_err(), "{size}");
        }
        assert!(read(sent(), 0).unwrap().is_empty());
        let (pipe, _write) = std::io::pipe().unwrap();
        assert!(read(OwnedFd::from(pipe), 16).is_err(), "it would wait for ever");
        for list in [&[0, 0, 0][..], &2u16.to_ne_bytes(), &u16::MAX.to_ne_bytes()] {
            assert!(choose(&table, list).is_err(), "{list:?}");
        }
    }
}
