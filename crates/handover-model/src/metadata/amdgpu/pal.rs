//! The other writer of the same 256 bytes: PAL, the layer below AMDVLK and AMDGPU-PRO.
//!
//! Its block always has 256 bytes. Dwords 0–31 are left to open drivers: 0, except that from GFX10.3 on, for surfaces with a DCC
//! that displays read, dwords 0–9 hold a short header of Mesa's form. PAL's own part begins at dword 32. Source: PAL,
//! `amdgpuDevice.cpp:UpdateMetaData`, `include/2d/amdgpu_shared.h` (commit c5e800072a32).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Level;
use crate::metadata::field::{Bits, Field, Place};
use crate::{BLOCK_BYTES, Block};

/// The first dword of PAL's own part.
const FIRST: usize = 32;

const MIPS: Bits = Bits::new("MIPS", 7, 0);
const RESOURCE_TYPE: Bits = Bits::new("RESOURCE_TYPE", 10, 8);
const TEXTURE: Bits = Bits::new("TEXTURE", 11, 11);
const UAV: Bits = Bits::new("UAV", 12, 12);
const RENDER_TARGET: Bits = Bits::new("RENDER_TARGET", 13, 13);
const DEPTH_STENCIL: Bits = Bits::new("DEPTH_STENCIL", 14, 14);
const CUBE: Bits = Bits::new("CUBE", 15, 15);
const OPTIMAL_SHAREABLE: Bits = Bits::new("OPTIMAL_SHAREABLE", 16, 16);
const SAMPLES: Bits = Bits::new("SAMPLES", 23, 17);
const COMPRESSION_MODE: Bits = Bits::new("COMPRESSION_MODE", 25, 24);

/// Which writer a block is from, by its size and first dword.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// PAL's alone: 256 bytes, dword 0 is 0.
    Pal,
    /// PAL's, headed by a short header of Mesa's form: 256 bytes, dword 0 is 1. TYPE, SW_MODE, FORMAT and LAST_LEVEL in it are 0.
    PalWithMesa,
    /// Not PAL's.
    Other,
}

impl Form {
    /// Tells the forms apart.
    pub fn of(block: &Block) -> Self {
        match (block.len(), block.dword(0)) {
            (BLOCK_BYTES, Some(0)) => Self::Pal,
            (BLOCK_BYTES, Some(1)) => Self::PalWithMesa,
            _ => Self::Other,
        }
    }
}

/// What PAL's own part says, as far as it is the same on every level.
///
/// ```
/// use handover_model::Block;
/// use handover_model::metadata::amdgpu::pal::{Form, PalBlock};
/// let mut bytes = [0; 256];
/// (bytes[128], bytes[132]) = (64, 32);
/// let block = Block::new(&bytes)?;
/// assert_eq!(Form::of(&block), Form::Pal);
/// assert_eq!(PalBlock::decode(&block).map(|pal| (pal.width, pal.height)), Some((64, 32)));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PalBlock {
    /// Width in texels.
    pub width: u32,
    /// Height in texels.
    pub height: u32,
    /// Aligned pitch in bytes.
    pub pitch_bytes: u32,
    /// Aligned height in rows.
    pub aligned_height: u32,
    /// Pixel format, in PAL's own numbering.
    pub format: u32,
    /// GFX9 and later: the swizzle mode. GFX6–8: the tile index.
    pub swizzle_mode: u32,
    /// An XOR of pipe and bank bits that Mesa never sees: not 0 means that a reader of the word alone reads wrong pixels.
    pub pipe_bank_xor: [u32; 3],
    /// Depth in texels.
    pub depth: u32,
    /// Layers.
    pub layers: u32,
    /// The packed flags: levels, kind of resource, uses, samples.
    pub flags: u32,
    /// A number of the resource, unique for the writer.
    pub resource_id: u64,
}

impl PalBlock {
    /// Reads PAL's own part. `None` if the block is not PAL's.
    pub fn decode(block: &Block) -> Option<Self> {
        if Form::of(block) == Form::Other {
            return None;
        }
        let at = |byte: usize| block.dword(FIRST.saturating_add(byte / 4));
        Some(Self {
            width: at(0)?,
            height: at(4)?,
            pitch_bytes: at(8)?,
            aligned_height: at(12)?,
            format: at(16)?,
            swizzle_mode: at(20)?,
            pipe_bank_xor: [at(56)?, at(120)?, at(124)?],
            depth: at(60)?,
            layers: at(64)?,
            flags: at(68)?,
            resource_id: u64::from(at(116)?) << 32 | u64::from(at(112)?),
        })
    }

    /// Levels.
    pub const fn levels(&self) -> u64 {
        MIPS.get(self.flags as u64)
    }

    /// Samples.
    pub const fn samples(&self) -> u64 {
        SAMPLES.get(self.flags as u64)
    }

    /// Every field with its meaning. `level` says how bytes 20–55 and 76–111 are named.
    pub fn fields(block: &Block, level: Option<Level>) -> Vec<Field> {
        let Some(pal) = Self::decode(block) else { return Vec::new() };
        let old = level.is_some_and(|level| level < Level::Gfx9);
        let mut fields = Vec::new();
        let mut push = |name: &'static str, byte: usize, meaning: String| {
            let index = FIRST.saturating_add(byte / 4);
            if let (Some(raw), Ok(place)) = (block.dword(index), u8::try_from(index)) {
                fields.push(Bits::new(name, 31, 0).show(Place::Dword(place), u64::from(raw), meaning));
            }
        };
        for (name, byte, meaning) in [
            ("WIDTH", 0, "texels"),
            ("HEIGHT", 4, "texels"),
            ("PITCH", 8, "bytes, aligned"),
            ("ALIGNED_HEIGHT", 12, "rows"),
            ("PIXEL_FORMAT", 16, pixel_format(pal.format)),
        ] {
            push(name, byte, meaning.into());
        }
        let layout: &[(&str, usize)] = if old {
            &[("TILE_INDEX", 20), ("TILE_MODE", 24), ("MICRO_TILE_MODE", 28), ("BANKS", 32), ("BANK_WIDTH", 36)]
        } else {
            &[("SWIZZLE_MODE", 20), ("RESOURCE_TYPE", 24)]
        };
        for (name, byte) in layout {
            push(name, *byte, String::new());
        }
        for (name, byte) in [
            ("PIPE_BANK_XOR_0", 56),
            ("DEPTH", 60),
            ("ARRAY_SIZE", 64),
            ("FLAGS", 68),
            ("SHARED_FLAGS", 72),
            ("RESOURCE_ID_LOW", 112),
            ("RESOURCE_ID_HIGH", 116),
            ("PIPE_BANK_XOR_1", 120),
            ("PIPE_BANK_XOR_2", 124),
        ] {
            let hidden = name.starts_with("PIPE") && pal.pipe_bank_xor != [0; 3];
            push(name, byte, if hidden { "no reader but PAL applies it".into() } else { String::new() });
        }
        let flags = [
            (MIPS, "levels"),
            (RESOURCE_TYPE, "0 1D, 1 2D, 2 3D"),
            (TEXTURE, ""),
            (UAV, ""),
            (RENDER_TARGET, ""),
            (DEPTH_STENCIL, ""),
            (CUBE, ""),
            (OPTIMAL_SHAREABLE, ""),
            (SAMPLES, "samples"),
            (COMPRESSION_MODE, "GFX12"),
        ];
        let place = Place::Dword((FIRST as u8).saturating_add(17));
        fields.extend(
            flags.map(|(bits, meaning)| bits.show(place, u64::from(pal.flags), format!("of FLAGS; {meaning}"))),
        );
        fields
    }
}

const fn pixel_format(number: u32) -> &'static str {
    match number {
        0x08 => "5_6_5",
        0x19 => "2_10_10_10",
        0x1a => "8_8_8_8",
        0x20 => "16_16_16_16 float",
        _ => "PAL's own numbering",
    }
}
