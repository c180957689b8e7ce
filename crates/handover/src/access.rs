//! Access: a lease becomes pixels. Never as `&[u8]`, since another process may write them at any time.
//!
//! A view speaks of planes, columns and rows whatever the layout is: the device's codec finds the bytes. A lease of a
//! region grants exclusion for its cells; a view does not fence off the others.

use handover_model::{Access, Elements, Region, Stage};
use handover_sys::map::{Pixels, PixelsMut};

use crate::backend::memory::Bracket;
use crate::device::{At, Codec};
use crate::error::{Error, Kind, Result};
use crate::lease::Lease;
use crate::surface::Surface;

/// Pixels to read, as long as the lease lives. Dropping it ends the CPU access, which the lease outlives.
#[derive(Debug)]
pub struct View<'a> {
    pixels: Pixels<'a>,
    codec: &'a Codec,
    _bracket: Option<Bracket<'a>>,
}

/// Pixels to read and write, as long as the lease lives. Dropping it ends the CPU access, which the lease outlives.
#[derive(Debug)]
pub struct ViewMut<'a> {
    pixels: PixelsMut<'a>,
    codec: &'a Codec,
    region: Region,
    _bracket: Option<Bracket<'a>>,
}

impl Lease {
    /// The pixels of a surface of this lease, to read.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the lease does not name this surface, or was collected for a device ([`Lease::wait`] first).
    /// [`Kind::Unsupported`]: only a device reaches these pixels.
    pub fn read<'a>(&'a self, surface: &Surface) -> Result<View<'a>> {
        let inner = &self.part(surface, Access::Read)?.surface.0;
        inner.device.check_alive(Stage::Access)?;
        self.check_waited()?;
        let pixels = inner.memory.pixels().ok_or_else(|| inner.memory.unreachable(Stage::Access))?;
        Ok(View { pixels, codec: &inner.codec, _bracket: inner.memory.begin(Access::Read)? })
    }

    /// The pixels of a surface of this lease, to write.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the lease does not name this surface for WRITE, or was collected for a device.
    /// [`Kind::Unsupported`]: only a device reaches these pixels.
    pub fn write<'a>(&'a self, surface: &Surface) -> Result<ViewMut<'a>> {
        let part = self.part(surface, Access::Write)?;
        self.check_waited()?;
        let inner = &part.surface.0;
        inner.device.check_alive(Stage::Access)?;
        let pixels = inner.memory.pixels_mut().ok_or_else(|| inner.memory.unreachable(Stage::Access))?;
        let _bracket = inner.memory.begin(Access::Write)?;
        Ok(ViewMut { pixels, codec: &inner.codec, region: part.asked.1, _bracket })
    }
}

impl View<'_> {
    /// Copies a run of row `y` out, from column `x` on, as many bytes as `into` holds. Columns and rows count elements of the
    /// plane (chroma planes are smaller). A byte buffer is one row of bytes.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the run leaves the row. [`Kind::Malformed`]: the compression plane holds a byte that means nothing.
    pub fn read(&self, plane: usize, x: Elements, y: u32, into: &mut [u8]) -> Result<()> {
        self.codec.read(&self.pixels, At { plane, x, y }, into)
    }

    /// Copies a whole plane out, rows `stride` bytes apart in `into`.
    pub fn read_image(&self, plane: usize, into: &mut [u8], stride: usize) -> Result<()> {
        self.codec.read_image(&self.pixels, plane, into, stride)
    }
}

impl ViewMut<'_> {
    /// As [`View::read`].
    pub fn read(&self, plane: usize, x: Elements, y: u32, into: &mut [u8]) -> Result<()> {
        self.codec.read(&self.pixels.as_pixels(), At { plane, x, y }, into)
    }

    /// As [`View::read_image`].
    pub fn read_image(&self, plane: usize, into: &mut [u8], stride: usize) -> Result<()> {
        self.codec.read_image(&self.pixels.as_pixels(), plane, into, stride)
    }

    /// Copies a run of row `y` in, from column `x` on.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the run leaves the row.
    pub fn write(&self, plane: usize, x: Elements, y: u32, from: &[u8]) -> Result<()> {
        self.codec.write(&self.pixels, At { plane, x, y }, from)
    }

    /// Copies a whole plane in, rows `stride` bytes apart in `from`. A device that compresses does it here.
    pub fn write_image(&self, plane: usize, from: &[u8], stride: usize) -> Result<()> {
        self.codec.write_image(&self.pixels, plane, from, stride)
    }

    /// Fills the first plane with one pixel value (little-endian, cut to the format's size), the fastest way the device has.
    /// On a compressing device the value stays private until it is flushed.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the lease is one of some cells only. [`Kind::Unsupported`]: a pixel has more than 4 bytes.
    pub fn clear(&self, pixel: u32) -> Result<()> {
        if !self.region.is_whole() {
            return Err(Error::new(Stage::Access, Kind::Invalid)
                .asked("a clear of the whole surface")
                .found(format!("a lease of {}", self.region))
                .help("write the rows of those cells"));
        }
        self.codec.clear(&self.pixels, pixel)
    }
}
