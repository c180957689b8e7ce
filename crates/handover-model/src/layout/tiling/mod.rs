//! Tiled layouts: where each element of a plane lies, from the modifier and what it leaves unsaid.
//!
//! # Contract
//!
//! A [`Tiling`] is a layout that is fully determined: every address follows from the modifier, the size of an element and the
//! [`Parameters`] given. What none of them says is refused with `Unsupported` and the missing field is named; nothing is
//! guessed and nothing falls back to linear. [`Tiling::place`] lays an image out and gives a [`Placed`], which knows the size,
//! the stride and every address.
//!
//! Most tilings are *XOR-linear* inside a block: each bit of an address is the parity of some bits of the column and some of the
//! row, and the blocks themselves follow each other in rows. Such a layout is data ([`Tiling::bits`]), and one engine serves all of
//! them: Intel X, Y, Yf and Tile4, AMD GFX8 to GFX12, NVIDIA block-linear, ARM u-interleaved, Apple, Vivante, and the tiles of
//! codecs. The others (Broadcom T, UIF and SAND, Samsung 64 × 32, Qualcomm `TILED3`) differ only in what lies above a block.
//! All of them have one shape for whoever moves pixels:
//!
//! ```text
//! address(x, y) = row(y).base + (columns(row(y).class)[x] ^ row(y).xor)
//! ```
//!
//! with as many kinds of columns as [`Placed::classes`] says, few and made once an image, and one [`Row`] a row. Every entry of
//! `columns` is less than [`Placed::span`], every `xor` is less than a power of two that divides the span, and `base + span` is at
//! most the size: a mover that checks the size once reads and writes nothing outside.
//!
//! Elements have 1, 2, 4, 8 or 16 bytes. Coordinates count elements of the plane, not pixels of the surface. Only the one level and the
//! one layer of a plain image are described: no mip chains, arrays, samples or depth.
//!
//! A compressed layout ([`Tiling::is_compressed`]) has the same addresses, but what lies there are pixels only after its device has
//! resolved it.
//!
//! ```
//! use handover_model::layout::tiling::{Parameters, Tiling};
//! use handover_model::{Bytes, Elements, Modifier};
//! let y_tiled = Tiling::of(Modifier(0x0100_0000_0000_0002), Bytes(4), &Parameters::default())?;
//! assert_eq!(y_tiled.to_string(), "Intel Y, 4 bytes");
//! let image = y_tiled.place(Elements(1920), 1080, None)?;
//! assert_eq!((image.stride(), image.rows(), image.size()), (Bytes(7680), 1088, Bytes(7680 * 1088)));
//! assert_eq!(image.offset(Elements(5), 2), Some(Bytes(512 + 2 * 16 + 4)));
//! # Ok::<(), handover_model::Error>(())
//! ```

mod above;
mod allwinner;
mod amd;
mod apple;
mod arm;
mod block;
mod broadcom;
mod compressed;
mod intel;
mod mediatek;
mod nvidia;
mod order;
mod parameters;
mod placed;
mod qualcomm;
mod samsung;
mod vivante;

use alloc::format;
use core::fmt;

pub use order::AddressBit;
pub use parameters::{ArrayMode, Gfx8, MicroTile, Parameters, Plane, Qualcomm, SupertileOrder};
pub use placed::{Placed, Row};

use crate::modifier::Parsed;
use crate::{Bytes, Elements, Error, Kind, Modifier, Result, Stage, Text};
use above::Above;
use block::Block;
use compressed::Compressed;

/// A tiled layout of one plane, fully determined. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiling {
    name: Text,
    block: Block,
    above: Above,
    /// A stride is a multiple of this.
    stride_unit: u64,
    /// Where the plane may begin.
    align: u64,
    compressed: Option<Compressed>,
}

impl Tiling {
    /// The tiling that this modifier names, for elements of this size. [`Modifier::INVALID`] means AMD GFX8 if its parameters are
    /// given.
    ///
    /// # Errors
    /// The refusal of [`Modifier::parse`] if it is not a modifier. `Unsupported` if the modifier is linear, if it does not determine the
    /// layout and the parameter that would is missing ([`Error::missing`] names it), if the layout does not exist at this size of
    /// an element, or if no public source says how its bytes lie. `Invalid` for a parameter that no device has.
    ///
    /// ```
    /// use handover_model::layout::tiling::{Parameters, SupertileOrder, Tiling};
    /// use handover_model::{Bytes, Modifier};
    /// let super_tiled = Modifier(0x0600_0000_0000_0002);
    /// let refusal = Tiling::of(super_tiled, Bytes(4), &Parameters::default()).unwrap_err();
    /// assert!(refusal.to_string().contains("vivante_supertile"));
    /// let known = Parameters { vivante_supertile: Some(SupertileOrder::ZOrder), ..Parameters::default() };
    /// assert!(Tiling::of(super_tiled, Bytes(4), &known).is_ok());
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn of(modifier: Modifier, bytes_per_element: Bytes, parameters: &Parameters) -> Result<Self> {
        let asked = |error: Error| error.asked(format!("the tiling of {modifier} for elements of {bytes_per_element}"));
        let bytes_log2 = bytes_log2(bytes_per_element).map_err(asked)?;
        let tiling = match modifier.parse()? {
            Parsed::Intel(intel) => intel::tiling(intel, bytes_log2, parameters),
            Parsed::Amd(amd) => amd::tiling(amd, bytes_log2),
            Parsed::Invalid => match parameters.amd_gfx8 {
                Some(gfx8) => amd::gfx8(gfx8, bytes_log2),
                None => Err(missing("amd_gfx8", "without a modifier nobody but the producer knows the layout")),
            },
            Parsed::Nvidia(nvidia) => nvidia::tiling(nvidia, bytes_log2),
            Parsed::Broadcom(broadcom) => broadcom::tiling(broadcom, bytes_log2, parameters),
            Parsed::Arm(arm) => arm::tiling(arm, bytes_log2),
            Parsed::Vivante(vivante) => vivante::tiling(vivante, bytes_log2, parameters),
            Parsed::Qualcomm(qualcomm) => qualcomm::tiling(qualcomm, bytes_log2, parameters),
            Parsed::Samsung(samsung) => samsung::tiling(samsung, bytes_log2, parameters),
            Parsed::Allwinner(_) => Ok(allwinner::tiling(bytes_log2)),
            Parsed::MediaTek(mediatek) => mediatek::tiling(mediatek, bytes_log2, parameters),
            Parsed::Apple(apple) => apple::tiling(apple, bytes_log2),
            Parsed::Amlogic(_) => Err(refuse("it is compressed all through, and only a decoder finds a pixel")),
            Parsed::Linear => Err(refuse("rows of a linear plane follow each other and need no tiling")),
            Parsed::Simulated(_) => Err(refuse("the layouts of simulated devices are in layout::blocks")),
        };
        tiling.map_err(asked)
    }

    /// The layout of a buffer of AMD GFX8, which has no modifier.
    ///
    /// # Errors
    /// `Invalid` if a number is not a power of two or out of range, `Unsupported` for a pipe configuration that is not known here.
    pub fn amd_gfx8(gfx8: Gfx8, bytes_per_element: Bytes) -> Result<Self> {
        let asked = |error: Error| error.asked(format!("{gfx8:?} for elements of {bytes_per_element}"));
        bytes_log2(bytes_per_element).and_then(|bytes_log2| amd::gfx8(gfx8, bytes_log2)).map_err(asked)
    }

    /// The rectangle of elements that lies in one piece: width, then height.
    pub const fn block(&self) -> (Elements, u32) {
        (Elements(self.block.width()), self.block.height())
    }

    /// Size of an element.
    pub const fn bytes_per_element(&self) -> Bytes {
        Bytes(1 << self.block.bytes_log2)
    }

    /// A stride is a multiple of this.
    pub const fn stride_unit(&self) -> Bytes {
        Bytes(self.stride_unit)
    }

    /// Are the pixels valid only after the device has resolved them? What to answer who reads them all the same: "compressed:
    /// resolve first".
    pub const fn is_compressed(&self) -> bool {
        self.compressed.is_some()
    }

    /// The smallest rectangle, width then height, that can be written without touching a byte that belongs to other elements too. One
    /// element, unless the layout is compressed: then what one byte of the compression data covers, and the greatest
    /// number there is where nobody says.
    pub fn write_unit(&self) -> (Elements, u32) {
        self.compressed.as_ref().map_or((Elements(1), 1), |compressed| compressed.write_unit(&self.block))
    }

    /// The address bits inside a block, the first above the element first (the bits below count the bytes of an element). `None`
    /// where the order of blocks is irregular, so that a block does not tell the whole layout.
    ///
    /// ```
    /// use handover_model::layout::tiling::{Parameters, Tiling};
    /// use handover_model::{Bytes, Modifier};
    /// let tiling = Tiling::of(Modifier(0x0100_0000_0000_0009), Bytes(8), &Parameters::default())?;
    /// let bits: Vec<_> = tiling.bits().unwrap().iter().map(|bit| bit.to_string()).collect();
    /// assert_eq!(bits.join(" "), "x0 y0 y1 x1 x2 y2 x3 y3 y4");
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn bits(&self) -> Option<&[AddressBit]> {
        self.above.is_regular().then(|| self.block.bits())
    }

    /// A tiling of plain pixels whose blocks follow each other in rows and whose stride and place are multiples of a block.
    fn rows(name: impl Into<Text>, block: Block) -> Self {
        let (stride_unit, align) = (u64::from(block.row_bytes()), u64::from(block.bytes()));
        Self { name: name.into(), block, above: Above::Rows, stride_unit, align, compressed: None }
    }
}

impl fmt::Display for Tiling {
    /// The layout in words, and the size of an element: "AMD GFX9 64K_S, 4 bytes".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.name, self.bytes_per_element())
    }
}

fn bytes_log2(bytes_per_element: Bytes) -> Result<u32> {
    match bytes_per_element.get() {
        bytes @ (1 | 2 | 4 | 8 | 16) => Ok(bytes.trailing_zeros()),
        _ => Err(refuse("an element of a tiled layout has 1, 2, 4, 8 or 16 bytes")),
    }
}

/// A layout that no rule here gives.
fn refuse(why: impl Into<Text>) -> Error {
    Error::new(Stage::Negotiate, Kind::Unsupported).why(why)
}

/// A layout that depends on a parameter nobody gave.
fn missing(parameter: &'static str, why: impl Into<Text>) -> Error {
    refuse(why)
        .found(format!("no parameter {parameter}"))
        .help(format!("give {parameter}, from the device or its driver"))
        .with_missing(parameter)
}

/// A parameter that no device has.
fn invalid(why: impl Into<Text>) -> Error {
    Error::new(Stage::Negotiate, Kind::Invalid).why(why)
}
