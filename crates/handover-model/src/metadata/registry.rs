//! "What is this?": one question for any metadata, answered by the codec of the producer's device.
//!
//! A consumer holds a word and a block, and perhaps knows which driver they came from. The header in the block names the device that
//! defines the rest; without a header the driver does. Each [`Codec`] says which metadata it knows. The codecs here cover every
//! driver of the kernel that stores something with a buffer, and the simulated devices; others are registered from outside, and go
//! before these.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::field::Field;
use super::{amdgpu, blocks, words};
use crate::layout::tiling::Gfx8;
use crate::{Bytes, Error, Kind, Metadata, Modifier, Result, Stage, Word};

/// What a consumer holds, and what it knows beside it.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Word and block.
    pub metadata: &'a Metadata,
    /// The kernel driver they came from ("amdgpu", "i915", …), if that is known.
    pub driver: Option<&'a str>,
    /// What is known of the producer's device, by the names that a codec lists in [`Codec::parameters`].
    pub parameters: &'a [(&'a str, u64)],
}

impl<'a> Query<'a> {
    /// A question about metadata of which nothing else is known.
    pub const fn new(metadata: &'a Metadata) -> Self {
        Self { metadata, driver: None, parameters: &[] }
    }

    /// Says which driver it came from.
    #[must_use]
    pub const fn from_driver(self, driver: &'a str) -> Self {
        Self { driver: Some(driver), ..self }
    }

    /// Says what is known of the producer's device.
    #[must_use]
    pub const fn with(self, parameters: &'a [(&'a str, u64)]) -> Self {
        Self { parameters, ..self }
    }

    /// One of the parameters.
    pub fn parameter(&self, name: &str) -> Option<u64> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The image that a block describes, for an importer to compare with what its handle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Image {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Levels.
    pub levels: u32,
    /// Layers, the faces of cubes counted; of three dimensions, slices.
    pub layers: u32,
    /// Samples a pixel.
    pub samples: u32,
    /// Bytes of an element, of the first plane if there are several. `None` for a format that the codec does not know.
    pub bytes_per_element: Option<Bytes>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// In one line.
    pub summary: String,
    /// Every field by name.
    pub fields: Vec<Field>,
    /// The modifier of the same layout, or why there is none that is certain.
    pub modifier: Result<Modifier>,
    /// The layout where it is certain and there can be no modifier: tiles of AMD GFX8.
    pub tiles: Option<Gfx8>,
    /// What was learnt that the 8-byte word alone could not tell; empty if the word is all there is, or tells all.
    pub beyond_word: Vec<String>,
    /// The image, if a block describes one.
    pub image: Option<Image>,
}

impl Decoded {
    /// An answer of this summary, fields and modifier.
    pub fn new(summary: impl Into<String>, fields: Vec<Field>, modifier: Result<Modifier>) -> Self {
        Self { summary: summary.into(), fields, modifier, tiles: None, beyond_word: Vec::new(), image: None }
    }

    /// Says what the word alone could not tell.
    #[must_use]
    pub fn beyond_word(mut self, beyond: Vec<String>) -> Self {
        self.beyond_word = beyond;
        self
    }

    /// Says in which tiles it lies that have no modifier.
    #[must_use]
    pub fn tiles(mut self, tiles: Option<Gfx8>) -> Self {
        self.tiles = tiles;
        self
    }

    /// Says which image the block describes.
    #[must_use]
    pub fn image(mut self, image: Option<Image>) -> Self {
        self.image = image;
        self
    }
}

/// The decoder of one producer's metadata.
pub trait Codec: Send + Sync {
    /// Its name: the driver's, or the device's.
    fn name(&self) -> &'static str;

    /// Does it define this metadata? By the header if there is one, else by the driver.
    fn knows(&self, query: &Query<'_>) -> bool;

    /// Decodes what it knows.
    ///
    /// # Errors
    /// `Malformed` or `Truncated`, naming the field, where the bytes are not what the producer's device writes.
    fn decode(&self, query: &Query<'_>) -> Result<Decoded>;

    /// The parameters of [`Query::parameters`] that it uses: name and meaning.
    fn parameters(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// Codecs, asked from the last registered to the first.
///
/// ```
/// use handover_model::metadata::registry::{Query, Registry};
/// use handover_model::{Block, Metadata, Modifier, Word};
/// let registry = Registry::new();
/// let x_tiled = Metadata { word: Word(0x1000 | 1), block: Block::EMPTY };
/// let (codec, decoded) = registry.identify(&Query::new(&x_tiled).from_driver("i915"))?;
/// assert_eq!((codec, decoded.modifier?), ("i915", Modifier(0x0100_0000_0000_0001)));
/// assert!(registry.identify(&Query::new(&Metadata::default())).unwrap_err().to_string().contains("unknown"));
/// # Ok::<(), handover_model::Error>(())
/// ```
pub struct Registry {
    codecs: Vec<Box<dyn Codec>>,
}

impl Registry {
    /// The codecs of this library.
    pub fn new() -> Self {
        let codecs: Vec<Box<dyn Codec>> = Vec::from([
            Box::new(words::Vc4) as Box<dyn Codec>,
            Box::new(words::Tegra),
            Box::new(words::Nouveau),
            Box::new(words::I915),
            Box::new(words::Radeon),
            Box::new(words::Msm),
            Box::new(blocks::Simulated),
            Box::new(amdgpu::Amdgpu),
        ]);
        Self { codecs }
    }

    /// No codec at all.
    pub const fn empty() -> Self {
        Self { codecs: Vec::new() }
    }

    /// Adds a codec, which goes before those that are there.
    pub fn register(&mut self, codec: Box<dyn Codec>) {
        self.codecs.push(codec);
    }

    /// Every codec, in the order in which they are asked.
    pub fn codecs(&self) -> impl Iterator<Item = &dyn Codec> {
        self.codecs.iter().rev().map(AsRef::as_ref)
    }

    /// What is this? The name of the codec that knows it, and what it makes of it.
    ///
    /// # Errors
    /// `Unsupported` if no codec knows it, naming the vendor or driver; else those of the codec.
    pub fn identify(&self, query: &Query<'_>) -> Result<(&'static str, Decoded)> {
        let Some(codec) = self.codecs().find(|codec| codec.knows(query)) else { return Err(self.unknown(query)) };
        codec.decode(query).map(|decoded| (codec.name(), decoded))
    }

    fn unknown(&self, query: &Query<'_>) -> Error {
        let refused = Error::new(Stage::Import, Kind::Unsupported).asked("what this metadata says");
        let Metadata { word, block } = query.metadata;
        if block.is_empty() && *word == Word(0) && query.driver.is_none() {
            return refused
                .found("a word of 0 and no block: unknown")
                .why("nothing was ever set, or it was lost on the way to another device; neither means linear")
                .help("a modifier, or the metadata that the producer's own device holds");
        }
        let found = match (block.header(), query.driver) {
            (Some(header), _) => format!("metadata of {header}"),
            (None, Some(driver)) => format!("metadata of the driver {driver}"),
            (None, None) => format!("the word {:#018x} and no header", word.0),
        };
        let mut names = String::new();
        for codec in self.codecs() {
            names.push_str(if names.is_empty() { "a codec for it; there are " } else { ", " });
            names.push_str(codec.name());
        }
        refused.found(found).why("no registered codec knows it").help(names)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Registry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.codecs().map(Codec::name)).finish()
    }
}
