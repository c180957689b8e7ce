//! What readers make of metadata: one on the device that wrote it, and one on any other.

use handover::layout::tiling::Gfx8;
use handover::metadata::amdgpu::{
    Caller, Chip, Description, ImageType, Level, Outcome, Reader, Reading, TilingWord, VENDOR, read,
};
use handover::metadata::registry::Decoded;
use handover::{Bytes, Error, Modifier};
use serde_json::{Value, json};

use super::input::Input;

/// What amdgpu's reader on the producer's own device concludes.
pub(super) struct Here {
    pub(super) chip: String,
    pub(super) level: Level,
    /// The image that it asks for.
    pub(super) asked: (u32, u32),
    pub(super) reading: Reading,
}

impl Here {
    /// `None` where the metadata is not amdgpu's, or its level is unknown.
    pub(super) fn of(input: &Input) -> Option<Self> {
        let block = &input.metadata.block;
        let by_driver = input.driver.as_deref() == Some("amdgpu");
        if !(by_driver || input.driver.is_none() && block.header()?.vendor_id == VENDOR) {
            return None;
        }
        let level = input.level()?;
        let pci_id = input.pci_id().unwrap_or_default();
        let image = Description::decode(level, block).ok().map(|description| description.descriptor);
        let own = image.as_ref().map_or((1, 1), |image| (image.width, image.height));
        let asked = input.size.unwrap_or(own);
        let (last, is_multisampled) =
            image.map_or((0, false), |image| (image.last_level, image.image.is_multisampled()));
        let caller = Caller {
            modifier: None,
            offset: Bytes::ZERO,
            width: asked.0,
            height: asked.1,
            levels: if is_multisampled { 1 } else { u32::from(last) + 1 },
            samples: if is_multisampled { 1 << last } else { 1 },
            image: image.map_or(ImageType::D2, |image| image.image),
            // Nobody here knows the buffer, so nothing is said about what ends behind it.
            buffer: Bytes(u64::MAX),
            surface: Bytes::ZERO,
            dcc: Bytes::ZERO,
        };
        let reading = read(&Reader { pci_id, level }, &caller, input.metadata.word, block.stored());
        let chip = Chip::of(pci_id).map_or_else(|| format!("a chip of {level}"), ToString::to_string);
        Some(Self { chip, level, asked, reading })
    }

    /// Sentences for people.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut said = vec![format!("{}", self.reading.outcome)];
        if self.reading.descriptor.is_some() && !matches!(self.reading.outcome, Outcome::Reject(_)) {
            let (width, height) = self.asked;
            said.push(format!("asked for {width}x{height}, in a buffer that is large enough"));
        }
        if let Some(offset) = self.reading.dcc_offset {
            said.push(format!("DCC of shaders at {:#x}", offset.get()));
        }
        if let Some(offset) = self.reading.display_dcc_offset {
            said.push(format!("DCC of the display at {:#x}", offset.get()));
        }
        said.extend(self.reading.word.as_ref().map(tiles));
        said
    }

    pub(super) fn json(&self) -> Value {
        let word = self.reading.word.as_ref();
        json!({
            "chip": self.chip,
            "level": self.level.to_string(),
            "outcome": self.reading.outcome.to_string(),
            "refused": matches!(self.reading.outcome, Outcome::Reject(_)),
            "width": self.asked.0,
            "height": self.asked.1,
            "dcc_offset": self.reading.dcc_offset.map(Bytes::get),
            "display_dcc_offset": self.reading.display_dcc_offset.map(Bytes::get),
            "linear": word.map(TilingWord::is_linear),
            "scanout": word.map(TilingWord::is_scanout),
            "swizzle": word.and_then(TilingWord::swizzle).map(|swizzle| swizzle.to_string()),
        })
    }
}

fn tiles(word: &TilingWord) -> String {
    let layout = match (word.swizzle(), word) {
        (Some(swizzle), _) => format!("laid out as {swizzle}, with its own GB_ADDR_CONFIG"),
        (None, TilingWord::Gfx6(word)) => format!("laid out as {} tiles", word.array_mode.name()),
        (None, _) => String::from("laid out by the word"),
    };
    let layout = if word.is_linear() { "laid out in rows".into() } else { layout };
    if word.is_scanout() { format!("{layout}; a display may read it") } else { layout }
}

/// What a reader on another device concludes.
pub(super) enum Elsewhere {
    /// It knows where every pixel lies.
    Reads(Modifier),
    /// The same, where there is no modifier to say it by: the tiles.
    Tiles(Gfx8),
    /// It knows where everything lies, and not what the pixels are.
    Compressed(Modifier),
    /// It refuses: what is missing, if it is that, and which option gives it.
    Refuses { why: String, missing: Option<String>, option: Option<&'static str> },
}

/// What refusals call missing, and the option that gives it.
const OPTIONS: [(&str, &str); 6] = [
    ("GB_ADDR_CONFIG", "--gb-addr-config"),
    ("PCI ID", "--pci-id"),
    ("GFX level", "--gfx"),
    ("size of a pixel", "--format"),
    ("external_rev", "--param constant_encode=1 for Raven2, 0 for Raven"),
    ("block", "--block"),
];

impl Elsewhere {
    pub(super) fn of(decoded: &Decoded) -> Self {
        if let Some(tiles) = decoded.tiles {
            return Self::Tiles(tiles);
        }
        match &decoded.modifier {
            Ok(modifier) if modifier.parse().is_ok_and(|parsed| parsed.is_compressed()) => Self::Compressed(*modifier),
            Ok(modifier) => Self::Reads(*modifier),
            Err(error) => Self::refused(error),
        }
    }

    fn refused(error: &Error) -> Self {
        let why = error.to_string();
        let missing = missing(&why);
        let option = missing.as_deref().and_then(|missing| OPTIONS.iter().find(|(what, _)| missing.contains(what)));
        Self::Refuses { option: option.map(|(_, option)| *option), missing, why }
    }

    pub(super) fn sentences(&self) -> Vec<String> {
        match self {
            Self::Reads(Modifier::LINEAR) => vec!["reads it: rows of pixels".into()],
            Self::Reads(modifier) => vec![format!("reads it, with a decoder for {modifier}")],
            Self::Tiles(tiles) => {
                let Gfx8 { pipes, banks, bank_width, bank_height, macro_aspect, .. } = tiles;
                let banks = format!("{banks} banks of {bank_width}x{bank_height}, aspect {macro_aspect}");
                vec![format!(
                    "reads it, with a decoder for tiles of GFX8: {pipes} pipes, {banks}; no modifier can say it"
                )]
            }
            Self::Compressed(modifier) => {
                vec![format!("refuses: {modifier} is compressed: resolve first"), "knows where all of it lies".into()]
            }
            Self::Refuses { why, missing, option } => {
                let mut said = vec![format!("refuses: {why}")];
                if let Some(missing) = missing {
                    said.push(match option {
                        Some(option) => format!("missing: {missing} ({option})"),
                        None => format!("missing: {missing}"),
                    });
                }
                said
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Reads(_) | Self::Tiles(_) => json!({ "reads": true, "why": null, "missing": null, "option": null }),
            Self::Compressed(_) => {
                json!({ "reads": false, "why": "compressed: resolve first", "missing": null, "option": null })
            }
            Self::Refuses { why, missing, option } => {
                json!({ "reads": false, "why": why, "missing": missing, "option": option })
            }
        }
    }
}

/// What a refusal of the model says is missing: its `found` part.
fn missing(why: &str) -> Option<String> {
    let found = why.split("; ").find_map(|part| part.split_once("found ").map(|(_, found)| found))?;
    let what = found.strip_suffix(" is missing").or_else(|| found.strip_suffix(": missing"))?;
    Some(what.to_owned())
}
