//! MediaTek: the tiles of its video units, compression, and the low bits of 10-bit samples.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

/// A layout of MediaTek's video units (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_MTK` and `MTK_FMT_MOD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaTek {
    /// Tiles or rows.
    pub tile: Tile,
    /// Compressed or not.
    pub compression: Compression,
    /// Where the low two bits of 10-bit samples are.
    pub ten_bit_layout: TenBitLayout,
}

codes! {
    /// Tiles or rows.
    Tile {
        /// `TILE_NONE`: not tiled.
        None = 0,
        /// `TILE_16L32S`: tiles of 16 × 32 bytes of luma, 16 × 16 of chroma.
        Tile16L32S = 1,
    }
}

codes! {
    /// Compressed or not.
    Compression {
        /// Not compressed.
        None = 0,
        /// Version 1 of MediaTek's own.
        V1 = 1,
    }
}

codes! {
    /// Where the low two bits of 10-bit samples are.
    TenBitLayout {
        /// In the sample.
        Packed = 0,
        /// Apart, gathered for each tile.
        LsbTiled = 1,
        /// Apart, in raster order.
        LsbRaster = 2,
    }
}

const TILE: BitField = BitField::new("TILE", 3, 0);
const COMPRESS: BitField = BitField::new("COMPRESS", 11, 8);
const TEN_BIT: BitField = BitField::new("10BIT_LAYOUT", 19, 16);
pub(super) const FIELDS: &[BitField] = &[TILE, COMPRESS, TEN_BIT];

pub(super) const WORDS: &[Word] = &[
    Word::of(&["TILE_NONE"], TILE, 0),
    Word::of(&["16L_32S_TILE"], TILE, 1),
    Word::of(&["COMPRESS_V1"], COMPRESS, 1).after_comma(),
    Word::of(&["10BIT_LSBTILED"], TEN_BIT, 1).after_comma(),
    Word::of(&["10BIT_LSBRASTER"], TEN_BIT, 2).after_comma(),
];

impl MediaTek {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, FIELDS)?;
        let compressions = "MediaTek has compression 0 (none) and 1 (V1)";
        let ten_bits = "MediaTek has 10-bit layouts 0 (packed), 1 (LSBTILED) and 2 (LSBRASTER)";
        Ok(Self {
            tile: TILE.code(modifier, Tile::from_code, "MediaTek has tiles 0 (none) and 1 (16L32S)")?,
            compression: COMPRESS.code(modifier, Compression::from_code, compressions)?,
            ten_bit_layout: TEN_BIT.code(modifier, TenBitLayout::from_code, ten_bits)?,
        })
    }

    pub(super) const fn bits(self) -> u64 {
        TILE.put(self.tile.code()) | COMPRESS.put(self.compression.code()) | TEN_BIT.put(self.ten_bit_layout.code())
    }
}
