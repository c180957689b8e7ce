//! NVIDIA: block-linear layouts of every generation, and the tiles of the first Tegras.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

/// A layout of NVIDIA's GPUs (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_NVIDIA_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nvidia {
    /// `TEGRA_TILED`: tiles of 16 × 16 bytes (Tegra 2, 3 and 4).
    TegraTiled,
    /// `BLOCK_LINEAR_2D`: groups of bytes (GOBs), stacked into blocks.
    BlockLinear2D {
        /// log2 of the GOBs in a block's height, 0 to 15 (`h`). Hardware goes up to 5.
        block_height_log2: u32,
        /// Kind of the pages, 8 bits (`k`). 0 stands for the generic kind, see [`canonical_page_kind`](Self::canonical_page_kind).
        page_kind: u32,
        /// Height of a GOB, and what page kinds mean (`g`).
        generation: Generation,
        /// Order of the bits below page kind and blocks (`s`).
        sector_layout: SectorLayout,
        /// Lossless compression (`c`).
        compression: Compression,
    },
}

codes! {
    /// Height of a GOB, and what page kinds mean.
    Generation {
        /// 8 rows: Fermi to Volta, Tegra from K1 on.
        Fermi = 0,
        /// 4 rows: G80 to GT2xx.
        G80 = 1,
        /// 8 rows: Turing and later.
        Turing = 2,
    }
}

codes! {
    /// Order of the bits below page kind and blocks. Its bits stand apart: bit 22, then bits 27:26.
    SectorLayout {
        /// Tegra K1 to X2.
        Tegra = 0,
        /// Other GPUs, Tegra from Xavier on, and GB20x for pixels of 4 bytes and more.
        Desktop = 1,
        /// GB20x (Blackwell) for pixels of 1 byte.
        Gb20x8Bpp = 2,
        /// GB20x (Blackwell) for pixels of 2 bytes.
        Gb20x16Bpp = 3,
    }
}

codes! {
    /// Lossless compression of a framebuffer; the page kind says the exact format.
    Compression {
        /// None.
        None = 0,
        /// ROP/3D, layout 1.
        Rop1 = 1,
        /// ROP/3D, layout 2.
        Rop2 = 2,
        /// CDE, horizontal.
        CdeHorizontal = 3,
        /// CDE, vertical.
        CdeVertical = 4,
    }
}

/// The kind of simple colour buffers on Fermi to Volta, which page kind 0 stands for.
const GENERIC_KIND: u32 = 0xfe;

const LAYOUT: BitField = BitField::new("LAYOUT", 55, 0);
const HEIGHT: BitField = BitField::new("HEIGHT", 3, 0);
const BLOCK_LINEAR: BitField = BitField::new("BLOCK_LINEAR", 4, 4);
const KIND: BitField = BitField::new("KIND", 19, 12);
const GENERATION: BitField = BitField::new("GENERATION", 21, 20);
const SECTOR_LOW: BitField = BitField::new("SECTOR (low bit)", 22, 22);
const COMPRESSION: BitField = BitField::new("COMPRESSION", 25, 23);
const SECTOR_HIGH: BitField = BitField::new("SECTOR (high bits)", 27, 26);
const BLOCK_FIELDS: &[BitField] = &[HEIGHT, BLOCK_LINEAR, KIND, GENERATION, SECTOR_LOW, COMPRESSION, SECTOR_HIGH];

pub(super) const fn fields(modifier: Modifier) -> &'static [BitField] {
    if BLOCK_LINEAR.is_set(modifier) { BLOCK_FIELDS } else { &[LAYOUT] }
}

const fn sector_bits(code: u64) -> u64 {
    SECTOR_LOW.put(code) | SECTOR_HIGH.put(code >> 1)
}

const SECTOR: u64 = SECTOR_LOW.mask() | SECTOR_HIGH.mask();
const BLOCK: u64 = BLOCK_LINEAR.mask();
/// A height macro of K1: no other field is used.
const K1: u64 = BLOCK | HEIGHT.mask();

const fn block(names: &'static [&'static str], field: BitField, value: u64) -> Word {
    Word::of(names, field, value).within(BLOCK, BLOCK)
}

const fn sector(names: &'static [&'static str], code: u64) -> Word {
    Word::bits(names, SECTOR | BLOCK, sector_bits(code) | BLOCK)
}

pub(super) const WORDS: &[Word] = &[
    Word::of(&["TEGRA_TILED"], LAYOUT, 1),
    Word::bits(&["BLOCK_LINEAR_2D"], BLOCK, BLOCK),
    block(&["fermi", "GEN=0"], GENERATION, 0),
    block(&["g80", "GEN=1"], GENERATION, 1),
    block(&["turing", "GEN=2"], GENERATION, 2),
    Word::number(&["block_height_log2=", "HEIGHT="], HEIGHT).within(BLOCK, BLOCK).even_zero().after_comma(),
    Word::number(&["kind=", "KIND="], KIND).within(BLOCK, BLOCK).even_zero().hex().after_comma(),
    sector(&["sector=tegra", "SECTOR=0"], 0).after_comma(),
    sector(&["sector=desktop", "SECTOR=1"], 1).after_comma(),
    sector(&["sector=gb20x_8bpp", "SECTOR=2"], 2).after_comma(),
    sector(&["sector=gb20x_16bpp", "SECTOR=3"], 3).after_comma(),
    Word::of(&["COMPRESSION=0"], COMPRESSION, 0).only_read(),
    block(&["compression=rop_1", "COMPRESSION=1"], COMPRESSION, 1).after_comma(),
    block(&["compression=rop_2", "COMPRESSION=2"], COMPRESSION, 2).after_comma(),
    block(&["compression=cde_horizontal", "COMPRESSION=3"], COMPRESSION, 3).after_comma(),
    block(&["compression=cde_vertical", "COMPRESSION=4"], COMPRESSION, 4).after_comma(),
    Word::bits(&["16BX2_BLOCK_ONE_GOB"], K1, BLOCK).only_read(),
    Word::bits(&["16BX2_BLOCK_TWO_GOB"], K1, BLOCK | 1).only_read(),
    Word::bits(&["16BX2_BLOCK_FOUR_GOB"], K1, BLOCK | 2).only_read(),
    Word::bits(&["16BX2_BLOCK_EIGHT_GOB"], K1, BLOCK | 3).only_read(),
    Word::bits(&["16BX2_BLOCK_SIXTEEN_GOB"], K1, BLOCK | 4).only_read(),
    Word::bits(&["16BX2_BLOCK_THIRTYTWO_GOB"], K1, BLOCK | 5).only_read(),
];

impl Nvidia {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, fields(modifier))?;
        if !BLOCK_LINEAR.is_set(modifier) {
            return match LAYOUT.value(modifier) {
                1 => Ok(Self::TegraTiled),
                _ => Err(LAYOUT.refuse(modifier, "without bit 4 BLOCK_LINEAR, NVIDIA has layout 1 only")),
            };
        }
        let generations = "generation 3 is reserved";
        let generation = GENERATION.code(modifier, Generation::from_code, generations)?;
        let compression = COMPRESSION.code(modifier, Compression::from_code, "compression 5 to 7 is reserved")?;
        let code = SECTOR_LOW.value(modifier) | SECTOR_HIGH.value(modifier) << 1;
        let sector_layout = SectorLayout::from_code(code).ok_or_else(|| {
            SECTOR_HIGH.refuse(modifier, "sector layouts (bit 22, then bits 27:26) 4 to 7 are reserved")
        })?;
        let (height, kind) = (HEIGHT.value(modifier), KIND.value(modifier));
        if height > 5 && modifier.value() & !HEIGHT.mask() == BLOCK {
            return Err(HEIGHT.refuse(modifier, "16BX2_BLOCK has 0 to 5, which is 1 to 32 GOBs"));
        }
        Ok(Self::BlockLinear2D {
            block_height_log2: height as u32,
            page_kind: kind as u32,
            generation,
            sector_layout,
            compression,
        })
    }

    pub(super) const fn bits(self) -> u64 {
        match self {
            Self::TegraTiled => 1,
            Self::BlockLinear2D { block_height_log2, page_kind, generation, sector_layout, compression } => {
                BLOCK
                    | HEIGHT.put(block_height_log2 as u64)
                    | KIND.put(page_kind as u64)
                    | GENERATION.put(generation.code())
                    | sector_bits(sector_layout.code())
                    | COMPRESSION.put(compression.code())
            }
        }
    }

    /// The page kind as drivers compare it: 0, which older modifiers have, is the generic kind 0xfe (source: `drm_fourcc.h`,
    /// `drm_fourcc_canonicalize_nvidia_format_mod`). `None` for tiles of Tegra.
    ///
    /// ```
    /// use handover_model::Modifier;
    /// use handover_model::modifier::Parsed;
    /// let Ok(Parsed::Nvidia(k1)) = Modifier(0x0300_0000_0000_0014).parse() else { unreachable!() };
    /// assert_eq!(k1.canonical_page_kind(), Some(0xfe));
    /// ```
    pub const fn canonical_page_kind(self) -> Option<u32> {
        match self {
            Self::TegraTiled => None,
            Self::BlockLinear2D { page_kind: 0, .. } => Some(GENERIC_KIND),
            Self::BlockLinear2D { page_kind, .. } => Some(page_kind),
        }
    }

    /// Is it one of the lossless compressions?
    pub const fn is_compressed(self) -> bool {
        matches!(self, Self::BlockLinear2D { compression, .. } if !matches!(compression, Compression::None))
    }
}
