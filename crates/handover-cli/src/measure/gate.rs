//! The gate: a fence that everybody's jobs wait for, and that the parent ends when all is submitted.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Sender, channel};

use handover::fence::Status;
use handover::timeline::Timeline;
use handover::{Access, Bytes, Deadline, Device, Fence, Monotonic, Options, Queue, Region, allocate};

/// Closed when made. A parent that drops it, or dies, opens it too: nobody waits for the dead.
pub(super) struct Gate {
    open: Sender<()>,
    fence: Fence,
    timeline: Timeline,
    _queue: Queue,
}

impl Gate {
    /// A job that waits for us, as point 1 of a timeline: it was submitted, so that its fence may be waited for.
    pub(super) fn close() -> Result<Self, String> {
        let words = |error: handover::Error| format!("the gate cannot be made: {error}");
        let surface = allocate::buffer(Device::PLAIN, Bytes(1), &Options::default()).map_err(words)?;
        let set: Vec<_> = surface.iter().map(|surface| (surface, Access::Write, Region::WHOLE)).collect();
        let queue = Queue::new("gate").map_err(words)?;
        let (open, opened) = channel();
        let wait = move |_: &handover::Lease| {
            // Whoever hung up opens it.
            let _ = opened.recv();
            Ok(())
        };
        let fence = queue.submit(&set, &[], Deadline::Never, wait).map_err(words)?;
        let timeline = Timeline::new();
        timeline.submit(1, &fence).map_err(words)?;
        Ok(Self { open, fence, timeline, _queue: queue })
    }

    pub(super) fn descriptor(&self) -> Result<OwnedFd, String> {
        self.timeline.to_fd().map_err(|error| error.to_string())
    }

    /// Lets all begin; gives the moment.
    pub(super) fn open(&mut self) -> Result<Monotonic, String> {
        let _ = self.open.send(());
        self.fence.wait(Deadline::Never).map_err(|error| error.to_string())?;
        match self.fence.status() {
            Status::Done(at) | Status::Failed(at, _) => Ok(at),
            Status::Pending => Ok(Monotonic::now()),
        }
    }
}
