//! The one error of the library: the stage, the kind, what was asked, what was found, why not, and what would help.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::Stage;
use crate::negotiate::Conflict;

/// Text of an error: a literal, or built from the values at hand.
pub type Text = Cow<'static, str>;

/// What a caller can decide on. The words beside it ([`Error::asked`] and its kin) are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An argument of the caller's that can never be right.
    Invalid,
    /// Right, but not to be had here: a device, a kernel or a capability is missing.
    Unsupported,
    /// The offers have nothing in common.
    Conflict(Conflict),
    /// The deadline passed first. Nothing was granted.
    Timeout(Blocked),
    /// All entries, slots or descriptors are in use; trying again later can help.
    Full,
    /// The wait was given up by its own side.
    Cancelled,
    /// Shared memory did not hold what its protocol says: a peer scribbled over it.
    Spoiled,
    /// A peer kept changing a word under us for longer than honest peers do.
    Contended,
    /// The surface was sealed against new writers.
    Sealed,
    /// Named writers have not all mapped the surface yet, so it cannot be sealed for reading.
    WritersPending,
    /// The producer changed the layout after this import; import again.
    LayoutChanged,
    /// A message or a file ended early, or lost descriptors on the way.
    Truncated,
    /// What a peer sent breaks the rules of the message; nothing of it was used.
    Malformed,
    /// The peer is gone.
    PeerGone,
    /// The device is gone, with whatever it was doing. Other devices are not concerned.
    DeviceLost,
    /// The peer is not who it must be.
    Untrusted,
    /// The system refused; see [`Error::errno`].
    Os,
    /// A bug of this library. Please report it.
    Unreachable,
}

/// Who waits for whom, when a wait ran into its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blocked {
    /// Whose entries were waited for.
    pub by: Vec<Holder>,
    /// Whom one of those waits for itself, whom that one waits for, and so on, as far as their places in line tell: a snapshot. An
    /// entry of the waiting process among them closes a circle.
    pub then: Vec<Holder>,
    /// What the waiting process itself holds meanwhile. Not empty: a nested acquire, perhaps a deadlock.
    pub holding: Vec<Holder>,
}

/// One entry of a reservation, as its owner wrote it (so: an allegation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process that says it owns the entry; for messages only, never for a decision.
    pub pid: u32,
    /// Index of the owner in its pool.
    pub owner: u8,
    /// Index of the surface in its pool.
    pub surface: u32,
    /// What the entry is for: "read", "write", "kernel" or "bookkeep".
    pub usage: &'static str,
    /// True for CPU access, false for a job.
    pub lease: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.lease { "lease" } else { "job" };
        write!(
            f,
            "{} {what} on surface {} held by process {} (participant {})",
            self.usage, self.surface, self.pid, self.owner
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    stage: Stage,
    kind: Kind,
    asked: Text,
    found: Text,
    why: Text,
    help: Text,
    errno: Option<i32>,
    missing: Option<&'static str>,
}

/// What went wrong, where, and what would help. One word wide; cheap to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

/// The result of everything here.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// An error of this kind at this stage, with nothing said yet.
    pub fn new(stage: Stage, kind: Kind) -> Self {
        Self(Box::new(Inner {
            stage,
            kind,
            asked: Text::Borrowed(""),
            found: Text::Borrowed(""),
            why: Text::Borrowed(""),
            help: Text::Borrowed(""),
            errno: None,
            missing: None,
        }))
    }

    /// Says what was asked for.
    #[must_use]
    pub fn asked(mut self, text: impl Into<Text>) -> Self {
        self.0.asked = text.into();
        self
    }

    /// Says what was found instead.
    #[must_use]
    pub fn found(mut self, text: impl Into<Text>) -> Self {
        self.0.found = text.into();
        self
    }

    /// Says why that is refused.
    #[must_use]
    pub fn why(mut self, text: impl Into<Text>) -> Self {
        self.0.why = text.into();
        self
    }

    /// Says what would help.
    #[must_use]
    pub fn help(mut self, text: impl Into<Text>) -> Self {
        self.0.help = text.into();
        self
    }

    /// Keeps the errno of the system call that refused (a positive number, as in `errno(3)`).
    #[must_use]
    pub fn with_errno(mut self, errno: i32) -> Self {
        self.0.errno = Some(errno);
        self
    }

    /// Keeps the name of the parameter that nobody gave, for callers who know how it is given.
    #[must_use]
    pub fn with_missing(mut self, parameter: &'static str) -> Self {
        self.0.missing = Some(parameter);
        self
    }

    /// Moves the error to the stage whose caller sees it (a wait inside `flush` is a failure of `flush`).
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        self.0.stage = stage;
        self
    }

    /// Says whose fault it is: what a caller may not ask is `Invalid`, and the same in what a peer sent is `Malformed`.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The stage that failed.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// The kind, to match on.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The errno of the refusing system call, if one refused.
    pub fn errno(&self) -> Option<i32> {
        self.0.errno
    }

    /// The parameter that nobody gave, by its name in [`tiling::Parameters`](crate::layout::tiling::Parameters), if that is what is wrong.
    ///
    /// ```
    /// use handover_model::layout::tiling::{Parameters, Tiling};
    /// use handover_model::{Bytes, Modifier};
    /// let refusal = Tiling::of(Modifier::INVALID, Bytes(4), &Parameters::default()).unwrap_err();
    /// assert_eq!(refusal.missing(), Some("amd_gfx8"));
    /// ```
    pub fn missing(&self) -> Option<&'static str> {
        self.0.missing
    }

    /// Did a deadline pass?
    ///
    /// ```
    /// use handover_model::{Blocked, Error, Kind, Stage};
    /// assert!(Error::new(Stage::Acquire, Kind::Timeout(Blocked::default())).is_timeout());
    /// assert!(!Error::new(Stage::Acquire, Kind::Full).is_timeout());
    /// ```
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::Timeout(_))
    }

    /// Would the same call, later, perhaps succeed?
    ///
    /// ```
    /// use handover_model::{Error, Kind, Stage};
    /// assert!(Error::new(Stage::Acquire, Kind::Full).is_temporary());
    /// assert!(!Error::new(Stage::Import, Kind::Invalid).is_temporary());
    /// ```
    pub fn is_temporary(&self) -> bool {
        matches!(self.0.kind, Kind::Timeout(_) | Kind::Full | Kind::WritersPending | Kind::Contended)
    }

    /// Is a peer to blame: did it send, or leave in shared memory, what no honest peer would?
    ///
    /// ```
    /// use handover_model::{Error, Kind, Stage};
    /// assert!(Error::new(Stage::Import, Kind::Spoiled).is_peers_fault());
    /// ```
    pub fn is_peers_fault(&self) -> bool {
        matches!(self.0.kind, Kind::Spoiled | Kind::Contended | Kind::Truncated | Kind::Malformed | Kind::Untrusted)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { stage, kind, asked, found, why, help, errno, missing: _ } = &*self.0;
        write!(f, "{stage}: ")?;
        let mut first = true;
        let mut part = |f: &mut fmt::Formatter<'_>, label: &str, text: &str| {
            if text.is_empty() {
                return Ok(());
            }
            let gap = if core::mem::take(&mut first) { "" } else { "; " };
            write!(f, "{gap}{label}{text}")
        };
        part(f, "asked for ", asked)?;
        part(f, "found ", found)?;
        part(f, "refused because ", why)?;
        part(f, "what helps: ", help)?;
        if first {
            write!(f, "{}", kind.word())?;
        }
        match kind {
            Kind::Conflict(conflict) => write!(f, ": {conflict}")?,
            Kind::Timeout(blocked) => blocked.describe(f)?,
            _ => {}
        }
        if let Some(errno) = errno {
            write!(f, " (errno {errno})")?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

impl Blocked {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, holder) in self.by.iter().enumerate() {
            write!(f, "{}{holder}", if i == 0 { "; waited for " } else { ", " })?;
        }
        for (i, holder) in self.then.iter().enumerate() {
            write!(f, "{}{holder}", if i == 0 { "; which waits in turn for " } else { ", which waits for " })?;
        }
        for (i, holder) in self.holding.iter().enumerate() {
            write!(f, "{}{holder}", if i == 0 { "; while holding " } else { ", " })?;
        }
        Ok(())
    }
}

impl Kind {
    /// A name for the kind, as it stands in reports.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invalid => "invalid argument",
            Self::Unsupported => "unsupported",
            Self::Conflict(_) => "conflict",
            Self::Timeout(_) => "deadline passed",
            Self::Full => "full",
            Self::Cancelled => "cancelled",
            Self::Spoiled => "spoiled",
            Self::Contended => "contended",
            Self::Sealed => "sealed",
            Self::WritersPending => "writers pending",
            Self::LayoutChanged => "layout changed",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::PeerGone => "peer gone",
            Self::DeviceLost => "device lost",
            Self::Untrusted => "untrusted peer",
            Self::Os => "refused by the system",
            Self::Unreachable => "unreachable",
        }
    }
}
