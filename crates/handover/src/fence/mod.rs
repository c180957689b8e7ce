//! A fence: the end of work that was submitted. It will come, or whoever should bring it is dead.
//!
//! # Contract
//!
//! **Finite.** A fence stands for work somebody has *submitted*: a job of a [`Queue`](crate::Queue), a device's job behind a
//! [`SyncFile`], a submitted point of a [timeline](crate::timeline), the entries of a reservation at one moment, or a union of
//! such. What nobody has submitted yet is a [`Promise`](crate::timeline::Promise), which becomes a fence by awaiting its submission
//! and in no other way.
//!
//! **Once.** It ends once, well or with an error, and stays so (C2, C3). An error ends it as success does; it blocks nobody (S22)
//! and travels with it: to a union, to a point, to the entries it was imported into.
//!
//! **Death.** What another process should have ended, and cannot any more, ends with an error, within a slice of 20 ms of a look
//! by whoever waits.
//!
//! **The border.** A device waits for a [`SyncFile`], which only a kernel makes. [`Fence::sync_file`] gives the one behind a fence
//! of devices alone; anything else the CPU waits for first (`Documentation/driver-api/dma-buf.rst`, "Indefinite DMA Fences").
//! The other way a fence of the kernel is a fence like any other.

mod border;
pub(crate) mod entries;
pub(crate) mod event;
pub(crate) mod kernel;
mod union;
mod until;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::eventfd;

use crate::backend::linux::SyncFile;
use crate::backend::software::poll;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::surface::lock;
use crate::timeline::RemotePoint;
use entries::Entries;
use event::{Event, Listener};
use union::Union;
pub use until::Cancel;
pub(crate) use until::{NextLook, Until};

/// How far a fence is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Submitted and not ended.
    Pending,
    /// Ended well, at this time.
    Done(Monotonic),
    /// Ended with an error, at this time. An error ends a fence like success does; it does not block anybody (S22).
    Failed(Monotonic, Error),
}

/// The end of work that was submitted. Clones are the same fence.
///
/// ```
/// use handover::{Bytes, Access, Deadline, Device, Fence, Options, Queue, Region, allocate};
/// let surface = allocate::buffer(Device::PLAIN, Bytes(4096), &Options::default())?.remove(0);
/// let (one, other) = (Queue::new("one")?, Queue::new("other")?);
/// let read = [(&surface, Access::Read, Region::WHOLE)];
/// let jobs = [one.submit(&read, &[], Deadline::Never, |_| Ok(()))?, other.submit(&read, &[], Deadline::Never, |_| Ok(()))?];
/// Fence::union(&jobs).wait(Deadline::Never)?;
/// # Ok::<(), handover::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a fence that nobody waits for or passes on orders nothing"]
pub struct Fence(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    context: u64,
    seq: u64,
    event: Event,
    source: Source,
    /// The process whose thread looks after it: its end will be found without anybody asking. (A forked child has no such thread.)
    watched: Mutex<Option<u32>>,
}

/// Who ends a fence.
#[derive(Debug)]
enum Source {
    /// This process, by [`Fence::signal`].
    Here,
    /// The kernel.
    Kernel(SyncFile),
    /// The writer of a timeline in another process.
    Point(RemotePoint),
    /// Whoever owns these entries.
    Entries(Entries),
    /// The last of several.
    Union(Union),
}

/// Fence contexts of this process: its pid (22 bits) above a counter that no process lives long enough to use up, so that no two
/// processes share one. The highest bit is that of timelines of other processes.
static CONTEXTS: AtomicU64 = AtomicU64::new(1);

/// A context that nobody else has.
pub(crate) fn new_context() -> u64 {
    let counter = CONTEXTS.fetch_add(1, Ordering::Relaxed) & ((1 << 41) - 1);
    u64::from(std::process::id()) << 41 | counter
}

impl Fence {
    /// A fence that this process ends.
    pub(crate) fn new(context: u64, seq: u64) -> Self {
        Self::of((context, seq), Status::Pending, Source::Here)
    }

    /// One that has ended well, now: for whoever has nothing to wait for (C8).
    pub fn signalled() -> Self {
        Self::ended(Ok(()), Monotonic::now())
    }

    /// One that has ended with an error, now.
    pub(crate) fn failed(error: Error) -> Self {
        Self::ended(Err(error), Monotonic::now())
    }

    fn ended(result: Result<()>, at: Monotonic) -> Self {
        Self::ended_at((new_context(), 1), result, at)
    }

    fn ended_at(place: (u64, u64), result: Result<()>, at: Monotonic) -> Self {
        let status = match result {
            Ok(()) => Status::Done(at),
            Err(error) => Status::Failed(at, error),
        };
        Self::of(place, status, Source::Here)
    }

    pub(crate) fn of_entries(entries: Entries) -> Self {
        Self::of((new_context(), 1), Status::Pending, Source::Entries(entries))
    }

    pub(crate) fn of_point(point: RemotePoint) -> Self {
        Self::of((point.context(), point.point()), Status::Pending, Source::Point(point))
    }

    fn of((context, seq): (u64, u64), status: Status, source: Source) -> Self {
        Self(Arc::new(Inner { context, seq, event: Event::new(status), source, watched: Mutex::default() }))
    }

    /// Ends a fence of [`new`](Self::new), once (C2).
    pub(crate) fn signal(&self, result: Result<()>) {
        self.0.event.signal(result, Monotonic::now());
    }

    /// Fences of one context end in the order of their sequence numbers; there is no order across contexts (C9).
    pub fn context(&self) -> u64 {
        self.0.context
    }

    /// Place in the context, from 1.
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// Pending (C1), done or failed.
    pub fn status(&self) -> Status {
        self.0.look();
        self.0.event.status()
    }

    /// As [`status`](Self::status), without a look: whoever holds a lock must not be the one to find the end, and call whoever
    /// listens for it.
    pub(crate) fn status_as_seen(&self) -> Status {
        self.0.event.status()
    }

    /// Does anybody else hold it?
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Has it ended, well or not?
    pub fn has_ended(&self) -> bool {
        self.status() != Status::Pending
    }

    /// Waits for the end; gives the error the work ended with, if any.
    ///
    /// # Errors
    /// [`Kind::Timeout`] at the deadline (C6), else whatever the work ended with.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        self.wait_until(&deadline.into())
    }

    /// As [`wait`](Self::wait), and gives up when told so.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`Kind::Cancelled`]. The fence itself goes on.
    pub fn wait_unless(&self, cancel: &Cancel, deadline: Deadline) -> Result<()> {
        self.wait_until(&Until { deadline, cancel: Some(cancel) })
    }

    fn wait_until(&self, until: &Until<'_>) -> Result<()> {
        match self.0.wait(until)? {
            Status::Done(_) => Ok(()),
            Status::Failed(_, error) => Err(error),
            Status::Pending if until.cancel.is_some_and(Cancel::is_cancelled) => {
                Err(Error::new(Stage::Acquire, Kind::Cancelled).asked(self.describe()).found("the wait was given up"))
            }
            Status::Pending => Err(Error::new(Stage::Acquire, Kind::Timeout(self.0.blocked()))
                .asked(self.describe())
                .found("it has not ended before the deadline")),
        }
    }

    /// A descriptor that becomes readable at the end. Each call makes one, and the fence keeps its other half until then.
    ///
    /// # Errors
    /// [`Kind::Os`]: no descriptor left, or no thread.
    pub fn descriptor(&self) -> Result<OwnedFd> {
        if let Some(file) = self.0.source.kernel() {
            return Ok(file.try_clone()?.into_fd());
        }
        let ours = eventfd::create().map_err(os(Stage::Acquire, "make an eventfd"))?;
        let theirs = ours.try_clone().map_err(os(Stage::Acquire, "duplicate an eventfd"))?;
        // Threads look after what is alive; whoever keeps the descriptor alone still waits.
        let this = self.clone();
        self.on_end(Listener::new(move |_| {
            let _this = this;
            // A full counter is readable already.
            let _ = eventfd::signal(&ours);
        }))?;
        Ok(theirs)
    }

    /// Tells the listener of the end, whoever finds it.
    pub(crate) fn on_end(&self, listener: Listener) -> Result<()> {
        // Before the listener: one that stays registered where nobody looks would never be told.
        self.watch()?;
        self.listen(listener);
        Ok(())
    }

    /// As [`on_end`](Self::on_end), for who has seen to it that somebody [looks](Self::watch).
    pub(crate) fn listen(&self, listener: Listener) {
        self.0.event.listen(listener);
    }

    /// Sees to it that somebody looks.
    ///
    /// # Errors
    /// [`Kind::Os`]: no thread can be started.
    pub(crate) fn watch(&self) -> Result<()> {
        if matches!(self.0.source, Source::Here) || self.has_ended() {
            return Ok(());
        }
        // Held until somebody looks indeed: whoever comes meanwhile must not rely on it. Nobody listens yet who could be told here.
        let mut watched = lock(&self.0.watched);
        let process = std::process::id();
        if *watched == Some(process) {
            return Ok(());
        }
        match &self.0.source {
            Source::Here => {}
            // The other thread needs no descriptor: it looks every slice.
            Source::Kernel(file) => kernel::watch(file, self).or_else(|_| poll::watch(self))?,
            Source::Point(_) | Source::Entries(_) => poll::watch(self)?,
            Source::Union(union) => union.watch(self)?,
        }
        *watched = Some(process);
        Ok(())
    }

    /// The fence without what keeps it: a thread that looks after it must not keep alive what everybody else has dropped.
    pub(crate) fn downgrade(&self) -> WeakFence {
        WeakFence(Arc::downgrade(&self.0))
    }

    /// The entries or the point it waits for, for the poll thread.
    pub(crate) fn watched_words(&self) -> Watched<'_> {
        match &self.0.source {
            Source::Entries(entries) => Watched::Entries(entries),
            Source::Point(point) => Watched::Point(point),
            Source::Here | Source::Kernel(_) | Source::Union(_) => Watched::Nothing,
        }
    }

    fn describe(&self) -> String {
        match &self.0.source {
            Source::Here => format!("the end of job {} of queue {:#x}", self.0.seq, self.0.context),
            Source::Kernel(file) => format!("the end of {}", file.describe()),
            Source::Point(point) => point.describe(),
            Source::Entries(entries) => entries.describe(),
            Source::Union(union) => union.describe(),
        }
    }
}

/// A fence that this does not keep alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakFence(std::sync::Weak<Inner>);

impl WeakFence {
    pub(crate) fn upgrade(&self) -> Option<Fence> {
        self.0.upgrade().map(Fence)
    }
}

/// What the poll thread has to look at.
#[derive(Debug)]
pub(crate) enum Watched<'a> {
    Entries(&'a Entries),
    Point(&'a RemotePoint),
    Nothing,
}

impl Source {
    /// The kernel's fence, where it is nothing else.
    fn kernel(&self) -> Option<&SyncFile> {
        match self {
            Self::Kernel(file) => Some(file),
            Self::Union(union) => union.kernel_alone(),
            Self::Here | Self::Point(_) | Self::Entries(_) => None,
        }
    }
}

impl Inner {
    /// Looks once whether the end has come. Does not wait.
    fn look(&self) {
        let found = match &self.source {
            Source::Here => None,
            _ if self.event.status() != Status::Pending => None,
            Source::Kernel(file) => kernel::look(file),
            Source::Point(point) => point.look(),
            Source::Entries(entries) => entries.look(),
            Source::Union(union) => union.look(),
        };
        if let Some((result, at)) = found {
            self.event.signal(result, at);
        }
    }

    fn wait(&self, until: &Until<'_>) -> Result<Status> {
        let status = self.event.status();
        if status != Status::Pending {
            return Ok(status);
        }
        match &self.source {
            Source::Here => return Ok(self.event.wait(until)),
            Source::Kernel(file) => kernel::wait(file, until)?,
            Source::Point(point) => point.wait(until)?,
            Source::Entries(entries) => entries.wait(until),
            Source::Union(union) => union.wait(until)?,
        }
        self.look();
        Ok(self.event.status())
    }

    /// Who is in the way, as far as that is known.
    fn blocked(&self) -> Blocked {
        match &self.source {
            Source::Entries(entries) => entries.blocked(),
            Source::Union(union) => union.blocked(),
            Source::Here | Source::Kernel(_) | Source::Point(_) => Blocked::default(),
        }
    }
}

/// A device's work, as a fence like any other.
impl From<SyncFile> for Fence {
    fn from(file: SyncFile) -> Self {
        Self::of((new_context(), 1), Status::Pending, Source::Kernel(file))
    }
}

impl PartialEq for Fence {
    /// The same fence, or the same place in the same context.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.context, self.0.seq) == (other.0.context, other.0.seq)
    }
}

impl Eq for Fence {}
