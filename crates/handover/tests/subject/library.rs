//! The library's own words for fences as a subject: fences of jobs and of leases, unions, fences out of surfaces and into them,
//! and timelines. What others count, this keeps to itself; who must wait for how long is the same.

use std::sync::mpsc::{Sender, channel};

use handover::{
    Access, Bytes, Deadline, Device, Error, Fence, Kind, Lease, Options, Queue, Region, Status, Surface, Timeline,
    acquire, allocate, try_acquire,
};

use super::lines::{LINES, Line, LineOp, PROBES};
use super::rules::access;
use super::{BUFFERS, Held, Met, Refusal, Subject};

/// Fences at once: one for each operation of a trace.
const FENCES: usize = 32;

/// What ends a fence.
#[derive(Debug)]
enum End {
    /// A lease that is given back.
    Lease(Lease),
    /// A job that is told to.
    Job(Sender<()>),
}

#[derive(Debug)]
pub(crate) struct Library {
    surfaces: Vec<Surface>,
    /// Where nobody else is: a surface and a queue for each fence.
    scratch: Vec<(Surface, Queue)>,
    fences: Vec<(Fence, Option<End>)>,
    files: Vec<Fence>,
    lines: [Timeline; LINES],
}

impl Library {
    pub(crate) fn new() -> Self {
        let pool = |surfaces: usize| {
            let options = Options { surfaces: surfaces as u32, ..Options::default() };
            allocate::buffer(Device::PLAIN, Bytes(4096), &options).expect("surfaces")
        };
        let scratch = pool(FENCES).into_iter().map(|surface| (surface, Queue::new("scratch").expect("a queue")));
        Self {
            surfaces: pool(BUFFERS),
            scratch: scratch.collect(),
            fences: Vec::new(),
            files: Vec::new(),
            lines: Default::default(),
        }
    }

    /// What the library says to a wish that no access of its types can be: cells that the surface has not.
    fn region(flags: u32) -> (Access, Region) {
        let nowhere = (Access::Read, Region::from_bits(u64::from(flags) | 4));
        access(flags).map_or(nowhere, |access| (access, Region::WHOLE))
    }

    fn pends(fence: &Fence) -> bool {
        fence.status() == Status::Pending
    }
}

fn refusal(error: Error) -> Refusal {
    match error.kind() {
        Kind::Invalid => Refusal::Invalid,
        Kind::Full => Refusal::Full,
        Kind::Timeout(_) => Refusal::Unsubmitted,
        _ => panic!("{error}"),
    }
}

impl Subject for Library {
    fn name(&self) -> &'static str {
        "library"
    }

    fn counts(&self) -> bool {
        false
    }

    fn reset(&mut self) {
        (0..self.fences.len()).for_each(|fence| self.end(fence));
        self.fences.clear();
        self.files.clear();
        self.lines = Default::default();
        for surface in &self.surfaces {
            let set = [(surface, Access::Write, Region::WHOLE)];
            let lease = acquire(&set, Deadline::after(std::time::Duration::from_secs(20))).expect("room").wait();
            lease.expect("all fences have ended").release().expect("ours");
        }
    }

    fn fence(&mut self) {
        let (surface, queue) = &self.scratch[self.fences.len()];
        let set = [(surface, Access::Write, Region::WHOLE)];
        let (fence, end) = if self.fences.len().is_multiple_of(2) {
            let lease = try_acquire(&set).expect("an answer").expect("nobody else is there");
            (surface.export_fence(Access::Read, Region::WHOLE).expect("a fence"), End::Lease(lease))
        } else {
            let (end, ended) = channel();
            let job = move |_: &Lease| {
                let _ = ended.recv();
                Ok(())
            };
            (queue.submit(&set, &[], Deadline::Never, job).expect("a job"), End::Job(end))
        };
        self.files.push(fence.clone());
        self.fences.push((fence, Some(end)));
    }

    fn end(&mut self, fence: usize) {
        let (fence, end) = &mut self.fences[fence];
        match end.take() {
            None => return,
            Some(End::Lease(lease)) => lease.release().expect("ours"),
            Some(End::Job(end)) => end.send(()).expect("the job pends"),
        }
        fence.wait(Deadline::after(std::time::Duration::from_secs(20))).expect("it ends well");
    }

    fn merge(&mut self, one: usize, other: usize) {
        let union = Fence::union(&[self.files[one].clone(), self.files[other].clone()]);
        self.files.push(union);
    }

    fn export(&mut self, buffer: usize, flags: u32) -> Result<(), Refusal> {
        let (access, region) = Self::region(flags);
        self.files.push(self.surfaces[buffer].export_fence(access, region).map_err(refusal)?);
        Ok(())
    }

    fn import(&mut self, buffer: usize, flags: u32, file: usize) -> Result<(), Refusal> {
        let (access, region) = Self::region(flags);
        self.surfaces[buffer].import_fence(&self.files[file], access, region, Deadline::now()).map_err(refusal)
    }

    fn access(&mut self, buffer: usize, flags: u32) -> Result<bool, Refusal> {
        let (access, region) = Self::region(flags);
        let place = acquire(&[(&self.surfaces[buffer], access, region)], Deadline::now()).map_err(refusal)?;
        match place.wait() {
            Ok(lease) => lease.release().map(|()| true).map_err(refusal),
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => panic!("{error}"),
        }
    }

    fn poll(&mut self, buffer: usize) -> (bool, bool) {
        let may = |access| {
            let set = [(&self.surfaces[buffer], access, Region::WHOLE)];
            try_acquire(&set).expect("an answer").is_some()
        };
        (may(Access::Read), may(Access::Write))
    }

    fn met(&self, buffer: usize, flags: u32) -> Met {
        let (access, region) = Self::region(flags);
        let fence = self.surfaces[buffer].export_fence(access, region).expect("an export");
        Met { busy: Self::pends(&fence), contexts: 0, listed: 0 }
    }

    fn held(&self, file: usize) -> Held {
        Held { pending: Self::pends(&self.files[file]), contexts: 0 }
    }

    fn on_line(&mut self, op: LineOp) -> Result<(), Refusal> {
        match op {
            LineOp::Submit { file, line, point } => self.lines[line].submit(point, &self.files[file]),
            LineOp::Signal { line, point } => self.lines[line].signal(point),
            LineOp::Reset { line } => self.lines[line].reset(),
            LineOp::Transfer { from, of, point } => {
                let promise = self.lines[from].point(of);
                self.lines[LINES - 1 - from].transfer(point, &promise)
            }
            LineOp::Take { line, point } => self.lines[line].fence(point).map(|fence| self.files.push(fence)),
        }
        .map_err(refusal)
    }

    fn line(&self, line: usize) -> Line {
        let timeline = &self.lines[line];
        let points = PROBES.map(|point| match timeline.point(point).fence() {
            Ok(fence) => (true, !Self::pends(&fence)),
            Err(error) => (false, refusal(error) != Refusal::Unsubmitted),
        });
        Line { completed: timeline.completed(), submitted: timeline.submitted(), points }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // Queues run what was submitted before they go.
        self.fences.clear();
    }
}
