//! Something to draw on.

use handover::Extent;

use crate::media::colour::PIXEL;

/// A rectangle to draw, in pixels from the top left. It may reach beyond the canvas; what does is not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Area {
    /// All of a canvas.
    pub fn whole(extent: Extent) -> Self {
        Self { x: 0, y: 0, width: extent.width().get(), height: extent.height().get() }
    }

    /// The columns and rows of it that lie in `extent`.
    pub fn clip(self, extent: Extent) -> (std::ops::Range<u32>, std::ops::Range<u32>) {
        let clip = |start: u32, length: u32, edge: u32| start.min(edge)..start.saturating_add(length).min(edge);
        (clip(self.x, self.width, extent.width().get()), clip(self.y, self.height, extent.height().get()))
    }
}

/// A grid of pixels that can be set.
pub trait Canvas {
    /// Its width and height.
    fn extent(&self) -> Extent;

    /// Replaces one pixel. One outside is not drawn.
    fn set(&mut self, x: u32, y: u32, argb: u32);

    /// Replaces all pixels of an area. A canvas that can fill rows faster than pixels has its own.
    fn fill(&mut self, area: Area, argb: u32) {
        let (columns, rows) = area.clip(self.extent());
        for y in rows {
            for x in columns.clone() {
                self.set(x, y, argb);
            }
        }
    }
}

/// Pixels in this process's own memory, four bytes each as `XRGB8888` and `ARGB8888` have them, rows without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    extent: Extent,
    bytes: Vec<u8>,
}

impl Pixels {
    /// All zero: black as `XRGB8888`, transparent as `ARGB8888`.
    pub fn new(extent: Extent) -> Self {
        let bytes = vec![0; extent.width().get() as usize * extent.height().get() as usize * PIXEL];
        Self { extent, bytes }
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.extent.width().get() as usize * PIXEL
    }

    /// All rows.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All rows, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// One row; `None` below the last.
    pub fn row(&self, y: u32) -> Option<&[u8]> {
        self.bytes.chunks_exact(self.stride()).nth(y as usize)
    }

    /// One pixel; `None` outside.
    pub fn get(&self, x: u32, y: u32) -> Option<u32> {
        self.row(y)?.as_chunks::<PIXEL>().0.get(x as usize).map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn row_mut(&mut self, y: u32) -> &mut [u8] {
        let stride = self.stride();
        self.bytes.chunks_exact_mut(stride).nth(y as usize).unwrap_or_default()
    }
}

impl Canvas for Pixels {
    fn extent(&self) -> Extent {
        self.extent
    }

    fn set(&mut self, x: u32, y: u32, argb: u32) {
        if let Some(pixel) = self.row_mut(y).as_chunks_mut::<PIXEL>().0.get_mut(x as usize) {
            *pixel = argb.to_le_bytes();
        }
    }

    fn fill(&mut self, area: Area, argb: u32) {
        let (columns, rows) = area.clip(self.extent);
        for y in rows {
            let range = columns.start as usize..columns.end as usize;
            if let Some(pixels) = self.row_mut(y).as_chunks_mut::<PIXEL>().0.get_mut(range) {
                pixels.fill(argb.to_le_bytes());
            }
        }
    }
}
