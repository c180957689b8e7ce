//! The fences of one buffer, or of one region of it, and who must wait for which of them.

use super::rules::Contract;

/// A job's fence, with the label of those who trust it. `None`: nobody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) job: u32,
    pub(super) label: Option<u32>,
    pub(super) writes: bool,
}

/// The fences of one usage on one queue. The latest ends last, so it stands for all before it; but those who trust it do not wait for
/// it, so the latest of somebody else is kept too.
#[derive(Debug, Clone, Copy, Default)]
struct Latest {
    any: Option<Fence>,
    other: Option<Fence>,
}

impl Latest {
    fn add(&mut self, fence: Fence, contract: &Contract) {
        if !contract.latest_of_queue && self.any.is_some() {
            return;
        }
        let same = |old: &Fence| old.label.is_some() && old.label == fence.label;
        if let Some(old) = self.any.filter(|old| !same(old)) {
            self.other = contract.latest_of_others.then_some(old);
        }
        self.any = Some(fence);
    }

    /// The latest that somebody of this label does not trust.
    fn untrusted(&self, label: Option<u32>) -> Option<Fence> {
        let trusted = |fence: &Fence| label.is_some() && fence.label == label;
        match self.any {
            Some(fence) if trusted(&fence) => self.other.filter(|fence| !trusted(fence)),
            latest => latest,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Queue {
    engine: u32,
    writes: Latest,
    reads: Latest,
}

/// The fences of one buffer or region.
#[derive(Debug, Clone, Default)]
pub(super) struct Fences {
    queues: Vec<Queue>,
}

impl Fences {
    /// Those that an access must wait for: of a reader the writes, of a writer all, but none that it trusts.
    pub(super) fn collect(&self, writes: bool, label: Option<u32>, contract: &Contract, waits: &mut impl FnMut(Fence)) {
        for queue in &self.queues {
            let write = queue.writes.untrusted(label);
            let obeyed = if writes { contract.write_after_write } else { contract.read_after_write };
            write.filter(|_| obeyed).into_iter().for_each(&mut *waits);
            let read = queue.reads.untrusted(label).filter(|_| writes && contract.write_after_read);
            read.into_iter().for_each(&mut *waits);
        }
    }

    /// Adds the fence of a job that waited for what [`Fences::collect`] said.
    pub(super) fn attach(&mut self, engine: u32, fence: Fence, contract: &Contract) {
        if fence.writes && (fence.label.is_none() || !contract.keeps_unwaited) {
            // It waited for all of them: whoever waits for it waits for them.
            self.queues.clear();
        }
        if !fence.writes && !contract.readers_attach {
            return;
        }
        let at = self.queues.iter().position(|queue| queue.engine == engine).unwrap_or_else(|| {
            self.queues.push(Queue { engine, writes: Latest::default(), reads: Latest::default() });
            self.queues.len() - 1
        });
        if let Some(queue) = self.queues.get_mut(at) {
            if fence.writes { &mut queue.writes } else { &mut queue.reads }.add(fence, contract);
        }
    }
}
