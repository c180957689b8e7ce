//! AMDGPU in the registry: what a consumer elsewhere learns from word and block.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::pal::{Form, PalBlock};
use super::{
    Chip, ChipConfig, Description, Determined, FormatNumbers, Layout, Level, Producer, TilingWord, VENDOR, determine,
};
use crate::layout::tiling::Gfx8;
use crate::metadata::registry::{Codec, Decoded, Image, Query};
use crate::{Bytes, Error, Kind, Metadata, Modifier, Result, Stage, Word};

/// The codec of AMDGPU's metadata, by header or driver.
#[derive(Debug, Clone, Copy)]
pub struct Amdgpu;

impl Codec for Amdgpu {
    fn name(&self) -> &'static str {
        "amdgpu"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        let Metadata { block, .. } = query.metadata;
        let by_driver = query.driver == Some(self.name());
        match block.header() {
            _ if Form::of(block) == Form::Pal => by_driver,
            Some(header) => header.vendor_id == VENDOR && (by_driver || query.driver.is_none()),
            None => by_driver,
        }
    }

    fn parameters(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("pci_id", "PCI ID of the producer's device, where the block does not say it"),
            ("gb_addr_config", "its register GB_ADDR_CONFIG, where the PCI ID does not give it"),
            ("gfx", "its GFX level as major * 10 + minor, where its PCI ID is unknown"),
            ("constant_encode", "1 if its DCC encodes constants (Raven2), 0 if not (Raven)"),
            ("plain_2d", "1 if it is one level of a 2D image with one layer and one sample, where no block says it"),
            ("bytes_per_element", "bytes of a pixel, where the format is unknown"),
        ]
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        let Metadata { word, block } = query.metadata;
        if block.is_empty() && *word == Word(0) {
            let why = determine(query.metadata, None, None, &Producer::default());
            return Ok(Decoded::new("unknown: no word and no block", Vec::new(), why.and_then(modifier)));
        }
        let form = Form::of(block);
        let header = block.header().filter(|_| form != Form::Pal);
        let pci_id = header.map(|header| header.pci_id).or_else(|| number(query, "pci_id"));
        let chip = pci_id.and_then(Chip::of);
        let level = chip.map(|chip| chip.level).or_else(|| level_of(query)).ok_or_else(|| {
            Error::new(Stage::Import, Kind::Unsupported)
                .found(match pci_id {
                    Some(id) => format!("AMD metadata of PCI ID {id:#06x}, which no table knows"),
                    None => "an AMD tiling word without a block".into(),
                })
                .why("the word does not say its generation, and nothing else does")
                .help("the parameter pci_id or gfx of the producer's device")
        })?;
        let tiling = TilingWord::parse(level, *word)?;
        let mut fields = tiling.fields();
        let description = match form {
            Form::Pal => None,
            _ if block.is_empty() => None,
            _ => Some(Description::decode(level, block)?),
        };
        fields.extend(description.iter().flat_map(|description| description.fields(block)));
        fields.extend(PalBlock::fields(block, Some(level)));

        let config = query.parameter("gb_addr_config").and_then(|register| u32::try_from(register).ok());
        let producer = Producer {
            pci_id,
            level: Some(level),
            config: config.and_then(|register| ChipConfig::parse(level, register).ok()),
            constant_encode: query.parameter("constant_encode").map(|encode| encode != 0),
            plain_image: query.parameter("plain_2d") == Some(1),
        };
        let bytes = description.as_ref().and_then(element_bytes).or_else(|| query.parameter("bytes_per_element"));
        let determined = determine(query.metadata, None, bytes.map(Bytes), &producer);
        let owner = match chip {
            Some(chip) => format!("{chip}"),
            None => format!("a chip of {level}"),
        };
        let what = match (&description, form) {
            (Some(description), Form::Other) => image_text(description),
            (_, Form::Other) => "a tiling word alone".into(),
            (_, Form::Pal) => "PAL's private block".into(),
            (_, Form::PalWithMesa) => "PAL's private block with a short header of Mesa's".into(),
        };
        let tiles = tiles_text(&tiling);
        let beyond = description.as_ref().map(beyond_word).unwrap_or_default();
        let image = match (&description, form) {
            (Some(said), Form::Other) if said.chip().is_none_or(Chip::has_images) => Some(image_of(said)),
            _ => PalBlock::decode(block).as_ref().and_then(image_of_pal),
        };
        let summary = format!("{owner}: {what}, {tiles}");
        let tiles = determined.as_ref().map_err(Clone::clone).and_then(tiles_of);
        // Where the word's tiles are none that is known here, that is why nobody can read it, and not that they have no modifier.
        let modifier = tiles.as_ref().map_err(Clone::clone).and_then(|_| determined.and_then(modifier));
        Ok(Decoded::new(summary, fields, modifier).tiles(tiles.unwrap_or_default()).beyond_word(beyond).image(image))
    }
}

fn number(query: &Query<'_>, name: &str) -> Option<u16> {
    query.parameter(name).and_then(|value| u16::try_from(value).ok())
}

fn level_of(query: &Query<'_>) -> Option<Level> {
    let wanted = query.parameter("gfx")?;
    Level::ALL.into_iter().find(|level| {
        let (major, minor) = level.number().split_once('.').unwrap_or((level.number(), "0"));
        let number = |text: &str| text.parse::<u64>().unwrap_or_default();
        number(major).saturating_mul(10).saturating_add(number(minor)) == wanted
    })
}

fn modifier(determined: Determined) -> Result<Modifier> {
    match determined.layout {
        Layout::Modifier(modifier) => Ok(modifier),
        Layout::Tiles(_) => Err(Error::new(Stage::Import, Kind::Unsupported)
            .asked("a modifier for a tiling word")
            .why("GFX6, 7 and 8 have no modifiers; the tile parameters of the word give the layout")),
    }
}

/// The tiles of a layout without a modifier; `None` where it has one.
fn tiles_of(determined: &Determined) -> Result<Option<Gfx8>> {
    let (Layout::Tiles(word), Some(level)) = (determined.layout, determined.level) else { return Ok(None) };
    let tiles = word.tiles(level)?;
    let refused = || Error::new(Stage::Import, Kind::Unsupported).asked("the tiles of a word");
    if determined.compressed != Some(false) {
        return Err(refused()
            .found("COMPRESSION_EN in the block")
            .why("compressed: its producer has to resolve it first, nobody else knows the compression"));
    }
    match determined.image.filter(|image| image.last_level != 0 || image.layers() != 1) {
        Some(image) => Err(refused()
            .found(format!("LAST_LEVEL {} and {} layers in the block", image.last_level, image.layers()))
            .why("the word's tiles are those of the first level, and say nothing of where the others begin")),
        None => Ok(Some(tiles)),
    }
}

fn tiles_text(word: &TilingWord) -> String {
    match (word.swizzle(), word) {
        (Some(swizzle), _) => format!("{swizzle}"),
        (None, TilingWord::Gfx6(word)) => format!("{} tiles", word.array_mode.name()),
        (None, _) => String::new(),
    }
}

fn image_of(description: &Description) -> Image {
    let said = &description.descriptor;
    let last = u32::from(said.last_level);
    let multisampled = said.image.is_multisampled();
    Image {
        width: said.width,
        height: said.height,
        levels: if multisampled { 1 } else { last.saturating_add(1) },
        layers: said.layers(),
        samples: if multisampled { 1_u32.wrapping_shl(last) } else { 1 },
        bytes_per_element: element_bytes(description).map(Bytes),
    }
}

/// PAL numbers formats in its own way.
fn image_of_pal(pal: &PalBlock) -> Option<Image> {
    Some(Image {
        width: pal.width,
        height: pal.height,
        levels: u32::try_from(pal.levels()).ok()?,
        layers: pal.layers.max(pal.depth),
        samples: u32::try_from(pal.samples()).ok()?,
        bytes_per_element: None,
    })
}

/// Bytes of an element, by what every row of the table of formats has: the DATA_FORMAT of GFX6–9.
fn element_bytes(description: &Description) -> Option<u64> {
    let format = description.descriptor.texel_format()?;
    match format.numbers(Level::Gfx9) {
        FormatNumbers::Split { data, .. } => match data {
            1 => Some(1),
            2 | 3 | 16..=19 | 32 | 33 => Some(2),
            4..=10 | 34 => Some(4),
            11 | 12 => Some(8),
            14 => Some(16),
            _ => None,
        },
        FormatNumbers::Unified(_) => None,
    }
}

fn image_text(description: &Description) -> String {
    let image = &description.descriptor;
    let format = match image.texel_format() {
        Some(format) => format!("{format}"),
        None => "a format that is not in the table".into(),
    };
    let dcc = match (image.dcc.enabled, image.dcc.offset) {
        (false, _) => String::from("no DCC"),
        (true, Bytes::ZERO) => "compressed pages".into(),
        (true, offset) => format!("DCC at {offset}"),
    };
    format!("{} image of {}x{}, {format}, {dcc}", image.image, image.width, image.height)
}

/// What the block adds to the word.
fn beyond_word(description: &Description) -> Vec<String> {
    let image = &description.descriptor;
    let chip = match description.chip() {
        Some(chip) => format!("the producer's device: {chip}, PCI ID {:#06x}", description.pci_id),
        None => format!("the producer's device: PCI ID {:#06x}", description.pci_id),
    };
    let mut beyond = Vec::from([
        chip,
        format!("the kind of image and its size: {} {}x{}", image.image, image.width, image.height),
        match image.texel_format() {
            Some(format) => format!("the format and the order of its channels: {format}"),
            None => format!("the format: {:?}", image.format),
        },
    ]);
    if image.image.is_multisampled() {
        beyond.push(format!("samples: {}", 1_u32.wrapping_shl(u32::from(image.last_level))));
    } else {
        beyond.push(format!("levels: {}", u32::from(image.last_level).saturating_add(1)));
    }
    match (image.dcc.enabled, image.dcc.offset) {
        (false, _) => beyond.push("that there is no DCC for shaders".into()),
        (true, Bytes::ZERO) => beyond.push("that the pages are compressed".into()),
        (true, offset) => beyond.push(format!("where the DCC of shaders begins: {offset}")),
    }
    if let Some(pitch) = image.pitch.filter(|_| image.last_level == 0) {
        beyond.push(format!("the pitch: {pitch} texels"));
    }
    if description.level_offsets.len() > 1 {
        beyond.push(format!("where each of {} levels begins", description.level_offsets.len()));
    }
    beyond
}
