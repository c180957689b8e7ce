//! Format modifiers: how the elements of a plane lie in memory, as a number, in words, and as typed values.
//!
//! [`Modifier::parse`] gives the typed value, one module a vendor, or an error that names the bit field which `drm_fourcc.h` reserves.
//! A parsed value knows every parameter that the modifier carries, and none that it does not.

mod bits;
mod words;

pub mod allwinner;
pub mod amd;
pub mod amlogic;
pub mod apple;
pub mod arm;
pub mod broadcom;
pub mod intel;
pub mod mediatek;
pub mod nvidia;
pub mod qualcomm;
pub mod samsung;
pub mod simulated;
pub mod vivante;

use alloc::format;

pub use bits::BitField;
use words::Word;

use crate::{Error, Kind, Result, Stage};
use allwinner::Allwinner;
use amd::Amd;
use amlogic::Amlogic;
use apple::Apple;
use arm::Arm;
use broadcom::Broadcom;
use intel::Intel;
use mediatek::MediaTek;
use nvidia::Nvidia;
use qualcomm::Qualcomm;
use samsung::Samsung;
use simulated::Simulated;
use vivante::Vivante;

/// A modifier in the numbering of the DRM subsystem: vendor in the top byte, the vendor's own 56 bits below it
/// (source: Linux, `include/uapi/drm/drm_fourcc.h`).
///
/// Shows as name and fields; what no header defines shows as vendor and number. `FromStr` reads both back.
///
/// ```
/// use handover_model::Modifier;
/// assert_eq!(Modifier::LINEAR.to_string(), "LINEAR");
/// assert_eq!(Modifier(0x0100_0000_0000_0001).to_string(), "INTEL X_TILED");
/// assert_eq!(Modifier(0x0200_0000_0440_1a01).to_string(), "AMD GFX9 64K_D_X, pipe_xor=2, bank_xor=4");
/// assert_eq!(Modifier(0x0100_0000_0000_0063).to_string(), "INTEL 0x63");
/// assert_eq!(Modifier::SIM_BLOCKS.to_string(), "SIM_BLOCKS (simulated)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Modifier(pub u64);

/// A modifier as a typed value: every field of it is legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parsed {
    /// [`Modifier::LINEAR`].
    Linear,
    /// [`Modifier::INVALID`]: the layout is known to the producer's driver only.
    Invalid,
    /// Vendor 0x01.
    Intel(Intel),
    /// Vendor 0x02.
    Amd(Amd),
    /// Vendor 0x03.
    Nvidia(Nvidia),
    /// Vendor 0x04.
    Samsung(Samsung),
    /// Vendor 0x05, QCOM.
    Qualcomm(Qualcomm),
    /// Vendor 0x06.
    Vivante(Vivante),
    /// Vendor 0x07.
    Broadcom(Broadcom),
    /// Vendor 0x08.
    Arm(Arm),
    /// Vendor 0x09.
    Allwinner(Allwinner),
    /// Vendor 0x0a.
    Amlogic(Amlogic),
    /// Vendor 0x0b, MTK.
    MediaTek(MediaTek),
    /// Vendor 0x0c.
    Apple(Apple),
    /// Ours: [`Modifier::SIM_VENDOR`].
    Simulated(Simulated),
}

/// What is known of a vendor: its byte, its name in `drm_fourcc.h`, its fields (which may depend on the modifier), its words.
struct Vendor {
    id: u8,
    name: &'static str,
    fields: fn(Modifier) -> &'static [BitField],
    words: &'static [Word],
}

const VALUE: BitField = BitField::new("VALUE", 55, 0);

const VENDORS: &[Vendor] = &[
    Vendor { id: 0x00, name: "NONE", fields: |_| &[VALUE], words: &[] },
    Vendor { id: 0x01, name: "INTEL", fields: |_| intel::FIELDS, words: intel::WORDS },
    Vendor { id: 0x02, name: "AMD", fields: |_| amd::FIELDS, words: amd::WORDS },
    Vendor { id: 0x03, name: "NVIDIA", fields: nvidia::fields, words: nvidia::WORDS },
    Vendor { id: 0x04, name: "SAMSUNG", fields: |_| samsung::FIELDS, words: samsung::WORDS },
    Vendor { id: 0x05, name: "QCOM", fields: |_| qualcomm::FIELDS, words: qualcomm::WORDS },
    Vendor { id: 0x06, name: "VIVANTE", fields: |_| vivante::FIELDS, words: vivante::WORDS },
    Vendor { id: 0x07, name: "BROADCOM", fields: |_| broadcom::FIELDS, words: broadcom::WORDS },
    Vendor { id: 0x08, name: "ARM", fields: arm::fields, words: arm::WORDS },
    Vendor { id: 0x09, name: "ALLWINNER", fields: |_| allwinner::FIELDS, words: allwinner::WORDS },
    Vendor { id: 0x0a, name: "AMLOGIC", fields: |_| amlogic::FIELDS, words: amlogic::WORDS },
    Vendor { id: 0x0b, name: "MTK", fields: |_| mediatek::FIELDS, words: mediatek::WORDS },
    Vendor { id: 0x0c, name: "APPLE", fields: |_| apple::FIELDS, words: apple::WORDS },
    Vendor { id: Modifier::SIM_VENDOR, name: "SIMULATED", fields: |_| simulated::FIELDS, words: simulated::WORDS },
];

impl Vendor {
    fn of(modifier: Modifier) -> Option<&'static Self> {
        VENDORS.iter().find(|vendor| vendor.id == modifier.vendor())
    }
}

impl Modifier {
    /// Rows of elements, one after the other (`DRM_FORMAT_MOD_LINEAR`).
    pub const LINEAR: Self = Self(0);
    /// No modifier: the layout is the producer's secret (`DRM_FORMAT_MOD_INVALID`).
    pub const INVALID: Self = Self(0x00ff_ffff_ffff_ffff);
    /// The vendor byte of the simulated devices. It is ours: `drm_fourcc.h` assigns vendors from 0x01 upwards and has
    /// none near this one, so no real device is mistaken for a simulated one.
    pub const SIM_VENDOR: u8 = 0xf0;
    /// The tiled layout of the simulated device `blocks`, see [`layout::blocks`](crate::layout::blocks). With a second
    /// plane it is compressed, with one it is not.
    pub const SIM_BLOCKS: Self = Self(0xf000_0000_0000_0001);

    /// The vendor byte.
    pub const fn vendor(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// The 56 bits that the vendor defines.
    pub const fn value(self) -> u64 {
        self.0 & 0x00ff_ffff_ffff_ffff
    }

    /// The vendor's name in `drm_fourcc.h`, if it has one.
    pub fn vendor_name(self) -> Option<&'static str> {
        Vendor::of(self).map(|vendor| vendor.name)
    }

    /// The bit fields of a modifier of this vendor, low bits first, defined or not in this one. Empty for an unknown vendor.
    pub fn fields(self) -> &'static [BitField] {
        Vendor::of(self).map_or(&[], |vendor| (vendor.fields)(self))
    }

    /// The layout that is left once its compression has been resolved: the same addresses of pixels, without compression data. What is not
    /// compressed stays as it is. `None` where `drm_fourcc.h` has no such modifier, or the number is none.
    ///
    /// ```
    /// use handover_model::Modifier;
    /// assert_eq!(Modifier(0x0100_0000_0000_0006).uncompressed(), Some(Modifier(0x0100_0000_0000_0002)));
    /// ```
    pub fn uncompressed(self) -> Option<Self> {
        let parsed = match self.parse().ok()? {
            Parsed::Amd(amd) => Parsed::Amd(Amd { dcc: None, ..amd }),
            Parsed::Intel(intel) => match intel.tiling() {
                intel::Tiling::X => Parsed::Intel(Intel::XTiled),
                intel::Tiling::Y => Parsed::Intel(Intel::YTiled),
                intel::Tiling::Yf => Parsed::Intel(Intel::YfTiled),
                intel::Tiling::Four => Parsed::Intel(Intel::Tile4),
            },
            parsed => parsed,
        };
        (!parsed.is_compressed()).then(|| parsed.modifier())
    }

    /// The typed value.
    ///
    /// # Errors
    ///
    /// [`Kind::Malformed`] for a reserved bit or value: the text names the bit field. [`Kind::Unsupported`] for a vendor that
    /// `drm_fourcc.h` does not have.
    ///
    /// ```
    /// use handover_model::Modifier;
    /// use handover_model::modifier::{Parsed, intel::Intel};
    /// assert_eq!(Modifier(0x0100_0000_0000_0002).parse(), Ok(Parsed::Intel(Intel::YTiled)));
    /// let navi10_with_banks = Modifier(0x0200_0000_0580_1b02).parse();
    /// assert!(navi10_with_banks.is_err_and(|error| error.to_string().contains("bits 26:24 BANK_XOR_BITS = 0x5")));
    /// ```
    pub fn parse(self) -> Result<Parsed> {
        match self.vendor() {
            0x00 => match self {
                Self::LINEAR => Ok(Parsed::Linear),
                Self::INVALID => Ok(Parsed::Invalid),
                _ => Err(VALUE.refuse(self, "without a vendor there are 0 (LINEAR) and all ones (INVALID)")),
            },
            0x01 => Intel::parse(self).map(Parsed::Intel),
            0x02 => Amd::parse(self).map(Parsed::Amd),
            0x03 => Nvidia::parse(self).map(Parsed::Nvidia),
            0x04 => Samsung::parse(self).map(Parsed::Samsung),
            0x05 => Qualcomm::parse(self).map(Parsed::Qualcomm),
            0x06 => Vivante::parse(self).map(Parsed::Vivante),
            0x07 => Broadcom::parse(self).map(Parsed::Broadcom),
            0x08 => Arm::parse(self).map(Parsed::Arm),
            0x09 => Allwinner::parse(self).map(Parsed::Allwinner),
            0x0a => Amlogic::parse(self).map(Parsed::Amlogic),
            0x0b => MediaTek::parse(self).map(Parsed::MediaTek),
            0x0c => Apple::parse(self).map(Parsed::Apple),
            Self::SIM_VENDOR => Simulated::parse(self).map(Parsed::Simulated),
            unknown => Err(Error::new(Stage::Negotiate, Kind::Unsupported)
                .asked(format!("the layout of modifier {:#018x}", self.0))
                .found(format!("bits 63:56 VENDOR = {unknown:#04x}"))
                .why("no vendor of drm_fourcc.h has this number")
                .help("agree on another modifier, or on a newer version of this library")),
        }
    }
}

impl Parsed {
    /// The number. A field that is larger than its bits is cut to them; what [`Modifier::parse`] gave never is.
    ///
    /// ```
    /// use handover_model::modifier::{Parsed, intel::Intel};
    /// assert_eq!(Parsed::Intel(Intel::Tile4).modifier().0, 0x0100_0000_0000_0009);
    /// ```
    pub const fn modifier(&self) -> Modifier {
        let (vendor, value) = match *self {
            Self::Linear => return Modifier::LINEAR,
            Self::Invalid => return Modifier::INVALID,
            Self::Intel(intel) => (0x01, intel.code()),
            Self::Amd(amd) => (0x02, amd.bits()),
            Self::Nvidia(nvidia) => (0x03, nvidia.bits()),
            Self::Samsung(samsung) => (0x04, samsung.code()),
            Self::Qualcomm(qualcomm) => (0x05, qualcomm.code()),
            Self::Vivante(vivante) => (0x06, vivante.bits()),
            Self::Broadcom(broadcom) => (0x07, broadcom.bits()),
            Self::Arm(arm) => (0x08, arm.bits()),
            Self::Allwinner(allwinner) => (0x09, allwinner.code()),
            Self::Amlogic(amlogic) => (0x0a, amlogic.bits()),
            Self::MediaTek(mediatek) => (0x0b, mediatek.bits()),
            Self::Apple(apple) => (0x0c, apple.code()),
            Self::Simulated(simulated) => (Modifier::SIM_VENDOR as u64, simulated.code()),
        };
        Modifier(vendor << 56 | value)
    }

    /// Are pixels valid only after the producer, or somebody with a decoder, resolved the compression?
    ///
    /// False for [`Invalid`](Self::Invalid), which says nothing, and for [`Simulated`](Self::Simulated), where the number of planes says it.
    ///
    /// ```
    /// use handover_model::Modifier;
    /// let navi21_scanout = Modifier(0x0200_0000_2093_7b03);
    /// assert!(navi21_scanout.parse().is_ok_and(|parsed| parsed.is_compressed()));
    /// ```
    pub const fn is_compressed(&self) -> bool {
        match self {
            Self::Linear | Self::Invalid | Self::Samsung(_) | Self::Broadcom(_) => false,
            Self::Allwinner(_) | Self::Simulated(_) => false,
            Self::Intel(intel) => intel.is_compressed(),
            Self::Amd(amd) => amd.dcc.is_some(),
            Self::Nvidia(nvidia) => nvidia.is_compressed(),
            Self::Qualcomm(qualcomm) => matches!(qualcomm, Qualcomm::Compressed),
            // A tile that its status calls cleared was never written.
            Self::Vivante(vivante) => vivante.tile_status.is_some() || vivante.dec400,
            Self::Arm(arm) => arm.is_compressed(),
            Self::Amlogic(_) => true,
            Self::MediaTek(mediatek) => !matches!(mediatek.compression, mediatek::Compression::None),
            Self::Apple(apple) => matches!(apple, Apple::GpuTiledCompressed),
        }
    }
}

impl From<Parsed> for Modifier {
    fn from(parsed: Parsed) -> Self {
        parsed.modifier()
    }
}
