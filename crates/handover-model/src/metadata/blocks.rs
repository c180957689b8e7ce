//! The metadata of the simulated devices: what `blocks` writes, and what a consumer elsewhere decodes.
//!
//! | dword | `blocks`, version 1 |
//! |---|---|
//! | 0, 1 | [`Header`]: version 1, flags 0, vendor [`SIM_VENDOR`], PCI ID [`SIM_BLOCKS`] |
//! | 2, 3 | width and height in pixels |
//! | 4 | format code |
//! | 5 | offset of the compression plane in bytes, or 0 once compression was dropped |
//! | 6 | clear colour of cleared tiles, as the 4 bytes of a pixel, little-endian |
//!
//! `plain` writes its header alone: the layout of a linear surface is in its handle.

use alloc::format;
use alloc::vec::Vec;

use super::field::{Bits, Place};
use super::registry::{Codec, Decoded, Image, Query};
use super::{Block, Header, SIM_BLOCKS, SIM_PLAIN, SIM_VENDOR};
use crate::{Bytes, Error, Extent, Format, Fourcc, Kind, Layout, Modifier, Result, Stage};

/// Header of every block that the simulated device `plain` writes.
pub const PLAIN_HEADER: Header = Header { vendor_id: SIM_VENDOR, pci_id: SIM_PLAIN, version: 1, flags: 0 };
/// Header of every block that the simulated device `blocks` writes.
pub const BLOCKS_HEADER: Header = Header { vendor_id: SIM_VENDOR, pci_id: SIM_BLOCKS, version: 1, flags: 0 };

const DWORDS: usize = 7;

/// What a block of `blocks` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlocksMetadata {
    /// Width and height.
    pub extent: Extent,
    /// Format of the pixels.
    pub format: Format,
    /// Where the compression plane begins; `None` once compression was dropped.
    pub compression: Option<Bytes>,
    /// The pixel value of cleared tiles.
    pub clear_colour: u32,
}

impl BlocksMetadata {
    /// What describes this layout. `None` if it is not one of `blocks`.
    pub fn of(layout: &Layout, clear_colour: u32) -> Option<Self> {
        let (format, extent) = layout.format().zip(layout.extent())?;
        if layout.modifier() != Modifier::SIM_BLOCKS {
            return None;
        }
        Some(Self { extent, format, compression: layout.plane(1).map(|plane| plane.offset), clear_colour })
    }

    /// The block that says this.
    ///
    /// # Errors
    /// `Unsupported` if the compression plane begins past 4 GiB, which the block cannot say.
    pub fn encode(&self) -> Result<Block> {
        let offset = u32::try_from(self.compression.unwrap_or_default().get()).map_err(|_| {
            Error::new(Stage::Allocate, Kind::Unsupported)
                .asked(format!("metadata for a compression plane at {}", self.compression.unwrap_or_default()))
                .why("version 1 has 32 bits for it")
        })?;
        let [first, second] = BLOCKS_HEADER.dwords();
        let (width, height) = (self.extent.width().get(), self.extent.height().get());
        let dwords: [u32; DWORDS] = [first, second, width, height, self.format.fourcc().0, offset, self.clear_colour];
        let mut bytes = [0; 4 * DWORDS];
        for (to, from) in bytes.chunks_exact_mut(4).zip(dwords) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        Block::new(&bytes)
    }

    /// Reads a block that someone set.
    ///
    /// # Errors
    /// `Unsupported`, naming what was found, if the header is missing, or of another device or version; `Malformed` if the
    /// rest contradicts itself.
    pub fn decode(block: &Block) -> Result<Self> {
        let Some(header) = block.header() else {
            return Err(unsupported(format!("a metadata block of {} bytes", block.len()))
                .why("a header has 8 bytes, and without one nobody knows the producer's device"));
        };
        if header != BLOCKS_HEADER {
            let why = match header {
                Header { vendor_id, .. } if vendor_id != SIM_VENDOR => "its vendor is not the simulated one",
                Header { pci_id, .. } if pci_id != SIM_BLOCKS => "it is another simulated device than blocks",
                Header { version: 1, .. } => "version 1 has no flags",
                _ => "only version 1 is known",
            };
            return Err(unsupported(format!("metadata of {header}")).why(why).help(format!("{BLOCKS_HEADER}")));
        }
        let fields = (block.dword(2), block.dword(3), block.dword(4), block.dword(5), block.dword(6));
        let (Some(width), Some(height), Some(fourcc), Some(offset), Some(clear_colour)) = fields else {
            return Err(malformed(format!("{} bytes; version 1 has {}", block.len(), 4 * DWORDS)));
        };
        if block.len() != 4 * DWORDS {
            return Err(malformed(format!("{} bytes; version 1 has {}", block.len(), 4 * DWORDS)));
        }
        let extent = Extent::new(width, height).map_err(|_| malformed(format!("an extent of {width}x{height} px")))?;
        let format = Format::from_fourcc(Fourcc(fourcc))
            .ok_or_else(|| unsupported(format!("the format {} in metadata of blocks", Fourcc(fourcc))))?;
        let compression = Some(Bytes(u64::from(offset))).filter(|offset| *offset != Bytes::ZERO);
        Ok(Self { extent, format, compression, clear_colour })
    }

    /// The layout that the metadata describes, where a handle says `layout`. The two agree on all but compression, which may
    /// have been dropped since the handle was sent.
    ///
    /// # Errors
    /// `Malformed` if they contradict each other: someone set the metadata of another surface.
    pub fn apply(&self, layout: &Layout) -> Result<Layout> {
        let handle = Self::of(layout, self.clear_colour)
            .ok_or_else(|| malformed(format!("a handle with {}", layout.modifier())))?;
        if *self == handle {
            return Ok(*layout);
        }
        let plain = layout.without_compression();
        if Self::of(&plain, self.clear_colour) == Some(*self) {
            return Ok(plain);
        }
        Err(malformed(format!(
            "{} {} with {} in the metadata, {} {} with {} in the handle",
            self.format,
            self.extent,
            self.compression_text(),
            handle.format,
            handle.extent,
            handle.compression_text()
        )))
    }

    fn compression_text(&self) -> alloc::string::String {
        match self.compression {
            Some(offset) => format!("a compression plane at {offset}"),
            None => "no compression plane".into(),
        }
    }
}

fn unsupported(found: alloc::string::String) -> Error {
    Error::new(Stage::Import, Kind::Unsupported).found(found)
}

fn malformed(found: alloc::string::String) -> Error {
    Error::new(Stage::Import, Kind::Malformed).found(found).why("metadata of blocks cannot be so")
}

/// The codec of the simulated devices, by their header.
#[derive(Debug, Clone, Copy)]
pub struct Simulated;

impl Codec for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn knows(&self, query: &Query<'_>) -> bool {
        query.metadata.block.header().is_some_and(|header| header == PLAIN_HEADER || header == BLOCKS_HEADER)
    }

    fn decode(&self, query: &Query<'_>) -> Result<Decoded> {
        const NAMES: [&str; DWORDS] =
            ["VERSION", "DEVICE", "WIDTH", "HEIGHT", "FORMAT", "COMPRESSION_OFFSET", "CLEAR_COLOUR"];
        let block = &query.metadata.block;
        let show = |(index, name): (usize, &'static str)| {
            let place = Place::Dword(u8::try_from(index).ok()?);
            Some(Bits::new(name, 31, 0).show(place, u64::from(block.dword(index)?), ""))
        };
        let fields = NAMES.into_iter().enumerate().filter_map(show).collect();
        if block.header() == Some(PLAIN_HEADER) {
            return Ok(Decoded::new("plain (simulated): linear", fields, Ok(Modifier::LINEAR)));
        }
        let said = BlocksMetadata::decode(block)?;
        let summary = format!("blocks (simulated): {} {} with {}", said.format, said.extent, said.compression_text());
        let beyond = Vec::from([format!("all of it: {summary}; the word of a simulated device is 0")]);
        let image = Image {
            width: said.extent.width().get(),
            height: said.extent.height().get(),
            levels: 1,
            layers: 1,
            samples: 1,
            bytes_per_element: said.format.planes().first().map(|plane| plane.bytes_per_element),
        };
        Ok(Decoded::new(summary, fields, Ok(Modifier::SIM_BLOCKS)).beyond_word(beyond).image(Some(image)))
    }
}
