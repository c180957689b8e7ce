//! The bit fields of dwords 0–9 of a block, by level.
//!
//! Origin: Mesa 25.0.7, `src/amd/registers/*.json` (SQ_IMG_RSRC_WORD0–7), each word moved on by two dwords.

use core::fmt;

use crate::metadata::amdgpu::Level;
use crate::metadata::field::{Bits, Place};

macro_rules! names {
    ($($name:ident $text:literal,)+) => {
        /// The fields, one name for each whatever the level.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Name { $($name),+ }

        impl Name {
            pub(super) const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

names! {
    BaseAddress "BASE_ADDRESS", BaseAddressHi "BASE_ADDRESS_HI", MinLod "MIN_LOD", DataFormat "DATA_FORMAT",
    NumFormat "NUM_FORMAT", Mtype "MTYPE", Nv "NV", MetaDirect "META_DIRECT", Width "WIDTH", Height "HEIGHT",
    PerfMod "PERF_MOD", Interlaced "INTERLACED", DstSelX "DST_SEL_X", DstSelY "DST_SEL_Y", DstSelZ "DST_SEL_Z",
    DstSelW "DST_SEL_W", BaseLevel "BASE_LEVEL", LastLevel "LAST_LEVEL", TilingIndex "TILING_INDEX",
    Pow2Pad "POW2_PAD", MtypeHi "MTYPE", Atc "ATC", Type "TYPE", Depth "DEPTH", Pitch "PITCH", PitchMsb "PITCH_MSB",
    BaseArray "BASE_ARRAY", LastArray "LAST_ARRAY", ArrayPitch "ARRAY_PITCH", SwMode "SW_MODE",
    BcSwizzle "BC_SWIZZLE", MetaAddressHi "META_DATA_ADDRESS_HI", MetaLinear "META_LINEAR",
    MetaPipeAligned "META_PIPE_ALIGNED", MetaRbAligned "META_RB_ALIGNED", MaxMip "MAX_MIP",
    CompressionEn "COMPRESSION_EN", AlphaIsOnMsb "ALPHA_IS_ON_MSB", ColorTransform "COLOR_TRANSFORM",
    MetaAddress "META_DATA_ADDRESS", MetaAddressLo "META_DATA_ADDRESS_LO", SamplerMask "SAMPLER_MASK",
    Format "FORMAT", WidthLo "WIDTH_LO", WidthHi "WIDTH_HI", ResourceLevel "RESOURCE_LEVEL", BigPage "BIG_PAGE",
    LlcNoalloc "LLC_NOALLOC", MinLodLo "MIN_LOD_LO", MinLodHi "MIN_LOD_HI", Iterate256 "ITERATE_256",
    MaxUncompressed "MAX_UNCOMPRESSED_BLOCK_SIZE", MaxCompressed "MAX_COMPRESSED_BLOCK_SIZE",
    WriteCompressEnable "WRITE_COMPRESS_ENABLE", NoEdgeClamp "NO_EDGE_CLAMP", Uav3d "UAV3D",
    CompressionAccessMode "COMPRESSION_ACCESS_MODE",
}

/// One field at its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) name: Name,
    pub(super) dword: u8,
    pub(super) bits: Bits,
}

impl Row {
    pub(super) const fn place(&self) -> Place {
        Place::Dword(self.dword)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place(), self.bits)
    }
}

const fn row(name: Name, dword: u8, high: u8, low: u8) -> Row {
    Row { name, dword, bits: Bits::new(name.text(), high, low) }
}

/// GFX6 to GFX9.
const UP_TO_9: &[Row] = &[
    row(Name::BaseAddress, 2, 31, 0),
    row(Name::BaseAddressHi, 3, 7, 0),
    row(Name::MinLod, 3, 19, 8),
    row(Name::DataFormat, 3, 25, 20),
    row(Name::NumFormat, 3, 29, 26),
    row(Name::Width, 4, 13, 0),
    row(Name::Height, 4, 27, 14),
    row(Name::PerfMod, 4, 30, 28),
    row(Name::LastLevel, 5, 19, 16),
    row(Name::Depth, 6, 12, 0),
    row(Name::BaseArray, 7, 12, 0),
];

/// The same on every level.
const EVERYWHERE: &[Row] = &[
    row(Name::DstSelX, 5, 2, 0),
    row(Name::DstSelY, 5, 5, 3),
    row(Name::DstSelZ, 5, 8, 6),
    row(Name::DstSelW, 5, 11, 9),
    row(Name::Type, 5, 31, 28),
];

const UP_TO_8: &[Row] = &[
    row(Name::Mtype, 3, 31, 30),
    row(Name::Interlaced, 4, 31, 31),
    row(Name::BaseLevel, 5, 15, 12),
    row(Name::TilingIndex, 5, 24, 20),
    row(Name::Pow2Pad, 5, 25, 25),
    row(Name::MtypeHi, 5, 26, 26),
    row(Name::Atc, 5, 27, 27),
    row(Name::Pitch, 6, 26, 13),
    row(Name::LastArray, 7, 25, 13),
];

/// GFX6 and 7: the last word is a mask that helps samplers, and no offset.
const MASK: &[Row] = &[row(Name::SamplerMask, 9, 31, 0)];

/// GFX8 and 9.
const META: &[Row] =
    &[row(Name::CompressionEn, 8, 21, 21), row(Name::AlphaIsOnMsb, 8, 22, 22), row(Name::MetaAddress, 9, 31, 0)];

const ONLY_9: &[Row] = &[
    row(Name::Nv, 3, 30, 30),
    row(Name::MetaDirect, 3, 31, 31),
    row(Name::BaseLevel, 5, 15, 12),
    row(Name::SwMode, 5, 24, 20),
    row(Name::Pitch, 6, 28, 13),
    row(Name::BcSwizzle, 6, 31, 29),
    row(Name::ArrayPitch, 7, 16, 13),
    row(Name::MetaAddressHi, 7, 24, 17),
    row(Name::MetaLinear, 7, 25, 25),
    row(Name::MetaPipeAligned, 7, 26, 26),
    row(Name::MetaRbAligned, 7, 27, 27),
    row(Name::MaxMip, 7, 31, 28),
];

/// GFX10 to GFX12.
const FROM_10: &[Row] = &[
    row(Name::BaseAddress, 2, 31, 0),
    row(Name::BaseAddressHi, 3, 7, 0),
    row(Name::WidthLo, 3, 31, 30),
    row(Name::WidthHi, 4, 13, 0),
    row(Name::Height, 4, 29, 14),
    row(Name::SwMode, 5, 24, 20),
    row(Name::BcSwizzle, 5, 27, 25),
    row(Name::BaseArray, 6, 29, 16),
    row(Name::PerfMod, 7, 22, 20),
    row(Name::MaxUncompressed, 8, 16, 15),
    row(Name::MaxCompressed, 8, 18, 17),
    row(Name::WriteCompressEnable, 8, 20, 20),
    row(Name::CompressionEn, 8, 21, 21),
];

/// GFX10 to GFX11.5.
const FROM_10_TO_11: &[Row] = &[
    row(Name::Format, 3, 28, 20),
    row(Name::BaseLevel, 5, 15, 12),
    row(Name::LastLevel, 5, 19, 16),
    row(Name::Depth, 6, 12, 0),
    row(Name::ArrayPitch, 7, 3, 0),
    row(Name::Iterate256, 8, 10, 10),
    row(Name::MetaPipeAligned, 8, 19, 19),
    row(Name::AlphaIsOnMsb, 8, 22, 22),
    row(Name::ColorTransform, 8, 23, 23),
    row(Name::MetaAddressLo, 8, 31, 24),
    row(Name::MetaAddress, 9, 31, 0),
];

const ONLY_10: &[Row] = &[row(Name::MinLod, 3, 19, 8), row(Name::ResourceLevel, 4, 31, 31), row(Name::MaxMip, 7, 7, 4)];

/// GFX10.3 to GFX11.5.
const PITCH_MSB: &[Row] = &[row(Name::PitchMsb, 6, 13, 13)];

const ONLY_11: &[Row] = &[
    row(Name::LlcNoalloc, 3, 14, 13),
    row(Name::BigPage, 3, 15, 15),
    row(Name::MaxMip, 3, 19, 16),
    row(Name::MinLodLo, 7, 31, 27),
    row(Name::MinLodHi, 8, 6, 0),
];

const ONLY_12: &[Row] = &[
    row(Name::MaxMip, 3, 16, 12),
    row(Name::Format, 3, 24, 17),
    row(Name::BaseLevel, 3, 29, 25),
    row(Name::NoEdgeClamp, 5, 12, 12),
    row(Name::LastLevel, 5, 19, 15),
    row(Name::Depth, 6, 13, 0),
    row(Name::PitchMsb, 6, 15, 14),
    row(Name::Uav3d, 7, 4, 4),
    row(Name::MinLodLo, 7, 31, 26),
    row(Name::MinLodHi, 8, 6, 0),
    row(Name::CompressionAccessMode, 8, 23, 22),
];

/// Every field of a level, in no order.
pub(super) fn rows(level: Level) -> impl Iterator<Item = &'static Row> {
    let parts: [&[Row]; 5] = match level {
        Level::Gfx6 | Level::Gfx7 => [EVERYWHERE, UP_TO_9, UP_TO_8, MASK, &[]],
        Level::Gfx8 => [EVERYWHERE, UP_TO_9, UP_TO_8, META, &[]],
        Level::Gfx9 => [EVERYWHERE, UP_TO_9, ONLY_9, META, &[]],
        Level::Gfx10 => [EVERYWHERE, FROM_10, FROM_10_TO_11, ONLY_10, &[]],
        Level::Gfx10_3 => [EVERYWHERE, FROM_10, FROM_10_TO_11, ONLY_10, PITCH_MSB],
        Level::Gfx11 | Level::Gfx11_5 => [EVERYWHERE, FROM_10, FROM_10_TO_11, ONLY_11, PITCH_MSB],
        Level::Gfx12 => [EVERYWHERE, FROM_10, ONLY_12, &[], &[]],
    };
    parts.into_iter().flatten()
}
