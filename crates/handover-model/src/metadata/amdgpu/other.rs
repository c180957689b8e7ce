//! Another device reads: is the producer's layout fully determined?
//!
//! A layout is read elsewhere if, and only if, nothing about it has to be guessed: a modifier says it, or word and block do together
//! with the producer's configuration. Mesa never tries (it drops DCC and goes on with the word, which means other addresses on
//! another chip); here the answer is a layout, or a refusal that names what is missing.

use alloc::format;
use alloc::vec::Vec;

use super::block::head;
use super::pal::{Form, PalBlock};
use super::{
    ArrayMode, Chip, ChipConfig, DccPlane, Descriptor, Gfx6Word, HEAD_BYTES, ImageType, Level, OVERRIDDEN, Reject,
    TilingWord, VENDOR, to_modifier,
};
use crate::{Block, Bytes, Error, Header, Kind, Metadata, Modifier, Result, Stage, Text, Word};

/// What the consumer knows about the producer's device beside the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Producer {
    /// Its PCI ID, for metadata without a header. A header says it itself.
    pub pci_id: Option<u16>,
    /// Its level, for PCI IDs that the table does not know.
    pub level: Option<Level>,
    /// Its configuration, where the PCI ID does not give it.
    pub config: Option<ChipConfig>,
    /// Does its DCC encode constants? For Raven and Raven2, which share PCI IDs.
    pub constant_encode: Option<bool>,
    /// Does the caller know that it is one level of a two-dimensional image with one layer and one sample? No modifier says
    /// otherwise, and a word without a block cannot tell. A block is believed before this.
    pub plain_image: bool,
}

/// A layout with nothing left to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// GFX9 and later, linear surfaces, and whatever came with a modifier.
    Modifier(Modifier),
    /// GFX6–8, which have no modifiers: the tile parameters of the word.
    Tiles(Gfx6Word),
}

/// The producer's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Determined {
    /// The layout of the main surface.
    pub layout: Layout,
    /// The level that laid it out, where it matters.
    pub level: Option<Level>,
    /// Planes of DCC, in the order of the modifier's. Not empty: resolve before reading pixels.
    pub dcc: Vec<DccPlane>,
    /// Are pixels compressed, be it with planes of DCC or by pages? `None` where only a layout's parser can tell.
    pub compressed: Option<bool>,
    /// The image, if there is a block.
    pub image: Option<Descriptor>,
}

/// Decides whether a device that is not the producer's can read the layout, and gives the layout.
///
/// # Errors
/// `Unsupported`, naming the missing parameter, if anything would have to be guessed; `Malformed` where word and block contradict.
///
/// ```
/// use handover_model::metadata::amdgpu::{Producer, determine};
/// use handover_model::{Bytes, Metadata};
/// // What an import into another amdgpu device finds: nothing. That is not linear.
/// let refused = determine(&Metadata::default(), None, Some(Bytes(4)), &Producer::default()).unwrap_err();
/// assert!(refused.to_string().contains("unknown"));
/// ```
pub fn determine(
    metadata: &Metadata,
    modifier: Option<Modifier>,
    bytes_per_element: Option<Bytes>,
    producer: &Producer,
) -> Result<Determined> {
    if let Some(modifier) = modifier.filter(|modifier| *modifier != Modifier::INVALID) {
        let compressed = (modifier == Modifier::LINEAR).then_some(false);
        let layout = Layout::Modifier(modifier);
        return Ok(Determined { layout, level: None, dcc: Vec::new(), compressed, image: None });
    }
    if metadata.block.is_empty() && metadata.word == Word(0) {
        return Err(missing(
            "a modifier, or the metadata that the producer's own device holds",
            "a tiling word of 0 and no block are unknown, and not linear: an import into another device carries neither over",
        ));
    }
    let (level, pci_id) = device(metadata, producer)?;
    let word = TilingWord::parse(level, metadata.word)?;
    let image = head(level, &metadata.block).map(|(_, image)| image);
    let image = image.filter(|_| Form::of(&metadata.block) == Form::Other && has_images(pci_id));
    let pal = PalBlock::decode(&metadata.block);
    if metadata.word == Word(0) && image.is_none() {
        return Err(missing(
            "a tiling word, or a block with an image",
            "a word of 0 is what a buffer has before anybody sets one: without an image beside it it is unknown, and not linear",
        ));
    }
    own_chip(metadata, &word)?;
    agree(metadata, &word, image.as_ref())?;
    agree_with_pal(metadata, &word, pal.as_ref())?;

    let determined = |layout, dcc: Vec<DccPlane>, compressed| Determined {
        layout,
        level: Some(level),
        dcc,
        compressed: Some(compressed),
        image,
    };
    match &word {
        TilingWord::Gfx6(tiles) => {
            let compressed = image.is_some_and(|image| image.dcc.enabled);
            let dcc = match image {
                Some(image) if compressed => Vec::from([DccPlane { offset: image.dcc.offset, pitch: None }]),
                _ => Vec::new(),
            };
            Ok(determined(gfx6(tiles, image.as_ref())?, dcc, compressed))
        }
        word => {
            plain(word, image.as_ref(), pal.as_ref(), producer)?;
            let config = configuration(pci_id, producer.config)?;
            let chip = pci_id.and_then(Chip::of);
            let encode = producer.constant_encode.or_else(|| chip.and_then(Chip::constant_encode));
            let (modifier, dcc) = to_modifier(word, bytes_per_element, image.as_ref(), config.as_ref(), encode)?;
            let compressed = image.is_some_and(|image| image.dcc.enabled);
            Ok(determined(Layout::Modifier(modifier), dcc, compressed))
        }
    }
}

fn has_images(pci_id: Option<u16>) -> bool {
    pci_id.and_then(Chip::of).is_none_or(Chip::has_images)
}

/// Level and PCI ID of the device that wrote.
fn device(metadata: &Metadata, producer: &Producer) -> Result<(Level, Option<u16>)> {
    let stranger = metadata.block.header().filter(|header| header.vendor_id != VENDOR);
    if let Some(header) = stranger.filter(|_| Form::of(&metadata.block) != Form::Pal) {
        return Err(Error::new(Stage::Import, Kind::Unsupported)
            .found(format!("metadata of {header}"))
            .why("dword 1 bits 31:16 are not 0x1002, so another vendor defines word and block")
            .help("a codec for that vendor"));
    }
    let pci_id = written(&metadata.block).map(|header| header.pci_id).or(producer.pci_id);
    let known = pci_id.and_then(Chip::of).map(|chip| chip.level);
    match (known.or(producer.level), pci_id) {
        (Some(level), pci_id) => Ok((level, pci_id)),
        (None, Some(id)) => Err(missing(
            "the GFX level of the producer's device",
            format!("no chip with PCI ID {id:#06x} is known, and the level selects the fields of word and block"),
        )),
        (None, None) => Err(missing(
            "the PCI ID of the producer's device",
            "there is no block that names it, and the word alone does not say its generation",
        )),
    }
}

/// The header of a block that is long enough and of a version that is known. Anything else may be somebody's own, and its second
/// dword no PCI ID.
fn written(block: &Block) -> Option<Header> {
    block.header().filter(|header| block.len() >= HEAD_BYTES && matches!(header.version, 1..=3))
}

/// A writer that pretended to be another chip tiles as that other chip does, whatever its PCI ID.
fn own_chip(metadata: &Metadata, word: &TilingWord) -> Result<()> {
    let pretended = |header: &Header| header.version == 3 && header.flags & OVERRIDDEN != 0;
    match written(&metadata.block).filter(pretended) {
        Some(header) if !word.is_linear() => Err(Error::new(Stage::Import, Kind::Malformed)
            .found(format!("FAMILY_OVERRIDDEN (dword 0 bit 17) in metadata of {header}"))
            .why(format!("{}", Reject::FamilyOverridden))),
        _ => Ok(()),
    }
}

/// The PCI ID's configuration where it gives one, else the caller's. The two may not differ: one of them is another chip's.
fn configuration(pci_id: Option<u16>, said: Option<ChipConfig>) -> Result<Option<ChipConfig>> {
    let Some(own) = pci_id.and_then(|pci_id| ChipConfig::of_pci(pci_id).ok()) else { return Ok(said) };
    match said.filter(|said| *said != own) {
        Some(said) => Err(Error::new(Stage::Import, Kind::Malformed)
            .asked(format!("GB_ADDR_CONFIG {:#010x} of {}", said.register(), said.level))
            .found(format!("a chip whose GB_ADDR_CONFIG is always {:#010x} of {}", own.register(), own.level))
            .why("the two are of different chips (only the bits that layouts depend on are shown)")
            .help("leave gb_addr_config out: the PCI ID gives it")),
        None => Ok(Some(own)),
    }
}

/// A modifier is one level of a two-dimensional image with one layer and one sample. Mesa's chains of levels begin with the smallest.
fn plain(word: &TilingWord, image: Option<&Descriptor>, pal: Option<&PalBlock>, producer: &Producer) -> Result<()> {
    let refused = |found: alloc::string::String| {
        Err(Error::new(Stage::Import, Kind::Unsupported)
            .found(found)
            .why("a modifier is one level of a 2D image with one layer and one sample"))
    };
    match (image, pal) {
        (Some(image), _) if image.last_level != 0 && !image.image.is_multisampled() => {
            refused(format!("LAST_LEVEL {} in the block", image.last_level))
        }
        _ if word.is_linear() => Ok(()),
        (Some(image), _) if image.image != ImageType::D2 => {
            refused(format!("TYPE {} ({}) in the block", image.image.0, image.image))
        }
        (Some(image), _) if image.depth_field != 0 => refused(format!("DEPTH {} in the block", image.depth_field)),
        (None, Some(pal)) => {
            let counts = [
                ("MIPS", pal.levels()),
                ("SAMPLES", pal.samples()),
                ("DEPTH", u64::from(pal.depth)),
                ("ARRAY_SIZE", u64::from(pal.layers)),
            ];
            match counts.into_iter().find(|(_, count)| *count > 1) {
                Some((name, count)) => refused(format!("{name} {count} in PAL's block")),
                None => Ok(()),
            }
        }
        (None, None) if !producer.plain_image => Err(missing(
            "plain_2d",
            "the word says nothing about levels, layers and samples, and there is no block with TYPE, LAST_LEVEL and DEPTH",
        )),
        _ => Ok(()),
    }
}

/// PAL says the swizzle mode again, and can mix bits into addresses that only its private part knows.
fn agree_with_pal(metadata: &Metadata, word: &TilingWord, pal: Option<&PalBlock>) -> Result<()> {
    let (Some(pal), Some(swizzle)) = (pal, word.swizzle()) else { return hidden_xor(pal) };
    if u32::from(swizzle.mode()) != pal.swizzle_mode {
        return Err(Error::new(Stage::Import, Kind::Malformed)
            .found(format!("the tiling word {:#018x} and PAL's block", metadata.word.0))
            .why(format!("SWIZZLE_MODE of the word is {}, of the block {}", swizzle.mode(), pal.swizzle_mode))
            .help("the word that the producer set"));
    }
    hidden_xor(Some(pal))
}

fn hidden_xor(pal: Option<&PalBlock>) -> Result<()> {
    match pal {
        Some(pal) if pal.pipe_bank_xor != [0; 3] => Err(Error::new(Stage::Import, Kind::Unsupported)
            .found(format!("PIPE_BANK_XOR {:#x?} in PAL's block", pal.pipe_bank_xor))
            .why("no modifier can say it")),
        _ => Ok(()),
    }
}

fn agree(metadata: &Metadata, word: &TilingWord, image: Option<&Descriptor>) -> Result<()> {
    let Some(image) = image else { return Ok(()) };
    let contradict = |why: alloc::string::String| {
        Err(Error::new(Stage::Import, Kind::Malformed)
            .found(format!("the tiling word {:#018x} and a block", metadata.word.0))
            .why(why)
            .help("the word that the producer set"))
    };
    match word.swizzle() {
        Some(swizzle) if swizzle.mode() != image.tiling => {
            contradict(format!("SWIZZLE_MODE of the word is {}, SW_MODE of the block {}", swizzle.mode(), image.tiling))
        }
        None if metadata.word == Word(0) => {
            contradict("no writer stores a word of 0: linear surfaces have ARRAY_MODE 1".into())
        }
        _ => Ok(()),
    }
}

fn gfx6(tiles: &Gfx6Word, image: Option<&Descriptor>) -> Result<Layout> {
    if tiles.array_mode == ArrayMode::LINEAR_ALIGNED {
        return Ok(Layout::Modifier(Modifier::LINEAR));
    }
    if tiles.is_linear() {
        return Err(Error::new(Stage::Import, Kind::Unsupported)
            .found(format!("ARRAY_MODE {} ({})", tiles.array_mode.0, tiles.array_mode.name()))
            .why("drivers share modes 1, 2 and 4 only, so another device has to guess what was meant"));
    }
    match image.map(|image| image.image) {
        Some(ImageType::D2 | ImageType::D2_ARRAY | ImageType::CUBE) => Ok(Layout::Tiles(*tiles)),
        Some(other) => Err(Error::new(Stage::Import, Kind::Unsupported)
            .found(format!("an image of type {other} on GFX6 to GFX8"))
            .why("the word stores thick and thin tiles alike, and says nothing about samples")),
        None => Err(missing("the block", "the word stores thick and thin tiles alike; TYPE of the block tells")),
    }
}

fn missing(parameter: &'static str, why: impl Into<Text>) -> Error {
    Error::new(Stage::Import, Kind::Unsupported)
        .asked("the layout of another device's buffer")
        .found(format!("{parameter}: missing"))
        .why(why)
        .help(parameter)
}
