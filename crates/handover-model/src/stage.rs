//! The eight words: every surface and every frame goes this way, and every error says where it stopped.

use core::fmt;

/// A stage of the way of the data. The same word names the module, the example, the error and the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The offers of all parties → an agreement, or a conflict that explains itself.
    Negotiate,
    /// An agreement → a surface: memory, layout, metadata, reservation.
    Allocate,
    /// A surface and export flags → a handle and the compression decision.
    Export,
    /// A received handle (an allegation) → a checked surface.
    Import,
    /// Surfaces, access, regions and a deadline → a lease, by fences.
    Acquire,
    /// A lease → mapped pixels, or a job on a queue.
    Access,
    /// The producer makes the content readable for its consumers.
    Flush,
    /// A lease and its fence → back to the reservation.
    Release,
}

impl Stage {
    /// All stages, in the order of the way.
    pub const ALL: [Self; 8] = [
        Self::Negotiate,
        Self::Allocate,
        Self::Export,
        Self::Import,
        Self::Acquire,
        Self::Access,
        Self::Flush,
        Self::Release,
    ];

    /// The word itself, as it stands in messages, file names and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Negotiate => "negotiate",
            Self::Allocate => "allocate",
            Self::Export => "export",
            Self::Import => "import",
            Self::Acquire => "acquire",
            Self::Access => "access",
            Self::Flush => "flush",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
