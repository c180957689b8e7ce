//! Format modifiers: how the elements of a plane lie in memory.

use core::fmt;

/// A modifier in the numbering of the DRM subsystem: vendor in the top byte, the vendor's own 56 bits below it
/// (source: Linux, `include/uapi/drm/drm_fourcc.h`).
///
/// ```
/// use handover_model::Modifier;
/// assert_eq!(Modifier::LINEAR.to_string(), "LINEAR");
/// assert_eq!(Modifier(0x0100_0000_0000_0001).to_string(), "INTEL 0x1");
/// assert_eq!(Modifier::SIM_BLOCKS.to_string(), "SIM_BLOCKS (simulated)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Modifier(pub u64);

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

    /// The vendor's name, if it has one.
    pub const fn vendor_name(self) -> Option<&'static str> {
        Some(match self.vendor() {
            0x00 => "NONE",
            0x01 => "INTEL",
            0x02 => "AMD",
            0x03 => "NVIDIA",
            0x04 => "SAMSUNG",
            0x05 => "QCOM",
            0x06 => "VIVANTE",
            0x07 => "BROADCOM",
            0x08 => "ARM",
            0x09 => "ALLWINNER",
            0x0a => "AMLOGIC",
            Self::SIM_VENDOR => "SIMULATED",
            _ => return None,
        })
    }
}

impl fmt::Display for Modifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.vendor_name()) {
            (Self::LINEAR, _) => f.write_str("LINEAR"),
            (Self::INVALID, _) => f.write_str("INVALID (implicit)"),
            (Self::SIM_BLOCKS, _) => f.write_str("SIM_BLOCKS (simulated)"),
            (_, Some(vendor)) => write!(f, "{vendor} {:#x}", self.value()),
            (_, None) => write!(f, "vendor {:#04x} {:#x}", self.vendor(), self.value()),
        }
    }
}
