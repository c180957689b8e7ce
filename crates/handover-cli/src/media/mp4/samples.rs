//! Where each frame of a track lies, from the tables of `stbl`.

use mp4_atom::{Co64, Stco, Stsc, Stss, Stsz, StszSamples, Stts};

use super::atoms::{Atom, find, need};
use super::source::Source;
use crate::media::{Kind, Rate, Result};

/// Frames a clip may have: eleven hours at 25 a second, and 16 MiB of table.
pub(super) const MAX_FRAMES: usize = 1 << 20;

/// Bytes a frame may have. 4K in good quality stays below one MiB; this is for files that lie.
const MAX_FRAME_BYTES: u32 = 32 << 20;

/// One frame in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: u64,
    pub(super) size: u32,
    pub(super) key: bool,
}

/// The frames of a track and the time they take, in ticks of its clock.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) table: Vec<Sample>,
    ticks: u128,
    timed: u64,
}

impl Samples {
    /// Appends a frame.
    pub(super) fn push(&mut self, source: &Source, sample: Sample) -> Result<()> {
        let index = self.table.len();
        let end = sample.at.checked_add(u64::from(sample.size));
        if end.is_none_or(|end| end > source.length()) {
            let found = format!(
                "frame {index} has {} bytes at byte {}, the file ends at byte {}",
                sample.size,
                sample.at,
                source.length()
            );
            return Err(source.error(Kind::Truncated, found).help("the whole file"));
        }
        if sample.size == 0 {
            return Err(source.error(Kind::Malformed, format!("frame {index} has no bytes")));
        }
        if sample.size > MAX_FRAME_BYTES || index == MAX_FRAMES {
            let found = format!(
                "frame {index} has {} bytes; at most {MAX_FRAMES} frames of {MAX_FRAME_BYTES} bytes are taken",
                sample.size
            );
            return Err(source.error(Kind::Unsupported, found));
        }
        self.table.push(sample);
        Ok(())
    }

    /// Counts the time of `frames` frames of `ticks` each.
    pub(super) fn time(&mut self, frames: u32, ticks: u32) {
        self.ticks = self.ticks.saturating_add(u128::from(frames) * u128::from(ticks));
        self.timed = self.timed.saturating_add(u64::from(frames));
    }

    /// The mean rate: frames over their time, at `timescale` ticks a second.
    pub(super) fn rate(&self, source: &Source, timescale: u32) -> Result<Rate> {
        let (mut frames, mut ticks) = (u128::from(self.timed) * u128::from(timescale), self.ticks);
        let divisor = gcd(frames, ticks).max(1);
        (frames, ticks) = (frames / divisor, ticks / divisor);
        // Odd mean values have long fractions; a few bits less of them are invisible.
        while frames > u128::from(u32::MAX) || ticks > u128::from(u32::MAX) {
            (frames, ticks) = (frames >> 1, ticks >> 1);
        }
        Rate::new(frames as u32, ticks as u32).ok_or_else(|| {
            let found = format!("{} frames in {} ticks of 1/{timescale} s", self.timed, self.ticks);
            source.error(Kind::Unsupported, found).help(format!("0.1 to {} frames a second", Rate::MAX))
        })
    }

    /// Appends what the boxes of `stbl` list.
    pub(super) fn push_tables(&mut self, source: &Source, stbl: &[Atom<'_>]) -> Result<()> {
        let sizes: Stsz = need(source, stbl, b"stsz")?.decode(source)?;
        let chunks: Vec<u64> = match find(stbl, b"stco") {
            Some(stco) => stco.decode::<Stco>(source)?.entries.into_iter().map(u64::from).collect(),
            None => match find(stbl, b"co64") {
                Some(co64) => co64.decode::<Co64>(source)?.entries,
                None => Vec::new(),
            },
        };
        let runs: Stsc = need(source, stbl, b"stsc")?.decode(source)?;
        // No table of key frames means that every frame is one.
        let keys = find(stbl, b"stss").map(|stss| stss.decode::<Stss>(source)).transpose()?.map(|stss| stss.entries);
        let times: Stts = need(source, stbl, b"stts")?.decode(source)?;

        let count = match &sizes.samples {
            StszSamples::Identical { count, .. } => *count as usize,
            StszSamples::Different { sizes } => sizes.len(),
        };
        let size_of = |index: usize| match &sizes.samples {
            StszSamples::Identical { size, .. } => *size,
            StszSamples::Different { sizes } => sizes.get(index).copied().unwrap_or(0),
        };
        let mut key_frames = keys.as_deref().map(|keys| keys.iter().peekable());
        let mut index = 0;
        let mut run = runs.entries.iter().peekable();
        let mut in_chunk = 0;
        for (chunk, start) in (1_u32..).zip(&chunks) {
            while let Some(entry) = run.next_if(|entry| entry.first_chunk <= chunk) {
                in_chunk = entry.samples_per_chunk as usize;
            }
            let mut at = *start;
            for _ in 0..in_chunk.min(count - index) {
                let number = index as u64 + 1;
                let key = key_frames.as_mut().is_none_or(|keys| {
                    while keys.next_if(|key| u64::from(**key) < number).is_some() {}
                    keys.peek().is_some_and(|key| u64::from(**key) == number)
                });
                let size = size_of(index);
                self.push(source, Sample { at, size, key })?;
                at = at.saturating_add(u64::from(size));
                index += 1;
            }
        }
        if index < count {
            let found = format!("`stsz` lists {count} frames, `stco` and `stsc` have room for {index}");
            return Err(source.error(Kind::Malformed, found));
        }
        for entry in &times.entries {
            self.time(entry.sample_count, entry.sample_delta);
        }
        Ok(())
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
