//! Reading on the device that wrote: which of word, block and caller to believe, and what to do about compression.
//!
//! The conditions are tried in the order of [`Outcome`] and [`Reject`]; the first that holds decides. They are Mesa's
//! (25.0.7, `ac_surface.c:ac_surface_apply_umd_metadata`, `si_texture.c`, RADV's `radv_image.c`), and stricter where Mesa
//! checks nothing: the word itself, the upper bound of the version, TYPE, SW_MODE, the size, and both bounds of the buffer.

use alloc::format;
use core::fmt;

use super::block::head;
use super::pal::Form;
use super::{Chip, Descriptor, HEAD_BYTES, ImageType, Level, OVERRIDDEN, TilingWord, VENDOR};
use crate::{BLOCK_BYTES, Block, Bytes, Error, Kind, Modifier, Result, Stage, Word};

/// The reading device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Its PCI ID. A block of another one is not used for compression.
    pub pci_id: u16,
    /// Its level.
    pub level: Level,
}

/// What the caller says about the image, and what its layout comes to on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// An explicit modifier, which supersedes word and block.
    pub modifier: Option<Modifier>,
    /// Where the plane begins. Word and block describe the whole buffer, so they say nothing about a plane elsewhere.
    pub offset: Bytes,
    /// Width in texels.
    pub width: u32,
    /// Height in texels.
    pub height: u32,
    /// Levels.
    pub levels: u32,
    /// Samples a pixel.
    pub samples: u32,
    /// Kind of image.
    pub image: ImageType,
    /// Size of the buffer.
    pub buffer: Bytes,
    /// Size of the main surface with all levels and layers.
    pub surface: Bytes,
    /// Size of the DCC of shaders and render targets; 0 if this layout has none.
    pub dcc: Bytes,
}

/// Why metadata was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// The caller gives a modifier.
    Modifier,
    /// The plane does not begin at 0. It is taken for linear.
    Offset,
    /// The memory holds other things too, so the metadata may be another image's. Importers say so; [`read()`] cannot know.
    NotDedicated,
}

/// Why DCC was dropped while the import goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    /// The block has less than 40 bytes.
    Short,
    /// Its version is not 1, 2 or 3.
    Version,
    /// It is from a device with another PCI ID.
    PciId,
    /// COMPRESSION_EN is set and the offset is 0.
    Offset0,
}

/// Why an import is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reject {
    /// More than 256 bytes: no kernel returns that.
    TooLarge,
    /// The word has a value that this level reserves.
    TilingWord,
    /// The writer pretended to be another chip, and the layout is not linear.
    FamilyOverridden,
    /// LAST_LEVEL of a multisampled image is not the logarithm of the caller's samples.
    SampleCount,
    /// LAST_LEVEL is not the caller's levels − 1.
    LevelCount,
    /// TYPE is not the caller's.
    TypeMismatch,
    /// SW_MODE is not the word's.
    SwizzleMismatch,
    /// The image is smaller than the caller's; on GFX10 and later also larger.
    SizeMismatch,
    /// The main surface does not fit in the buffer.
    BoTooSmall,
    /// DCC does not, or the display's begins past its end.
    DccOutOfBounds,
}

/// What a reader concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Neither word nor block was used.
    Ignored(Ignored),
    /// No block was ever set: the word alone counts, without DCC.
    NoMetadata,
    /// PAL's private block: the word alone counts, without DCC.
    Pal,
    /// The import goes on without DCC.
    DropDcc(Because),
    /// Another vendor's block: as [`Outcome::DropDcc`].
    Foreign,
    /// The import is refused.
    Reject(Reject),
    /// GFX12: accepted, and the pages are compressed.
    PageTable,
    /// Accepted; there is no DCC.
    None,
    /// GFX6–9: accepted with the larger size of the block, DCC kept or not.
    AcceptLarger {
        /// Was there DCC, and is it kept?
        dcc: bool,
    },
    /// As [`Outcome::Keep`], from the short header in PAL's block.
    PalWithMesa,
    /// Accepted with DCC.
    Keep,
}

impl Outcome {
    /// Does the reader go on with DCC at an offset?
    pub const fn keeps_dcc(self) -> bool {
        matches!(self, Self::Keep | Self::PalWithMesa | Self::AcceptLarger { dcc: true })
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Modifier => "a modifier supersedes it",
            Self::Offset => "it describes a plane at offset 0, and this one begins elsewhere",
            Self::NotDedicated => "the memory is not the image's alone, so it may be another's",
        })
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the block has less than 40 bytes",
            Self::Version => "dword 0 bits 15:0 are none of the versions 1, 2 and 3",
            Self::PciId => "dword 1 names another device",
            Self::Offset0 => "COMPRESSION_EN is set and the DCC offset is 0",
        })
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "a block has at most 256 bytes",
            Self::TilingWord => "the tiling word has a value that this level reserves",
            Self::FamilyOverridden => "its writer pretended to be another chip, and its layout is not linear",
            Self::SampleCount => "LAST_LEVEL is not the logarithm of the samples asked for",
            Self::LevelCount => "LAST_LEVEL is not one less than the levels asked for",
            Self::TypeMismatch => "TYPE is not the kind of image asked for",
            Self::SwizzleMismatch => "SW_MODE of the block is not SWIZZLE_MODE of the word",
            Self::SizeMismatch => "WIDTH or HEIGHT does not fit the size asked for",
            Self::BoTooSmall => "the main surface ends past the buffer",
            Self::DccOutOfBounds => "DCC ends past the buffer",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored(why) => write!(f, "metadata ignored: {why}"),
            Self::NoMetadata => f.write_str("no block: the word alone counts, without DCC"),
            Self::Pal => f.write_str("PAL's private block: the word alone counts, without DCC"),
            Self::DropDcc(why) => write!(f, "accepted without DCC: {why}"),
            Self::Foreign => f.write_str("another vendor's block: accepted without DCC"),
            Self::Reject(why) => write!(f, "refused: {why}"),
            Self::PageTable => f.write_str("accepted; its pages are compressed"),
            Self::None => f.write_str("accepted; there is no DCC"),
            Self::AcceptLarger { dcc: true } => f.write_str("accepted with the larger size of the block, and with DCC"),
            Self::AcceptLarger { dcc: false } => f.write_str("accepted with the larger size of the block; no DCC"),
            Self::PalWithMesa => f.write_str("accepted with DCC, from the short header in PAL's block"),
            Self::Keep => f.write_str("accepted with DCC"),
        }
    }
}

/// What came of reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The conclusion.
    pub outcome: Outcome,
    /// The word, unless it was ignored or is wrong.
    pub word: Option<TilingWord>,
    /// The image of the block, where it is the reader's own device that wrote it, in a version that is known.
    pub descriptor: Option<Descriptor>,
    /// Where DCC begins, if it is kept.
    pub dcc_offset: Option<Bytes>,
    /// Where the display's DCC begins, if DCC is kept and the display has one of its own.
    pub display_dcc_offset: Option<Bytes>,
}

impl Reading {
    /// A reading of nothing.
    pub(crate) const fn only(outcome: Outcome) -> Self {
        Self { outcome, word: None, descriptor: None, dcc_offset: None, display_dcc_offset: None }
    }

    /// The reading, unless it is a refusal.
    ///
    /// # Errors
    /// `Malformed`, naming what contradicts.
    pub fn accepted(self) -> Result<Self> {
        match self.outcome {
            Outcome::Reject(why) => {
                Err(Error::new(Stage::Import, Kind::Malformed).found("metadata of AMDGPU").why(format!("{why}")))
            }
            _ => Ok(self),
        }
    }
}

/// Reads what the kernel returned for a buffer of this device: the word, and the stored bytes of the block.
///
/// Never fails and never panics: a refusal is an [`Outcome`] too.
pub fn read(reader: &Reader, caller: &Caller, word: Word, bytes: &[u8]) -> Reading {
    if caller.modifier.is_some_and(|modifier| modifier != Modifier::INVALID) {
        return Reading::only(Outcome::Ignored(Ignored::Modifier));
    }
    if caller.offset != Bytes::ZERO {
        return Reading::only(Outcome::Ignored(Ignored::Offset));
    }
    let Ok(block) = Block::new(bytes) else { return Reading::only(Outcome::Reject(Reject::TooLarge)) };
    let Ok(word) = TilingWord::parse(reader.level, word) else {
        return Reading::only(Outcome::Reject(Reject::TilingWord));
    };
    let descriptor = head(reader.level, &block)
        .filter(|(header, _)| header.vendor_id == VENDOR && header.pci_id == reader.pci_id)
        .map(|(_, descriptor)| descriptor);
    let outcome = decide(reader, caller, &word, &block, descriptor.as_ref());
    let dcc_offset = descriptor.map(|descriptor| descriptor.dcc.offset).filter(|_| outcome.keeps_dcc());
    let display_dcc_offset = word.dcc_offset().filter(|display| dcc_offset.is_some_and(|dcc| dcc != *display));
    Reading { outcome, word: Some(word), descriptor, dcc_offset, display_dcc_offset }
}

fn decide(
    reader: &Reader,
    caller: &Caller,
    word: &TilingWord,
    block: &Block,
    descriptor: Option<&Descriptor>,
) -> Outcome {
    let form = Form::of(block);
    let Some(header) = block.header().filter(|_| block.len() >= HEAD_BYTES) else {
        return if block.is_empty() { Outcome::NoMetadata } else { Outcome::DropDcc(Because::Short) };
    };
    if form == Form::Pal {
        return Outcome::Pal;
    }
    if !matches!(header.version, 1..=3) {
        return Outcome::DropDcc(Because::Version);
    }
    if header.vendor_id != VENDOR {
        return Outcome::Foreign;
    }
    if header.version == 3 && header.flags & OVERRIDDEN != 0 && !word.is_linear() {
        return Outcome::Reject(Reject::FamilyOverridden);
    }
    let Some(descriptor) = descriptor else { return Outcome::DropDcc(Because::PciId) };
    agree(reader, caller, word, block, descriptor).map_or_else(Outcome::Reject, |larger| {
        let dcc = &descriptor.dcc;
        let ends = dcc.offset.checked_add(caller.dcc);
        let shown_past = word.dcc_offset().is_some_and(|display| display >= caller.buffer);
        match (dcc.enabled, reader.level) {
            (true, Level::Gfx12) => Outcome::PageTable,
            (false, _) if larger => Outcome::AcceptLarger { dcc: false },
            (false, _) => Outcome::None,
            (true, _) if dcc.offset == Bytes::ZERO => Outcome::DropDcc(Because::Offset0),
            (true, _) if shown_past || ends.is_none_or(|end| end > caller.buffer) => {
                Outcome::Reject(Reject::DccOutOfBounds)
            }
            (true, _) if larger => Outcome::AcceptLarger { dcc: true },
            (true, _) if form == Form::PalWithMesa => Outcome::PalWithMesa,
            (true, _) => Outcome::Keep,
        }
    })
}

/// Do word, block and caller agree? Says whether the image of the block is larger than the caller's.
fn agree(
    reader: &Reader,
    caller: &Caller,
    word: &TilingWord,
    block: &Block,
    stored: &Descriptor,
) -> Result<bool, Reject> {
    let multisampled = stored.image.is_multisampled();
    let (levels, reject) = if multisampled {
        (caller.samples.checked_ilog2().filter(|_| caller.samples.is_power_of_two()), Reject::SampleCount)
    } else {
        (caller.levels.checked_sub(1), Reject::LevelCount)
    };
    if levels != Some(u32::from(stored.last_level)) {
        return Err(reject);
    }
    // PAL's short header leaves TYPE and SW_MODE at 0, and MI300 has no image descriptors at all.
    let whole = block.len() < BLOCK_BYTES && Chip::of(reader.pci_id).is_none_or(Chip::has_images);
    if whole && stored.image != caller.image {
        return Err(Reject::TypeMismatch);
    }
    if whole && word.swizzle().is_some_and(|swizzle| swizzle.mode() != stored.tiling) {
        return Err(Reject::SwizzleMismatch);
    }
    let smaller = stored.width < caller.width || stored.height < caller.height;
    let larger = stored.width > caller.width || stored.height > caller.height;
    if smaller || (larger && reader.level >= Level::Gfx10) {
        return Err(Reject::SizeMismatch);
    }
    if caller.surface > caller.buffer {
        return Err(Reject::BoTooSmall);
    }
    Ok(larger)
}
