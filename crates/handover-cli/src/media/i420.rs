//! One picture as the codecs have it: a plane of luma, two of chroma at half the width and half the height.

use handover::Extent;

use super::{Error, Kind, Result};

/// A picture in I420 (`YUV420` of `drm_fourcc.h`), each plane without padding.
///
/// Chroma of an odd extent rounds up: 5x3 pixels have 3x2 samples of chroma.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct I420 {
    extent: Extent,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl I420 {
    /// A black picture.
    pub fn new(extent: Extent) -> Self {
        let (width, height) = size(extent);
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        Self { extent, y: vec![16; width * height], u: vec![128; chroma], v: vec![128; chroma] }
    }

    /// Copies the planes of `source`, whose rows start `strides` bytes apart (luma, chroma).
    ///
    /// # Errors
    /// `Malformed` if a plane is too short for its rows, or a stride for its row.
    pub fn from_planes(extent: Extent, source: [&[u8]; 3], strides: [usize; 3]) -> Result<Self> {
        let mut picture = Self::new(extent);
        let chroma = picture.chroma_width();
        let widths = [picture.width(), chroma, chroma];
        let planes = [&mut picture.y, &mut picture.u, &mut picture.v];
        for (((plane, from), width), stride) in planes.into_iter().zip(source).zip(widths).zip(strides) {
            let rows = plane.len() / width;
            if stride < width
                || stride.checked_mul(rows - 1).and_then(|n| n.checked_add(width)).is_none_or(|n| n > from.len())
            {
                return Err(Error::new(
                    Kind::Malformed,
                    "the picture",
                    format!("a plane of {} bytes, {stride} a row, for {rows} rows of {width} bytes", from.len()),
                ));
            }
            for (to, from) in plane.chunks_exact_mut(width).zip(from.chunks(stride)) {
                if let Some(from) = from.get(..width) {
                    to.copy_from_slice(from);
                }
            }
        }
        Ok(picture)
    }

    /// Width and height of the luma plane.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Luma samples in a row.
    pub fn width(&self) -> usize {
        size(self.extent).0
    }

    /// Rows of luma.
    pub fn height(&self) -> usize {
        size(self.extent).1
    }

    /// Samples in a row of each chroma plane.
    pub fn chroma_width(&self) -> usize {
        self.width().div_ceil(2)
    }

    /// The luma plane, row by row.
    pub fn y(&self) -> &[u8] {
        &self.y
    }

    /// The plane of blue difference, row by row.
    pub fn u(&self) -> &[u8] {
        &self.u
    }

    /// The plane of red difference, row by row.
    pub fn v(&self) -> &[u8] {
        &self.v
    }

    pub(super) fn planes_mut(&mut self) -> [&mut Vec<u8>; 3] {
        [&mut self.y, &mut self.u, &mut self.v]
    }

    /// Makes this picture the other one's copy, its edges repeated to the right and below up to this extent.
    /// Pixels of the other beyond this extent are left out.
    pub fn copy_replicated(&mut self, other: &Self) {
        let widths = [
            (self.width(), other.width()),
            (self.chroma_width(), other.chroma_width()),
            (self.chroma_width(), other.chroma_width()),
        ];
        let from = [&other.y, &other.u, &other.v];
        for ((to, from), (to_width, from_width)) in self.planes_mut().into_iter().zip(from).zip(widths) {
            let mut rows = from.chunks_exact(from_width);
            let mut row = rows.next().unwrap_or(&[]);
            for to in to.chunks_exact_mut(to_width) {
                let kept = to_width.min(from_width);
                let (head, tail) = to.split_at_mut(kept);
                if let Some(from) = row.get(..kept) {
                    head.copy_from_slice(from);
                }
                tail.fill(row.last().copied().unwrap_or(0));
                row = rows.next().unwrap_or(row);
            }
        }
    }

    /// Mean squared difference of luma, as a ratio to its peak, in decibel. Infinite for equal planes; `None` for pictures
    /// of different extents.
    pub fn luma_psnr(&self, other: &Self) -> Option<f64> {
        if self.extent != other.extent {
            return None;
        }
        let squares: u64 = self.y.iter().zip(&other.y).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        let mean = squares as f64 / self.y.len() as f64;
        Some(10.0 * (255.0 * 255.0 / mean).log10())
    }
}

/// Both edges as sizes of memory. Bounded by `Extent::MAX`, so that the product of two fits.
pub(super) fn size(extent: Extent) -> (usize, usize) {
    (extent.width().get() as usize, extent.height().get() as usize)
}
