//! What a compute does with a picture, and what it says of it in its buffer. Both sides know it: one does it, the other checks it.

use handover::interop::Access;
use sha2::{Digest, Sha256};

use crate::draw::{Area, Canvas, Pixels};
use crate::media::colour::PIXEL;

/// Levels of the histogram.
const LEVELS: usize = 256;

/// Bytes of a SHA-256.
const HASH: usize = 32;

/// Bytes of a [`Summary`].
pub(crate) const SUMMARY: u64 = (HASH + LEVELS * size_of::<u32>()) as u64;

/// Changes the picture as a compute of this access does: reading leaves it, reading and writing makes its negative, and writing fills it
/// whatever it was.
pub(super) fn work(access: Access, frame: u64, picture: &mut Pixels) {
    match access {
        Access::ReadOnly => {}
        Access::ReadWrite => negative(picture),
        Access::WriteOnly => fill(frame, picture),
    }
}

fn negative(picture: &mut Pixels) {
    for [blue, green, red, _] in picture.bytes_mut().as_chunks_mut::<PIXEL>().0 {
        (*blue, *green, *red) = (!*blue, !*green, !*red);
    }
}

/// A weave that moves. No two neighbours are alike, so that a pixel in another's place shows.
fn fill(frame: u64, picture: &mut Pixels) {
    let stride = picture.stride();
    for (y, row) in picture.bytes_mut().chunks_exact_mut(stride).enumerate() {
        for (x, pixel) in row.as_chunks_mut::<PIXEL>().0.iter_mut().enumerate() {
            let moved = x.wrapping_add((frame as usize).wrapping_mul(2));
            *pixel = [moved as u8, (y * 2) as u8, (moved ^ y) as u8, 255];
        }
    }
}

/// What stands in the buffer: a SHA-256 of the pixels, row by row, and how many have each level of brightness (the mean of the channels), in
/// numbers of four bytes, little-endian.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Summary(Vec<u8>);

impl Summary {
    /// Of a picture.
    pub(super) fn of(picture: &Pixels) -> Self {
        let mut levels = [0_u32; LEVELS];
        for [blue, green, red, _] in picture.bytes().as_chunks::<PIXEL>().0 {
            let mean = (u16::from(*blue) + u16::from(*green) + u16::from(*red)) / 3;
            if let Some(level) = levels.get_mut(usize::from(mean)) {
                *level = level.saturating_add(1);
            }
        }
        let mut bytes = Sha256::digest(picture.bytes()).to_vec();
        bytes.extend(levels.iter().flat_map(|level| level.to_le_bytes()));
        Self(bytes)
    }

    /// As it was read from a buffer.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// As it is written into a buffer.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The histogram as bars, at the bottom of an area.
    pub(super) fn draw(&self, canvas: &mut Pixels, area: Area) {
        let levels: Vec<u32> = self.levels().collect();
        // A picture of few colours has few levels, and thousands of pixels of each.
        let height = |level: u32| if level == 0 { 0 } else { level.ilog2() + 1 };
        let most = levels.iter().copied().map(height).max().unwrap_or(0).max(1);
        for x in 0..area.width {
            let index = u64::from(x) * LEVELS as u64 / u64::from(area.width.max(1));
            let level = levels.get(usize::try_from(index).unwrap_or(LEVELS)).copied().unwrap_or(0);
            let bar = (u64::from(height(level)) * u64::from(area.height) / u64::from(most)) as u32;
            let top = area.y + area.height.saturating_sub(bar);
            canvas.fill(Area { x: area.x + x, y: top, width: 1, height: bar }, BAR);
        }
    }

    fn levels(&self) -> impl Iterator<Item = u32> {
        let (levels, _) = self.0.get(HASH..).unwrap_or_default().as_chunks();
        levels.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// The bars of a histogram.
const BAR: u32 = 0xfff0_f0f0;

#[cfg(test)]
mod tests {
    use super::{SUMMARY, Summary, work};
    use crate::draw::{Area, Canvas, Pixels};
    use handover::Extent;
    use handover::interop::Access;

    fn picture(argb: u32) -> Pixels {
        let mut picture = Pixels::new(Extent::new(8, 4).unwrap());
        picture.fill(Area::whole(picture.extent()), argb);
        picture
    }

    #[test]
    fn each_access_leaves_the_picture_that_it_should() {
        for (access, first) in
            [(Access::ReadOnly, 0xff10_2030), (Access::ReadWrite, 0xffef_dfcf), (Access::WriteOnly, 0xff06_0006)]
        {
            let mut one = picture(0xff10_2030);
            work(access, 3, &mut one);
            assert_eq!(one.get(0, 0), Some(first), "{access:?}");
        }
        let (mut one, mut other) = (picture(0xff00_0000), picture(0xffff_ffff));
        work(Access::WriteOnly, u64::MAX, &mut one);
        work(Access::WriteOnly, 7, &mut one);
        work(Access::WriteOnly, 7, &mut other);
        assert!(one == other, "writing does not read");
    }

    #[test]
    fn a_summary_tells_two_pixels_that_changed_places() {
        let mut one = picture(0xff00_0000);
        let mut other = one.clone();
        one.set(1, 1, 0xffff_ffff);
        other.set(2, 1, 0xffff_ffff);
        let (ours, theirs) = (Summary::of(&one), Summary::of(&other));
        assert!(ours != theirs);
        assert!(ours.levels().eq(theirs.levels()) && ours.levels().sum::<u32>() == 32);
        assert_eq!(ours.bytes().len() as u64, SUMMARY);
        assert!(Summary::from_bytes(ours.bytes().to_vec()) == ours);
    }
}
