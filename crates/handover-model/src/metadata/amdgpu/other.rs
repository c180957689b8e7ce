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
    ArrayMode, Chip, ChipConfig, DccPlane, Descriptor, Gfx6Word, ImageType, Level, TilingWord, VENDOR, to_modifier,
};
use crate::{Bytes, Error, Kind, Metadata, Modifier, Result, Stage, Text, Word};

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
    hidden_xor(metadata)?;
    agree(metadata, &word, image.as_ref())?;

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
            let config = match producer.config {
                Some(config) => Some(config),
                None => pci_id.and_then(|pci_id| ChipConfig::of_pci(pci_id).ok()),
            };
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
    let header = metadata.block.header().filter(|_| Form::of(&metadata.block) != Form::Pal);
    if let Some(header) = header.filter(|header| header.vendor_id != VENDOR) {
        return Err(Error::new(Stage::Import, Kind::Unsupported)
            .found(format!("metadata of {header}"))
            .why("dword 1 bits 31:16 are not 0x1002, so another vendor defines word and block")
            .help("a codec for that vendor"));
    }
    let pci_id = header.map(|header| header.pci_id).or(producer.pci_id);
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

/// PAL can mix bits into addresses that only its private part knows.
fn hidden_xor(metadata: &Metadata) -> Result<()> {
    match PalBlock::decode(&metadata.block) {
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
