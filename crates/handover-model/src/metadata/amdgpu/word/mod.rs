//! The tiling word: 64 bits in three generations. The word does not say which one; the device that owns the buffer does.

mod gfx12;
mod gfx6;
mod gfx9;

use alloc::format;
use alloc::vec::Vec;

pub use gfx6::{ArrayMode, Gfx6Word, MacroTile};
pub use gfx9::{BlockSize, Gfx9Word};
pub use gfx12::Gfx12Word;

use super::{Level, Swizzle};
use crate::metadata::field::{Bits, Field};
use crate::{Bytes, Error, Kind, Result, Stage, Word};

/// A tiling word of a known generation. Every field is one that the generation defines.
///
/// ```
/// use handover_model::Word;
/// use handover_model::metadata::amdgpu::{Level, TilingWord};
/// let word = Word(0x8000_18ff_e010_e01b);
/// let parsed = TilingWord::parse(Level::Gfx10_3, word)?;
/// assert_eq!(parsed.dcc_offset().map(|offset| offset.get()), Some(0x87_0000));
/// assert_eq!(parsed.word()?, word);
/// assert!(TilingWord::parse(Level::Gfx10_3, Word(1 << 50)).unwrap_err().to_string().contains("bits 62:49"));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TilingWord {
    /// GFX6, 7 and 8.
    Gfx6(Gfx6Word),
    /// GFX9, 10, 10.3, 11 and 11.5.
    Gfx9(Gfx9Word),
    /// GFX12.
    Gfx12(Gfx12Word),
}

impl TilingWord {
    /// Reads a word as devices of this level write it.
    ///
    /// # Errors
    /// `Malformed`, naming the bits, for a value that the level reserves.
    pub fn parse(level: Level, word: Word) -> Result<Self> {
        match level {
            Level::Gfx6 | Level::Gfx7 | Level::Gfx8 => Gfx6Word::parse(level, word.0).map(Self::Gfx6),
            Level::Gfx12 => Gfx12Word::parse(word.0).map(Self::Gfx12),
            _ => Gfx9Word::parse(level, word.0).map(Self::Gfx9),
        }
    }

    /// The 64 bits.
    ///
    /// # Errors
    /// `Invalid`, naming the field, for a value that does not fit.
    pub fn word(&self) -> Result<Word> {
        match self {
            Self::Gfx6(word) => word.word(),
            Self::Gfx9(word) => word.word(),
            Self::Gfx12(word) => word.word(),
        }
        .map(Word)
    }

    /// Every field with its meaning.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::Gfx6(word) => word.fields(),
            Self::Gfx9(word) => word.fields(),
            Self::Gfx12(word) => word.fields(),
        }
    }

    /// Does it say rows of pixels? On GFX6–8 that is every array mode but the two that drivers share, as Mesa reads it
    /// (`ac_surface.c:ac_surface_apply_bo_metadata`); so does a word of 0, which nobody ever wrote.
    pub fn is_linear(&self) -> bool {
        match self {
            Self::Gfx6(word) => word.is_linear(),
            Self::Gfx9(word) => word.swizzle.is_linear(),
            Self::Gfx12(word) => word.swizzle.is_linear(),
        }
    }

    /// Does it say that a display may read the buffer?
    pub fn is_scanout(&self) -> bool {
        match self {
            Self::Gfx6(word) => word.micro_tile_mode == 0,
            Self::Gfx9(word) => word.scanout,
            Self::Gfx12(word) => word.scanout,
        }
    }

    /// The swizzle mode; `None` before GFX9.
    pub fn swizzle(&self) -> Option<Swizzle> {
        match self {
            Self::Gfx6(_) => None,
            Self::Gfx9(word) => Some(word.swizzle),
            Self::Gfx12(word) => Some(word.swizzle),
        }
    }

    /// Where the word says that DCC begins: the display's if there is one. `None` for no DCC, and where words have no offset.
    pub fn dcc_offset(&self) -> Option<Bytes> {
        match self {
            Self::Gfx9(word) => Some(word.dcc_offset).filter(|offset| *offset != Bytes::ZERO),
            _ => None,
        }
    }
}

/// Refuses a word with a bit set that its generation leaves 0.
fn zero(raw: u64, reserved: &[Bits], level: &str) -> Result<()> {
    match reserved.iter().find(|bits| bits.get(raw) != 0) {
        Some(bits) => Err(malformed(raw, format!("{bits} are {:#x}, and {level} leaves them 0", bits.get(raw)))),
        None => Ok(()),
    }
}

fn malformed(raw: u64, why: impl Into<crate::Text>) -> Error {
    Error::new(Stage::Import, Kind::Malformed).found(format!("the tiling word {raw:#018x}")).why(why)
}
