//! The places of the protocol where an ordering or a fence stands, so that each can be taken away alone.

/// What a participant uses the protocol for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doing {
    Joining,
    Attaching,
    Waiting,
    Releasing,
}

/// One ordering of the product: an acquire, a release, or both; or a fence.
///
/// Those that are not here change nothing if they alone are missing, by what loom could find: the store of PENDING (the fence
/// before the clocks releases too), the raise of `high` and the bits of `armed` (the clock and the event count carry them), the
/// generation (the word of every entry made under it carries it), the count of failures (the end of the entry does).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Site {
    /// CAS of an entry to CLAIMED: who waited for the entry before it sees a new word, and must see what that one wrote.
    TakeWord,
    /// Store of the region: who reads it beside an older word must see, at its second look, that the word has changed.
    StoreMask,
    LoadMask,
    /// Store of CHOOSING: as [`TakeWord`](Self::TakeWord).
    StoreChoosing,
    /// Between CHOOSING and the look at the clocks. Does the same as [`RaiseClock`](Self::RaiseClock): either may be missing.
    FenceBeforeClocks,
    /// CAS of a clock to a ticket: whoever has a larger one saw the CHOOSING of whoever has this one.
    RaiseClock,
    /// Between PENDING and the look at the others and at the armed bits: who sleeps for our CHOOSING must be woken.
    FenceBeforeCollecting,
    /// Load of a word while collecting.
    CollectWord,
    /// Load of a word while waiting.
    AwaitWord,
    /// Load of the event count before the bit: who sees a new count must see that the bit was taken.
    LoadEvent,
    RaiseEvent,
    /// Between the armed bit and the second look.
    FenceBeforeLook,
    /// CAS of one's own entry to its end.
    EndWord,
    /// Between the end of an entry and the look at the armed bits.
    FenceBeforeRinging,
    /// CAS of somebody else's entry to its end: only the reaper asked the kernel, and saw what the dead wrote.
    ReapWord,
}

impl Site {
    /// The site of fence number `count` since a participant began with what it is doing.
    pub(crate) fn of_fence(doing: Doing, count: u32) -> Self {
        match (doing, count) {
            (Doing::Attaching, 0) => Self::FenceBeforeClocks,
            (Doing::Attaching, 1) => Self::FenceBeforeCollecting,
            (Doing::Waiting, _) => Self::FenceBeforeLook,
            _ => Self::FenceBeforeRinging,
        }
    }
}

/// What is wrong with the machine, and stands for the same mistake in the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    /// No ordering at these sites.
    Weak(&'static [Site]),
    /// A wake reaches nobody.
    LosesWakes,
}

impl Flaw {
    /// Is this site without its ordering?
    pub(crate) fn weakens(self, site: Site) -> bool {
        matches!(self, Self::Weak(sites) if sites.contains(&site))
    }
}
