//! The tiling word of GFX9, 10, 10.3, 11 and 11.5: swizzle mode, where DCC lies, and in which blocks it compresses.
//!
//! Source: Linux, `amdgpu_drm.h` (AMDGPU_TILING_*, to bit 44 and bit 63); Mesa 25.0.7, `ac_surface.c:ac_surface_compute_bo_metadata`,
//! and PAL, `amdgpuDevice.cpp:UpdateMetaData`, for bits 48:45, which the kernel does not read.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{malformed, zero};
use crate::metadata::amdgpu::{Level, Swizzle};
use crate::metadata::field::{Bits, Field, Place};
use crate::{Bytes, Error, Kind, Result, Stage};

const SWIZZLE_MODE: Bits = Bits::new("SWIZZLE_MODE", 4, 0);
const DCC_OFFSET_256B: Bits = Bits::new("DCC_OFFSET_256B", 28, 5);
const DCC_PITCH_MAX: Bits = Bits::new("DCC_PITCH_MAX", 42, 29);
const INDEPENDENT_64B: Bits = Bits::new("DCC_INDEPENDENT_64B", 43, 43);
const INDEPENDENT_128B: Bits = Bits::new("DCC_INDEPENDENT_128B", 44, 44);
const MAX_COMPRESSED: Bits = Bits::new("DCC_MAX_COMPRESSED_BLOCK_SIZE", 46, 45);
const MAX_UNCOMPRESSED: Bits = Bits::new("DCC_MAX_UNCOMPRESSED_BLOCK_SIZE", 48, 47);
const RESERVED: Bits = Bits::new("(reserved)", 62, 49);
const SCANOUT: Bits = Bits::new("SCANOUT", 63, 63);

/// The size of a block of DCC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum BlockSize {
    /// 64 bytes.
    #[default]
    B64,
    /// 128 bytes.
    B128,
    /// 256 bytes.
    B256,
}

impl BlockSize {
    /// The size of this number: 0, 1 or 2.
    pub const fn of(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::B64),
            1 => Some(Self::B128),
            2 => Some(Self::B256),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        match self {
            Self::B64 => 0,
            Self::B128 => 1,
            Self::B256 => 2,
        }
    }
}

impl fmt::Display for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::B64 => "64 bytes",
            Self::B128 => "128 bytes",
            Self::B256 => "256 bytes",
        })
    }
}

/// The word itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gfx9Word {
    /// How elements lie in a block.
    pub swizzle: Swizzle,
    /// Where DCC begins, from the start of the buffer: the display's if there is one, else the only one. A multiple of 256,
    /// below 4 GiB. 0: there is none.
    pub dcc_offset: Bytes,
    /// Pitch of that DCC in its own elements, minus one. It can be set where there is no DCC; never take it as "has DCC".
    pub dcc_pitch_max: u16,
    /// Blocks of 64 bytes decode by themselves. Written for surfaces without DCC too, as the next two.
    pub independent_64b: bool,
    /// Blocks of 128 bytes decode by themselves.
    pub independent_128b: bool,
    /// The largest block that compresses.
    pub max_compressed_block: BlockSize,
    /// The largest block before compression. PAL alone writes it; Mesa leaves 0.
    pub max_uncompressed_block: BlockSize,
    /// A display may read the buffer. Linear surfaces have it without being asked.
    pub scanout: bool,
}

impl Gfx9Word {
    /// The word of a surface without DCC.
    pub const fn plain(swizzle: Swizzle, scanout: bool) -> Self {
        Self {
            swizzle,
            dcc_offset: Bytes::ZERO,
            dcc_pitch_max: 0,
            independent_64b: false,
            independent_128b: false,
            max_compressed_block: BlockSize::B64,
            max_uncompressed_block: BlockSize::B64,
            scanout,
        }
    }

    pub(super) fn parse(level: Level, raw: u64) -> Result<Self> {
        zero(raw, &[RESERVED], "GFX9 to GFX11.5")?;
        let block = |bits: Bits| {
            BlockSize::of(bits.get(raw))
                .ok_or_else(|| malformed(raw, format!("{bits} are 3; 0, 1 and 2 mean 64, 128 and 256 bytes")))
        };
        Ok(Self {
            swizzle: Swizzle::new(level, SWIZZLE_MODE.get(raw) as u8)?,
            dcc_offset: Bytes(DCC_OFFSET_256B.get(raw).wrapping_shl(8)),
            dcc_pitch_max: DCC_PITCH_MAX.get(raw) as u16,
            independent_64b: INDEPENDENT_64B.get(raw) != 0,
            independent_128b: INDEPENDENT_128B.get(raw) != 0,
            max_compressed_block: block(MAX_COMPRESSED)?,
            max_uncompressed_block: block(MAX_UNCOMPRESSED)?,
            scanout: SCANOUT.get(raw) != 0,
        })
    }

    pub(super) fn word(&self) -> Result<u64> {
        if !self.dcc_offset.get().is_multiple_of(256) {
            return Err(Error::new(Stage::Allocate, Kind::Invalid)
                .asked(format!("{DCC_OFFSET_256B} for DCC at {}", self.dcc_offset))
                .why("it counts units of 256 bytes"));
        }
        if self.swizzle.level() == Level::Gfx12 {
            return Err(Error::new(Stage::Allocate, Kind::Invalid)
                .asked(format!("a tiling word of GFX9 to GFX11.5 with {} of GFX12", self.swizzle)));
        }
        let mut raw = 0;
        for (bits, value) in [
            (SWIZZLE_MODE, u64::from(self.swizzle.mode())),
            (DCC_OFFSET_256B, self.dcc_offset.get() / 256),
            (DCC_PITCH_MAX, u64::from(self.dcc_pitch_max)),
            (INDEPENDENT_64B, u64::from(self.independent_64b)),
            (INDEPENDENT_128B, u64::from(self.independent_128b)),
            (MAX_COMPRESSED, self.max_compressed_block.number()),
            (MAX_UNCOMPRESSED, self.max_uncompressed_block.number()),
            (SCANOUT, u64::from(self.scanout)),
        ] {
            bits.put(&mut raw, value)?;
        }
        Ok(raw)
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Ok(raw) = self.word() else { return Vec::new() };
        let offset = match self.dcc_offset {
            Bytes::ZERO => String::from("no DCC"),
            offset => format!("DCC at {offset}"),
        };
        [
            (SWIZZLE_MODE, format!("{}", self.swizzle)),
            (DCC_OFFSET_256B, offset),
            (DCC_PITCH_MAX, format!("DCC pitch {}", u32::from(self.dcc_pitch_max).saturating_add(1))),
            (INDEPENDENT_64B, String::new()),
            (INDEPENDENT_128B, String::new()),
            (MAX_COMPRESSED, format!("{}", self.max_compressed_block)),
            (MAX_UNCOMPRESSED, String::from("PAL alone writes it")),
            (SCANOUT, String::new()),
        ]
        .into_iter()
        .map(|(bits, meaning)| bits.show(Place::Word, raw, meaning))
        .collect()
    }
}
