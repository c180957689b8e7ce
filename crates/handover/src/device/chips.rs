//! Simulated devices that stand for real chips: their IDs, their modifiers, their rules, and what their drivers write about a surface.
//!
//! Layouts, tiling words and blocks are the real ones. What is ours is the content of compression data (see [`tiled`](super::tiled)),
//! which no vendor documents: a real chip of the same kind could not read it.

use handover_model::layout::Constraints;
use handover_model::layout::tiling::Gfx8;
use handover_model::metadata::amdgpu::{
    BlockSize, Chip as AmdChip, Dcc, DccPlane, Description, Descriptor, ImageType, Level, Reader, Swizzle, TexelFormat,
    TilingWord, VENDOR, from_modifier,
};
use handover_model::modifier::{Parsed, nvidia::Nvidia};
use handover_model::{Bytes, Extent, Format, Header, Layout, Metadata, Modifier, Stage, Word};

use super::{gfx8, has_display_dcc, is_compressed};
use crate::error::{Error, Kind, Result};

/// A chip.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Chip {
    /// What it is called on a command line.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) product: &'static str,
    pub(super) vendor_id: u16,
    pub(super) pci_id: u16,
    /// What it makes, the best first. LINEAR comes last, whatever else there is.
    modifiers: &'static [Modifier],
    /// What it makes for a display by itself, of formats that it compresses; otherwise the best that its display reads.
    for_display: Option<Modifier>,
    /// Rows of a linear surface begin at multiples of this.
    linear_stride: Bytes,
    driver: Driver,
}

/// Whose word and block its driver writes.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Driver {
    /// Both, as Mesa writes them for this level; with the register GB_ADDR_CONFIG of the chip.
    Amdgpu(Level, u32),
    /// Both, on a chip whose tiles have no modifiers.
    AmdgpuTiles(gfx8::Tiles),
    /// The tiling mode and the stride in one word; no block.
    I915,
    /// Mode and flags in one word; no block.
    Nouveau,
}

/// Modifiers of AMD's: those of Mesa 25.0.7, `ac_surface.c:ac_get_supported_modifiers`, in its order. The display of Vega10 reads no DCC
/// at all: of GFX9, only Raven and Renoir have a second DCC for it (`ac_gpu_info.c`: `use_display_dcc_with_retile_blit`).
pub(super) static VEGA10: Chip = Chip {
    name: "vega10",
    product: "AMD Vega10, GFX9",
    vendor_id: VENDOR,
    pci_id: 0x687f,
    modifiers: &[
        Modifier(0x0200_0005_0481_ba01),
        Modifier(0x0200_0005_0481_b901),
        Modifier(0x0200_0000_0480_1a01),
        Modifier(0x0200_0000_0480_1901),
        Modifier(0x0200_0000_0000_0a01),
        Modifier(0x0200_0000_0000_0901),
    ],
    for_display: None,
    linear_stride: Bytes(256),
    driver: Driver::Amdgpu(Level::Gfx9, 0x2a11_4042),
};

pub(super) static NAVI21: Chip = Chip {
    name: "navi21",
    product: "AMD Navi21, GFX10.3",
    vendor_id: VENDOR,
    pci_id: 0x73bf,
    modifiers: &[
        Modifier(0x0200_0000_2096_bb03),
        Modifier(0x0200_0000_2096_7b03),
        Modifier(0x0200_0000_2093_7b03),
        Modifier(0x0200_0000_2080_1b03),
        Modifier(0x0200_0000_0000_0901),
    ],
    // Blocks of 64 bytes, which a display needs for large images, whatever the size is.
    for_display: Some(Modifier(0x0200_0000_2093_7b03)),
    linear_stride: Bytes(256),
    driver: Driver::Amdgpu(Level::Gfx10_3, 0x0000_0444),
};

/// No modifiers: what it tiles is shared without one.
pub(super) static POLARIS10: Chip = Chip {
    name: "polaris10",
    product: "AMD Polaris10, GFX8: tiles without a modifier",
    vendor_id: VENDOR,
    pci_id: 0x67df,
    modifiers: &[],
    for_display: None,
    linear_stride: Bytes(256),
    driver: Driver::AmdgpuTiles(gfx8::POLARIS10),
};

/// Modifiers: Mesa 25.0.7, iris, in its order for gen 12; a CPU cannot write the media compression, which is left out.
pub(super) static TIGERLAKE: Chip = Chip {
    name: "tigerlake",
    product: "Intel Tiger Lake, gen 12",
    vendor_id: 0x8086,
    pci_id: 0x9a49,
    modifiers: &[Modifier(0x0100_0000_0000_0006), Modifier(0x0100_0000_0000_0002), Modifier(0x0100_0000_0000_0001)],
    for_display: None,
    linear_stride: Bytes(64),
    driver: Driver::I915,
};

/// Modifiers: Mesa 25.0.7, NVK for Turing: blocks of 32 GOBs down to one.
pub(super) static TURING: Chip = Chip {
    name: "turing",
    product: "NVIDIA TU102, Turing",
    vendor_id: 0x10de,
    pci_id: 0x1e04,
    modifiers: &[
        Modifier(0x0300_0000_0060_6015),
        Modifier(0x0300_0000_0060_6014),
        Modifier(0x0300_0000_0060_6013),
        Modifier(0x0300_0000_0060_6012),
        Modifier(0x0300_0000_0060_6011),
        Modifier(0x0300_0000_0060_6010),
    ],
    for_display: None,
    linear_stride: Bytes(256),
    driver: Driver::Nouveau,
};

/// All of them.
pub(super) static ALL: [&Chip; 5] = [&POLARIS10, &VEGA10, &NAVI21, &TIGERLAKE, &TURING];

impl Chip {
    /// What it makes of this format, the best first, LINEAR last.
    pub(super) fn modifiers(&self, format: Format) -> impl Iterator<Item = Modifier> + '_ {
        let own = self.modifiers.iter().copied().filter(move |modifier| self.carries(*modifier, format));
        own.chain([Modifier::LINEAR])
    }

    /// What it makes of this format for a display by itself, the best first.
    pub(super) fn for_display(&self, format: Format) -> impl Iterator<Item = Modifier> + '_ {
        let first = self.for_display.into_iter().filter(move |modifier| self.carries(*modifier, format));
        first.chain(self.modifiers(format).filter(|modifier| self.shows(*modifier)))
    }

    /// Does its display read this? Of DCC only what was made for a display, and of tiles only some orders: those of DCE 12 and of DCN 2
    /// for elements of 4 bytes (`gfx9addrlib.cpp`, `gfx10addrlib.cpp`: `IsValidDisplaySwizzleMode`).
    pub(super) fn shows(&self, modifier: Modifier) -> bool {
        let orders: &[&str] = if self.level() == Some(Level::Gfx9) { &["D", "R"] } else { &["S", "R"] };
        let in_order = match (modifier.parse(), self.level()) {
            (Ok(Parsed::Linear), _) => true,
            // Swizzle modes have 5 bits, so the cast keeps them all.
            (Ok(Parsed::Amd(amd)), Some(level)) => Swizzle::new(level, amd.tile.code() as u8)
                .is_ok_and(|swizzle| swizzle.order().is_some_and(|order| orders.contains(&order))),
            _ => false,
        };
        self.makes(modifier) && in_order && (!is_compressed(modifier) || has_display_dcc(modifier))
    }

    /// Is its display simulated? What displays of other vendors read is not known here.
    pub(super) const fn has_display(&self) -> bool {
        matches!(self.driver, Driver::Amdgpu(..))
    }

    /// Did a chip of this kind write the metadata?
    pub(super) fn wrote(&self, metadata: &Metadata) -> bool {
        metadata.block.header().is_some_and(|header| (header.vendor_id, header.pci_id) == (self.vendor_id, self.pci_id))
    }

    /// Does it make this at all?
    pub(super) fn makes(&self, modifier: Modifier) -> bool {
        modifier == Modifier::LINEAR || self.modifiers.contains(&modifier)
    }

    /// The layout it computes by itself, from the start of the memory: of this modifier, or of tiles that have none.
    pub(super) fn layout(
        &self,
        format: Format,
        extent: Extent,
        modifier: Modifier,
        tiles: Option<Gfx8>,
    ) -> Result<Layout> {
        let linear = Constraints { stride_align: self.linear_stride(format), ..Constraints::NONE };
        match (modifier, tiles) {
            (Modifier::LINEAR, _) => Layout::linear(format, extent, linear),
            (_, Some(tiles)) => Layout::in_tiles(format, extent, tiles, Constraints::NONE),
            (modifier, None) => Layout::tiled(format, extent, modifier, Constraints::NONE),
        }
    }

    /// Does AMDGPU's rule on imports follow for a layout of this modifier or these tiles?
    pub(super) fn imports_by_rule(&self, modifier: Modifier, tiles: Option<Gfx8>) -> bool {
        self.level().is_some() && (self.makes(modifier) || tiles.is_some())
    }

    /// One plane of pixels of a size that tiles have; compressed, of 4 bytes, as Mesa offers it.
    fn carries(&self, modifier: Modifier, format: Format) -> bool {
        let [plane] = format.planes() else { return false };
        match plane.bytes_per_element.get() {
            4 => true,
            // The blocks of AMD's could not say the format.
            1 | 2 | 8 => {
                !is_compressed(modifier) && (self.vendor_id != VENDOR || TexelFormat::of(format.fourcc()).is_some())
            }
            _ => false,
        }
    }

    /// What its driver writes about a surface of this layout. `scanout`: it is for a display.
    pub(super) fn describe(&self, layout: &Layout, scanout: bool) -> Result<Metadata> {
        match &self.driver {
            Driver::Amdgpu(..) | Driver::AmdgpuTiles(_) => self.amdgpu(layout, scanout),
            Driver::I915 => Ok(i915_word(layout).map_or_else(Metadata::default, |word| self.with_word(word))),
            Driver::Nouveau => Ok(self.with_word(nouveau_word(layout))),
        }
    }

    /// Who reads its metadata by its driver's own rule; `None` where the driver has no block.
    pub(super) fn reader(&self) -> Option<Reader> {
        Some(Reader { pci_id: self.pci_id, level: self.level()? })
    }

    /// Its level, if its driver is AMDGPU.
    const fn level(&self) -> Option<Level> {
        match self.driver {
            Driver::Amdgpu(level, _) => Some(level),
            Driver::AmdgpuTiles(_) => Some(Level::Gfx8),
            Driver::I915 | Driver::Nouveau => None,
        }
    }

    /// The tiles it chooses for this format, where they have no modifier.
    pub(super) fn tiles(&self, format: Format) -> Option<Gfx8> {
        match &self.driver {
            Driver::AmdgpuTiles(tiles) => {
                gfx8::of(tiles, format).filter(|_| TexelFormat::of(format.fourcc()).is_some())
            }
            _ => None,
        }
    }

    /// Where rows of its linear surfaces begin.
    pub(super) fn linear_stride(&self, format: Format) -> Bytes {
        match self.driver {
            Driver::AmdgpuTiles(_) => gfx8::linear_stride(format),
            _ => self.linear_stride,
        }
    }

    /// Its register GB_ADDR_CONFIG, if it has one.
    pub(super) fn gb_addr_config(&self) -> Option<u32> {
        match self.driver {
            Driver::Amdgpu(_, register) => Some(register),
            Driver::AmdgpuTiles(_) | Driver::I915 | Driver::Nouveau => None,
        }
    }

    /// Does its driver's metadata say all of this layout?
    pub(super) fn tells(&self, modifier: Modifier) -> bool {
        match self.driver {
            Driver::Amdgpu(..) | Driver::AmdgpuTiles(_) | Driver::Nouveau => true,
            // No mode for what is compressed, and none that says that rows are rows: 0 is what everything newer has too.
            Driver::I915 => modifier != Modifier::LINEAR && !is_compressed(modifier),
        }
    }

    /// Drivers without a block: the header alone, so that a reader knows whose word it is.
    fn with_word(&self, word: Word) -> Metadata {
        Metadata { word, block: self.header().alone() }
    }

    pub(super) fn header(&self) -> Header {
        Header { vendor_id: self.vendor_id, pci_id: self.pci_id, version: 1, flags: 0 }
    }

    fn amdgpu(&self, layout: &Layout, scanout: bool) -> Result<Metadata> {
        let image = (layout.format().zip(layout.extent()), layout.plane(0), self.level());
        let (Some((format, extent)), Some(pixels), Some(level)) = image else {
            // A buffer has no image to describe.
            return Ok(Metadata { block: self.header().alone(), ..Metadata::default() });
        };
        let unfit = |what: String| {
            Error::new(Stage::Allocate, Kind::Unsupported)
                .asked(format!("metadata of {} for {format} {extent}", self.product))
                .why(what)
        };
        let Some(texel) = TexelFormat::of(format.fourcc()) else {
            // What several planes are made of is in no descriptor; the handle says it.
            return Ok(Metadata { block: self.header().alone(), ..Metadata::default() });
        };
        let element = format.planes().first().map_or(1, |plane| plane.bytes_per_element.get().max(1));
        let pitch = u32::try_from(pixels.stride.get() / element).map_err(|_| unfit("the stride is too long".into()))?;
        let modifier = layout.modifier();
        let has_dcc = layout.has_compression();
        let display_dcc = has_dcc && has_display_dcc(modifier);
        let first = layout.plane(1).filter(|_| has_dcc);
        let plane = first.map(|dcc| DccPlane { offset: dcc.offset, pitch: u32::try_from(dcc.stride.get()).ok() });
        let (word, tiling) = match &self.driver {
            Driver::AmdgpuTiles(tiles) => gfx8::word(tiles, layout)?,
            _ => {
                // The word tells of the display's DCC where there is one, the block of the renderer's. What a display could show has
                // its bit, asked for or not.
                let displayable = if has_dcc { display_dcc } else { self.shows(modifier) };
                let word = from_modifier(level, modifier, Some(texel), plane, scanout || displayable)?;
                (word, word.swizzle().map_or(0, |swizzle| swizzle.mode()))
            }
        };
        let dcc = match if display_dcc { layout.plane(2) } else { first } {
            None => Dcc::default(),
            Some(dcc) => Dcc {
                enabled: true,
                offset: dcc.offset,
                alpha_is_on_msb: texel.alpha_is_on_msb(level, AmdChip::of(self.pci_id)).unwrap_or(false),
                pipe_aligned: true,
                rb_aligned: level == Level::Gfx9,
                max_compressed_block: max_compressed_block(&word),
            },
        };
        let description = Description {
            pci_id: self.pci_id,
            descriptor: Descriptor {
                level,
                image: ImageType::D2,
                width: extent.width().get(),
                height: extent.height().get(),
                depth_field: 0,
                last_array: 0,
                last_level: 0,
                format: texel.numbers(level),
                dst_sel: texel.dst_sel(),
                bc_swizzle: texel.bc_swizzle(),
                tiling,
                pitch: (level <= Level::Gfx9).then_some(pitch),
                dcc,
            },
            level_offsets: if level < Level::Gfx9 { vec![Bytes::ZERO] } else { Vec::new() },
            extra: None,
            overridden: None,
        };
        Ok(Metadata { word: word.word()?, block: description.encode()? })
    }
}

fn max_compressed_block(word: &TilingWord) -> BlockSize {
    match word {
        TilingWord::Gfx9(word) => word.max_compressed_block,
        TilingWord::Gfx12(word) => word.max_compressed_block,
        TilingWord::Gfx6(_) => BlockSize::B64,
    }
}

/// Mode in bits 6:0, the stride, a multiple of 128, above (Linux, `i915_gem_object_types.h`: `tiling_and_stride`). `None` for modes that
/// the word does not have: a 0 would say linear.
fn i915_word(layout: &Layout) -> Option<Word> {
    let mode = match layout.modifier().uncompressed()? {
        Modifier::LINEAR => return Some(Word(0)),
        Modifier(0x0100_0000_0000_0001) => 1,
        Modifier(0x0100_0000_0000_0002) => 2,
        _ => return None,
    };
    Some(Word(layout.plane(0)?.stride.get() & !0x7f | mode))
}

/// `tile_mode` in the low half, `tile_flags` in the high one (Linux, `nouveau_drm.h`: `drm_nouveau_gem_info`): blocks of 2^h GOBs in
/// bits 7:4 of the mode, the page kind in bits 15:8 of the flags.
fn nouveau_word(layout: &Layout) -> Word {
    match layout.modifier().parse() {
        Ok(Parsed::Nvidia(Nvidia::BlockLinear2D { block_height_log2, page_kind, .. })) => {
            Word(u64::from(block_height_log2) << 4 | u64::from(page_kind) << 40)
        }
        _ => Word(0),
    }
}
