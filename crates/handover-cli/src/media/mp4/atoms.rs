//! Walking the boxes of an MP4 file, in the file and inside a box in memory.

use mp4_atom::{Decode, FourCC};

use super::samples::MAX_FRAMES;
use super::source::Source;
use crate::media::{Error, Kind, Result};

/// Boxes at the top of a file that are looked at: two a frame of a fragmented file, and a few more.
const MAX_TOP: usize = 2 * MAX_FRAMES + 64;

/// Where a box of the file is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) kind: FourCC,
    /// Of the box, header included.
    pub(super) at: u64,
    pub(super) size: u64,
}

/// A box in memory: all its bytes, and those behind its header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Atom<'a> {
    pub(super) kind: FourCC,
    pub(super) whole: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Atom<'_> {
    /// The typed box.
    pub(super) fn decode<A: Decode>(&self, source: &Source) -> Result<A> {
        let mut bytes = self.whole;
        A::decode(&mut bytes).map_err(|error| source.error(Kind::Malformed, format!("box `{}`: {error}", self.kind)))
    }
}

/// Kind, length of the header, and size with the header. A size of `None` reaches to the end of what the box is in.
fn parse(head: &[u8]) -> Option<(FourCC, u64, Option<u64>)> {
    let word = |at: usize| head.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    let kind = FourCC::new(&word(4)?);
    match u32::from_be_bytes(word(0)?) {
        0 => Some((kind, 8, None)),
        1 => {
            let large = head.get(8..16).and_then(|word| <[u8; 8]>::try_from(word).ok())?;
            Some((kind, 16, Some(u64::from_be_bytes(large))))
        }
        size => Some((kind, 8, Some(u64::from(size)))),
    }
}

/// The boxes `moov` and `moof` at the top of the file. All boxes of the file are whole.
pub(super) fn top(source: &Source) -> Result<Vec<Place>> {
    let length = source.length();
    if length == 0 {
        return Err(source.error(Kind::Empty, "it has no bytes").help("an MP4 file with an H.264 track"));
    }
    let mut places = Vec::new();
    let (mut at, mut seen) = (0, 0);
    while at < length {
        let rest = length - at;
        let head = source.read(at, rest.min(16) as usize)?;
        let parsed = parse(&head).map(|(kind, header, size)| (kind, header, size.unwrap_or(rest)));
        if at == 0 && !parsed.is_some_and(|(kind, ..)| opens_a_file(kind)) {
            let start = head.get(..head.len().min(8)).unwrap_or(&head).escape_ascii();
            return Err(source
                .error(Kind::Malformed, format!("it starts with \"{start}\", so it is no MP4 file"))
                .help("an MP4 file with an H.264 track"));
        }
        let Some((kind, header, size)) = parsed else {
            return Err(source.error(Kind::Truncated, format!("{rest} bytes at byte {at} are too few for a box")));
        };
        if size < header {
            return Err(source.error(Kind::Malformed, format!("box `{kind}` at byte {at} has {size} bytes")));
        }
        if size > rest {
            let found = format!("box `{kind}` at byte {at} has {size} bytes, the file ends after {rest} of them");
            return Err(source.error(Kind::Truncated, found).help("the whole file"));
        }
        if seen == MAX_TOP {
            return Err(source.error(Kind::Unsupported, format!("more than {MAX_TOP} boxes")));
        }
        seen += 1;
        if [b"moov", b"moof"].iter().any(|known| FourCC::new(known) == kind) {
            places.push(Place { kind, at, size });
        }
        at += size;
    }
    Ok(places)
}

/// A box that files in the wild begin with.
fn opens_a_file(kind: FourCC) -> bool {
    [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid"]
        .iter()
        .any(|known| FourCC::new(known) == kind)
}

/// The boxes inside `body`. A rest too short for a header is padding, as QuickTime writes it.
pub(super) fn inside<'a>(source: &Source, parent: FourCC, body: &'a [u8]) -> Result<Vec<Atom<'a>>> {
    let mut atoms = Vec::new();
    let mut rest = body;
    while rest.len() >= 8 {
        let atom = parse(rest).and_then(|(kind, header, size)| {
            let size = size.map_or(Some(rest.len()), |size| usize::try_from(size).ok())?;
            let whole = rest.get(..size)?;
            Some(Atom { kind, whole, body: whole.get(header as usize..)? })
        });
        let Some(atom) = atom else {
            return Err(source.error(Kind::Malformed, format!("a box inside `{parent}` is larger than `{parent}`")));
        };
        rest = rest.get(atom.whole.len()..).unwrap_or(&[]);
        atoms.push(atom);
    }
    Ok(atoms)
}

/// The first box of this kind.
pub(super) fn find<'a>(atoms: &[Atom<'a>], kind: &[u8; 4]) -> Option<Atom<'a>> {
    atoms.iter().find(|atom| atom.kind == FourCC::new(kind)).copied()
}

/// The first box of this kind, which must be there.
pub(super) fn need<'a>(source: &Source, atoms: &[Atom<'a>], kind: &[u8; 4]) -> Result<Atom<'a>> {
    find(atoms, kind).ok_or_else(|| missing(source, kind))
}

pub(super) fn missing(source: &Source, kind: &[u8; 4]) -> Error {
    source.error(Kind::Malformed, format!("it has no box `{}`", FourCC::new(kind)))
}
