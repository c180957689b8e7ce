//! The state of one entry in one 64-bit word, so that every change of it is one compare-exchange.

use core::fmt;

use handover_model::Usage;

/// Where an entry is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Nobody's.
    Free = 0,
    /// Taken by an owner who has not said for what yet. Its ticket will be larger than any chosen before it is seen.
    Claimed = 1,
    /// Usage and region are set; the ticket is being chosen.
    Choosing = 2,
    /// In line or running: later conflicting entries wait for this one.
    Pending = 3,
    /// Ended well.
    Done = 4,
    /// Ended with an error, which `result` holds.
    Failed = 5,
    /// Its owner died. What it wrote may be torn.
    Dead = 6,
    /// Given up before it ran.
    Cancelled = 7,
}

impl Phase {
    const fn of(word: u64) -> Self {
        match word & 7 {
            0 => Self::Free,
            1 => Self::Claimed,
            2 => Self::Choosing,
            3 => Self::Pending,
            4 => Self::Done,
            5 => Self::Failed,
            6 => Self::Dead,
            _ => Self::Cancelled,
        }
    }

    /// Is somebody's work, or the claim to it, behind this entry?
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Claimed | Self::Choosing | Self::Pending)
    }

    /// Has the entry stood in line, so that its word holds a ticket?
    pub const fn has_ticket(self) -> bool {
        matches!(self, Self::Pending | Self::Done | Self::Failed | Self::Dead | Self::Cancelled)
    }

    /// Does the entry hold an outcome that a reader may still want to see?
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Dead)
    }
}

/// Ticket (52 bits, 64 ns each), owner (6), usage (2), lease (1), phase (3).
///
/// Until a ticket is chosen its field holds the owner's generation: a dead owner's word is then never written again by
/// a later holder of the same index, and an exact compare-exchange on it has no ABA.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(pub u64);

/// Mask of the ticket field, before it is shifted into place.
pub(super) const TICKET_MASK: u64 = (1 << 52) - 1;

impl Word {
    /// A word with these fields. Tickets and owners are cut to their width.
    pub const fn new(ticket: u64, owner: u8, usage: Usage, lease: bool, phase: Phase) -> Self {
        let usage = usage.bits() as u64;
        Self(
            (ticket & TICKET_MASK) << 12
                | ((owner & 63) as u64) << 6
                | (usage & 3) << 4
                | (lease as u64) << 3
                | phase as u64,
        )
    }

    /// The ticket, or before PENDING the owner's generation.
    pub const fn ticket(self) -> u64 {
        self.0 >> 12
    }
    /// Index of the owner in its pool.
    pub const fn owner(self) -> u8 {
        (self.0 >> 6) as u8 & 63
    }
    /// What the entry is for.
    pub const fn usage(self) -> Usage {
        Usage::from_bits((self.0 >> 4) as u8 & 3)
    }
    /// CPU access, not a job.
    pub const fn is_lease(self) -> bool {
        self.0 & 8 != 0
    }
    /// The phase.
    pub const fn phase(self) -> Phase {
        Phase::of(self.0)
    }
    /// The same entry, in another phase.
    #[must_use]
    pub const fn with_phase(self, phase: Phase) -> Self {
        Self(self.0 & !7 | phase as u64)
    }
    /// Is this entry's place in line before that one's? Smaller ticket first; no two conflicting entries share one.
    pub const fn is_before(self, other: Self) -> bool {
        self.0 >> 6 < other.0 >> 6
    }
    /// Are both the same entry of the same submission, perhaps in different phases?
    pub const fn is_same_entry(self, other: Self) -> bool {
        self.0 >> 3 == other.0 >> 3
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ticket, owner) = (self.ticket(), self.owner());
        write!(f, "{:?}({ticket:#x}, owner {owner}, {})", self.phase(), self.usage().word())
    }
}
