//! The frames of a fragmented file: `moof` after `moof`, as [`Writer`](super::Writer) writes them.

use mp4_atom::{Tfhd, Trex, Trun};

use super::atoms::{Atom, Place, find, inside, need};
use super::samples::{MAX_FRAMES, Sample, Samples};
use super::source::Source;
use crate::media::{Kind, Result};

/// Bytes a `moof` may have; one frame needs about 100.
const MAX_MOOF: u64 = 4 << 20;

/// The bit of `sample_flags` that says "not a key frame" (ISO/IEC 14496-12, 8.8.3.1).
const NOT_SYNC: u32 = 1 << 16;

/// Appends the frames of track `track`. `moov` has the defaults.
pub(super) fn push(
    source: &Source,
    samples: &mut Samples,
    moov: &[Atom<'_>],
    places: &[Place],
    track: u32,
) -> Result<()> {
    let Some(mvex) = find(moov, b"mvex") else { return Ok(()) };
    let mut defaults = Trex::default();
    for atom in inside(source, mvex.kind, mvex.body)?.iter().filter(|atom| atom.kind == b"trex".into()) {
        let trex: Trex = atom.decode(source)?;
        if trex.track_id == track {
            defaults = trex;
        }
    }
    for place in places.iter().filter(|place| place.kind == b"moof".into()) {
        if place.size > MAX_MOOF {
            return Err(source.error(Kind::Unsupported, format!("a `moof` of {} bytes", place.size)));
        }
        let bytes = source.read(place.at, place.size as usize)?;
        let moof = inside(source, place.kind, &bytes)?;
        let Some(moof) = moof.first() else { continue };
        for traf in inside(source, moof.kind, moof.body)?.iter().filter(|atom| atom.kind == b"traf".into()) {
            let atoms = inside(source, traf.kind, traf.body)?;
            let head: Tfhd = need(source, &atoms, b"tfhd")?.decode(source)?;
            if head.track_id == track {
                push_runs(source, samples, &atoms, &head, &defaults, place.at)?;
            }
        }
    }
    Ok(())
}

fn push_runs(
    source: &Source,
    samples: &mut Samples,
    traf: &[Atom<'_>],
    head: &Tfhd,
    defaults: &Trex,
    moof: u64,
) -> Result<()> {
    let base = head.base_data_offset.unwrap_or(moof);
    let mut at = base;
    for atom in traf.iter().filter(|atom| atom.kind == b"trun".into()) {
        let run: Trun = atom.decode(source)?;
        if let Some(offset) = run.data_offset {
            let start = base.checked_add_signed(i64::from(offset));
            at = start.ok_or_else(|| {
                source.error(Kind::Malformed, format!("`trun` starts {offset} bytes from byte {base}"))
            })?;
        }
        if run.samples.len() > MAX_FRAMES {
            return Err(source.error(Kind::Unsupported, format!("a `trun` of {} frames", run.samples.len())));
        }
        for entry in &run.samples {
            let size = entry.size.or(head.default_sample_size).unwrap_or(defaults.default_sample_size);
            let ticks = entry.duration.or(head.default_sample_duration).unwrap_or(defaults.default_sample_duration);
            let flags = entry.flags.or(head.default_sample_flags).unwrap_or(defaults.default_sample_flags);
            samples.push(source, Sample { at, size, key: flags & NOT_SYNC == 0 })?;
            samples.time(1, ticks);
            at = at.saturating_add(u64::from(size));
        }
    }
    Ok(())
}
