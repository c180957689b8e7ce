//! Devices: simulated ones, which say so wherever they show, and [`Device::DRIVER`] for real ones.
//!
//! A device is what a vendor's driver is to a real surface: it knows which layouts it can make, which of other devices'
//! layouts it can read, what it writes into the metadata, and how pixels lie in memory.

mod chips;
mod linear;
mod maps;
mod offers;
pub(crate) mod tiled;

use std::fmt;

use handover_model::layout::blocks;
use handover_model::layout::tiling::{Parameters, Plane, Tiling};
use handover_model::metadata::blocks as codec;
use handover_model::{Access, Bytes, Elements, Format, Header, Layout, Metadata, Modifier, Stage};
use handover_sys::map::{Pixels, PixelsMut};

use crate::backend::memory::Cpu;
use crate::error::{Error, Kind, Result};
use crate::surface::Surface;
use chips::Chip;

/// Whose rules a surface is read and written by on this side: those of a simulated device, or of a real one's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    profile: Profile,
    decodes: Decodes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Profile {
    Plain,
    Blocks,
    Chip(&'static Chip),
    Driver,
}

/// Which layouts it reads besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Decodes {
    Nothing,
    /// That of `blocks`, with its compression.
    Blocks,
    /// Whatever a modifier determines, of any vendor. Not what is compressed.
    Determined {
        /// Read wrong on purpose: this bit of every address is inverted.
        flipped: Option<u32>,
    },
}

impl Device {
    /// `plain`: linear layouts only, and it reads nothing else.
    pub const PLAIN: Self = Self { profile: Profile::Plain, decodes: Decodes::Nothing };
    /// `blocks`: tiled, with a compression plane.
    pub const BLOCKS: Self = Self { profile: Profile::Blocks, decodes: Decodes::Blocks };
    /// `vega10`: AMD, GFX9.
    pub const VEGA10: Self = Self::chip(&chips::VEGA10);
    /// `navi21`: AMD, GFX10.3.
    pub const NAVI21: Self = Self::chip(&chips::NAVI21);
    /// `tigerlake`: Intel, gen 12.
    pub const TIGERLAKE: Self = Self::chip(&chips::TIGERLAKE);
    /// `turing`: NVIDIA.
    pub const TURING: Self = Self::chip(&chips::TURING);

    /// A real device. Its driver makes and reads the layouts of its modifiers, so it is the driver that says what it can do: with
    /// this alone a surface is linear, or out of the CPU's reach.
    pub const DRIVER: Self = Self { profile: Profile::Driver, decodes: Decodes::Nothing };

    const fn chip(chip: &'static Chip) -> Self {
        Self { profile: Profile::Chip(chip), decodes: Decodes::Nothing }
    }

    /// The same device, whose driver has learnt to read the layout of `blocks`.
    #[must_use]
    pub const fn with_blocks_decoder(self) -> Self {
        Self { decodes: Decodes::Blocks, ..self }
    }

    /// The same device, whose driver has learnt to read every layout that its modifier fully determines, whoever made it
    /// ([`tiling`](handover_model::layout::tiling)). What is compressed stays with those who made it.
    #[must_use]
    pub const fn with_decoder(self) -> Self {
        Self { decodes: Decodes::Determined { flipped: None }, ..self }
    }

    /// The same device, whose decoder inverts one bit of the address of every element: a fault for tests, which must show. A bit outside
    /// the tiles of a layout is refused where that is read.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_flipped_bit(self, bit: u32) -> Self {
        Self { decodes: Decodes::Determined { flipped: Some(bit) }, ..self }
    }

    /// Does it read every layout that its modifier determines ([`with_decoder`](Self::with_decoder))?
    pub const fn has_decoder(self) -> bool {
        matches!(self.decodes, Decodes::Determined { .. })
    }

    /// Every simulated device, without decoders.
    pub fn simulated() -> impl Iterator<Item = Self> {
        [Self::PLAIN, Self::BLOCKS].into_iter().chain(chips::ALL.map(Self::chip))
    }

    /// The simulated device of this name: "plain", "blocks", "vega10", "navi21", "tigerlake" or "turing"; with "+decode" behind it, with
    /// [a decoder](Self::with_decoder); "plain+blocks": [that of blocks](Self::with_blocks_decoder).
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = [Self::PLAIN.with_blocks_decoder()];
        let all = Self::simulated().flat_map(|device| [device, device.with_decoder()]).chain(plain);
        all.into_iter().find(|device| device.name() == name)
    }

    /// Is it simulated?
    pub const fn is_simulated(self) -> bool {
        !matches!(self.profile, Profile::Driver)
    }

    /// Is it simulated, and does it stand for a real chip?
    pub const fn is_chip(self) -> bool {
        matches!(self.profile, Profile::Chip(_))
    }

    /// The name without the remark that it is simulated.
    pub fn name(self) -> String {
        let profile = match self.profile {
            Profile::Plain => "plain",
            Profile::Blocks => "blocks",
            Profile::Chip(chip) => chip.name,
            Profile::Driver => "driver",
        };
        let decoder = match (self.decodes, self.profile) {
            (Decodes::Nothing, _) | (Decodes::Blocks, Profile::Blocks) => "",
            (Decodes::Blocks, _) => "+blocks",
            (Decodes::Determined { .. }, _) => "+decode",
        };
        format!("{profile}{decoder}")
    }

    /// What it stands for, in a few words: "AMD Vega10, GFX9".
    pub const fn product(self) -> &'static str {
        match self.profile {
            Profile::Plain => "rows of pixels and nothing else",
            Profile::Blocks => "8x8 tiles and a compression of our own",
            Profile::Chip(chip) => chip.product,
            Profile::Driver => "a real device",
        }
    }

    /// What heads its metadata: vendor, PCI ID and version. `None`: its driver says that, or nobody.
    pub fn header(self) -> Option<Header> {
        match self.profile {
            Profile::Plain => Some(codec::PLAIN_HEADER),
            Profile::Blocks => Some(codec::BLOCKS_HEADER),
            Profile::Chip(chip) => Some(chip.header()),
            Profile::Driver => None,
        }
    }

    /// What it makes of this format, the best first.
    pub fn modifiers(self, format: Format) -> Vec<Modifier> {
        match self.profile {
            Profile::Plain | Profile::Driver => vec![Modifier::LINEAR],
            Profile::Blocks if blocks::supports(format) => vec![Modifier::SIM_BLOCKS, Modifier::LINEAR],
            Profile::Blocks => vec![Modifier::LINEAR],
            Profile::Chip(chip) => chip.modifiers(format).collect(),
        }
    }

    /// Can it make surfaces with this modifier?
    pub fn makes(self, modifier: Modifier) -> bool {
        match self.profile {
            Profile::Plain | Profile::Driver => modifier == Modifier::LINEAR,
            Profile::Blocks => matches!(modifier, Modifier::LINEAR | Modifier::SIM_BLOCKS),
            Profile::Chip(chip) => chip.makes(modifier),
        }
    }

    /// Can it read surfaces with this modifier? Of a real device's own modifiers only its driver knows; none is refused here.
    pub fn reads(self, modifier: Modifier) -> bool {
        match (modifier, self.profile, self.decodes) {
            (Modifier::LINEAR, ..) => true,
            (Modifier::SIM_BLOCKS, profile, decodes) => profile == Profile::Blocks || decodes == Decodes::Blocks,
            (_, Profile::Driver, _) => true,
            (_, Profile::Chip(chip), _) if chip.makes(modifier) => true,
            (.., decodes) => matches!(decodes, Decodes::Determined { .. }) && is_determined(modifier),
        }
    }

    /// Is a surface of any use that only real devices reach?
    pub(crate) fn needs_cpu(self) -> Cpu {
        if self.is_simulated() { Cpu::Needed } else { Cpu::IfPossible }
    }

    /// The metadata this device writes for a new surface.
    pub(crate) fn describe(self, layout: &Layout) -> Result<Metadata> {
        if let Profile::Chip(chip) = self.profile {
            return chip.describe(layout);
        }
        let block = match codec::BlocksMetadata::of(layout, tiled::DEFAULT_CLEAR) {
            Some(blocks) => blocks.encode()?,
            // The layout of a linear surface is in its handle; the header says whose it is.
            None => self.header().map(Header::alone).unwrap_or_default(),
        };
        Ok(Metadata { block, ..Metadata::default() })
    }

    /// How to read a surface of another producer: from its modifier and metadata, or not at all. Never by guessing.
    ///
    /// With the codec, the layout as the metadata has it: compression may have been dropped since the handle was made.
    pub(crate) fn decoder(self, layout: &Layout, metadata: &Metadata) -> Result<(Codec, Layout)> {
        let modifier = layout.modifier();
        if modifier == Modifier::LINEAR {
            return Ok((Codec::Linear(*layout), *layout));
        }
        if !self.reads(modifier) {
            return Err(self.refusal(layout, metadata));
        }
        let (layout, clear) = match self.profile {
            Profile::Driver => return Ok((Codec::Opaque(modifier), *layout)),
            _ if modifier == Modifier::SIM_BLOCKS => {
                let blocks = codec::BlocksMetadata::decode(&metadata.block)?;
                (blocks.apply(layout)?, blocks.clear_colour)
            }
            Profile::Chip(chip) if layout.has_compression() && !chip.keeps_compression(metadata)? => {
                (layout.without_compression(), tiled::DEFAULT_CLEAR)
            }
            _ => (*layout, tiled::DEFAULT_CLEAR),
        };
        let codec = match self.decodes {
            Decodes::Determined { flipped: Some(bit) } if !self.makes(modifier) => {
                tiled::Codec::with_flipped_bit(&layout, bit)?
            }
            _ => tiled::Codec::of(&layout, clear)?,
        };
        Ok((Codec::Tiled(codec), layout))
    }

    fn refusal(self, layout: &Layout, metadata: &Metadata) -> Error {
        let modifier = layout.modifier();
        let header = metadata.block.header();
        let producer = header.map_or("a producer that left no metadata".to_owned(), |header| header.to_string());
        let refusal = Error::new(Stage::Import, Kind::Unsupported)
            .asked(format!("an import of {modifier} on device {self}"))
            .found(format!("content of {producer}"));
        match modifier.parse().is_ok_and(|parsed| parsed.is_compressed()) {
            true => refusal
                .why("compressed: its producer has to resolve it first, nobody else knows the compression")
                .help("negotiate a modifier without compression"),
            false => refusal
                .why("this device has no decoder for that layout")
                .help("negotiate a modifier both sides know, or import on a device that decodes it"),
        }
    }

    /// How the producer itself reads and writes a surface it made.
    pub(crate) fn own_codec(self, layout: &Layout) -> Result<Codec> {
        match layout.modifier() {
            Modifier::LINEAR => Ok(Codec::Linear(*layout)),
            modifier if self.profile == Profile::Driver => Ok(Codec::Opaque(modifier)),
            _ => tiled::Codec::of(layout, tiled::DEFAULT_CLEAR).map(Codec::Tiled),
        }
    }
}

/// Does the modifier alone say where every pixel is?
fn is_determined(modifier: Modifier) -> bool {
    // The order in which planes come does not matter to that, nor the size of an element where some size has the layout.
    let parameters = Parameters { plane: Some(Plane::Luma), ..Parameters::default() };
    [1, 2, 4, 8, 16]
        .into_iter()
        .any(|bytes| Tiling::of(modifier, Bytes(bytes), &parameters).is_ok_and(|tiling| !tiling.is_compressed()))
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
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
