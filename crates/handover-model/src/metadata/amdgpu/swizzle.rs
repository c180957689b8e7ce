//! Swizzle modes of GFX9 and later: block size, order inside the block, and whether pipe and bank bits are mixed in.

use alloc::format;
use core::fmt;

use super::Level;
use crate::{Error, Kind, Result, Stage};

/// A swizzle mode that its level defines. GFX9 to GFX11.5 number 32 of them alike, GFX12 has its own eight.
///
/// ```
/// use handover_model::metadata::amdgpu::{Level, Swizzle};
/// let mode = Swizzle::new(Level::Gfx10_3, 27)?;
/// assert_eq!((mode.to_string().as_str(), mode.block_bytes_log2(), mode.is_xor()), ("64K_R_X", Some(16), true));
/// assert_eq!(Swizzle::new(Level::Gfx12, 3)?.to_string(), "64K_2D");
/// assert!(Swizzle::new(Level::Gfx9, 13).is_err());
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Swizzle {
    level: Level,
    mode: u8,
}

const GFX12: [&str; 8] = ["LINEAR", "256B_2D", "4K_2D", "64K_2D", "256K_2D", "4K_3D", "64K_3D", "256K_3D"];
const ORDERS: [&str; 4] = ["Z", "S", "D", "R"];

impl Swizzle {
    /// The mode of this number.
    ///
    /// # Errors
    /// `Malformed` for a number that the level reserves, `Unsupported` before GFX9, which has no swizzle modes.
    pub fn new(level: Level, mode: u8) -> Result<Self> {
        let refused = |kind, why: &'static str| {
            Err(Error::new(Stage::Import, kind).asked(format!("SWIZZLE_MODE {mode} of {level}")).why(why))
        };
        match (level, mode) {
            (Level::Gfx6 | Level::Gfx7 | Level::Gfx8, _) => {
                refused(Kind::Unsupported, "before GFX9 there are tile modes, and no swizzle modes")
            }
            (Level::Gfx12, 8..) => refused(Kind::Malformed, "bits 2:0 SWIZZLE_MODE hold 0 to 7"),
            (_, 32..) => refused(Kind::Malformed, "bits 4:0 SWIZZLE_MODE hold 0 to 31"),
            (_, 12..=15) if level != Level::Gfx12 => {
                refused(Kind::Malformed, "SWIZZLE_MODE 12 to 15 are reserved: blocks of variable size without XOR")
            }
            (Level::Gfx9 | Level::Gfx10 | Level::Gfx10_3, 29 | 30) => {
                refused(Kind::Malformed, "SWIZZLE_MODE 29 and 30 exist from GFX11 on")
            }
            _ => Ok(Self { level, mode }),
        }
    }

    /// Its number.
    pub const fn mode(self) -> u8 {
        self.mode
    }

    /// The level that defines it.
    pub const fn level(self) -> Level {
        self.level
    }

    /// Rows of elements, one after the other?
    pub const fn is_linear(self) -> bool {
        self.mode == 0
    }

    /// Size of a block as a logarithm; `None` for linear and where the size is a property of the chip (VAR, before GFX11).
    pub fn block_bytes_log2(self) -> Option<u8> {
        match (self.level, self.mode) {
            (_, 0) => None,
            (Level::Gfx12, mode) => match mode {
                1 => Some(8),
                2 | 5 => Some(12),
                3 | 6 => Some(16),
                _ => Some(18),
            },
            (level, mode) => match mode >> 2 {
                0 => Some(8),
                1 | 5 => Some(12),
                2 | 4 | 6 => Some(16),
                _ if level >= Level::Gfx11 => Some(18),
                _ => None,
            },
        }
    }

    /// Are pipe (and bank) bits mixed into the address, so that it depends on the chip? Never said of GFX12, where the mode
    /// alone gives the address.
    pub const fn is_xor(self) -> bool {
        !matches!(self.level, Level::Gfx12) && self.mode >= 16
    }

    /// Z, S, D or R: the order of elements inside a block. `None` for linear, and on GFX12.
    pub fn order(self) -> Option<&'static str> {
        if self.mode == 0 || self.level == Level::Gfx12 {
            return None;
        }
        ORDERS.get(usize::from(self.mode & 3)).copied()
    }
}

impl fmt::Display for Swizzle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level == Level::Gfx12 {
            return f.write_str(GFX12.get(usize::from(self.mode)).copied().unwrap_or("reserved"));
        }
        let Some(order) = self.order() else { return f.write_str("LINEAR") };
        let block = match self.mode >> 2 {
            0 => "256B",
            1 | 5 => "4K",
            2 | 4 | 6 => "64K",
            _ if self.level >= Level::Gfx11 => "256K",
            _ => "VAR",
        };
        let suffix = match self.mode >> 2 {
            4 => "_T",
            5.. => "_X",
            _ => "",
        };
        write!(f, "{block}_{order}{suffix}")
    }
}
