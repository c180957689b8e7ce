//! How a participant's submissions synchronise: honestly, explicitly, or as some drivers do.
//!
//! Drivers differ in what they say of a job, and what they wait for. The habits here are those that the field argues about, so that
//! each can be run beside the others and its cost seen. None can make an honest participant unsafe against another honest one.

use std::sync::Arc;

use handover_model::{Region, Usage};

use crate::acquire::{Refusal, try_line_up};
use crate::backend::software::reservation::working_set::Member as _;
use crate::lease::{Part, Parts, Share};
use crate::waiting::Waiting;

/// Who says what a submission waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sync {
    /// The reservations of the surfaces it names.
    #[default]
    Implicit,
    /// The fences it is given, and nothing else but work on the memory itself. In the reservations it is BOOKKEEP: no implicit
    /// participant sees it, and whoever frees or moves the memory waits for it (S14, C33).
    Explicit,
}

/// What an implicit participant says to reservations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// Reads are reads, writes are writes, in the cells that were named.
    #[default]
    Honest,
    /// Every access is a write to the whole, as panfrost, v3d and virtio-gpu say (Linux 7.3, `panfrost_job.c`).
    AlwaysWrite,
    /// What is said is honest, and what is waited for is everything of other owners, reads too, and nothing of one's own: as
    /// amdgpu did (Linux 5.10, `amdgpu_sync.c:amdgpu_sync_resv`). Owners are participants of the pool: processes.
    SkipOwnOwner,
    /// Nothing is said and nothing waited for: a driver that attaches no fence. Everybody else must find that out (U4).
    None,
}

/// How a queue's submissions synchronise.
///
/// ```
/// use handover::queue::{Habits, Policy, Sync};
/// use handover::{Access, Bytes, Deadline, Device, Options, Queue, Region, allocate};
/// let surface = allocate::buffer(Device::PLAIN, Bytes(4096), &Options::default())?.remove(0);
/// let explicit = Queue::with_habits("client", Habits { sync: Sync::Explicit, policy: Policy::Honest })?;
/// let drawn = explicit.submit(&[(&surface, Access::Write, Region::WHOLE)], &[], Deadline::Never, |_| Ok(()))?;
/// assert!(surface.export_fence(Access::Write, Region::WHOLE)?.has_ended(), "implicit participants see nothing");
/// drawn.wait(Deadline::Never)?;
/// # Ok::<(), handover::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Habits {
    /// Who says what a submission waits for.
    pub sync: Sync,
    /// What is said to reservations, if they are asked.
    pub policy: Policy,
}

impl Sync {
    /// "implicit" or "explicit".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Explicit => "explicit",
        }
    }
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Honest, Self::AlwaysWrite, Self::SkipOwnOwner, Self::None];

    /// "honest", "always-write", "skip-own-owner" or "none".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::AlwaysWrite => "always-write",
            Self::SkipOwnOwner => "skip-own-owner",
            Self::None => "none",
        }
    }
}

impl Habits {
    /// Attaches a set as these habits say, and finds whom it waits for.
    pub(super) fn line_up(self, parts: &mut Parts, place: (u64, u64)) -> Result<(Arc<Share>, Waiting), Refusal> {
        match (self.sync, self.policy) {
            (Sync::Implicit, Policy::Honest) => try_line_up(parts, place),
            (Sync::Implicit, Policy::AlwaysWrite) => {
                say(parts, |part| (part.asked.0.min(Usage::Write), Region::WHOLE));
                try_line_up(parts, place)
            }
            (Sync::Implicit, Policy::SkipOwnOwner) => {
                let (share, mut waiting) = try_line_up(parts, place)?;
                wait_for_others(&share, &mut waiting);
                Ok((share, waiting))
            }
            (Sync::Explicit, Policy::Honest | Policy::AlwaysWrite | Policy::SkipOwnOwner) => {
                // Work on the memory itself is nobody's to leave unsaid.
                let usage = |part: &Part| if part.asked.0 == Usage::Kernel { Usage::Kernel } else { Usage::Bookkeep };
                say(parts, |part| (usage(part), part.asked.1));
                try_line_up(parts, place)
            }
            (_, Policy::None) => Ok((Share::unattached(std::mem::take(parts)), Waiting::unasked())),
        }
    }
}

fn say(parts: &mut Parts, what: impl Fn(&Part) -> (Usage, Region)) {
    for part in parts.iter_mut() {
        (part.wish.usage, part.wish.region) = what(part);
    }
}

/// Whoever is in line before us, as if we wrote the whole; of our own only work on the memory itself. Such work in turn waits for
/// what it must, whatever the habits.
fn wait_for_others(share: &Share, waiting: &mut Waiting) {
    let parts = share.parts();
    let is_kernel = |position: usize| parts.get(position).is_some_and(|part| part.asked.0 == Usage::Kernel);
    waiting.dependencies.retain(|(position, _)| is_kernel(*position));
    for (position, part) in parts.iter().enumerate().filter(|(position, _)| !is_kernel(*position)) {
        let reservation = part.reservation();
        reservation.collect_as(part.entry(), Usage::Write, Region::WHOLE, |dependency| {
            if dependency.word.owner() != reservation.owner() || dependency.word.usage() == Usage::Kernel {
                waiting.dependencies.push((position, dependency));
            }
        });
    }
}
