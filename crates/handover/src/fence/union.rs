//! Several fences as one: the kernel's rule for merging, and an end with the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;

use super::event::Listener;
use super::{Fence, Source, Status, Until, kernel, new_context};
use crate::backend::linux::SyncFile;
use crate::error::{Error, Kind, Result};

/// What a union waits for. Its leaves are no unions.
#[derive(Debug)]
pub(super) struct Union {
    leaves: Vec<Fence>,
    /// The leaves of devices once more, as one: to wait for 64 sync_files one by one would cost 64 calls after the last has ended.
    kernel: Option<SyncFile>,
    /// Of what had ended before the union was made.
    before: Ended,
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

impl Fence {
    /// One fence that ends with the last of these and never before, with the first error of any of them.
    ///
    /// As the kernel merges (`dma_fence_unwrap_merge`): leaves only, however deep unions were nested (C16); what has ended is left
    /// out; of one context the latest stands for all (C17). Of one leaf the union is that leaf, of none a fence that has ended,
    /// at the latest time of all (C18).
    ///
    /// # Errors
    /// [`Kind::Os`]: the kernel had no descriptor for the fences of devices among them.
    pub fn union(fences: &[Self]) -> Result<Self> {
        Self::union_at(None, fences)
    }

    /// The same as a given place of a context: a point of a timeline, which is a union with all that was before.
    pub(crate) fn union_at(place: Option<(u64, u64)>, fences: &[Self]) -> Result<Self> {
        let mut leaves: Vec<Self> = Vec::new();
        let mut before = Ended::NOTHING;
        let mut all: Vec<&Self> = fences.iter().collect();
        while let Some(fence) = all.pop() {
            match (fence.status(), &fence.0.source) {
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
                Ok(Self::ended_at(place.unwrap_or_else(|| (new_context(), 1)), before.result(), last))
            }
            ([one], None) if before.failed.is_none() => Ok(one.clone()),
            _ => {
                let mut files = leaves.iter().filter_map(|leaf| leaf.0.source.kernel());
                let kernel = match (files.next(), files.next()) {
                    (Some(first), Some(second)) => {
                        Some(files.try_fold(first.merge(second)?, |union, next| union.merge(next))?)
                    }
                    (Some(only), None) => Some(only.try_clone()?),
                    _ => None,
                };
                let union = Union { leaves, kernel, before };
                let place = place.unwrap_or_else(|| (new_context(), 1));
                Ok(Self::of(place, Status::Pending, Source::Union(union)))
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

    /// The fence for a device to wait for: only a kernel makes one, so all leaves must be the kernel's.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: some leaf is ended by a process. Wait for it on the CPU, then submit (R7).
    pub fn sync_file(&self) -> Result<SyncFile> {
        match self.0.source.kernel() {
            Some(file) => file.try_clone(),
            None => Err(Error::new(Stage::Acquire, Kind::Unsupported)
                .asked(format!("a fence of the kernel for {}", self.describe()))
                .why("a process ends it, and a fence of the kernel must end without the help of any")
                .help("wait for it on the CPU, then submit to the device")),
        }
    }
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
    /// How it ended, and when, if all leaves have. The first error in time is told.
    pub(super) fn look(&self) -> Option<(Result<()>, Monotonic)> {
        let mut ended = self.before.clone();
        if !self.leaves.iter().all(|leaf| ended.add(leaf.status())) {
            return None;
        }
        let last = ended.last;
        Some((ended.result(), last))
    }

    /// Returns when all have ended, or at the deadline, or a cancel. One after the other: whoever ends before its turn costs a
    /// look.
    pub(super) fn wait(&self, until: &Until<'_>) -> Result<()> {
        for leaf in self.leaves.iter().filter(|leaf| leaf.0.source.kernel().is_none()) {
            if leaf.0.wait(until)? == Status::Pending {
                return Ok(());
            }
        }
        self.kernel.as_ref().map_or(Ok(()), |file| kernel::wait(file, until))
    }

    /// The last leaf to end makes the union look.
    pub(super) fn watch(&self, union: &Fence) -> Result<()> {
        let left = Arc::new(AtomicUsize::new(self.leaves.len()));
        for leaf in &self.leaves {
            let (left, union) = (Arc::clone(&left), union.clone());
            let gather = move |_: &Result<()>| {
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    union.0.look();
                }
            };
            leaf.on_end(Listener::new(gather))?;
        }
        if self.leaves.is_empty() {
            union.0.look();
        }
        Ok(())
    }

    /// The merged file, where the kernel ends all leaves and nothing failed before.
    pub(super) fn kernel_alone(&self) -> Option<&SyncFile> {
        let all = self.leaves.iter().all(|leaf| leaf.0.source.kernel().is_some());
        self.kernel.as_ref().filter(|_| all && self.before.failed.is_none())
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
