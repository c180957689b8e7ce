//! Who waits for whom: the models of synchronisation, as rules.
//!
//! Every model orders the users of a buffer in the order of their submission. They differ in what they know: whether a read is
//! told from a write, whose jobs are trusted to order themselves, and whether parts of a buffer are told apart.

/// A way to synchronise the users of shared buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// Every job waits for the last one that named the buffer, and becomes it. Drivers that mark everything as written do this.
    Exclusive,
    /// Readers wait for the last writer, writers for everybody.
    Shared,
    /// As amdgpu did it: a job waits for everything of other owners, and of its own for what it names.
    Owners,
    /// A group orders itself by fences it names, and imports its results as writes and reads. Others see the union.
    Classes,
    /// Every job waits for exactly the fences it names.
    Explicit,
    /// The rules of [`Model::Shared`], for each region of a buffer.
    Regions,
}

impl Model {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 6] =
        [Self::Exclusive, Self::Shared, Self::Owners, Self::Classes, Self::Explicit, Self::Regions];

    /// Its short name: "M0".
    pub fn name(self) -> &'static str {
        match self {
            Self::Exclusive => "M0",
            Self::Shared => "M1",
            Self::Owners => "M1a",
            Self::Classes => "M2",
            Self::Explicit => "M3",
            Self::Regions => "M4",
        }
    }

    /// What it is, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive only",
            Self::Shared => "exclusive + shared",
            Self::Owners => "everything of other owners",
            Self::Classes => "classes + import/export",
            Self::Explicit => "fully explicit",
            Self::Regions => "region-scoped",
        }
    }

    /// Who waits for whom, in a sentence.
    pub fn means(self) -> &'static str {
        match self {
            Self::Exclusive => "every job waits for the last one that named the buffer",
            Self::Shared => "readers wait for the last writer of the buffer, writers for everybody",
            Self::Owners => "a job waits for everything of other owners",
            Self::Classes => "a group orders itself by fences, others wait for all of it",
            Self::Explicit => "a job waits for the fences that it names",
            Self::Regions => "readers wait for the last writer of the region, writers for its users",
        }
    }

    /// Implicit, explicit, or both.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Exclusive | Self::Shared | Self::Owners | Self::Regions => "implicit",
            Self::Classes => "explicit inside a group",
            Self::Explicit => "explicit",
        }
    }

    /// Its rules for every buffer.
    pub fn rules(self) -> Rules {
        let rules = Rules { shared_reads: true, trust: Trust::Nobody, writers: false, regions: false };
        match self {
            Self::Exclusive => Rules { shared_reads: false, ..rules },
            Self::Shared => rules,
            Self::Owners => Rules { shared_reads: false, trust: Trust::Owner, ..rules },
            Self::Classes => Rules { trust: Trust::Group, ..rules },
            Self::Explicit => Rules { trust: Trust::Everybody, ..rules },
            Self::Regions => Rules { regions: true, ..rules },
        }
    }
}

/// The rules for one buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Is a read told from a write? If not, everything is a write.
    pub shared_reads: bool,
    /// Who orders itself by fences it names, instead of by the buffer.
    pub trust: Trust,
    /// Do those who write the buffer trust each other besides? They import their results instead of writing one after the other.
    pub writers: bool,
    /// Are the regions of the buffer told apart?
    pub regions: bool,
}

/// Jobs that trust each other wait for each other by the fences they name only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Nobody does.
    Nobody,
    /// Jobs of one owner.
    Owner,
    /// Jobs of one group.
    Group,
    /// All jobs.
    Everybody,
}

/// What keeps the rules safe, piece by piece. The program knows [`Contract::HONEST`] only; a test takes pieces away, and finds
/// that each is needed.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// Who reads and writes a buffer is a writer of it.
    pub promotion: bool,
    /// A writer waits for readers.
    pub write_after_read: bool,
    /// A reader waits for writers.
    pub read_after_write: bool,
    /// A writer waits for writers.
    pub write_after_write: bool,
    /// The whole buffer is the union of all of its regions, the last one too.
    pub whole_union: bool,
    /// A fence is attached to every region that was accessed, not only to the first.
    pub every_region: bool,
    /// A reader attaches its fence.
    pub readers_attach: bool,
    /// A writer that did not wait for somebody leaves that fence where it is.
    pub keeps_unwaited: bool,
    /// Of one queue the latest fence is kept, not the first.
    pub latest_of_queue: bool,
    /// Behind the latest fence of a queue, the latest of somebody else is kept.
    pub latest_of_others: bool,
    /// Those who trust each other wait for the fences they name.
    pub named_fences: bool,
    /// Dependencies that accesses do not show are waited for.
    pub explicit_after: bool,
}

impl Contract {
    /// All of it.
    pub const HONEST: Self = Self {
        promotion: true,
        write_after_read: true,
        read_after_write: true,
        write_after_write: true,
        whole_union: true,
        every_region: true,
        readers_attach: true,
        keeps_unwaited: true,
        latest_of_queue: true,
        latest_of_others: true,
        named_fences: true,
        explicit_after: true,
    };
}
