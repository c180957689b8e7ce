//! The fences of one buffer, or of one region of it, and who must wait for which of them.

use super::rules::Contract;

/// Whom a job trusts: those of its label, and if it is one of the writers who order themselves, the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trusts {
    /// `None`: it trusts nobody by a label.
    pub(super) label: Option<u32>,
    pub(super) writer: bool,
}

impl Trusts {
    pub(super) fn is_some(self) -> bool {
        self.label.is_some() || self.writer
    }

    /// Do the two trust each other?
    pub(super) fn trusts(self, other: Self) -> bool {
        self.label.is_some() && self.label == other.label || self.writer && other.writer
    }
}

/// A job's fence, and who trusts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) job: u32,
    pub(super) trust: Trusts,
    pub(super) writes: bool,
}

/// The fences of one usage on one queue. The latest ends last, so it stands for all before it; but those of its label do not wait for
/// it, so the latest of another label is kept too.
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
        let same = |old: &Fence| old.trust.label.is_some() && old.trust.label == fence.trust.label;
        if let Some(old) = self.any.filter(|old| !same(old)) {
            self.other = contract.latest_of_others.then_some(old);
        }
        self.any = Some(fence);
    }

    /// The latest that somebody does not trust.
    fn untrusted(&self, trust: Trusts) -> Option<Fence> {
        let trusted = |fence: &Fence| trust.trusts(fence.trust);
        match self.any {
            Some(fence) if trusted(&fence) => self.other.filter(|fence| !trusted(fence)),
            latest => latest,
        }
    }
}

/// Writers who trust each other have an entry of their own on each queue: behind it lies the latest of those they do not trust.
#[derive(Debug, Clone, Copy)]
struct Queue {
    engine: u32,
    writer: bool,
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
    pub(super) fn collect(&self, writes: bool, trust: Trusts, contract: &Contract, waits: &mut impl FnMut(Fence)) {
        for queue in &self.queues {
            let write = queue.writes.untrusted(trust);
            let obeyed = if writes { contract.write_after_write } else { contract.read_after_write };
            write.filter(|_| obeyed).into_iter().for_each(&mut *waits);
            let read = queue.reads.untrusted(trust).filter(|_| writes && contract.write_after_read);
            read.into_iter().for_each(&mut *waits);
        }
    }

    /// Adds the fence of a job that waited for what [`Fences::collect`] said.
    pub(super) fn attach(&mut self, engine: u32, fence: Fence, contract: &Contract) {
        if fence.writes && (!fence.trust.is_some() || !contract.keeps_unwaited) {
            // It waited for all of them: whoever waits for it waits for them.
            self.queues.clear();
        }
        if !fence.writes && !contract.readers_attach {
            return;
        }
        let writer = fence.trust.writer;
        let known = self.queues.iter().position(|queue| queue.engine == engine && queue.writer == writer);
        let at = known.unwrap_or_else(|| {
            self.queues.push(Queue { engine, writer, writes: Latest::default(), reads: Latest::default() });
            self.queues.len() - 1
        });
        if let Some(queue) = self.queues.get_mut(at) {
            if fence.writes { &mut queue.writes } else { &mut queue.reads }.add(fence, contract);
        }
    }
}
