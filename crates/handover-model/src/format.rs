//! Pixel formats: a name, a code of four characters, and the planes with their element sizes and subsampling.
//!
//! Names, codes and bit orders are those of Linux, `include/uapi/drm/drm_fourcc.h`: a name lists the channels from the
//! highest bit of a little-endian element to the lowest.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use crate::{Bytes, Elements, Error, Extent, Kind, Result, Stage};

/// A code of four characters, the first in the lowest byte.
///
/// ```
/// use handover_model::{Format, Fourcc};
/// let code: Fourcc = "XR24".parse()?;
/// assert_eq!(code, Fourcc(0x3432_5258));
/// assert_eq!(Format::from_fourcc(code), Some(Format::XRGB8888));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fourcc(pub u32);

impl Fourcc {
    /// The code of these characters.
    pub const fn from_chars(chars: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(chars))
    }

    /// Its characters.
    pub const fn chars(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for Fourcc {
    /// 'XR24' without the quotes and without padding; a code that is not four printable characters as a number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars = self.chars();
        match core::str::from_utf8(&chars) {
            Ok(text) if chars.iter().all(|c| (0x20..0x7f).contains(c)) => f.write_str(text.trim_end()),
            _ => write!(f, "{:#010x}", self.0),
        }
    }
}

impl FromStr for Fourcc {
    type Err = Error;

    /// One to four printable ASCII characters; shorter codes are padded with spaces, as `drm_fourcc.h` does ("R8  ").
    fn from_str(text: &str) -> Result<Self> {
        let mut chars = [b' '; 4];
        let printable = !text.is_empty() && text.bytes().all(|c| (0x20..0x7f).contains(&c));
        match chars.get_mut(..text.len()) {
            Some(head) if printable => head.copy_from_slice(text.as_bytes()),
            _ => {
                return Err(Error::new(Stage::Negotiate, Kind::Invalid)
                    .asked(format!("the format code {text:?}"))
                    .why("a code has one to four printable ASCII characters"));
            }
        }
        Ok(Self::from_chars(chars))
    }
}

/// One plane of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatPlane {
    /// Size of an element.
    pub bytes_per_element: Bytes,
    /// Pixels of the surface an element spans in a row.
    pub horizontal_subsampling: u32,
    /// Rows of the surface an element spans.
    pub vertical_subsampling: u32,
}

impl FormatPlane {
    const fn new(bytes: u64, horizontal: u32, vertical: u32) -> Self {
        Self { bytes_per_element: Bytes(bytes), horizontal_subsampling: horizontal, vertical_subsampling: vertical }
    }

    const fn whole(bytes: u64) -> Self {
        Self::new(bytes, 1, 1)
    }
}

struct Row {
    name: &'static str,
    fourcc: Fourcc,
    alpha: bool,
    planes: &'static [FormatPlane],
}

/// A format this library knows: a handle to one row of a fixed table.
///
/// ```
/// use handover_model::{Extent, Format};
/// let nv12: Format = "NV12".parse()?;
/// let (wide, rows) = nv12.plane_extent(1, Extent::new(721, 405)?).unwrap();
/// assert_eq!((wide.get(), rows), (361, 203));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Format(&'static Row);

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident, $chars:literal, $alpha:literal, [$($plane:expr),+];)+) => {
        impl Format {
            $(
                $(#[$doc])*
                pub const $name: Self = Self(&Row {
                    name: stringify!($name),
                    fourcc: Fourcc::from_chars(*$chars),
                    alpha: $alpha,
                    planes: &[$($plane),+],
                });
            )+

            /// Every format of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

formats! {
    /// x:R:G:B 8:8:8:8, the most common format of windows and screens.
    XRGB8888, b"XR24", false, [FormatPlane::whole(4)];
    /// A:R:G:B 8:8:8:8.
    ARGB8888, b"AR24", true, [FormatPlane::whole(4)];
    /// A:B:G:R 8:8:8:8 (red is the first byte in memory).
    ABGR8888, b"AB24", true, [FormatPlane::whole(4)];
    /// x:B:G:R 8:8:8:8.
    XBGR8888, b"XB24", false, [FormatPlane::whole(4)];
    /// R:G:B 5:6:5.
    RGB565, b"RG16", false, [FormatPlane::whole(2)];
    /// x:R:G:B 2:10:10:10.
    XRGB2101010, b"XR30", false, [FormatPlane::whole(4)];
    /// A:R:G:B 2:10:10:10.
    ARGB2101010, b"AR30", true, [FormatPlane::whole(4)];
    /// A:B:G:R 16:16:16:16, half floats (IEEE 754 binary16).
    ABGR16161616F, b"AB4H", true, [FormatPlane::whole(8)];
    /// One channel of 8 bits.
    R8, b"R8  ", false, [FormatPlane::whole(1)];
    /// One channel of 16 bits.
    R16, b"R16 ", false, [FormatPlane::whole(2)];
    /// G:R 8:8.
    GR88, b"GR88", false, [FormatPlane::whole(2)];
    /// Y, then Cr:Cb pairs at half width and half height.
    NV12, b"NV12", false, [FormatPlane::whole(1), FormatPlane::new(2, 2, 2)];
    /// Y, then Cr:Cb pairs at half width.
    NV16, b"NV16", false, [FormatPlane::whole(1), FormatPlane::new(2, 2, 1)];
    /// As NV12 with 10 bits in the upper part of 16.
    P010, b"P010", false, [FormatPlane::whole(2), FormatPlane::new(4, 2, 2)];
    /// Y, then Cb, then Cr, the latter two at half width and half height.
    YUV420, b"YU12", false, [FormatPlane::whole(1), FormatPlane::new(1, 2, 2), FormatPlane::new(1, 2, 2)];
    /// As YUV420 with Cr before Cb.
    YVU420, b"YV12", false, [FormatPlane::whole(1), FormatPlane::new(1, 2, 2), FormatPlane::new(1, 2, 2)];
}

impl Format {
    /// The format of this code, if the table has it.
    pub fn from_fourcc(fourcc: Fourcc) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.fourcc() == fourcc)
    }

    /// The name, as in `drm_fourcc.h` without its prefix.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// The code.
    pub const fn fourcc(self) -> Fourcc {
        self.0.fourcc
    }

    /// The planes, one to three.
    pub const fn planes(self) -> &'static [FormatPlane] {
        self.0.planes
    }

    /// Does it carry an alpha channel?
    pub const fn has_alpha(self) -> bool {
        self.0.alpha
    }

    /// Elements a row and rows of one plane of a surface of this extent. Odd edges round up: the last chroma sample then
    /// covers one pixel. `None` if there is no such plane.
    pub fn plane_extent(self, plane: usize, extent: Extent) -> Option<(Elements, u32)> {
        let plane = self.planes().get(plane)?;
        let wide = extent.width().get().div_ceil(plane.horizontal_subsampling);
        let rows = extent.height().get().div_ceil(plane.vertical_subsampling);
        Some((Elements(wide), rows))
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.fourcc() == other.fourcc()
    }
}

impl Eq for Format {}

impl Hash for Format {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fourcc().hash(state);
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// By name ("XRGB8888").
    fn from_str(text: &str) -> Result<Self> {
        if let Some(format) = Self::ALL.iter().copied().find(|format| format.name() == text) {
            return Ok(format);
        }
        let mut names = String::new();
        for format in Self::ALL {
            names.push_str(if names.is_empty() { "one of " } else { ", " });
            names.push_str(format.name());
        }
        Err(Error::new(Stage::Negotiate, Kind::Unsupported)
            .asked(format!("the format {text:?}"))
            .why("no format has this name")
            .help(names))
    }
}
