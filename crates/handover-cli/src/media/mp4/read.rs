//! Reading the H.264 track of an MP4 file.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use handover::Extent;
use mp4_atom::{Avcc, Codec, FourCC, Hdlr, Mdhd, Stsd, Tkhd, Visual};

use super::atoms::{self, Atom, inside, need};
use super::fragments;
use super::samples::{Sample, Samples};
use super::source::{Bytes, Source};
use crate::media::h264::{AccessUnit, START_CODE};
use crate::media::{Error, Kind, Rate, Result};

/// Bytes the box `moov` may have; the tables of [`MAX_FRAMES`](super::samples::MAX_FRAMES) frames fit well.
const MAX_MOOV: u64 = 64 << 20;

/// A video clip: one H.264 track whose every frame lies within the file.
///
/// Both kinds of MP4 are read, the one with an index and the fragmented one. Times of single frames, edit lists and sound
/// are not looked at; frames come at the mean rate.
pub struct Clip {
    source: Source,
    extent: Extent,
    rate: Rate,
    samples: Vec<Sample>,
    length_size: usize,
    parameters: Vec<u8>,
}

/// What `stsd` says of an H.264 track.
struct Track {
    id: u32,
    timescale: u32,
    visual: Visual,
    avcc: Avcc,
}

impl Clip {
    /// The clip that the program carries: 720x404 px, 25 frames a second, 190 frames, real footage, CC0. Origin in
    /// `media/README.md`.
    pub const DEFAULT: &'static [u8] = include_bytes!("../../../media/city.mp4");

    /// What the clip the program carries is called in messages.
    pub const DEFAULT_NAME: &'static str = "city.mp4 (built in)";

    /// Reads the index of the file and checks all of it against the file. Frames are read later, one by one.
    ///
    /// # Errors
    /// `Unreadable` if the file cannot be opened or is no regular file, `Empty` if it has no bytes or the track no frames,
    /// `Truncated` if a box or a frame reaches beyond its end, `Malformed` if it contradicts itself or is no MP4,
    /// `Unsupported` without an H.264 track and beyond bounds that no honest clip meets.
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(Source::open(path)?)
    }

    /// The same for a file in memory, called `name` in messages.
    ///
    /// # Errors
    /// As [`Clip::open`].
    ///
    /// ```
    /// use handover_cli::media::mp4::Clip;
    /// let clip = Clip::from_bytes(Clip::DEFAULT_NAME, Clip::DEFAULT)?;
    /// assert_eq!((clip.frames(), clip.rate().to_string()), (190, "25".into()));
    /// # Ok::<(), handover_cli::media::Error>(())
    /// ```
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::parse(Source { name: name.into(), bytes: Bytes::Memory(bytes.into()) })
    }

    fn parse(source: Source) -> Result<Self> {
        let places = atoms::top(&source)?;
        let Some(moov) = places.iter().find(|place| place.kind == b"moov".into()) else {
            return Err(atoms::missing(&source, b"moov").help("a file whose recording was finished"));
        };
        if moov.size > MAX_MOOV {
            return Err(source.error(
                Kind::Unsupported,
                format!("box `moov` has {} bytes, at most {MAX_MOOV} are taken", moov.size),
            ));
        }
        let bytes = source.read(moov.at, moov.size as usize)?;
        let outer = inside(&source, moov.kind, &bytes)?;
        let moov = need(&source, &outer, b"moov")?;
        let moov = inside(&source, moov.kind, moov.body)?;

        let (track, stbl) = find_track(&source, &moov)?;
        let mut samples = Samples::default();
        samples.push_tables(&source, &stbl)?;
        fragments::push(&source, &mut samples, &moov, &places, track.id)?;
        if samples.table.is_empty() {
            return Err(source.error(Kind::Empty, "its H.264 track has no frames"));
        }
        let rate = samples.rate(&source, track.timescale)?;
        let extent = Extent::new(track.visual.width.into(), track.visual.height.into())
            .map_err(|error| source.error(Kind::Malformed, error.to_string()))?;
        let mut parameters = Vec::new();
        for unit in track.avcc.sequence_parameter_sets.iter().chain(&track.avcc.picture_parameter_sets) {
            parameters.extend_from_slice(&START_CODE);
            parameters.extend_from_slice(unit);
        }
        let length_size = track.avcc.length_size.into();
        Ok(Self { source, extent, rate, samples: samples.table, length_size, parameters })
    }

    /// The name of the file, for messages.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The open file; `None` for a clip in memory.
    pub fn file(&self) -> Option<&File> {
        match &self.source.bytes {
            Bytes::File { file, .. } => Some(file),
            Bytes::Memory(_) => None,
        }
    }

    /// Width and height that the track announces.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The mean rate of its frames.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// How many frames it has; never 0.
    pub fn frames(&self) -> usize {
        self.samples.len()
    }

    /// Bytes read from the file so far, its index included. 0 for a clip in memory.
    pub fn file_bytes(&self) -> u64 {
        self.source.file_bytes()
    }

    /// Frame `index` as it is stored, in the byte stream of Annex B. Before a key frame stand the parameter sets.
    ///
    /// # Errors
    /// `Malformed` if its NAL units do not fill it; `Unsupported` beyond the last frame; `Unreadable` if reading fails.
    pub fn access_unit(&self, index: usize) -> Result<AccessUnit> {
        let Some(sample) = self.samples.get(index) else {
            return Err(self.source.error(Kind::Unsupported, format!("frame {index} of {}", self.samples.len())));
        };
        let stored = self.source.read(sample.at, sample.size as usize)?;
        let mut bytes = if sample.key { self.parameters.clone() } else { Vec::new() };
        let mut rest = stored.as_slice();
        while !rest.is_empty() {
            let unit = rest.split_at_checked(self.length_size).and_then(|(length, tail)| {
                let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
                tail.split_at_checked(length)
            });
            let Some((unit, tail)) = unit else {
                let found = format!("frame {index}: a NAL unit reaches beyond the last {} bytes", rest.len());
                return Err(self.source.error(Kind::Malformed, found));
            };
            bytes.extend_from_slice(&START_CODE);
            bytes.extend_from_slice(unit);
            rest = tail;
        }
        Ok(AccessUnit { bytes, key: sample.key })
    }

    /// All frames as they are stored, in order.
    pub fn access_units(&self) -> impl Iterator<Item = Result<AccessUnit>> + '_ {
        (0..self.frames()).map(|index| self.access_unit(index))
    }
}

/// The first H.264 track, and its tables.
fn find_track<'a>(source: &Source, moov: &[Atom<'a>]) -> Result<(Track, Vec<Atom<'a>>)> {
    let mut others = Vec::new();
    for trak in moov.iter().filter(|atom| atom.kind == b"trak".into()) {
        let trak = inside(source, trak.kind, trak.body)?;
        let mdia = need(source, &trak, b"mdia")?;
        let mdia = inside(source, mdia.kind, mdia.body)?;
        let handler: Hdlr = need(source, &mdia, b"hdlr")?.decode(source)?;
        if handler.handler != FourCC::new(b"vide") {
            others.push(format!("`{}`", handler.handler));
            continue;
        }
        let minf = need(source, &mdia, b"minf")?;
        let minf = inside(source, minf.kind, minf.body)?;
        let stbl = need(source, &minf, b"stbl")?;
        let stbl = inside(source, stbl.kind, stbl.body)?;
        let stsd = need(source, &stbl, b"stsd")?;
        let (visual, avcc) = match stsd.decode::<Stsd>(source)?.codecs.into_iter().next() {
            Some(Codec::Avc1(entry)) => (entry.visual, entry.avcc),
            Some(Codec::Avc3(entry)) => (entry.visual, entry.avcc),
            _ => {
                // The four characters of the first entry: behind version, flags and count, and its own size.
                let kind = stsd.body.get(12..16).unwrap_or(b"none").escape_ascii();
                others.push(format!("`vide` of `{kind}`"));
                continue;
            }
        };
        let header: Tkhd = need(source, &trak, b"tkhd")?.decode(source)?;
        let clock: Mdhd = need(source, &mdia, b"mdhd")?.decode(source)?;
        return Ok((Track { id: header.track_id, timescale: clock.timescale, visual, avcc }, stbl));
    }
    Err(no_track(source, &others))
}

fn no_track(source: &Source, others: &[String]) -> Error {
    let found = match others {
        [] => "it has no tracks".to_string(),
        others => format!("it has no H.264 track, but {}", others.join(", ")),
    };
    source.error(Kind::Unsupported, found).help("an MP4 file with an H.264 track")
}
