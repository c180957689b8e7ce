//! Bit fields of a modifier, and the refusal that names one.

use alloc::format;
use core::fmt;

use super::Modifier;
use crate::{Error, Kind, Result, Stage, Text};

/// A bit field of a modifier, both ends counted in. Shows as `bits 26:24 BANK_XOR_BITS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BitField {
    /// The name in `drm_fourcc.h`, or the shortest that says the same.
    pub name: &'static str,
    /// The highest bit.
    pub high: u32,
    /// The lowest bit.
    pub low: u32,
}

impl BitField {
    pub(super) const fn new(name: &'static str, high: u32, low: u32) -> Self {
        Self { name, high, low }
    }

    /// The bits of the field, in their place.
    pub const fn mask(self) -> u64 {
        self.max() << self.low
    }

    /// The largest value the field holds.
    pub const fn max(self) -> u64 {
        u64::MAX >> (63 - (self.high - self.low))
    }

    /// What the field says in this modifier.
    ///
    /// ```
    /// use handover_model::Modifier;
    /// let vega = Modifier(0x0200_0000_0480_1a01);
    /// let bank = vega.fields().iter().find(|field| field.name == "BANK_XOR_BITS");
    /// assert_eq!(bank.map(|field| field.value(vega)), Some(4));
    /// ```
    pub const fn value(self, modifier: Modifier) -> u64 {
        modifier.0 >> self.low & self.max()
    }

    /// The value in its place; what does not fit is cut.
    pub(super) const fn put(self, value: u64) -> u64 {
        (value & self.max()) << self.low
    }

    pub(super) const fn is_set(self, modifier: Modifier) -> bool {
        self.value(modifier) != 0
    }

    /// A code that must be known, or a refusal that says which are.
    pub(super) fn code<T>(self, modifier: Modifier, from: fn(u64) -> Option<T>, known: &'static str) -> Result<T> {
        from(self.value(modifier)).ok_or_else(|| self.refuse(modifier, known))
    }

    /// Refuses what is set here where it must be 0.
    pub(super) fn must_be_zero(self, modifier: Modifier, why: &'static str) -> Result<()> {
        if self.is_set(modifier) { Err(self.refuse(modifier, why)) } else { Ok(()) }
    }

    pub(super) fn refuse(self, modifier: Modifier, why: impl Into<Text>) -> Error {
        let vendor = modifier.vendor_name().unwrap_or("an unknown vendor");
        Error::new(Stage::Negotiate, Kind::Malformed)
            .asked(format!("the layout of modifier {:#018x} of {vendor}", modifier.0))
            .found(format!("{self} = {:#x}", self.value(modifier)))
            .why(why)
            .help("pass the modifier on as the driver gave it; if it is newer than this library, agree on another")
    }
}

impl fmt::Display for BitField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.high == self.low {
            write!(f, "bit {} {}", self.low, self.name)
        } else {
            write!(f, "bits {}:{} {}", self.high, self.low, self.name)
        }
    }
}

/// Refuses a modifier that has a bit set below its vendor byte and outside these fields. Names the whole gap, as
/// `drm_fourcc.h` does.
pub(super) fn no_bits_outside(modifier: Modifier, fields: &[BitField]) -> Result<()> {
    let known = fields.iter().fold(0xff << 56, |known, field| known | field.mask());
    let stray = modifier.0 & !known;
    if stray == 0 {
        return Ok(());
    }
    let bit = stray.trailing_zeros();
    let high = (bit..56).take_while(|bit| known >> bit & 1 == 0).last().unwrap_or(bit);
    let low = (0..=bit).rev().take_while(|bit| known >> bit & 1 == 0).last().unwrap_or(bit);
    Err(BitField::new("reserved", high, low).refuse(modifier, "drm_fourcc.h defines nothing there: it must be 0"))
}

/// An enum of the values that a field may have.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value that stands in the field.
            pub const fn code(self) -> u64 {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The other way; `None` for what `drm_fourcc.h` reserves.
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use codes;
