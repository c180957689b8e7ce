//! Where fences come from: a queue of this process, the timeline of another, a driver. Each fence pends until the test ends it.

use std::sync::mpsc::{Sender, channel};

use handover::timeline::{Reader, Timeline};
use handover::{
    Access, Bytes, Deadline, Device, Error, Fence, Kind, Lease, Options, Queue, Region, Stage, Surface, allocate,
};

use crate::devices::{Gpu, Job, surface, udmabuf};
use crate::soon;

/// A fence that pends, and what ends it.
pub(crate) struct Pending {
    pub(crate) fence: Fence,
    end: End,
}

enum End {
    /// The sender first: a queue that goes waits for its job.
    Job(Sender<handover::Result<()>>, Queue),
    /// The writer's end of a point elsewhere.
    Point(Box<Pending>, Timeline),
    Driver(Job<'static>, Surface),
}

impl Pending {
    pub(crate) fn new(fence: Fence, queue: Queue, end: Sender<handover::Result<()>>) -> Self {
        Self { fence, end: End::Job(end, queue) }
    }

    /// Ends it, and gives it back when that has been seen.
    pub(crate) fn end(self) -> Fence {
        self.end_as(Ok(()))
    }

    pub(crate) fn fail(self, errno: i32) -> Fence {
        self.end_as(Err(Error::new(Stage::Access, Kind::Os).with_errno(errno)))
    }

    fn end_as(self, result: handover::Result<()>) -> Fence {
        match self.end {
            End::Job(end, queue) => {
                end.send(result).unwrap();
                drop(queue);
            }
            End::Point(behind, timeline) => {
                drop(behind.end_as(result));
                timeline.point(1).wait(soon()).ok();
            }
            // Drivers' fences end well.
            End::Driver(job, scratch) => {
                job.end();
                drop(scratch);
            }
        }
        // Whose end it is told by another process may take a moment.
        assert!(!self.fence.wait(soon()).is_err_and(|error| error.is_timeout()));
        self.fence
    }
}

/// Who makes fences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Queue,
    Point,
    Driver,
}

impl Source {
    pub(crate) fn pending(self) -> Pending {
        match self {
            Self::Queue => {
                let (end, ended) = channel();
                let queue = Queue::new("engine").unwrap();
                // Where the test has gone without a word, so has whoever the job worked for.
                let job = move |_: &Lease| {
                    ended.recv().unwrap_or_else(|_| Err(Error::new(Stage::Access, Kind::Cancelled).with_errno(125)))
                };
                let surface = allocate::buffer(Device::PLAIN, Bytes(4096), &Options::default()).unwrap().remove(0);
                let fence = queue.submit(&[(&surface, Access::Write, Region::WHOLE)], &[], soon(), job).unwrap();
                Pending::new(fence, queue, end)
            }
            Self::Point => {
                let (timeline, behind) = (Timeline::new(), Self::Queue.pending());
                let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
                timeline.submit(1, &behind.fence).unwrap();
                let fence = reader.point(1).fence().unwrap();
                Pending { fence, end: End::Point(Box::new(behind), timeline) }
            }
            Self::Driver => {
                let scratch = surface(&udmabuf().expect("udmabuf, as before"));
                // Its jobs borrow it; the process is short.
                let gpu: &'static Gpu = Box::leak(Box::new(Gpu::open().expect("vgem, as before")));
                let (job, file) = gpu.job(&scratch);
                Pending { fence: file.into(), end: End::Driver(job, scratch) }
            }
        }
    }

    /// So many, of contexts of their own.
    pub(crate) fn many<const N: usize>(self) -> [Pending; N] {
        std::array::from_fn(|_| self.pending())
    }
}

/// The driver, or a visible skip.
pub(crate) fn driver() -> Option<Source> {
    (udmabuf().is_some() && Gpu::open().is_some()).then_some(Source::Driver)
}

/// One check on fences of every source there is.
pub(crate) fn each_source(check: impl Fn(Source)) {
    [Some(Source::Queue), Some(Source::Point), driver()].into_iter().flatten().for_each(check);
}

/// The deadline that has passed.
pub(crate) fn now() -> Deadline {
    Deadline::now()
}
