//! The tiling word of GFX12: swizzle mode, and what the kernel needs to compress again when it moves a buffer.
//!
//! There is no DCC offset: compression is a property of the pages. Source: Linux, `amdgpu_drm.h` (AMDGPU_TILING_GFX12_*);
//! Mesa 25.0.7, `ac_surface.c:ac_surface_compute_bo_metadata`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{BlockSize, malformed, zero};
use crate::metadata::amdgpu::{Level, Swizzle};
use crate::metadata::field::{Bits, Field, Place};
use crate::{Error, Kind, Result, Stage};

const SWIZZLE_MODE: Bits = Bits::new("SWIZZLE_MODE", 2, 0);
const MAX_COMPRESSED: Bits = Bits::new("DCC_MAX_COMPRESSED_BLOCK", 4, 3);
const NUMBER_TYPE: Bits = Bits::new("DCC_NUMBER_TYPE", 7, 5);
const DATA_FORMAT: Bits = Bits::new("DCC_DATA_FORMAT", 13, 8);
const WRITE_COMPRESS_DISABLE: Bits = Bits::new("DCC_WRITE_COMPRESS_DISABLE", 14, 14);
const RESERVED: Bits = Bits::new("(reserved)", 62, 15);
const SCANOUT: Bits = Bits::new("SCANOUT", 63, 63);

/// The word itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gfx12Word {
    /// How elements lie in a block.
    pub swizzle: Swizzle,
    /// The largest block that compresses.
    pub max_compressed_block: BlockSize,
    /// CB_COLOR0_INFO.NUMBER_TYPE: as NUM_FORMAT of the block, except that sRGB is 6.
    pub dcc_number_type: u8,
    /// CB_COLOR0_INFO.FORMAT in the low five bits, MM above. Written without DCC too.
    pub dcc_data_format: u8,
    /// The kernel must not compress when it clears or moves the buffer.
    pub write_compress_disable: bool,
    /// A display was asked for. Linear surfaces do not have it by themselves.
    pub scanout: bool,
}

impl Gfx12Word {
    pub(super) fn parse(raw: u64) -> Result<Self> {
        zero(raw, &[RESERVED], "GFX12")?;
        let max_compressed_block = BlockSize::of(MAX_COMPRESSED.get(raw))
            .ok_or_else(|| malformed(raw, format!("{MAX_COMPRESSED} are 3; 0, 1 and 2 mean 64, 128 and 256 bytes")))?;
        Ok(Self {
            swizzle: Swizzle::new(Level::Gfx12, SWIZZLE_MODE.get(raw) as u8)?,
            max_compressed_block,
            dcc_number_type: NUMBER_TYPE.get(raw) as u8,
            dcc_data_format: DATA_FORMAT.get(raw) as u8,
            write_compress_disable: WRITE_COMPRESS_DISABLE.get(raw) != 0,
            scanout: SCANOUT.get(raw) != 0,
        })
    }

    pub(super) fn word(&self) -> Result<u64> {
        if self.swizzle.level() != Level::Gfx12 {
            return Err(Error::new(Stage::Allocate, Kind::Invalid).asked(format!(
                "a tiling word of GFX12 with {} of {}",
                self.swizzle,
                self.swizzle.level()
            )));
        }
        let mut raw = 0;
        for (bits, value) in [
            (SWIZZLE_MODE, u64::from(self.swizzle.mode())),
            (MAX_COMPRESSED, self.max_compressed_block.number()),
            (NUMBER_TYPE, u64::from(self.dcc_number_type)),
            (DATA_FORMAT, u64::from(self.dcc_data_format)),
            (WRITE_COMPRESS_DISABLE, u64::from(self.write_compress_disable)),
            (SCANOUT, u64::from(self.scanout)),
        ] {
            bits.put(&mut raw, value)?;
        }
        Ok(raw)
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Ok(raw) = self.word() else { return Vec::new() };
        [
            (SWIZZLE_MODE, format!("{}", self.swizzle)),
            (MAX_COMPRESSED, format!("{}", self.max_compressed_block)),
            (NUMBER_TYPE, String::from("CB_COLOR0_INFO.NUMBER_TYPE")),
            (DATA_FORMAT, String::from("CB_COLOR0_INFO.FORMAT")),
            (WRITE_COMPRESS_DISABLE, String::new()),
            (SCANOUT, String::new()),
        ]
        .into_iter()
        .map(|(bits, meaning)| bits.show(Place::Word, raw, meaning))
        .collect()
    }
}
