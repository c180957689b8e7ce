//! Formats as the descriptor numbers them. The number alone does not give the order of channels: DST_SEL does.
//!
//! Origin: printed by Mesa 25.0.7 (`ac_formats.c`, `ac_descriptors.c`) for each level. GFX6–9 have DATA_FORMAT and NUM_FORMAT,
//! later levels one FORMAT, numbered differently from GFX11 on.

use alloc::string::String;
use core::fmt;

use super::{Chip, Level};
use crate::Fourcc;

/// The format numbers of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FormatNumbers {
    /// GFX6–9: DATA_FORMAT and NUM_FORMAT.
    Split {
        /// Sizes of the channels.
        data: u8,
        /// What the bits of a channel mean: 0 UNORM, 4 UINT, 7 FLOAT, 9 SRGB, …
        num: u8,
    },
    /// GFX10 and later: FORMAT.
    Unified(u16),
}

/// Where a channel of a texel comes from: 0 zero, 1 one, 4 X, 5 Y, 6 Z, 7 W; for R, G, B and A in this order.
pub type DstSel = [u8; 4];

const ZYXW: DstSel = [6, 5, 4, 7];
const XYZW: DstSel = [4, 5, 6, 7];
const ZYX1: DstSel = [6, 5, 4, 1];
const XYZ1: DstSel = [4, 5, 6, 1];
const X001: DstSel = [4, 0, 0, 1];
const XY01: DstSel = [4, 5, 0, 1];

/// Whether ALPHA_IS_ON_MSB is written with DCC, on GFX8 to GFX10.3 (Mesa, `ac_formats.c:ac_alpha_is_on_msb`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Msb {
    /// One channel: no, but yes on Raven2 and Renoir.
    OneChannel,
    /// Channels in reversed order: no.
    Reversed,
    /// Yes.
    Set,
}

/// One format of a fixed table.
///
/// ```
/// use handover_model::Fourcc;
/// use handover_model::metadata::amdgpu::{FormatNumbers, Level, TexelFormat};
/// let argb = TexelFormat::of("AR24".parse::<Fourcc>()?).unwrap();
/// assert_eq!(argb.numbers(Level::Gfx8), FormatNumbers::Split { data: 10, num: 0 });
/// assert_eq!(argb.numbers(Level::Gfx10_3), FormatNumbers::Unified(56));
/// assert_eq!(TexelFormat::find(Level::Gfx10_3, FormatNumbers::Unified(56), [6, 5, 4, 7]), Some(argb));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TexelFormat {
    name: &'static str,
    fourcc: Option<Fourcc>,
    data: u8,
    num: u8,
    dst_sel: DstSel,
    bc_swizzle: u8,
    gfx10: u16,
    gfx11: u16,
    msb: Msb,
}

const fn row(
    name: &'static str,
    fourcc: Option<&[u8; 4]>,
    split: (u8, u8),
    (dst_sel, bc_swizzle): (DstSel, u8),
    (gfx10, gfx11): (u16, u16),
    msb: Msb,
) -> TexelFormat {
    let fourcc = match fourcc {
        Some(chars) => Some(Fourcc::from_chars(*chars)),
        None => None,
    };
    TexelFormat { name, fourcc, data: split.0, num: split.1, dst_sel, bc_swizzle, gfx10, gfx11, msb }
}

const FORMATS: &[TexelFormat] = &[
    row("R8_UNORM", Some(b"R8  "), (1, 0), (X001, 1), (1, 1), Msb::OneChannel),
    row("R8G8_UNORM", Some(b"GR88"), (3, 0), (XY01, 0), (14, 14), Msb::Set),
    row("R16_UNORM", Some(b"R16 "), (2, 0), (X001, 1), (7, 7), Msb::OneChannel),
    row("R16_FLOAT", None, (2, 7), (X001, 1), (13, 13), Msb::OneChannel),
    row("R16G16_UNORM", Some(b"GR32"), (5, 0), (XY01, 0), (23, 23), Msb::Set),
    row("B8G8R8A8_UNORM", Some(b"AR24"), (10, 0), (ZYXW, 4), (56, 42), Msb::Set),
    row("B8G8R8X8_UNORM", Some(b"XR24"), (10, 0), (ZYX1, 4), (56, 42), Msb::Set),
    row("R8G8B8A8_UNORM", Some(b"AB24"), (10, 0), (XYZW, 0), (56, 42), Msb::Set),
    row("R8G8B8X8_UNORM", Some(b"XB24"), (10, 0), (XYZ1, 0), (56, 42), Msb::Set),
    row("R8G8B8A8_SRGB", None, (10, 9), (XYZW, 0), (130, 66), Msb::Set),
    row("B8G8R8A8_SRGB", None, (10, 9), (ZYXW, 4), (130, 66), Msb::Set),
    row("B10G10R10A2_UNORM", Some(b"AR30"), (9, 0), (ZYXW, 4), (50, 36), Msb::Set),
    row("R10G10B10A2_UNORM", Some(b"AB30"), (9, 0), (XYZW, 0), (50, 36), Msb::Set),
    row("B10G10R10X2_UNORM", Some(b"XR30"), (9, 0), (ZYX1, 4), (50, 36), Msb::Set),
    row("R10G10B10X2_UNORM", Some(b"XB30"), (9, 0), (XYZ1, 0), (50, 36), Msb::Set),
    row("B5G6R5_UNORM", Some(b"RG16"), (16, 0), (ZYX1, 4), (133, 68), Msb::Reversed),
    row("B5G5R5A1_UNORM", Some(b"AR15"), (17, 0), (ZYXW, 4), (134, 69), Msb::Set),
    row("B4G4R4A4_UNORM", Some(b"AR12"), (19, 0), (ZYXW, 4), (136, 71), Msb::Set),
    row("R16G16B16A16_FLOAT", Some(b"AB4H"), (12, 7), (XYZW, 0), (71, 57), Msb::Set),
    row("R16G16B16X16_FLOAT", Some(b"XB4H"), (12, 7), (XYZ1, 0), (71, 57), Msb::Set),
    row("R16G16B16A16_UNORM", Some(b"AB48"), (12, 0), (XYZW, 0), (65, 51), Msb::Set),
    row("R32_FLOAT", None, (4, 7), (X001, 1), (22, 22), Msb::OneChannel),
    row("R32_UINT", None, (4, 4), (X001, 1), (20, 20), Msb::OneChannel),
    row("R32G32_FLOAT", None, (11, 7), (XY01, 0), (64, 50), Msb::Set),
    row("R32G32B32A32_FLOAT", None, (14, 7), (XYZW, 0), (77, 63), Msb::Set),
    row("R11G11B10_FLOAT", None, (6, 7), (XYZ1, 0), (36, 30), Msb::Set),
    row("R9G9B9E5_FLOAT", None, (34, 7), (XYZ1, 0), (132, 67), Msb::Set),
    row("A8R8G8B8_UNORM", Some(b"BA24"), (10, 0), ([5, 6, 7, 4], 3), (56, 42), Msb::Reversed),
    row("A8B8G8R8_UNORM", Some(b"RA24"), (10, 0), ([7, 6, 5, 4], 2), (56, 42), Msb::Reversed),
    row("R8G8_B8G8_UNORM", None, (32, 0), (XYZ1, 0), (147, 82), Msb::Set),
    row("G8R8_G8B8_UNORM", None, (33, 0), (XYZ1, 0), (151, 86), Msb::Set),
];

impl TexelFormat {
    /// The format of this DRM code, if the table has it.
    pub fn of(fourcc: Fourcc) -> Option<Self> {
        FORMATS.iter().copied().find(|format| format.fourcc == Some(fourcc))
    }

    /// The format of this name, as Mesa writes it: channels in the order of memory.
    pub fn named(name: &str) -> Option<Self> {
        FORMATS.iter().copied().find(|format| format.name == name)
    }

    /// The format that a descriptor of this level means.
    pub fn find(level: Level, numbers: FormatNumbers, dst_sel: DstSel) -> Option<Self> {
        FORMATS.iter().copied().find(|format| format.numbers(level) == numbers && format.dst_sel == dst_sel)
    }

    /// Every format of the table.
    pub const fn all() -> &'static [Self] {
        FORMATS
    }

    /// Its name, as Mesa writes it.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Its DRM code, if it has one.
    pub const fn fourcc(self) -> Option<Fourcc> {
        self.fourcc
    }

    /// Where its channels come from.
    pub const fn dst_sel(self) -> DstSel {
        self.dst_sel
    }

    /// BC_SWIZZLE on GFX9 and later: the order of a border colour.
    pub const fn bc_swizzle(self) -> u8 {
        self.bc_swizzle
    }

    /// Its numbers at this level.
    pub fn numbers(self, level: Level) -> FormatNumbers {
        match level {
            Level::Gfx6 | Level::Gfx7 | Level::Gfx8 | Level::Gfx9 => {
                FormatNumbers::Split { data: self.data, num: self.num }
            }
            Level::Gfx10 | Level::Gfx10_3 => FormatNumbers::Unified(self.gfx10),
            _ => FormatNumbers::Unified(self.gfx11),
        }
    }

    /// DCC_DATA_FORMAT and DCC_NUMBER_TYPE of the tiling word of GFX12: the numbers of GFX6–9, but sRGB is 6.
    pub const fn gfx12_word(self) -> (u8, u8) {
        (self.data, if self.num == 9 { 6 } else { self.num })
    }

    /// ALPHA_IS_ON_MSB, which is written with DCC on GFX8 to GFX10.3. `None` where that takes knowing Raven from Raven2.
    pub fn alpha_is_on_msb(self, level: Level, chip: Option<&Chip>) -> Option<bool> {
        match (level, self.msb) {
            (Level::Gfx8 | Level::Gfx9 | Level::Gfx10 | Level::Gfx10_3, Msb::Set) => Some(true),
            (Level::Gfx9, Msb::OneChannel) => match chip.map(|chip| chip.name) {
                Some("Renoir") => Some(true),
                Some("Raven or Raven2") | None => None,
                Some(_) => Some(false),
            },
            _ => Some(false),
        }
    }
}

impl fmt::Display for TexelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// "ZYXW": one letter a channel, 0 and 1 for the constants.
pub(super) fn dst_sel_text(dst_sel: DstSel) -> String {
    let letter = |select: u8| match select {
        0 => '0',
        1 => '1',
        4 => 'X',
        5 => 'Y',
        6 => 'Z',
        7 => 'W',
        _ => '?',
    };
    dst_sel.into_iter().map(letter).collect()
}
