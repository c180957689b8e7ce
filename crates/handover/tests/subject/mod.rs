//! What a reservation can be asked, in the kernel's terms, so that one check and one random trace run on every reservation there
//! is: the library's in a control file, the kernel's in a dma-buf, and the bare rules.
// Each test binary uses a part of this.
#![allow(dead_code)]

pub(crate) mod kernel;
pub(crate) mod library;
pub(crate) mod lines;
pub(crate) mod rules;
pub(crate) mod software;

use handover::Access;
use handover::backend::software::reservation::layout::ENTRIES;

use lines::{Line, LineOp};

/// The flags of the kernel's calls: what an access does.
pub(crate) const READ: u32 = 1;
/// As [`READ`].
pub(crate) const WRITE: u32 = 2;
/// Flags that mean no access, each refused for a reason of its own: nothing is asked, an end without a direction, an unknown bit.
pub(crate) const NO_ACCESS: [u32; 3] = [0, 4, 8];

/// Buffers that a subject has.
pub(crate) const BUFFERS: usize = 2;
/// Pending entries that the library keeps for one buffer.
pub(crate) const ROOM: usize = ENTRIES;

/// Why a subject did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `EINVAL`: flags that mean no access.
    Invalid,
    /// More than [`ROOM`] pending entries on one buffer. The kernel has no such bound; its subject counts for it.
    Full,
    /// A point that nobody has submitted.
    Unsubmitted,
}

/// What an access to a buffer would meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Met {
    /// Must it wait?
    pub(crate) busy: bool,
    /// Pending fences, of each context the latest only: counts after subsumption.
    pub(crate) contexts: usize,
    /// Pending fences as they are listed. Depends on slots of fences that have ended, which the library does not keep.
    pub(crate) listed: usize,
}

/// What a file of fences says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) pending: bool,
    /// Pending fences, of each context the latest only.
    pub(crate) contexts: usize,
}

/// A reservation under test: [`BUFFERS`] buffers, fences that end when they are told to, and files that hold fences.
///
/// Fences and files are numbered in the order in which they are made. Numbers a caller made up are a bug of the caller.
pub(crate) trait Subject {
    fn name(&self) -> &'static str;

    /// Starts over: everything ends, all buffers are idle and hold nothing that has ended.
    fn reset(&mut self);

    /// A fence that pends, in a context and a file of its own.
    fn fence(&mut self);

    /// Ends a fence that pends.
    fn end(&mut self, fence: usize);

    /// A file with the fences of both.
    fn merge(&mut self, one: usize, other: usize);

    /// A file with what an access would meet now.
    fn export(&mut self, buffer: usize, flags: u32) -> Result<(), Refusal>;

    /// Adds the fences of a file to a buffer: all of them or none.
    fn import(&mut self, buffer: usize, flags: u32, file: usize) -> Result<(), Refusal>;

    /// CPU access that begins and ends at once; false, and nothing is done, where it would have to wait.
    fn access(&mut self, buffer: usize, flags: u32) -> Result<bool, Refusal>;

    /// May one read, may one write?
    fn poll(&mut self, buffer: usize) -> (bool, bool);

    fn met(&self, buffer: usize, flags: u32) -> Met;

    fn held(&self, file: usize) -> Held;

    /// Does something to timelines. Those that count files have none.
    fn on_line(&mut self, op: LineOp) -> Result<(), Refusal> {
        panic!("{} has no timelines: {op:?}", self.name())
    }

    /// What a timeline says.
    fn line(&self, line: usize) -> Line {
        panic!("{} has no timeline {line}", self.name())
    }

    /// Does it say how many fences there are? If not, it also has threads that tell of ends, which takes a moment.
    fn counts(&self) -> bool {
        true
    }

    /// Is the subject's answer worthless because the machine was too slow?
    fn is_late(&self) -> bool {
        false
    }
}

/// Fences placed on buffers, and for what, with repeats: what fills the library's entries.
#[derive(Debug)]
pub(crate) struct Placed {
    on: [Vec<(usize, Access)>; BUFFERS],
    room: usize,
}

impl Default for Placed {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl Placed {
    pub(crate) fn with_room(room: usize) -> Self {
        Self { on: Default::default(), room }
    }

    /// Nothing placed, and as much room as before.
    pub(crate) fn clear(&mut self) {
        *self = Self::with_room(self.room);
    }

    pub(crate) fn place(&mut self, buffer: usize, access: Access, fences: &[usize]) -> Result<(), Refusal> {
        self.room(buffer, fences.len())?;
        self.on[buffer].extend(fences.iter().map(|&fence| (fence, access)));
        Ok(())
    }

    pub(crate) fn room(&self, buffer: usize, count: usize) -> Result<(), Refusal> {
        if self.on[buffer].len() + count > self.room { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Those that an access meets.
    pub(crate) fn met(&self, buffer: usize, access: Access) -> Vec<usize> {
        let meets = |&&(_, other): &&(usize, Access)| other.usage() <= access.waits();
        self.on[buffer].iter().filter(meets).map(|&(fence, _)| fence).collect()
    }

    pub(crate) fn end(&mut self, fence: usize) {
        self.on.iter_mut().for_each(|placed| placed.retain(|&(other, _)| other != fence));
    }
}

/// Which fences pend and which fences a file holds, for subjects whose fences and files are numbers only.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pending: Vec<bool>,
    files: Vec<Vec<usize>>,
}

impl Files {
    /// Gives the new fence.
    pub(crate) fn fence(&mut self) -> usize {
        self.pending.push(true);
        self.files.push(vec![self.pending.len() - 1]);
        self.pending.len() - 1
    }

    pub(crate) fn end(&mut self, fence: usize) {
        self.pending[fence] = false;
    }

    pub(crate) fn pends(&self, fence: usize) -> bool {
        self.pending[fence]
    }

    pub(crate) fn push(&mut self, fences: Vec<usize>) {
        self.files.push(fences);
    }

    pub(crate) fn merge(&mut self, one: usize, other: usize) {
        let both = self.of(one).into_iter().chain(self.of(other)).collect();
        self.push(both);
    }

    /// The pending fences of a file, each once. One that has ended adds nothing to whatever the file is put into (C31).
    pub(crate) fn of(&self, file: usize) -> Vec<usize> {
        let mut fences: Vec<usize> = self.files[file].iter().copied().filter(|&fence| self.pending[fence]).collect();
        fences.sort_unstable();
        fences.dedup();
        fences
    }

    pub(crate) fn held(&self, file: usize) -> Held {
        let contexts = self.of(file).len();
        Held { pending: contexts > 0, contexts }
    }
}
