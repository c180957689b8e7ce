//! What an entry of a reservation is for, and what an access has to wait for.

use core::fmt;

/// The class of a fence, in the order and with the numbers of `enum dma_resv_usage` (Linux, `include/linux/dma-resv.h`).
///
/// Asking for a class returns that class and all lower ones (C20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Usage {
    /// Work that makes the memory valid (a move, a clear, a dropped compression). Everybody waits for it.
    Kernel = 0,
    /// Writes the content. Readers and writers wait for it.
    Write = 1,
    /// Reads the content. Writers wait for it.
    Read = 2,
    /// Uses the memory without saying so to others: explicitly synchronised work. Only the memory's owner waits for it.
    Bookkeep = 3,
}

impl Usage {
    /// All classes, lowest first.
    pub const ALL: [Self; 4] = [Self::Kernel, Self::Write, Self::Read, Self::Bookkeep];

    /// The class in the low two bits; the others are cut off, so that a byte from shared memory always has a meaning.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Kernel,
            1 => Self::Write,
            2 => Self::Read,
            _ => Self::Bookkeep,
        }
    }

    /// The number of the class, 0 to 3.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The word that messages and reports use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Write => "write",
            Self::Read => "read",
            Self::Bookkeep => "bookkeep",
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a participant does with a surface during one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Looks at the content. Readers run beside each other.
    Read,
    /// Changes the content (and may look at it). A writer is alone in its region.
    Write,
}

impl Access {
    /// The class under which the access enters the reservation.
    ///
    /// ```
    /// use handover_model::{Access, Usage};
    /// assert_eq!(Access::Write.usage(), Usage::Write);
    /// ```
    pub const fn usage(self) -> Usage {
        match self {
            Self::Read => Usage::Read,
            Self::Write => Usage::Write,
        }
    }

    /// The class the access asks for, to wait: a reader waits for writes, a writer also for reads (C21; the kernel's
    /// `dma_resv_usage_rw`).
    ///
    /// ```
    /// use handover_model::{Access, Usage};
    /// assert_eq!(Access::Read.waits(), Usage::Write);
    /// assert_eq!(Access::Write.waits(), Usage::Read);
    /// ```
    pub const fn waits(self) -> Usage {
        match self {
            Self::Read => Usage::Write,
            Self::Write => Usage::Read,
        }
    }

    /// "read" or "write".
    pub const fn word(self) -> &'static str {
        self.usage().word()
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
