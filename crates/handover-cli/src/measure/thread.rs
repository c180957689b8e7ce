//! Reader threads that each export, submit a read and import, all at once and without a lock (S7): what one of the threads that
//! the mail speaks of does around each access.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use handover::fence::Status;
use handover::queue::{Habits, Policy, Sync};
use handover::{Access, Deadline, Fence, Lease, Monotonic, Queue, Region, Surface};

use super::message::{Look, Ran, Thread, mark};
use super::stamp::Work;
use super::worker::{Trouble, access, note, words};

/// A thread that waits for the gate.
pub(super) struct Standing {
    number: u32,
    thread: JoinHandle<Result<(Queue, Fence, Monotonic), Trouble>>,
    ran: Arc<Mutex<Ran>>,
}

/// Starts a thread; it begins when the gate opens.
pub(super) fn stand(thread: Thread, surface: Surface, gate: Fence, deadline: Deadline) -> Result<Standing, Trouble> {
    // Of a whole reservation 64 entries are not enough for a write and for two of each of 32 threads: what they submit stays out
    // of it, and only the import goes in. A driver that opts out of implicit synchronisation does that.
    let habits = Habits { sync: Sync::Explicit, policy: Policy::None };
    let queue = Queue::with_habits(&format!("reader-{}", thread.number), habits).map_err(words)?;
    let ran = Arc::new(Mutex::new(Ran { job: thread.number, ..Ran::default() }));
    let noted = Arc::clone(&ran);
    let run = move || {
        gate.wait(deadline).map_err(words)?;
        let exported = surface.export_fence(access(thread.export_writes), Region::WHOLE).map_err(words)?;
        let work = Work {
            job: thread.number,
            reads: vec![(surface.clone(), Look { surface: thread.surface, cell: 0, expected: mark(0), at_end: true })],
            writes: Vec::new(),
            duration: Duration::from_nanos(thread.duration),
        };
        let job = move |lease: &Lease| {
            let started = Monotonic::now();
            let seen = work.run(lease, started)?;
            note(&noted, started, seen);
            Ok(())
        };
        let set = [(&surface, Access::Read, Region::WHOLE)];
        let fence = queue.submit(&set, &[exported], deadline, job).map_err(words)?;
        let submitted = Monotonic::now();
        surface.import_fence(&fence, access(thread.import_writes), Region::WHOLE, deadline).map_err(words)?;
        Ok((queue, fence, submitted))
    };
    let builder = std::thread::Builder::new().name(format!("thread-{}", thread.number));
    Ok(Standing { number: thread.number, thread: builder.spawn(run).map_err(words)?, ran })
}

impl Standing {
    pub(super) fn finish(self, deadline: Deadline) -> Result<Ran, Trouble> {
        let ended = self.thread.join().map_err(|_| format!("thread {} panicked", self.number))?;
        let (queue, fence, submitted) = ended?;
        let result = fence.wait(deadline);
        let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ran.submitted = submitted.0;
        if let Status::Done(at) | Status::Failed(at, _) = fence.status() {
            ran.released = at.0;
        }
        ran.failed = result.err().map(words);
        drop(queue);
        Ok(ran)
    }
}
