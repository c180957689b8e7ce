//! Several fences as one: the kernel's rule for merging, and an end with the last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;

use super::event::Listener;
use super::{Fence, Source, Status, Until, new_context};
use crate::backend::linux::SyncFile;
use crate::error::{Error, Kind, Result};
use crate::surface::lock;

/// What a union waits for. Its leaves are no unions.
#[derive(Debug)]
pub(super) struct Union {
    leaves: Vec<Fence>,
    /// The leaves again, those of devices as one: to wait for 64 sync_files one by one would cost 64 calls after the last has ended.
    waited: Vec<Fence>,
    /// Of what had ended before the union was made.
    before: Ended,
    seen: Mutex<Seen>,
}

/// Of those that have ended: the first error in time, as the kernel's arrays keep it, and the latest time.
#[derive(Debug, Clone)]
struct Ended {
    failed: Option<(Monotonic, Error)>,
    last: Monotonic,
}

impl Ended {
    const NOTHING: Self = Self { failed: None, last: Monotonic(0) };

    /// With this one too; gives false if it has not ended.
    fn add(&mut self, status: Status) -> bool {
        match status {
            Status::Pending => return false,
            Status::Done(at) => self.last = self.last.max(at),
            Status::Failed(at, error) => {
                self.last = self.last.max(at);
                self.fail(at, error);
            }
        }
        true
    }

    fn fail(&mut self, at: Monotonic, error: Error) {
        if self.failed.as_ref().is_none_or(|(first, _)| at < *first) {
            self.failed = Some((at, error));
        }
    }

    fn result(self) -> Result<()> {
        self.failed.map_or(Ok(()), |(_, error)| Err(error))
    }
}

/// How many leaves, from the first, were found to have ended, and how.
#[derive(Debug)]
struct Seen {
    next: usize,
    ended: Ended,
}

impl Fence {
    /// One fence that ends with the last of these and never before, with the first error of any of its leaves.
    ///
    /// As the kernel merges (`dma_fence_unwrap_merge`): leaves only, however deep unions were nested (C16); what has ended is left
    /// out, but for its error; of one context the latest stands for all, its error too (C17). Of one leaf the union is that leaf, of none a fence that has ended,
    /// at the latest time of all (C18).
    pub fn union(fences: &[Self]) -> Self {
        fences.iter().for_each(|fence| fence.0.look());
        Self::union_at(None, fences)
    }

    /// The same as a given place of a context: a point of a timeline, which is a union with all that was before. Looks at nothing,
    /// so that no end is found, and nobody told of it, under the caller's locks.
    pub(crate) fn union_at(place: Option<(u64, u64)>, fences: &[Self]) -> Self {
        let mut leaves: Vec<Self> = Vec::new();
        let mut before = Ended::NOTHING;
        let mut all: Vec<&Self> = fences.iter().collect();
        while let Some(fence) = all.pop() {
            match (fence.status_as_seen(), &fence.0.source) {
                (Status::Pending, Source::Union(union)) => {
                    before.last = before.last.max(union.before.last);
                    if let Some((at, error)) = &union.before.failed {
                        before.fail(*at, error.clone());
                    }
                    all.extend(&union.leaves);
                }
                (Status::Pending, _) => keep_latest(&mut leaves, fence),
                (ended, _) => {
                    before.add(ended);
                }
            }
        }
        if before.last == Monotonic(0) {
            before.last = Monotonic::now();
        }
        // Sorted, so that the answer does not depend on the order of the arguments.
        leaves.sort_by_key(|leaf| (leaf.0.context, leaf.0.seq));
        match (leaves.as_slice(), place) {
            ([], _) => {
                let last = before.last;
                Self::ended_at(place.unwrap_or_else(|| (new_context(), 1)), before.result(), last)
            }
            ([one], None) if before.failed.is_none() => one.clone(),
            _ => {
                let is_of_device = |leaf: &&Fence| leaf.0.source.kernel().is_some();
                let waited = match merge(&leaves) {
                    Ok(Some(file)) if leaves.iter().filter(is_of_device).count() > 1 => {
                        let alone = leaves.iter().filter(|leaf| !is_of_device(leaf)).cloned();
                        alone.chain([Self::from(file)]).collect()
                    }
                    // Where no descriptor is left they are waited for one by one.
                    Ok(_) | Err(_) => leaves.clone(),
                };
                let seen = Mutex::new(Seen { next: 0, ended: before.clone() });
                let union = Union { leaves, waited, before, seen };
                let place = place.unwrap_or_else(|| (new_context(), 1));
                Self::of(place, Status::Pending, Source::Union(union))
            }
        }
    }

    /// The fences it ends with the last of: those of a union that had not ended when it was made, else the fence itself.
    pub fn leaves(&self) -> Vec<Self> {
        match &self.0.source {
            Source::Union(union) => union.leaves.clone(),
            _ => vec![self.clone()],
        }
    }

    /// The fence for a device to wait for: only a kernel makes one, so all leaves must be the kernel's. The error of what had ended
    /// before the union was made is not in it.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: some leaf is ended by a process. Wait for it on the CPU, then submit (R7).
    pub fn sync_file(&self) -> Result<SyncFile> {
        let all = self.leaves().iter().all(|leaf| leaf.0.source.kernel().is_some());
        if let Some(file) = self.of_devices()?.filter(|_| all) {
            return Ok(file);
        }
        Err(Error::new(Stage::Acquire, Kind::Unsupported)
            .asked(format!("a fence of the kernel for {}", self.describe()))
            .why("a process ends it, and a fence of the kernel must end without the help of any")
            .help("wait for it on the CPU, then submit to the device"))
    }

    /// Do devices end all of it, with nothing of it failed before? Then the kernel can carry it.
    pub(crate) fn is_of_devices_alone(&self) -> bool {
        self.0.source.kernel().is_some()
    }

    /// The part of it that devices end, as one; `None` where they end nothing of it.
    ///
    /// # Errors
    /// [`Kind::Os`]: no descriptor is left.
    pub(crate) fn of_devices(&self) -> Result<Option<SyncFile>> {
        match &self.0.source {
            Source::Kernel(file) => file.try_clone().map(Some),
            Source::Union(union) => merge(&union.waited),
            Source::Here | Source::Point(_) | Source::Entries(_) => Ok(None),
        }
    }
}

/// The fences of devices among these, as one.
fn merge(leaves: &[Fence]) -> Result<Option<SyncFile>> {
    let mut files = leaves.iter().filter_map(|leaf| leaf.0.source.kernel());
    Ok(match (files.next(), files.next()) {
        (Some(first), Some(second)) => Some(files.try_fold(first.merge(second)?, |union, next| union.merge(next))?),
        (Some(only), None) => Some(only.try_clone()?),
        _ => None,
    })
}

/// Of one context the latest stands for all: they end in order.
fn keep_latest(leaves: &mut Vec<Fence>, fence: &Fence) {
    match leaves.iter_mut().find(|leaf| leaf.0.context == fence.0.context) {
        Some(leaf) if leaf.0.seq < fence.0.seq => *leaf = fence.clone(),
        Some(_) => {}
        None => leaves.push(fence.clone()),
    }
}

impl Union {
    /// How it ended, and when, if all leaves have. The first error in time is told. Each leaf is looked at until it has ended, and
    /// not again: after the last there is nothing left to look at.
    pub(super) fn look(&self) -> Option<(Result<()>, Monotonic)> {
        while let Some((next, leaf)) = self.next() {
            // Without the lock: whoever finds an end tells the listeners, this union's own among them.
            let status = leaf.status();
            if status == Status::Pending {
                return None;
            }
            let mut seen = lock(&self.seen);
            if seen.next == next {
                seen.ended.add(status);
                seen.next += 1;
            }
        }
        let ended = lock(&self.seen).ended.clone();
        let last = ended.last;
        Some((ended.result(), last))
    }

    /// The first that was not found to have ended.
    fn next(&self) -> Option<(usize, &Fence)> {
        let next = lock(&self.seen).next;
        self.waited.get(next).map(|leaf| (next, leaf))
    }

    /// Returns when all have ended, or at the deadline, or a cancel. One after the other.
    pub(super) fn wait(&self, until: &Until<'_>) -> Result<()> {
        while self.look().is_none() {
            let Some((_, leaf)) = self.next() else { return Ok(()) };
            if leaf.0.wait(until)? == Status::Pending {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The last leaf to end makes the union look. Whoever listens to the union keeps it; the leaves do not, which would keep each
    /// other for as long as one of them pends.
    pub(super) fn watch(&self, union: &Fence) -> Result<()> {
        let left = Arc::new(AtomicUsize::new(self.waited.len()));
        for leaf in &self.waited {
            let (left, union) = (Arc::clone(&left), union.downgrade());
            let gather = move |_: &Result<()>| {
                if left.fetch_sub(1, Ordering::AcqRel) == 1
                    && let Some(union) = union.upgrade()
                {
                    union.0.look();
                }
            };
            leaf.on_end(Listener::new(gather))?;
        }
        Ok(())
    }

    /// The one file of it, where the kernel ends all leaves and nothing failed before.
    pub(super) fn kernel_alone(&self) -> Option<&SyncFile> {
        match self.waited.as_slice() {
            [one] if self.before.failed.is_none() => one.0.source.kernel(),
            _ => None,
        }
    }

    pub(super) fn describe(&self) -> String {
        let pending: Vec<_> = self.leaves.iter().filter(|leaf| !leaf.has_ended()).map(Fence::describe).collect();
        match pending.as_slice() {
            [] => "a union of fences that have ended".into(),
            [one] => one.clone(),
            [one, rest @ ..] => format!("{one}, and {} more", rest.len()),
        }
    }

    pub(super) fn blocked(&self) -> Blocked {
        let mut blocked = Blocked::default();
        for leaf in self.leaves.iter().filter(|leaf| !leaf.has_ended()) {
            let of = leaf.0.blocked();
            blocked.by.extend(of.by);
            blocked.then = if of.then.len() > blocked.then.len() { of.then } else { blocked.then };
        }
        blocked
    }
}
