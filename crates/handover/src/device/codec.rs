//! How pixels lie in memory, for one side of a surface.

use handover_model::export::flush::Pass;
use handover_model::{Access, Bytes, Elements, Layout, Modifier, Stage};
use handover_sys::map::{Pixels, PixelsMut};

use super::{Device, linear, tiled};
use crate::error::{Error, Kind, Result};
use crate::surface::Surface;

/// How pixels lie in memory, for one side of a surface: what finds the bytes of a column and a row.
#[derive(Debug)]
pub(crate) enum Codec {
    Linear(Layout),
    Tiled(tiled::Codec),
    /// No code here finds a pixel.
    Opaque(Modifier),
}

/// Where a run of elements begins: plane, column, row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) plane: usize,
    pub(crate) x: Elements,
    pub(crate) y: u32,
}

impl Codec {
    /// Reads a run of one row, as many elements as `into` has room for.
    pub(crate) fn read(&self, pixels: &Pixels<'_>, at: At, into: &mut [u8]) -> Result<()> {
        match self {
            Self::Linear(layout) => linear::read(layout, pixels, at, into),
            Self::Tiled(codec) => codec.read(pixels, at, into),
            Self::Opaque(modifier) => Err(opaque(*modifier)),
        }
    }

    /// Writes a run of one row.
    pub(crate) fn write(&self, pixels: &PixelsMut<'_>, at: At, from: &[u8]) -> Result<()> {
        match self {
            Self::Linear(layout) => linear::write(layout, pixels, at, from),
            Self::Tiled(codec) => codec.write(pixels, at, from),
            Self::Opaque(modifier) => Err(opaque(*modifier)),
        }
    }

    /// Writes a whole image of one plane, `stride` bytes a row, compressing where the device does.
    pub(crate) fn write_image(&self, pixels: &PixelsMut<'_>, plane: usize, from: &[u8], stride: usize) -> Result<()> {
        match self {
            Self::Linear(layout) => linear::write_image(layout, pixels, plane, from, stride),
            Self::Tiled(codec) => codec.write_image(pixels, plane, from, stride),
            Self::Opaque(modifier) => Err(opaque(*modifier)),
        }
    }

    /// Reads a whole image of one plane.
    pub(crate) fn read_image(&self, pixels: &Pixels<'_>, plane: usize, into: &mut [u8], stride: usize) -> Result<()> {
        match self {
            Self::Linear(layout) => linear::read_image(layout, pixels, plane, into, stride),
            Self::Tiled(codec) => codec.read_image(pixels, plane, into, stride),
            Self::Opaque(modifier) => Err(opaque(*modifier)),
        }
    }

    /// Fills the surface with one pixel value (planes other than the first: untouched), the fastest way the device has.
    pub(crate) fn clear(&self, pixels: &PixelsMut<'_>, pixel: u32) -> Result<()> {
        match self {
            Self::Linear(layout) => linear::clear(layout, pixels, pixel),
            Self::Tiled(codec) => codec.clear(pixels, pixel),
            Self::Opaque(modifier) => Err(opaque(*modifier)),
        }
    }

    /// Goes on with what another codec of the same surface knows: whether it is still compressed.
    pub(crate) fn adopt(&self, other: &Self) {
        if let (Self::Tiled(codec), Self::Tiled(other)) = (self, other) {
            codec.set_compressed(other.is_compressed());
        }
    }

    /// Writes out what the metadata does not describe, by the passes that the driver of `device` has for it. Gives how many blocks changed.
    pub(crate) fn write_out(&self, device: Device, pixels: &PixelsMut<'_>) -> Result<u32> {
        // The driver of a real device writes out what its metadata does not describe.
        let Self::Tiled(codec) = self else { return Ok(0) };
        device.passes(codec).into_iter().try_fold(0, |changed, pass| {
            Ok(changed
                + match pass {
                    Pass::EliminateFastClears => codec.resolve(pixels)?,
                    Pass::RetileDisplayDcc => codec.retile(pixels)?,
                    // Simulated surfaces have one sample.
                    Pass::DecompressFmask => 0,
                })
        })
    }

    /// The end of a WRITE submission: a producer that tracks resolves now.
    pub(crate) fn end_of_submission(&self, surface: &Surface) {
        if let Self::Tiled(codec) = self
            && codec.is_tracking()
            && let Some(pixels) = surface.0.memory.pixels_mut()
        {
            // A refused bracket cannot be told here; without it a device might see less, the CPUs see everything.
            let _bracket = surface.0.memory.begin(Access::Write);
            // Only bytes of our own mapping are touched; there is nothing that could refuse.
            let _ = self.write_out(surface.0.device, &pixels);
        }
    }
}

/// The error for CPU access to a layout that only a driver knows.
#[cold]
pub(crate) fn opaque(modifier: Modifier) -> Error {
    Error::new(Stage::Access, Kind::Unsupported)
        .asked("pixels, by the CPU")
        .found(format!("a layout of {modifier}"))
        .why("only a driver knows how they lie")
        .help("let its device copy them into a LINEAR surface")
}

/// The error for a run that leaves the surface.
pub(crate) fn outside(at: At, length: Bytes) -> Error {
    Error::new(Stage::Access, Kind::Invalid)
        .asked(format!("{length} from column {}, row {} of plane {} on", at.x.get(), at.y, at.plane))
        .why("that is not inside the surface")
}
