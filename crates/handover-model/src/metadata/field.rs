//! Named bit fields: taken out of a number, put into one, and shown.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::{Error, Kind, Result, Stage};

/// A field: its name in the headers that define it, and its bits, counted from 0 at the low end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    name: &'static str,
    high: u8,
    low: u8,
}

impl Bits {
    /// The bits `high` down to `low` of a number of 64 bits. Bits past 63 are left out.
    pub const fn new(name: &'static str, high: u8, low: u8) -> Self {
        let high = if high > 63 { 63 } else { high };
        Self { name, high, low: if low > high { high } else { low } }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The largest value it holds.
    pub const fn max(self) -> u64 {
        u64::MAX.wrapping_shr((63 - self.high + self.low) as u32)
    }

    /// The bits it covers, all ones.
    pub const fn mask(self) -> u64 {
        self.max().wrapping_shl(self.low as u32)
    }

    /// Its value in `raw`.
    pub const fn get(self, raw: u64) -> u64 {
        raw.wrapping_shr(self.low as u32) & self.max()
    }

    /// Puts its value into `raw`.
    ///
    /// # Errors
    /// `Invalid` if the value needs more bits than it has.
    pub fn put(self, raw: &mut u64, value: u64) -> Result<()> {
        if value > self.max() {
            return Err(Error::new(Stage::Allocate, Kind::Invalid)
                .asked(format!("{self} = {value:#x}"))
                .why(format!("it holds at most {:#x}", self.max())));
        }
        *raw = (*raw & !self.mask()) | value.wrapping_shl(u32::from(self.low));
        Ok(())
    }

    /// This field as found in `raw`, for people.
    pub fn show(self, place: Place, raw: u64, meaning: impl Into<String>) -> Field {
        Field { name: self.name, place, high: self.high, low: self.low, value: self.get(raw), meaning: meaning.into() }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bits(f, self.high, self.low)?;
        write!(f, " {}", self.name)
    }
}

fn write_bits(f: &mut fmt::Formatter<'_>, high: u8, low: u8) -> fmt::Result {
    if high == low { write!(f, "bit {low}") } else { write!(f, "bits {high}:{low}") }
}

/// Where a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the 8-byte word.
    Word,
    /// In this dword of the block.
    Dword(u8),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word => f.write_str("word"),
            Self::Dword(index) => write!(f, "dword {index}"),
        }
    }
}

/// One decoded field.
///
/// ```
/// use handover_model::metadata::field::{Bits, Place};
/// let field = Bits::new("SW_MODE", 24, 20).show(Place::Dword(5), 0x99b0_0f2e, "64K_R_X");
/// assert_eq!(field.to_string(), "dword 5 bits 24:20 SW_MODE = 27 (64K_R_X)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name in the headers that define it.
    pub name: &'static str,
    /// Where it lies.
    pub place: Place,
    /// Its highest bit.
    pub high: u8,
    /// Its lowest bit.
    pub low: u8,
    /// What it holds.
    pub value: u64,
    /// What that means, in words. Empty where the number says it all.
    pub meaning: String,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.place)?;
        write_bits(f, self.high, self.low)?;
        write!(f, " {} = ", self.name)?;
        if self.value < 0x1_0000 {
            write!(f, "{}", self.value)?
        } else {
            write!(f, "{:#x}", self.value)?
        }
        if self.meaning.is_empty() { Ok(()) } else { write!(f, " ({})", self.meaning) }
    }
}
