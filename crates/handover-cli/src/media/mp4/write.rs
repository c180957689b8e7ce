//! Writing a fragmented MP4 file, one fragment a frame.
//!
//! A fragmented file needs no index at its end, so a process that is killed leaves a file that plays to its last frame.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use handover::Extent;
use mp4_atom::{Encode, FourCC, Header, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use super::header::{self, TRACK};
use crate::media::h264::{AccessUnit, PARAMETERS, nal_units, unit_type};
use crate::media::{Error, Kind, Rate, Result};

/// `sample_flags` of a key frame (depends on no other) and of any other (depends on others, not a sync sample).
const KEY: u32 = 2 << 24;
const NOT_KEY: u32 = 1 << 24 | 1 << 16;

/// Ticks a second are raised to at least this, since some players round coarser clocks.
const MIN_TIMESCALE: u32 = 10_000;

/// A file that is being written. It appears with its first frame and is whole after every frame.
pub struct Writer<W = File> {
    name: String,
    out: Output<W>,
    extent: Extent,
    timescale: u32,
    ticks: u32,
    count: u32,
}

enum Output<W> {
    /// Not there yet: what makes it.
    Later(Box<dyn FnOnce() -> io::Result<W> + Send>),
    Open(W),
    /// Making or writing it failed; a second attempt would leave a hole.
    Failed,
}

impl Writer<File> {
    /// A file at `path` for pictures of `extent` at `rate`. What was there is removed now, so that an old file is never
    /// taken for the new one.
    ///
    /// # Errors
    /// `Unreadable` if an old file cannot be removed.
    pub fn create(path: &Path, extent: Extent, rate: Rate) -> Result<Self> {
        let name = path.display().to_string();
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::unreadable(name, &error)),
            _ => {}
        }
        let path = path.to_path_buf();
        let open = move || OpenOptions::new().write(true).create_new(true).open(path);
        Ok(Self::later(name, Output::Later(Box::new(open)), extent, rate))
    }
}

impl<W: Write> Writer<W> {
    /// The same into anything that takes bytes, called `name` in messages.
    pub fn new(name: impl Into<String>, out: W, extent: Extent, rate: Rate) -> Self {
        Self::later(name.into(), Output::Open(out), extent, rate)
    }

    fn later(name: String, out: Output<W>, extent: Extent, rate: Rate) -> Self {
        let factor = MIN_TIMESCALE.div_ceil(rate.frames()).max(1);
        let scaled = rate.frames().checked_mul(factor).zip(rate.seconds().checked_mul(factor));
        let (timescale, ticks) = scaled.unwrap_or((rate.frames(), rate.seconds()));
        Self { name, out, extent, timescale, ticks, count: 0 }
    }

    /// Appends a frame and hands it to the system in one write. The first must be a key frame with its parameter sets.
    ///
    /// # Errors
    /// `Malformed` if the first frame cannot be played on its own, or a frame has no NAL units; `Unreadable` if writing fails,
    /// and ever after.
    pub fn push(&mut self, frame: &AccessUnit) -> Result<()> {
        let mut bytes = if self.count == 0 { self.front(frame)? } else { Vec::new() };
        let fragment = self.fragment(frame)?;
        bytes.extend_from_slice(&fragment);

        let written = match std::mem::replace(&mut self.out, Output::Failed) {
            Output::Open(out) => Ok(out),
            Output::Later(open) => open(),
            Output::Failed => Err(io::Error::other("an earlier write failed")),
        };
        let written = written.and_then(|mut out| {
            out.write_all(&bytes)?;
            out.flush()?;
            Ok(out)
        });
        self.out = Output::Open(written.map_err(|error| Error::unreadable(&self.name, &error))?);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// How many frames are in the file.
    pub fn frames(&self) -> u32 {
        self.count
    }

    /// Ends the file and gives back what it was written into; nothing if there was no frame and so no file.
    pub fn finish(self) -> Option<W> {
        match self.out {
            Output::Open(out) => Some(out),
            Output::Later(_) | Output::Failed => None,
        }
    }

    /// `ftyp` and `moov`, with the parameter sets of the first frame.
    fn front(&self, frame: &AccessUnit) -> Result<Vec<u8>> {
        let [sequence, picture] = PARAMETERS.map(|kind| nal_units(&frame.bytes).find(|unit| unit_type(unit) == kind));
        match (sequence, picture) {
            (Some(sequence), Some(picture)) if frame.key => {
                header::encode(self.extent, self.timescale, sequence, picture)
                    .map_err(|error| self.malformed(&error.to_string()))
            }
            _ => Err(self.malformed("the first frame is no key frame with its parameter sets")),
        }
    }

    /// `moof` and `mdat` of one frame.
    fn fragment(&self, frame: &AccessUnit) -> Result<Vec<u8>> {
        // The parameter sets stand in `moov`; in the frames of an `avc1` track they may not.
        let mut data = Vec::with_capacity(frame.bytes.len());
        for unit in nal_units(&frame.bytes).filter(|unit| !PARAMETERS.contains(&unit_type(unit))) {
            let length = u32::try_from(unit.len()).map_err(|_| self.malformed("a NAL unit of more than 4 GiB"))?;
            data.extend_from_slice(&length.to_be_bytes());
            data.extend_from_slice(unit);
        }
        if data.is_empty() {
            return Err(self.malformed(&format!("frame {} has no NAL units", self.count)));
        }
        let encode = || -> mp4_atom::Result<Vec<u8>> {
            let size = u32::try_from(data.len()).map_err(|_| mp4_atom::Error::InvalidSize)?;
            // The offset of the data has a fixed width: encoding once without it tells what it is.
            let mut bytes = Vec::new();
            self.moof(frame.key, size, 0).encode(&mut bytes)?;
            let offset = i32::try_from(bytes.len() + 8).map_err(|_| mp4_atom::Error::InvalidSize)?;
            bytes.clear();
            self.moof(frame.key, size, offset).encode(&mut bytes)?;
            Header { kind: FourCC::new(b"mdat"), size: Some(data.len()) }.encode(&mut bytes)?;
            Ok(bytes)
        };
        let mut bytes = encode().map_err(|error| self.malformed(&error.to_string()))?;
        bytes.extend_from_slice(&data);
        Ok(bytes)
    }

    fn moof(&self, key: bool, size: u32, offset: i32) -> Moof {
        let entry = TrunEntry {
            duration: Some(self.ticks),
            size: Some(size),
            flags: Some(if key { KEY } else { NOT_KEY }),
            cts: None,
        };
        Moof {
            mfhd: Mfhd { sequence_number: self.count.saturating_add(1) },
            traf: vec![Traf {
                tfhd: Tfhd { track_id: TRACK, default_base_is_moof: true, ..Tfhd::default() },
                tfdt: Some(Tfdt { base_media_decode_time: u64::from(self.count) * u64::from(self.ticks) }),
                trun: vec![Trun { data_offset: Some(offset), samples: vec![entry].into() }],
                ..Traf::default()
            }],
        }
    }

    fn malformed(&self, found: &str) -> Error {
        Error::new(Kind::Malformed, &self.name, found)
    }
}
