//! Arm: framebuffer compression (AFBC), fixed-rate compression (AFRC), and the tilings of Mali.

use super::bits::{BitField, codes, no_bits_outside};
use super::words::Word;
use super::{Modifier, Result};

/// A layout of Arm's GPUs, displays and video units (source: `drm_fourcc.h`, `DRM_FORMAT_MOD_ARM_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arm {
    /// `ARM_AFBC`: lossless compression of superblocks.
    Afbc(Afbc),
    /// `ARM_AFRC`: compression at a fixed rate.
    Afrc(Afrc),
    /// `ARM_16X16_BLOCK_U_INTERLEAVED`: blocks of 16 × 16 pixels in rows, reordered inside.
    BlockUInterleaved16x16,
    /// `ARM_INTERLEAVED_64K`: the same blocks inside tiles of 64 KiB (Mali v10 and later).
    Interleaved64K,
}

/// AFBC. A flag is true where its bit is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Afbc {
    /// Pixels of a superblock.
    pub block_size: BlockSize,
    /// `YTR`: lossless transform of the colour space.
    pub ytr: bool,
    /// `SPLIT`: the payload of a superblock is split in halves.
    pub split: bool,
    /// `SPARSE`: every superblock has the room of an uncompressed one.
    pub sparse: bool,
    /// `CBR`: no copy-block refers across the border of 8 × 8 blocks.
    pub cbr: bool,
    /// `TILED`: superblocks in tiles of 8 × 8 (4 × 4 above 32 bits a pixel).
    pub tiled: bool,
    /// `SC`: blocks of one solid colour.
    pub sc: bool,
    /// `DB`: room for rendering to the front buffer.
    pub db: bool,
    /// `BCH`: content hints for every superblock.
    pub bch: bool,
    /// `USM`: every superblock is stored uncompressed.
    pub usm: bool,
}

codes! {
    /// Pixels of a superblock: of luma and, where it differs, of chroma.
    BlockSize {
        /// 16 × 16.
        B16x16 = 1,
        /// 32 × 8.
        B32x8 = 2,
        /// 64 × 4.
        B64x4 = 3,
        /// 32 × 8 of luma, 64 × 4 of chroma.
        B32x8Then64x4 = 4,
    }
}

/// AFRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Afrc {
    /// Bytes of a coding unit in the first plane.
    pub plane_0: CodingUnit,
    /// Bytes of a coding unit in the other planes, if there are others.
    pub planes_1_2: Option<CodingUnit>,
    /// True: laid out for access by lines; false: for rotated access.
    pub scan: bool,
}

codes! {
    /// Bytes of a compressed coding unit.
    CodingUnit {
        /// 16 bytes.
        Bytes16 = 1,
        /// 24 bytes.
        Bytes24 = 2,
        /// 32 bytes.
        Bytes32 = 3,
    }
}

const TYPE: BitField = BitField::new("TYPE", 55, 52);
const BLOCK_SIZE: BitField = BitField::new("AFBC_BLOCK_SIZE", 3, 0);
const YTR: BitField = BitField::new("AFBC_YTR", 4, 4);
const SPLIT: BitField = BitField::new("AFBC_SPLIT", 5, 5);
const SPARSE: BitField = BitField::new("AFBC_SPARSE", 6, 6);
const CBR: BitField = BitField::new("AFBC_CBR", 7, 7);
const TILED: BitField = BitField::new("AFBC_TILED", 8, 8);
const SC: BitField = BitField::new("AFBC_SC", 9, 9);
const DB: BitField = BitField::new("AFBC_DB", 10, 10);
const BCH: BitField = BitField::new("AFBC_BCH", 11, 11);
const USM: BitField = BitField::new("AFBC_USM", 12, 12);
const CU_SIZE_P0: BitField = BitField::new("AFRC_CU_SIZE_P0", 3, 0);
const CU_SIZE_P12: BitField = BitField::new("AFRC_CU_SIZE_P12", 7, 4);
const LAYOUT_SCAN: BitField = BitField::new("AFRC_LAYOUT_SCAN", 8, 8);
const MISC: BitField = BitField::new("MISC", 51, 0);
const AFBC_FIELDS: &[BitField] = &[BLOCK_SIZE, YTR, SPLIT, SPARSE, CBR, TILED, SC, DB, BCH, USM, TYPE];
const AFRC_FIELDS: &[BitField] = &[CU_SIZE_P0, CU_SIZE_P12, LAYOUT_SCAN, TYPE];

pub(super) const fn fields(modifier: Modifier) -> &'static [BitField] {
    match TYPE.value(modifier) {
        0 => AFBC_FIELDS,
        2 => AFRC_FIELDS,
        _ => &[MISC, TYPE],
    }
}

const fn afbc(names: &'static [&'static str], field: BitField, value: u64) -> Word {
    Word::of(names, field, value).within(TYPE.mask(), TYPE.put(0))
}

const fn afrc(names: &'static [&'static str], field: BitField, value: u64) -> Word {
    Word::of(names, field, value).within(TYPE.mask(), TYPE.put(2))
}

const fn misc(names: &'static [&'static str], value: u64) -> Word {
    Word::of(names, MISC, value).within(TYPE.mask(), TYPE.put(1))
}

pub(super) const WORDS: &[Word] = &[
    Word::of(&["AFBC"], TYPE, 0),
    afbc(&["16x16", "BLOCK_SIZE=16x16"], BLOCK_SIZE, 1),
    afbc(&["32x8", "BLOCK_SIZE=32x8"], BLOCK_SIZE, 2),
    afbc(&["64x4", "BLOCK_SIZE=64x4"], BLOCK_SIZE, 3),
    afbc(&["32x8_64x4", "BLOCK_SIZE=32x8_64x4"], BLOCK_SIZE, 4),
    afbc(&["YTR", "MODE=YTR"], YTR, 1).after_comma(),
    afbc(&["SPLIT", "MODE=SPLIT"], SPLIT, 1).after_comma(),
    afbc(&["SPARSE", "MODE=SPARSE"], SPARSE, 1).after_comma(),
    afbc(&["CBR", "MODE=CBR"], CBR, 1).after_comma(),
    afbc(&["TILED", "MODE=TILED"], TILED, 1).after_comma(),
    afbc(&["SC", "MODE=SC"], SC, 1).after_comma(),
    afbc(&["DB", "MODE=DB"], DB, 1).after_comma(),
    afbc(&["BCH", "MODE=BCH"], BCH, 1).after_comma(),
    afbc(&["USM", "MODE=USM"], USM, 1).after_comma(),
    misc(&["16X16_BLOCK_U_INTERLEAVED"], 1),
    misc(&["INTERLEAVED_64K"], 2),
    Word::of(&["AFRC"], TYPE, 2),
    afrc(&["P0=CU_16"], CU_SIZE_P0, 1),
    afrc(&["P0=CU_24"], CU_SIZE_P0, 2),
    afrc(&["P0=CU_32"], CU_SIZE_P0, 3),
    afrc(&["P12=CU_16"], CU_SIZE_P12, 1),
    afrc(&["P12=CU_24"], CU_SIZE_P12, 2),
    afrc(&["P12=CU_32"], CU_SIZE_P12, 3),
    afrc(&["ROT"], LAYOUT_SCAN, 0).after_comma(),
    afrc(&["SCAN"], LAYOUT_SCAN, 1).after_comma(),
];

impl Arm {
    pub(super) fn parse(modifier: Modifier) -> Result<Self> {
        no_bits_outside(modifier, fields(modifier))?;
        match TYPE.value(modifier) {
            0 => Afbc::parse(modifier).map(Self::Afbc),
            1 => match MISC.value(modifier) {
                1 => Ok(Self::BlockUInterleaved16x16),
                2 => Ok(Self::Interleaved64K),
                _ => Err(MISC.refuse(modifier, "Arm has 1 (16X16_BLOCK_U_INTERLEAVED) and 2 (INTERLEAVED_64K)")),
            },
            2 => Afrc::parse(modifier).map(Self::Afrc),
            _ => Err(TYPE.refuse(modifier, "Arm has types 0 (AFBC), 1 (MISC) and 2 (AFRC)")),
        }
    }

    pub(super) const fn bits(self) -> u64 {
        match self {
            Self::Afbc(afbc) => afbc.bits(),
            Self::BlockUInterleaved16x16 => TYPE.put(1) | MISC.put(1),
            Self::Interleaved64K => TYPE.put(1) | MISC.put(2),
            Self::Afrc(afrc) => TYPE.put(2) | afrc.bits(),
        }
    }

    /// Is it AFBC or AFRC? Even with `USM`, where the blocks are stored as they are, only a decoder finds them.
    pub const fn is_compressed(self) -> bool {
        matches!(self, Self::Afbc(_) | Self::Afrc(_))
    }
}

impl Afbc {
    fn parse(modifier: Modifier) -> Result<Self> {
        Ok(Self {
            block_size: BLOCK_SIZE.code(modifier, BlockSize::from_code, "AFBC has block sizes 1 to 4")?,
            ytr: YTR.is_set(modifier),
            split: SPLIT.is_set(modifier),
            sparse: SPARSE.is_set(modifier),
            cbr: CBR.is_set(modifier),
            tiled: TILED.is_set(modifier),
            sc: SC.is_set(modifier),
            db: DB.is_set(modifier),
            bch: BCH.is_set(modifier),
            usm: USM.is_set(modifier),
        })
    }

    const fn bits(self) -> u64 {
        BLOCK_SIZE.put(self.block_size.code())
            | YTR.put(self.ytr as u64)
            | SPLIT.put(self.split as u64)
            | SPARSE.put(self.sparse as u64)
            | CBR.put(self.cbr as u64)
            | TILED.put(self.tiled as u64)
            | SC.put(self.sc as u64)
            | DB.put(self.db as u64)
            | BCH.put(self.bch as u64)
            | USM.put(self.usm as u64)
    }
}

impl Afrc {
    fn parse(modifier: Modifier) -> Result<Self> {
        let plane_0 = CU_SIZE_P0.code(modifier, CodingUnit::from_code, "AFRC needs a coding unit of 1 to 3 here")?;
        let planes_1_2 = if CU_SIZE_P12.is_set(modifier) {
            Some(CU_SIZE_P12.code(
                modifier,
                CodingUnit::from_code,
                "AFRC has coding units 0 (no such plane) to 3 here",
            )?)
        } else {
            None
        };
        Ok(Self { plane_0, planes_1_2, scan: LAYOUT_SCAN.is_set(modifier) })
    }

    const fn bits(self) -> u64 {
        let planes_1_2 = match self.planes_1_2 {
            Some(unit) => unit.code(),
            None => 0,
        };
        CU_SIZE_P0.put(self.plane_0.code()) | CU_SIZE_P12.put(planes_1_2) | LAYOUT_SCAN.put(self.scan as u64)
    }
}
