//! A queue: jobs that run in the order of their submission, each once the fences before it are done. One fence a submission.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use handover_model::Stage;

use crate::acquire::{Refusal, Wish, check, make_room};
use crate::deadline::Deadline;
use crate::device::habits as device;
use crate::error::{Error, Kind, Result, os};
use crate::fence::{self, Fence};
use crate::lease::{Lease, Parts, Share};
use crate::surface::lock;
use crate::waiting::Waiting;

mod habits;
mod memory;
mod user;

pub use habits::{Habits, Policy, Sync};
pub use memory::{Bound, MemoryJob};
pub use user::{UserQueue, Value};

type Job = Box<dyn FnOnce(&Lease) -> Result<()> + Send>;

/// An in-order engine on a thread of its own: the software stand-in for a ring of a GPU.
///
/// Dropping the queue runs what was submitted, then ends the thread.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    context: u64,
    habits: Habits,
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    jobs: VecDeque<Submission>,
    submitted: u64,
    closed: bool,
}

struct Submission {
    share: Arc<Share>,
    waiting: Waiting,
    after: Vec<Fence>,
    deadline: Deadline,
    job: Job,
    fence: Fence,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission").field("fence", &self.fence).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue on a thread of this name (at most 15 bytes of it are kept by the kernel).
    pub fn new(name: &str) -> Result<Self> {
        Self::with_habits(name, Habits::default())
    }

    /// A queue whose submissions synchronise in some other way than the honest one: as those of explicit participants, or of
    /// some drivers.
    pub fn with_habits(name: &str, habits: Habits) -> Result<Self> {
        let shared =
            Arc::new(Shared { context: fence::new_context(), habits, line: Mutex::default(), changed: Condvar::new() });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name.chars().take(15).collect())
            .spawn(move || worker.run())
            .map_err(os(Stage::Access, "start a queue's thread"))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How its submissions synchronise.
    pub fn habits(&self) -> Habits {
        self.shared.habits
    }

    /// Fence context of this queue.
    pub fn context(&self) -> u64 {
        self.shared.context
    }

    /// Attaches one fence to every surface of `set` and runs `job` when whatever conflicts with it has ended, the jobs
    /// before it on this queue have ended, and every fence of `after` has ended well.
    ///
    /// `deadline` bounds the wait for room in a reservation and the job's wait for its turn: a job whose turn has not come
    /// by then is not run, and its fence fails with [`Kind::Cancelled`].
    ///
    /// # Errors
    /// Those of [`acquire`](crate::acquire()); then nothing was submitted.
    pub fn submit(
        &self,
        set: &[Wish<'_>],
        after: &[Fence],
        deadline: Deadline,
        job: impl FnOnce(&Lease) -> Result<()> + Send + 'static,
    ) -> Result<Fence> {
        self.submit_parts(check(set, false)?, after, deadline, Box::new(job))
    }

    fn submit_parts(&self, mut parts: Parts, after: &[Fence], deadline: Deadline, mut job: Job) -> Result<Fence> {
        loop {
            match self.attach_and_push(&mut parts, after, deadline, job) {
                Ok(fence) => return Ok(fence),
                Err((back, refusal)) => {
                    job = back;
                    make_room(&parts, refusal, deadline, Stage::Acquire)?;
                }
            }
        }
    }

    /// As [`submit`](Self::submit), but a full reservation is [`Kind::Full`] at once.
    pub fn try_submit(
        &self,
        set: &[Wish<'_>],
        after: &[Fence],
        deadline: Deadline,
        job: impl FnOnce(&Lease) -> Result<()> + Send + 'static,
    ) -> Result<Fence> {
        self.attach_and_push(&mut check(set, false)?, after, deadline, Box::new(job))
            .map_err(|(_, (_, trouble))| trouble.at(Stage::Acquire))
    }

    /// Ticket and place in the queue under one lock: else job 6 sits before job 5 and waits for it. Attaching neither
    /// waits nor calls the system. A refused job comes back.
    fn attach_and_push(
        &self,
        parts: &mut Parts,
        after: &[Fence],
        deadline: Deadline,
        job: Job,
    ) -> Result<Fence, (Job, Refusal)> {
        let line = lock(&self.shared.line);
        match self.shared.habits.line_up(parts, (self.shared.context, line.submitted + 1)) {
            Ok((share, waiting)) => Ok(self.push(line, share, waiting, after, deadline, job)),
            Err(refusal) => Err((job, refusal)),
        }
    }

    fn push(
        &self,
        mut line: MutexGuard<'_, Line>,
        share: Arc<Share>,
        waiting: Waiting,
        after: &[Fence],
        deadline: Deadline,
        job: Job,
    ) -> Fence {
        line.submitted += 1;
        let fence = Fence::new(self.shared.context, line.submitted);
        let after = after.to_vec();
        line.jobs.push_back(Submission { share, waiting, after, deadline, job, fence: fence.clone() });
        drop(line);
        self.shared.changed.notify_all();
        fence
    }

    /// Gives the job a share of a lease that is already granted: nothing is left to wait for but this queue and `after`.
    /// Dropping the lease then ends CPU access; the entries end with the job.
    ///
    /// A job already on this queue that waits for this very lease would now wait for one behind it: it fails at its
    /// deadline. Submit both to the queue, or use two queues.
    pub fn submit_lease(
        &self,
        lease: &Lease,
        after: &[Fence],
        deadline: Deadline,
        job: impl FnOnce(&Lease) -> Result<()> + Send + 'static,
    ) -> Result<Fence> {
        lease.check_waited()?;
        device::check(lease.share().parts(), Stage::Acquire)?;
        let line = lock(&self.shared.line);
        Ok(self.push(line, Arc::clone(lease.share()), Waiting::default(), after, deadline, Box::new(job)))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        lock(&self.shared.line).closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A job's panic was caught where it ran; the thread itself does not panic.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(submission) = self.next() {
            // A job that is not run is dropped here, and what it owns may panic in its destructor.
            let _ = catch_unwind(AssertUnwindSafe(|| submission.run()));
        }
    }

    fn next(&self) -> Option<Submission> {
        let mut line = lock(&self.line);
        loop {
            if let Some(submission) = line.jobs.pop_front() {
                return Some(submission);
            }
            if line.closed {
                return None;
            }
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Submission {
    fn run(mut self) {
        let result = match self.turn() {
            Ok(lease) => self.run_job(&lease).inspect_err(|error| self.share.fail_with(error)),
            // Nothing was written: the entries are withdrawn, not failed.
            Err(error) if error.is_timeout() => Err(Error::new(Stage::Acquire, Kind::Cancelled)
                .asked(format!("the turn of job {} before its deadline", self.fence.seq()))
                .found(error.to_string())),
            Err(error) => Err(error),
        };
        // The entries end before the fence does: whoever waited on the fence finds the surface free. An entry that was spoiled is
        // the control file's trouble, not the job's; a device that was lost while it ran is, and both say so.
        let (_, on_device) = Share::end_on_device(self.share);
        self.fence.signal(result.and(on_device));
    }

    fn turn(&mut self) -> Result<Lease> {
        for fence in &self.after {
            self.wait_after(fence)?;
        }
        self.waiting.wait(&self.share, self.deadline, Stage::Acquire)?;
        Lease::granted(Arc::clone(&self.share), self.waiting.failed())
    }

    fn wait_after(&self, fence: &Fence) -> Result<()> {
        loop {
            match fence.wait(device::look_again(self.share.parts(), self.deadline)) {
                // A slice has passed. What has ended may have ended with a time-out of its own.
                Err(_) if !fence.has_ended() && !self.deadline.has_passed() => {
                    self.share.check_device(Stage::Acquire)?;
                }
                ended => return ended,
            }
        }
    }

    fn run_job(&mut self, lease: &Lease) -> Result<()> {
        let job = std::mem::replace(&mut self.job, Box::new(|_| Ok(())));
        catch_unwind(AssertUnwindSafe(|| job(lease))).unwrap_or_else(|_| {
            Err(Error::new(Stage::Access, Kind::Cancelled).found("a job that panicked").why("its content is torn"))
        })
    }
}
