//! AMD: the swizzle modes of GFX9 to GFX12, with delta colour compression (DCC).
//!
//! GFX6 to GFX8 have no modifiers: their layout stands in the tiling word of the buffer.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

/// A layout of AMD's GPUs (source: `drm_fourcc.h`, "AMD modifiers").
///
/// [`parse`](Modifier::parse) refuses a field that is set where the chip has no use for it, for two numbers would then mean one
/// layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amd {
    /// The chips that the swizzle mode is defined for.
    pub version: Version,
    /// The swizzle mode.
    pub tile: Tile,
    /// Compression, if there is any.
    pub dcc: Option<Dcc>,
    /// log2 of the pipes that are mixed into the address, 3 bits; 0 unless [`Tile::is_xor`].
    pub pipe_xor_bits: u32,
    /// log2 of the banks that are mixed into the address, 3 bits; 0 but on GFX9 with [`Tile::is_xor`].
    pub bank_xor_bits: u32,
    /// log2 of the packers, 3 bits; 0 but on GFX10_RBPLUS and GFX11 with [`Tile::is_xor`].
    pub packers: u32,
}

codes! {
    /// The chips that a swizzle mode is defined for. `64K_S` is the same up to GFX10_RBPLUS, and GFX9 its canonical version.
    Version {
        /// GFX9: Vega.
        Gfx9 = 1,
        /// GFX10: Navi 1x.
        Gfx10 = 2,
        /// GFX10 with RB+: Navi 2x.
        Gfx10RbPlus = 3,
        /// GFX11: Navi 3x.
        Gfx11 = 4,
        /// GFX12: Navi 4x.
        Gfx12 = 5,
    }
}

codes! {
    /// A swizzle mode: bytes of a block, order inside, and whether pipes and banks are mixed in (`_X`).
    Tile {
        /// `256B_2D` of GFX12.
        Sw256B2D = 1,
        /// `4K_2D` of GFX12.
        Sw4K2D = 2,
        /// `64K_2D` of GFX12.
        Sw64K2D = 3,
        /// `256K_2D` of GFX12.
        Sw256K2D = 4,
        /// `64K_S`, the standard order.
        Sw64KS = 9,
        /// `64K_D`, the order of displays.
        Sw64KD = 10,
        /// `4K_D_X`.
        Sw4KDX = 22,
        /// `64K_S_X`.
        Sw64KSX = 25,
        /// `64K_D_X`.
        Sw64KDX = 26,
        /// `64K_R_X`, the order of render targets.
        Sw64KRX = 27,
        /// `256K_R_X` of GFX11.
        Sw256KRX = 31,
    }
}

/// Delta colour compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dcc {
    /// `DCC_RETILE`: one plane for the display, another for rendering. Excludes `pipe_align`.
    pub retile: bool,
    /// `DCC_PIPE_ALIGN`: the one DCC plane is aligned to pipes.
    pub pipe_align: bool,
    /// `DCC_INDEPENDENT_64B`: blocks of 64 bytes decode alone.
    pub independent_64b: bool,
    /// `DCC_INDEPENDENT_128B`: blocks of 128 bytes decode alone.
    pub independent_128b: bool,
    /// `DCC_MAX_COMPRESSED_BLOCK`.
    pub max_compressed_block: MaxBlock,
    /// `DCC_CONSTANT_ENCODE`: clear colours in the DCC plane are honoured; no fast clear has to be eliminated for them.
    pub constant_encode: bool,
    /// log2 of the render backends, 3 bits; 0 but on GFX9 with [`Tile::is_xor`].
    pub rb: u32,
    /// log2 of the pipes, 3 bits; 0 but on GFX9 with [`Tile::is_xor`] and `retile` or `pipe_align`.
    pub pipe: u32,
}

codes! {
    /// The largest block that compression makes.
    MaxBlock {
        /// 64 bytes.
        B64 = 0,
        /// 128 bytes.
        B128 = 1,
        /// 256 bytes.
        B256 = 2,
    }
}

const TILE_VERSION: BitField = BitField::new("TILE_VERSION", 7, 0);
const TILE: BitField = BitField::new("TILE", 12, 8);
const DCC: BitField = BitField::new("DCC", 13, 13);
const DCC_RETILE: BitField = BitField::new("DCC_RETILE", 14, 14);
const DCC_PIPE_ALIGN: BitField = BitField::new("DCC_PIPE_ALIGN", 15, 15);
const DCC_INDEPENDENT_64B: BitField = BitField::new("DCC_INDEPENDENT_64B", 16, 16);
const DCC_INDEPENDENT_128B: BitField = BitField::new("DCC_INDEPENDENT_128B", 17, 17);
const DCC_MAX_COMPRESSED_BLOCK: BitField = BitField::new("DCC_MAX_COMPRESSED_BLOCK", 19, 18);
const DCC_CONSTANT_ENCODE: BitField = BitField::new("DCC_CONSTANT_ENCODE", 20, 20);
const PIPE_XOR_BITS: BitField = BitField::new("PIPE_XOR_BITS", 23, 21);
const BANK_XOR_BITS: BitField = BitField::new("BANK_XOR_BITS", 26, 24);
const PACKERS: BitField = BitField::new("PACKERS", 29, 27);
const RB: BitField = BitField::new("RB", 32, 30);
const PIPE: BitField = BitField::new("PIPE", 35, 33);
pub(super) const FIELDS: &[BitField] = &[
    TILE_VERSION,
    TILE,
    DCC,
    DCC_RETILE,
    DCC_PIPE_ALIGN,
    DCC_INDEPENDENT_64B,
    DCC_INDEPENDENT_128B,
    DCC_MAX_COMPRESSED_BLOCK,
    DCC_CONSTANT_ENCODE,
    PIPE_XOR_BITS,
    BANK_XOR_BITS,
    PACKERS,
    RB,
    PIPE,
];

const fn dcc(names: &'static [&'static str], field: BitField, value: u64) -> Word {
    Word::of(names, field, value).within(DCC.mask(), DCC.mask())
}

pub(super) const WORDS: &[Word] = &[
    Word::of(&["GFX9"], TILE_VERSION, 1),
    Word::of(&["GFX10"], TILE_VERSION, 2),
    Word::of(&["GFX10_RBPLUS"], TILE_VERSION, 3),
    Word::of(&["GFX11"], TILE_VERSION, 4),
    Word::of(&["GFX12"], TILE_VERSION, 5),
    Word::of(&["256B_2D", "GFX12_256B_2D"], TILE, 1),
    Word::of(&["4K_2D", "4KB_2D", "GFX12_4K_2D"], TILE, 2),
    Word::of(&["64K_2D", "64KB_2D", "GFX12_64K_2D"], TILE, 3),
    Word::of(&["256K_2D", "256KB_2D", "GFX12_256K_2D"], TILE, 4),
    Word::of(&["64K_S", "64KB_S", "GFX9_64K_S"], TILE, 9),
    Word::of(&["64K_D", "64KB_D", "GFX9_64K_D"], TILE, 10),
    Word::of(&["4K_D_X", "4KB_D_X", "GFX9_4K_D_X"], TILE, 22),
    Word::of(&["64K_S_X", "64KB_S_X", "GFX9_64K_S_X"], TILE, 25),
    Word::of(&["64K_D_X", "64KB_D_X", "GFX9_64K_D_X"], TILE, 26),
    Word::of(&["64K_R_X", "64KB_R_X", "GFX9_64K_R_X"], TILE, 27),
    Word::of(&["256K_R_X", "256KB_R_X", "GFX11_256K_R_X"], TILE, 31),
    Word::of(&["DCC"], DCC, 1).after_comma(),
    dcc(&["retile", "DCC_RETILE"], DCC_RETILE, 1),
    dcc(&["pipe_align", "DCC_PIPE_ALIGN"], DCC_PIPE_ALIGN, 1),
    dcc(&["independent_64B", "DCC_INDEPENDENT_64B"], DCC_INDEPENDENT_64B, 1),
    dcc(&["independent_128B", "DCC_INDEPENDENT_128B"], DCC_INDEPENDENT_128B, 1),
    dcc(&["max_block=64B", "DCC_MAX_COMPRESSED_BLOCK=64B"], DCC_MAX_COMPRESSED_BLOCK, 0),
    dcc(&["max_block=128B", "DCC_MAX_COMPRESSED_BLOCK=128B"], DCC_MAX_COMPRESSED_BLOCK, 1),
    dcc(&["max_block=256B", "DCC_MAX_COMPRESSED_BLOCK=256B"], DCC_MAX_COMPRESSED_BLOCK, 2),
    dcc(&["constant_encode", "DCC_CONSTANT_ENCODE"], DCC_CONSTANT_ENCODE, 1),
    Word::number(&["pipe_xor=", "PIPE_XOR_BITS="], PIPE_XOR_BITS).after_comma(),
    Word::number(&["bank_xor=", "BANK_XOR_BITS="], BANK_XOR_BITS).after_comma(),
    Word::number(&["packers=", "PACKERS="], PACKERS).after_comma(),
    Word::number(&["rb=", "RB="], RB).after_comma(),
    // libdrm 2.4.114 writes this one field without an equals sign.
    Word::number(&["pipe=", "PIPE=", "PIPE_"], PIPE).after_comma(),
];

impl Tile {
    /// log2 of the bytes of a block: 8, 12, 16 or 18.
    ///
    /// ```
    /// use handover_model::modifier::amd::Tile;
    /// assert_eq!(Tile::Sw64KRX.block_bytes_log2(), 16);
    /// ```
    pub const fn block_bytes_log2(self) -> u32 {
        match self {
            Self::Sw256B2D => 8,
            Self::Sw4K2D | Self::Sw4KDX => 12,
            Self::Sw256K2D | Self::Sw256KRX => 18,
            Self::Sw64K2D | Self::Sw64KS | Self::Sw64KD | Self::Sw64KSX | Self::Sw64KDX | Self::Sw64KRX => 16,
        }
    }

    /// Are pipes and banks mixed into the address (`_X`)?
    pub const fn is_xor(self) -> bool {
        matches!(self, Self::Sw4KDX | Self::Sw64KSX | Self::Sw64KDX | Self::Sw64KRX | Self::Sw256KRX)
    }

    /// Have these chips the mode?
    pub const fn is_of(self, version: Version) -> bool {
        match self {
            Self::Sw256B2D | Self::Sw4K2D | Self::Sw64K2D | Self::Sw256K2D => matches!(version, Version::Gfx12),
            Self::Sw256KRX => matches!(version, Version::Gfx11),
            _ => !matches!(version, Version::Gfx12),
        }
    }
}

impl Amd {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        let versions = "AMD has versions 1 (GFX9) to 5 (GFX12); 0 is reserved for GFX8 and older";
        let version = TILE_VERSION.code(modifier, Version::from_code, versions)?;
        let tile = Tile::from_code(TILE.value(modifier))
            .filter(|tile| tile.is_of(version))
            .ok_or_else(|| TILE.refuse(modifier, version.tiles()))?;
        let dcc = Dcc::parse(modifier, version, tile)?;
        if !tile.is_xor() {
            PIPE_XOR_BITS.must_be_zero(modifier, "only the swizzle modes *_X mix pipes in")?;
        }
        if version != Version::Gfx9 {
            BANK_XOR_BITS.must_be_zero(modifier, "only GFX9 has it")?;
        } else if !tile.is_xor() {
            BANK_XOR_BITS.must_be_zero(modifier, "only the swizzle modes *_X mix banks in")?;
        }
        // The header names GFX10_RBPLUS alone; kernel and Mesa set it on GFX11 too.
        if !matches!(version, Version::Gfx10RbPlus | Version::Gfx11) {
            PACKERS.must_be_zero(modifier, "only GFX10_RBPLUS and GFX11 have it")?;
        } else if !tile.is_xor() {
            PACKERS.must_be_zero(modifier, "only the swizzle modes *_X have it")?;
        }
        Ok(Self {
            version,
            tile,
            dcc,
            pipe_xor_bits: PIPE_XOR_BITS.value(modifier) as u32,
            bank_xor_bits: BANK_XOR_BITS.value(modifier) as u32,
            packers: PACKERS.value(modifier) as u32,
        })
    }

    pub(super) const fn bits(self) -> u64 {
        let dcc = match self.dcc {
            Some(dcc) => dcc.bits(),
            None => 0,
        };
        TILE_VERSION.put(self.version.code())
            | TILE.put(self.tile.code())
            | dcc
            | PIPE_XOR_BITS.put(self.pipe_xor_bits as u64)
            | BANK_XOR_BITS.put(self.bank_xor_bits as u64)
            | PACKERS.put(self.packers as u64)
    }
}

impl Version {
    const fn tiles(self) -> &'static str {
        match self {
            Self::Gfx12 => "GFX12 has 1 (256B_2D), 2 (4K_2D), 3 (64K_2D) and 4 (256K_2D)",
            Self::Gfx11 => {
                "GFX11 has 9 (64K_S), 10 (64K_D), 22 (4K_D_X), 25 to 27 (64K_S_X, _D_X, _R_X) and 31 (256K_R_X)"
            }
            _ => "GFX9 and GFX10 have 9 (64K_S), 10 (64K_D), 22 (4K_D_X) and 25 to 27 (64K_S_X, _D_X, _R_X)",
        }
    }
}

impl Dcc {
    const DETAILS: &'static [BitField] =
        &[DCC_RETILE, DCC_PIPE_ALIGN, DCC_INDEPENDENT_64B, DCC_INDEPENDENT_128B, DCC_CONSTANT_ENCODE];

    fn parse(modifier: Modifier, version: Version, tile: Tile) -> Result<Option<Self>> {
        if !DCC.is_set(modifier) {
            for field in [Self::DETAILS, &[DCC_MAX_COMPRESSED_BLOCK, RB, PIPE]].into_iter().flatten() {
                field.must_be_zero(modifier, "it needs bit 13 DCC")?;
            }
            return Ok(None);
        }
        if version == Version::Gfx12 {
            for field in Self::DETAILS {
                field.must_be_zero(modifier, "DCC of GFX12 has no plane, and nothing to say but the largest block")?;
            }
        }
        let (retile, pipe_align) = (DCC_RETILE.is_set(modifier), DCC_PIPE_ALIGN.is_set(modifier));
        if retile {
            DCC_PIPE_ALIGN.must_be_zero(modifier, "bit 14 DCC_RETILE excludes it")?;
        }
        if version != Version::Gfx9 || !tile.is_xor() {
            RB.must_be_zero(modifier, "only GFX9 has it, with the swizzle modes *_X")?;
            PIPE.must_be_zero(modifier, "only GFX9 has it, with the swizzle modes *_X")?;
        } else if !retile && !pipe_align {
            PIPE.must_be_zero(modifier, "it needs DCC_RETILE or DCC_PIPE_ALIGN")?;
        }
        let blocks = "DCC has blocks 0 (64 bytes), 1 (128 bytes) and 2 (256 bytes)";
        Ok(Some(Self {
            retile,
            pipe_align,
            independent_64b: DCC_INDEPENDENT_64B.is_set(modifier),
            independent_128b: DCC_INDEPENDENT_128B.is_set(modifier),
            max_compressed_block: DCC_MAX_COMPRESSED_BLOCK.code(modifier, MaxBlock::from_code, blocks)?,
            constant_encode: DCC_CONSTANT_ENCODE.is_set(modifier),
            rb: RB.value(modifier) as u32,
            pipe: PIPE.value(modifier) as u32,
        }))
    }

    const fn bits(self) -> u64 {
        DCC.put(1)
            | DCC_RETILE.put(self.retile as u64)
            | DCC_PIPE_ALIGN.put(self.pipe_align as u64)
            | DCC_INDEPENDENT_64B.put(self.independent_64b as u64)
            | DCC_INDEPENDENT_128B.put(self.independent_128b as u64)
            | DCC_MAX_COMPRESSED_BLOCK.put(self.max_compressed_block.code())
            | DCC_CONSTANT_ENCODE.put(self.constant_encode as u64)
            | RB.put(self.rb as u64)
            | PIPE.put(self.pipe as u64)
    }
}
