//! Devices: simulated ones, which say so wherever they show, and [`Device::DRIVER`] for real ones.
//!
//! A device is what a vendor's driver is to a real surface: it knows which layouts it can make, which of other devices'
//! layouts it can read, what it writes into the metadata, and how pixels lie in memory.

mod linear;
mod maps;
mod offers;
pub(crate) mod tiled;

use std::fmt;

use handover_model::metadata::blocks as codec;
use handover_model::{Access, Bytes, Elements, Header, Layout, Metadata, Modifier, Stage};
use handover_sys::map::{Pixels, PixelsMut};

use crate::backend::memory::Cpu;
use crate::error::{Error, Kind, Result};
use crate::surface::Surface;

/// Whose rules a surface is read and written by on this side: those of a simulated device, or of a real one's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    profile: Profile,
    /// Can it read the layout of `blocks`, besides its own?
    reads_blocks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Profile {
    Plain,
    Blocks,
    Driver,
}

impl Device {
    /// `plain`: linear layouts only, and it reads nothing else.
    pub const PLAIN: Self = Self { profile: Profile::Plain, reads_blocks: false };
    /// `blocks`: tiled, with a compression plane.
    pub const BLOCKS: Self = Self { profile: Profile::Blocks, reads_blocks: true };

    /// A real device. Its driver makes and reads the layouts of its modifiers, so it is the driver that says what it can do: with
    /// this alone a surface is linear, or [opaque](Layout::is_opaque) to the CPU.
    pub const DRIVER: Self = Self { profile: Profile::Driver, reads_blocks: false };

    /// The same device, whose driver has learnt to read the layout of `blocks`.
    #[must_use]
    pub const fn with_blocks_decoder(self) -> Self {
        Self { reads_blocks: true, ..self }
    }

    /// The device of this name: "plain", "plain+blocks" (with the decoder) or "blocks".
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PLAIN, Self::PLAIN.with_blocks_decoder(), Self::BLOCKS].into_iter().find(|device| device.name() == name)
    }

    /// Is it simulated?
    pub const fn is_simulated(self) -> bool {
        !matches!(self.profile, Profile::Driver)
    }

    /// The name without the remark that it is simulated.
    pub const fn name(self) -> &'static str {
        match (self.profile, self.reads_blocks) {
            (Profile::Plain, false) => "plain",
            (Profile::Plain, true) => "plain+blocks",
            (Profile::Blocks, _) => "blocks",
            (Profile::Driver, _) => "driver",
        }
    }

    /// What heads its metadata: vendor, PCI ID and version. `None`: its driver says that, or nobody.
    pub const fn header(self) -> Option<Header> {
        match self.profile {
            Profile::Plain => Some(codec::PLAIN_HEADER),
            Profile::Blocks => Some(codec::BLOCKS_HEADER),
            Profile::Driver => None,
        }
    }

    /// Can it make surfaces with this modifier?
    pub fn makes(self, modifier: Modifier) -> bool {
        modifier == Modifier::LINEAR || (modifier == Modifier::SIM_BLOCKS && self.profile == Profile::Blocks)
    }

    /// Can it read surfaces with this modifier? Of a real device's own modifiers only its driver knows; none is refused here.
    pub fn reads(self, modifier: Modifier) -> bool {
        match modifier {
            Modifier::LINEAR => true,
            Modifier::SIM_BLOCKS => self.reads_blocks,
            _ => self.profile == Profile::Driver,
        }
    }

    /// Is a surface of any use that only real devices reach?
    pub(crate) fn needs_cpu(self) -> Cpu {
        if self.is_simulated() { Cpu::Needed } else { Cpu::IfPossible }
    }

    /// The metadata this device writes for a new surface.
    pub(crate) fn describe(self, layout: &Layout) -> Result<Metadata> {
        let block = match codec::BlocksMetadata::of(layout, tiled::DEFAULT_CLEAR) {
            Some(blocks) => blocks.encode()?,
            // The layout of a linear surface is in its handle; the header says whose it is.
            None => self.header().map(Header::alone).unwrap_or_default(),
        };
        Ok(Metadata { block, ..Metadata::default() })
    }

    /// How to read a surface of another producer: from its metadata, or not at all. Never by guessing.
    ///
    /// With the codec, the layout as the metadata has it: compression may have been dropped since the handle was made.
    pub(crate) fn decoder(self, layout: &Layout, metadata: &Metadata) -> Result<(Codec, Layout)> {
        if layout.modifier() == Modifier::LINEAR {
            return Ok((Codec::Linear(*layout), *layout));
        }
        let header = metadata.block.header();
        if !self.reads(layout.modifier()) {
            let producer = header.map_or("a producer that left no metadata".to_owned(), |header| header.to_string());
            return Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!("an import of {} on device {self}", layout.modifier()))
                .found(format!("content of {producer}"))
                .why("this device has no decoder for that layout")
                .help("negotiate a modifier both sides know, or import on a device that decodes it"));
        }
        if layout.is_opaque() {
            return Ok((Codec::Opaque(layout.modifier()), *layout));
        }
        let blocks = codec::BlocksMetadata::decode(&metadata.block)?;
        let layout = blocks.apply(layout)?;
        Ok((tiled::Codec::of(&layout, blocks.clear_colour).map(Codec::Tiled)?, layout))
    }

    /// How the producer itself reads and writes a surface it made.
    pub(crate) fn own_codec(self, layout: &Layout) -> Result<Codec> {
        if layout.modifier() == Modifier::LINEAR {
            return Ok(Codec::Linear(*layout));
        }
        if layout.is_opaque() {
            return Ok(Codec::Opaque(layout.modifier()));
        }
        tiled::Codec::of(layout, tiled::DEFAULT_CLEAR).map(Codec::Tiled)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        f.write_str(if self.is_simulated() { " (simulated)" } else { "" })
    }
}

/// How pixels lie in memory, for one side of a surface.
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

    /// Writes out what the metadata does not describe. Gives how many tiles changed.
    pub(crate) fn resolve(&self, pixels: &PixelsMut<'_>) -> Result<u32> {
        match self {
            // The driver of a real device writes out what its metadata does not describe.
            Self::Linear(_) | Self::Opaque(_) => Ok(0),
            Self::Tiled(codec) => codec.resolve(pixels),
        }
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
            let _ = codec.resolve(&pixels);
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
