//! A timeline of another process, and its points: read-only, and believed in nothing but what one load says.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::futex;

use super::Reached;
use super::file::Read;
use super::page::{Look, Memory};
use super::promise::Promise;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::fence::{NextLook, Until};

/// A timeline that somebody else writes. Clones are the same.
#[derive(Debug, Clone)]
pub struct Reader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    read: Read,
    memory: Memory,
    /// Of who only ever asks: he notices a death too.
    next_look: NextLook,
}

impl Reader {
    /// The timeline behind a received descriptor of [`Timeline::to_fd`](super::Timeline::to_fd).
    ///
    /// # Errors
    /// [`Kind::Malformed`] for another kind of descriptor, [`Kind::Spoiled`] for a file that is not sealed as a timeline is
    /// or does not hold one, [`Kind::Unsupported`] for another version.
    pub fn new(timeline: OwnedFd) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            read: Read::open(timeline)?,
            memory: Memory::default(),
            next_look: NextLook::default(),
        })))
    }

    /// A point, submitted or not.
    pub fn point(&self, point: u64) -> Promise {
        Promise::remote(self.clone(), point)
    }

    /// The highest complete point, as the writer says.
    pub fn completed(&self) -> u64 {
        self.0.memory.query(&self.0.read).0
    }

    /// The highest submitted point, as the writer says.
    pub fn submitted(&self) -> u64 {
        self.0.memory.query(&self.0.read).1
    }

    /// The same timeline, to pass on.
    pub fn to_fd(&self) -> Result<OwnedFd> {
        self.0.read.descriptor().try_clone_to_owned().map_err(os(Stage::Export, "duplicate a timeline's descriptor"))
    }

    pub(super) fn at(&self, point: u64, reached: Reached) -> RemotePoint {
        RemotePoint { reader: self.clone(), point, reached }
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.read.descriptor()
    }
}

/// One point of a [`Reader`], and how far it must have come.
#[derive(Debug, Clone)]
pub(crate) struct RemotePoint {
    reader: Reader,
    point: u64,
    reached: Reached,
}

impl RemotePoint {
    /// One context a timeline, whoever imported it how often: inode numbers of memfds are unique while one is held, and no
    /// context of a process has the highest bit.
    pub(crate) fn context(&self) -> u64 {
        1 << 63 | self.reader.0.read.identity().inode
    }

    pub(crate) fn point(&self) -> u64 {
        self.point
    }

    fn submission_is_enough(&self) -> bool {
        self.reached == Reached::Available
    }

    pub(crate) fn look(&self) -> Option<(Result<()>, Monotonic)> {
        let Inner { read, memory, .. } = &*self.reader.0;
        let mut look = memory.look(read, self.point);
        if !look.is_over(self.submission_is_enough()) && self.reader.0.next_look.is_now() {
            memory.look_at_writer(read);
            look = memory.look(read, self.point);
        }
        if !look.is_over(self.submission_is_enough()) {
            return None;
        }
        let result = match look {
            // A failed point was submitted.
            Look::Complete(Some(errno)) if !self.submission_is_enough() => Err(self.failed(errno)),
            Look::Unsubmitted | Look::Pending | Look::Complete(_) => Ok(()),
            Look::Poisoned => Err(self.poisoned()),
            Look::Spoiled => Err(Error::new(Stage::Acquire, Kind::Spoiled)
                .asked(self.describe())
                .found("a timeline whose numbers fell")
                .why("its writer lied, so nothing it says is believed any more")),
        };
        Some((result, Monotonic::now()))
    }

    fn failed(&self, errno: u32) -> Error {
        Error::new(Stage::Acquire, Kind::Os)
            .asked(self.describe())
            .found("that its work failed")
            .with_errno(i32::try_from(errno).unwrap_or(0))
    }

    fn poisoned(&self) -> Error {
        let (completed, submitted) = self.reader.0.memory.query(&self.reader.0.read);
        Error::new(Stage::Acquire, Kind::PeerGone)
            .asked(self.describe())
            .found(format!("complete up to {completed}, submitted up to {submitted}"))
            .why("its writer is gone, or has closed it")
    }

    /// The error of a wait that ended too early.
    pub(crate) fn timed_out(&self) -> Error {
        let (completed, submitted) = self.reader.0.memory.query(&self.reader.0.read);
        Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
            .asked(self.describe())
            .found(format!("complete up to {completed}, submitted up to {submitted}"))
    }

    #[allow(clippy::unnecessary_wraps, reason = "one of several sources that a fence waits for")]
    pub(crate) fn wait(&self, until: &Until<'_>) -> Result<()> {
        let inner = &self.reader.0;
        let given_up = || until.cancel.is_some_and(crate::fence::Cancel::is_cancelled);
        inner.memory.wait(&inner.read, self.point, self.submission_is_enough(), until.deadline.at(), given_up);
        Ok(())
    }

    /// The same for who makes no fence of it.
    pub(crate) fn wait_for(&self, deadline: Deadline) -> Result<()> {
        self.wait(&deadline.into())?;
        self.look().map_or_else(|| Err(self.timed_out()), |(result, _)| result)
    }

    pub(crate) fn look_at_writer(&self) {
        self.reader.0.memory.look_at_writer(&self.reader.0.read);
    }

    /// The word to sleep on until it may be there.
    pub(crate) fn event(&self) -> Option<futex::Word<'_>> {
        self.reader.0.read.event()
    }

    pub(crate) fn describe(&self) -> String {
        format!("point {} of a timeline", self.point)
    }
}
