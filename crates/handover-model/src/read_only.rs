//! What keeps the holder of a READ handle from writing.

use core::fmt;

/// How far READ is enforced for a handle. It depends on the memory, not on the will of the exporter, so every handle says
/// which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ReadOnly {
    /// The kernel refuses every new way to write, to everybody and for ever (a memfd with `F_SEAL_FUTURE_WRITE`).
    Sealed = 0,
    /// The descriptor was opened read-only. That stops mistakes, not a hostile peer of the same user, who can reopen it.
    Descriptor = 1,
    /// Nothing but the peer's good manners (a dma-buf that was exported read-write).
    Unenforced = 2,
}

impl ReadOnly {
    /// All classes, the strongest first.
    pub const ALL: [Self; 3] = [Self::Sealed, Self::Descriptor, Self::Unenforced];

    /// The class of this number, if there is one.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Sealed,
            1 => Self::Descriptor,
            2 => Self::Unenforced,
            _ => return None,
        })
    }

    /// The number of the class.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// "sealed", "descriptor" or "unenforced".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Descriptor => "descriptor",
            Self::Unenforced => "unenforced",
        }
    }
}

impl fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
