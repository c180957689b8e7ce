//! Export flags and the compression rule: from the flags alone, never from who asks.
//!
//! # The rule
//!
//! 1. An export says READ, WRITE or both; neither is refused.
//! 2. READ and WRITE add up over all exports of a surface. EXPLICIT_FLUSH holds only while every export has it.
//! 3. Compression is dropped by the first export with WRITE: a consumer writes pixels without knowing the compression
//!    plane, which would then contradict them. READ keeps it; a consumer that cannot decode refuses at import.
//!    A compression that an explicit modifier promises is never dropped: whoever agreed on the modifier knows it.
//! 4. Dropping is one-way, and so is losing EXPLICIT_FLUSH: handles that are already out cannot be told to look again.
//! 5. While EXPLICIT_FLUSH holds, the producer resolves what its metadata does not describe in `flush` and tracks nothing.
//!    Otherwise it tracks what it leaves unresolved and resolves that at the end of each submission.
//!
//! Source: the description of AMDGPU buffer sharing that Marek Olšák posted to dri-devel in October 2016, and Mesa 25.0.7,
//! `si_texture.c:si_texture_get_handle`. Simpler than the latter where that depends on the generation of the chip: [`amdgpu`] has
//! that rule to the letter, [`chip`] the decision it amounts to, [`flush`] what its flush writes out, [`interop`] the versions and errors of
//! OpenGL to OpenCL.

pub mod amdgpu;
pub mod chip;
pub mod flush;
pub mod interop;

use alloc::format;
use core::fmt;

use bitflags::bitflags;

use crate::{Error, Kind, Result, Stage};

bitflags! {
    /// What the consumer will do with a handle.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct ExportFlags: u8 {
        /// It reads the content. Merge rule over exports: OR.
        const READ = 1;
        /// It writes the content. Merge rule over exports: OR.
        const WRITE = 2;
        /// The producer's `flush` is called before the consumer starts. Merge rule over exports: AND.
        const EXPLICIT_FLUSH = 4;
    }
}

impl fmt::Display for ExportFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        bitflags::parser::to_writer(self, f)
    }
}

/// Can the content of a surface be compressed at all? A property of its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// There is no compression plane.
    None,
    /// There is one, until an export drops it.
    Possible,
    /// There is one, and the modifier says so: whoever agreed on it knows the compression, and no export drops it.
    Promised,
}

/// What a producer remembers about the exports of one surface.
///
/// It has no place for a peer's name, an offer or an agreement: the decision cannot depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExportState {
    compression: Compression,
    flags: ExportFlags,
    dropped: bool,
    exports: u32,
}

impl ExportState {
    /// A surface that was never exported.
    pub const fn new(compression: Compression) -> Self {
        Self { compression, flags: ExportFlags::empty(), dropped: false, exports: 0 }
    }

    /// The flags of all exports, merged. Empty before the first.
    pub const fn flags(&self) -> ExportFlags {
        self.flags
    }

    /// Could the surface be compressed when it was made?
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Was its compression dropped by an export?
    pub const fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// May its content be compressed now?
    pub const fn is_compressed(&self) -> bool {
        !matches!(self.compression, Compression::None) && !self.dropped
    }

    /// How many exports were granted.
    pub const fn exports(&self) -> u32 {
        self.exports
    }

    /// Who resolves what the metadata does not describe. Nobody has to before the first export, and nothing is left to
    /// resolve without compression.
    pub const fn resolve(&self) -> Resolve {
        if self.exports == 0 || !self.is_compressed() {
            Resolve::Nothing
        } else if self.flags.contains(ExportFlags::EXPLICIT_FLUSH) {
            Resolve::ByFlush
        } else {
            Resolve::ByTracking
        }
    }
}

/// What became of the compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The consumer gets compressed content and the metadata to decode it.
    Kept,
    /// The content is plain from now on.
    Dropped,
    /// It was never compressed.
    NeverHad,
}

impl Outcome {
    /// "kept", "dropped" or "never had".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::NeverHad => "never had",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The layout has no compression plane.
    NotCompressible,
    /// This export has WRITE.
    ConsumerMayWrite,
    /// This export, as all before it, only has READ.
    ReadOnlyConsumer,
    /// An earlier export had WRITE.
    AlreadyDropped,
    /// The modifier promises compression.
    ModifierPromises,
    /// On a chip: no flush is promised, and the surface was made for a display, which may show it while it is drawn.
    FrontBuffer,
    /// On a chip: no flush is promised, and the display has a compression plane of its own, which would go stale.
    StaleDisplayDcc,
    /// On a chip: it should be dropped, and somebody has it already who could not be told.
    TooLate,
    /// On a chip: whoever writes it compresses too.
    ConsumerCompresses,
    /// On a chip: a debug option forbids compression in exports.
    Debug,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCompressible => "the layout has no compression plane",
            Self::ConsumerMayWrite => "the consumer may write, and would not keep the compression plane up to date",
            Self::ReadOnlyConsumer => "every consumer only reads",
            Self::ModifierPromises => "its modifier promises compression, and every consumer agreed on it",
            Self::AlreadyDropped => "an earlier export dropped it, and dropping is for good",
            Self::FrontBuffer => "no flush is promised, and a display may show it while it is drawn",
            Self::StaleDisplayDcc => "no flush is promised, and the display's own compression plane would go stale",
            Self::TooLate => "somebody has it already who could not be told",
            Self::ConsumerCompresses => "whoever writes it on this chip compresses too",
            Self::Debug => "a debug option forbids compression in exports",
        })
    }
}

/// Who makes the content readable for consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolve {
    /// The producer keeps track of what it left unresolved, and resolves it at the end of each submission.
    ByTracking,
    /// The producer tracks nothing; `flush` resolves.
    ByFlush,
    /// Nothing needs it.
    Nothing,
}

impl Resolve {
    /// "by tracking", "by flush" or "nothing".
    pub const fn word(self) -> &'static str {
        match self {
            Self::ByTracking => "by tracking",
            Self::ByFlush => "by flush",
            Self::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What an export decided, for the caller to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decision {
    /// What became of the compression.
    pub compression: Outcome,
    /// Why.
    pub reason: Reason,
    /// Who resolves from now on.
    pub resolve: Resolve,
    /// Did this very export drop the compression? Then the producer decompresses and rewrites the metadata before the
    /// handle goes out, and earlier imports have to be made anew.
    pub changed: bool,
    /// Did this very export move the duty to the producer's tracking? Then what is unresolved now was not tracked, and
    /// the producer resolves it before the handle goes out.
    pub resolve_now: bool,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compression {}: {}; resolved {}", self.compression, self.reason, self.resolve)
    }
}

/// The rule above: the state after an export with these flags, and what it decided. Pure; a refusal changes nothing.
///
/// # Errors
/// `Invalid` if `flags` has neither READ nor WRITE, or a bit that has no meaning.
///
/// ```
/// use handover_model::export::{Compression, ExportFlags, ExportState, Outcome, Resolve, decide};
/// let fresh = ExportState::new(Compression::Possible);
/// let (shared, decision) = decide(fresh, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH)?;
/// assert_eq!((decision.compression, decision.resolve), (Outcome::Kept, Resolve::ByFlush));
/// let (_, decision) = decide(shared, ExportFlags::WRITE)?;
/// assert_eq!((decision.compression, decision.changed), (Outcome::Dropped, true));
/// # Ok::<(), handover_model::Error>(())
/// ```
pub fn decide(state: ExportState, flags: ExportFlags) -> Result<(ExportState, Decision)> {
    let merged = admit(&state, flags)?;
    let writes = flags.contains(ExportFlags::WRITE);
    let compressible = state.compression != Compression::None;
    let promised_by_modifier = state.compression == Compression::Promised;
    let after = state.exported(merged, compressible && writes && !promised_by_modifier);
    let (compression, reason) = match (compressible, after.dropped, writes) {
        (false, ..) => (Outcome::NeverHad, Reason::NotCompressible),
        (true, true, true) => (Outcome::Dropped, Reason::ConsumerMayWrite),
        (true, true, false) => (Outcome::Dropped, Reason::AlreadyDropped),
        (true, false, _) if promised_by_modifier => (Outcome::Kept, Reason::ModifierPromises),
        (true, false, _) => (Outcome::Kept, Reason::ReadOnlyConsumer),
    };
    Ok((after, Decision::between(state, after, compression, reason)))
}

impl ExportState {
    /// After an export by which the flags of all are these.
    const fn exported(self, merged: ExportFlags, drops: bool) -> Self {
        Self {
            compression: self.compression,
            flags: merged,
            dropped: self.dropped || drops,
            exports: self.exports.saturating_add(1),
        }
    }
}

impl Decision {
    /// What an export decided that led from one state to the other.
    fn between(before: ExportState, after: ExportState, compression: Outcome, reason: Reason) -> Self {
        let resolve = after.resolve();
        Self {
            compression,
            reason,
            resolve,
            changed: after.dropped && !before.dropped,
            resolve_now: resolve == Resolve::ByTracking && before.resolve() != Resolve::ByTracking,
        }
    }
}

/// The flags of all exports with this one, which is refused if they mean nothing.
fn admit(state: &ExportState, flags: ExportFlags) -> Result<ExportFlags> {
    let refused =
        |why: &'static str| Error::new(Stage::Export, Kind::Invalid).asked(format!("an export with {flags}")).why(why);
    if !ExportFlags::all().contains(flags) {
        return Err(refused("it has flags that do not exist").help("READ, WRITE, EXPLICIT_FLUSH"));
    }
    if !flags.intersects(ExportFlags::READ | ExportFlags::WRITE) {
        return Err(refused("a consumer that neither reads nor writes needs no handle").help("READ, WRITE, or both"));
    }
    let promise = ExportFlags::EXPLICIT_FLUSH;
    let promised = flags.contains(promise) && (state.exports == 0 || state.flags.contains(promise));
    let mut merged = state.flags | flags;
    merged.set(promise, promised);
    Ok(merged)
}
