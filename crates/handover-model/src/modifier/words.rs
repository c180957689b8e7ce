//! Modifiers in words: one table a vendor, read both ways by `Display` and `FromStr`.
//!
//! A name is the vendor, then words between blanks, commas or bars, as `AMD GFX9 64K_S_X, pipe_xor=2, bank_xor=3`. Every word sets bits
//! and says which it decides, so that words which contradict each other are refused. A word's first spelling is ours;
//! the others are those of `drm_fourcc.h` and of libdrm's `drmGetFormatModifierName`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::bits::BitField;
use super::{Modifier, VENDORS, Vendor};
use crate::{Error, Kind, Result, Stage};

/// A word of a vendor's: what it is called, and what it says.
#[derive(Clone, Copy)]
pub(super) struct Word {
    names: &'static [&'static str],
    /// The bits it decides.
    mask: u64,
    /// What it sets them to.
    value: u64,
    /// A field whose number follows the name.
    number: Option<BitField>,
    hex: bool,
    even_zero: bool,
    only_read: bool,
    after_comma: bool,
}

impl Word {
    pub(super) const fn bits(names: &'static [&'static str], mask: u64, value: u64) -> Self {
        let flags = false;
        Self { names, mask, value, number: None, hex: flags, even_zero: flags, only_read: flags, after_comma: flags }
    }

    /// A value of a field.
    pub(super) const fn of(names: &'static [&'static str], field: BitField, value: u64) -> Self {
        Self::bits(names, field.mask(), field.put(value))
    }

    /// A field whose number follows the name. Not shown where it is 0.
    pub(super) const fn number(names: &'static [&'static str], field: BitField) -> Self {
        Self { number: Some(field), ..Self::bits(names, 0, 0) }
    }

    /// A word that stands in every name of the vendor.
    pub(super) const fn always(names: &'static [&'static str]) -> Self {
        Self::bits(names, 0, 0)
    }

    /// Has its meaning only where these bits have this value, and sets them.
    pub(super) const fn within(self, mask: u64, value: u64) -> Self {
        Self { mask: self.mask | mask, value: self.value | value, ..self }
    }

    pub(super) const fn hex(self) -> Self {
        Self { hex: true, ..self }
    }

    pub(super) const fn even_zero(self) -> Self {
        Self { even_zero: true, ..self }
    }

    pub(super) const fn only_read(self) -> Self {
        Self { only_read: true, ..self }
    }

    pub(super) const fn after_comma(self) -> Self {
        Self { after_comma: true, ..self }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, modifier: Modifier) -> fmt::Result {
        let number = self.number.map(|field| field.value(modifier));
        let is_said = modifier.0 & self.mask == self.value && (self.even_zero || number != Some(0));
        let Some(name) = self.names.first().filter(|_| is_said && !self.only_read) else { return Ok(()) };
        write!(f, "{}{name}", if self.after_comma { ", " } else { " " })?;
        match number {
            Some(number) if self.hex => write!(f, "{number:#x}"),
            Some(number) => write!(f, "{number}"),
            None => Ok(()),
        }
    }

    /// The bits that this text decides and their value, if it is this word.
    fn read(&self, text: &str) -> Option<(u64, u64)> {
        let Some(field) = self.number else {
            return self.names.contains(&text).then_some((self.mask, self.value));
        };
        let number = self.names.iter().find_map(|name| number(text.strip_prefix(name)?))?;
        (number <= field.max()).then(|| (self.mask | field.mask(), self.value | field.put(number)))
    }
}

/// A number as people write it, decimal or hexadecimal.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        // `from_str_radix` would take a sign.
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

impl fmt::Display for Modifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LINEAR => return f.write_str("LINEAR"),
            Self::INVALID => return f.write_str("INVALID (implicit)"),
            Self::SIM_BLOCKS => return f.write_str("SIM_BLOCKS (simulated)"),
            _ => {}
        }
        match Vendor::of(*self) {
            Some(vendor) if self.parse().is_ok() => {
                f.write_str(vendor.name)?;
                vendor.words.iter().try_for_each(|word| word.show(f, *self))
            }
            Some(vendor) => write!(f, "{} {:#x}", vendor.name, self.value()),
            None => write!(f, "vendor {:#04x} {:#x}", self.vendor(), self.value()),
        }
    }
}

/// Reads what `Display` writes, a number in hexadecimal (`0x…`), a macro of `drm_fourcc.h`, and a name as
/// libdrm's `drmGetFormatModifierName` gives it, with its vendor before it (`AMD_GFX9,…`) or without where one vendor alone has it.
///
/// ```
/// use handover_model::Modifier;
/// for text in ["0x100000000000001", "INTEL X_TILED", "I915_FORMAT_MOD_X_TILED", "X_TILED"] {
///     assert_eq!(text.parse(), Ok(Modifier(0x0100_0000_0000_0001)));
/// }
/// let error = "TILED".parse::<Modifier>().map_err(|error| error.to_string());
/// assert!(error.is_err_and(|text| text.contains("VIVANTE TILED, ALLWINNER TILED")));
/// ```
impl FromStr for Modifier {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.trim();
        let name = name.strip_prefix("DRM_FORMAT_MOD_").unwrap_or(name);
        match name {
            "LINEAR" | "NONE" => return Ok(Self::LINEAR),
            "INVALID" | "INVALID (implicit)" => return Ok(Self::INVALID),
            "SIM_BLOCKS" | "SIM_BLOCKS (simulated)" => return Ok(Self::SIM_BLOCKS),
            "GENERIC_16_16_TILE" => return "SAMSUNG 16_16_TILE".parse(),
            _ => {}
        }
        if name.starts_with("0x") {
            return number(name)
                .map(Self)
                .ok_or_else(|| unread(text, "a hexadecimal number of up to 64 bits was meant"));
        }
        if let Some((vendor, value)) = name.strip_prefix("vendor ").and_then(|rest| rest.split_once(' ')) {
            let vendor = number(vendor).and_then(|vendor| u8::try_from(vendor).ok());
            let why = "a vendor byte and 56 bits of its own were meant";
            return vendor.zip(number(value)).and_then(|(id, value)| join(id, value)).ok_or_else(|| unread(text, why));
        }
        if let Some(rest) = name.strip_prefix("I915_FORMAT_MOD_") {
            return Vendor::named("INTEL").map_or_else(|| Err(unread(text, "")), |intel| intel.read(text, rest));
        }
        for vendor in VENDORS {
            if let Some(rest) = name.strip_prefix(vendor.name).and_then(|rest| rest.strip_prefix([' ', '_'])) {
                return vendor.read(text, rest);
            }
        }
        let found: Vec<_> =
            VENDORS.iter().filter_map(|vendor| Some((vendor.name, vendor.read(text, name).ok()?))).collect();
        match found.as_slice() {
            [(_, modifier)] => Ok(*modifier),
            [] => Err(unread(text, "no vendor has such a name")),
            several => {
                let names: Vec<_> = several.iter().map(|(vendor, _)| format!("{vendor} {name}")).collect();
                Err(unread(text, format!("it could be each of {}", names.join(", "))))
            }
        }
    }
}

impl Vendor {
    fn named(name: &str) -> Option<&'static Self> {
        VENDORS.iter().find(|vendor| vendor.name == name)
    }

    /// The modifier that these words of this vendor's mean.
    fn read(&self, text: &str, rest: &str) -> Result<Modifier> {
        if rest.starts_with("0x") {
            let value = number(rest).and_then(|value| join(self.id, value));
            return value.ok_or_else(|| unread(text, "56 bits of the vendor's were meant"));
        }
        let (mut decided, mut bits) = (0, u64::from(self.id) << 56);
        let mut words = rest.split([' ', ',', '|']).filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            return Err(unread(text, "it says no layout"));
        }
        for spelling in words {
            let Some((mask, value)) = self.words.iter().find_map(|word| word.read(spelling)) else {
                let known: Vec<_> = self.words.iter().filter_map(|word| word.names.first()).copied().collect();
                return Err(unread(text, format!("{} has no word {spelling}; it has {}", self.name, known.join(" "))));
            };
            if (bits ^ value) & mask & decided != 0 {
                return Err(unread(text, format!("{spelling} contradicts a word before it")));
            }
            bits |= value;
            decided |= mask;
        }
        let modifier = Modifier(bits);
        modifier.parse().map(|_| modifier)
    }
}

fn join(vendor: u8, value: u64) -> Option<Modifier> {
    (value >> 56 == 0).then_some(Modifier(u64::from(vendor) << 56 | value))
}

fn unread(text: &str, why: impl Into<String>) -> Error {
    Error::new(Stage::Negotiate, Kind::Invalid).asked(format!("the modifier called {text}")).why(why.into()).help(
        "write it as in AMD GFX9 64K_S_X, pipe_xor=2, bank_xor=3, as a name of drm_fourcc.h, or as 0x and 16 digits",
    )
}
