//! A timeline as the tests see it, whoever keeps it: the library within a process, the same as another process reads it, a driver.

use std::os::fd::AsFd;
use std::time::Duration;

use handover::backend::linux::{self, Card, Reached};
use handover::timeline::{Promise, Reader, Timeline};
use handover::{Deadline, Fence, Result};
use handover_sys::poll::wait_readable;

use crate::devices::need;
use crate::soon;
use crate::sources::{Source, driver, now};

/// A timeline under test.
pub(crate) trait Line {
    fn name(&self) -> &'static str;
    fn submit(&self, point: u64, fence: &Fence) -> Result<()>;
    fn signal(&self, point: u64) -> Result<()>;
    /// Complete up to, submitted up to.
    fn progress(&self) -> (u64, u64);
    fn wait(&self, point: u64, reached: Reached, deadline: Deadline) -> Result<()>;
    fn fence(&self, point: u64) -> Result<Fence>;
    fn descriptor(&self, point: u64, reached: Reached) -> Box<dyn AsFd>;

    /// Does it come so far?
    fn comes_to(&self, wanted: (u64, u64)) {
        let end = soon();
        while self.progress() != wanted {
            assert!(!end.has_passed(), "{}: {:?}, not {wanted:?}", self.name(), self.progress());
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    fn is_complete(&self, point: u64) -> bool {
        self.wait(point, Reached::Complete, now()).is_ok()
    }
}

pub(crate) fn wait_promise(promise: &Promise, reached: Reached, deadline: Deadline) -> Result<()> {
    match reached {
        Reached::Available => promise.wait_submitted(deadline).map(drop),
        Reached::Complete => promise.wait(deadline),
    }
}

/// Within the process.
pub(crate) struct Here(pub(crate) Timeline);

impl Line for Here {
    fn name(&self) -> &'static str {
        "here"
    }
    fn submit(&self, point: u64, fence: &Fence) -> Result<()> {
        self.0.submit(point, fence)
    }
    fn signal(&self, point: u64) -> Result<()> {
        self.0.signal(point)
    }
    fn progress(&self) -> (u64, u64) {
        (self.0.completed(), self.0.submitted())
    }
    fn wait(&self, point: u64, reached: Reached, deadline: Deadline) -> Result<()> {
        wait_promise(&self.0.point(point), reached, deadline)
    }
    fn fence(&self, point: u64) -> Result<Fence> {
        self.0.fence(point)
    }
    fn descriptor(&self, point: u64, reached: Reached) -> Box<dyn AsFd> {
        Box::new(self.0.point(point).descriptor(reached).unwrap())
    }
}

/// Written here, and looked at through a mapping that cannot be written.
pub(crate) struct There(pub(crate) Timeline, pub(crate) Reader);

impl There {
    pub(crate) fn new() -> Self {
        let timeline = Timeline::new();
        let reader = Reader::new(timeline.to_fd().unwrap()).unwrap();
        Self(timeline, reader)
    }
}

impl Line for There {
    fn name(&self) -> &'static str {
        "there"
    }
    fn submit(&self, point: u64, fence: &Fence) -> Result<()> {
        self.0.submit(point, fence)
    }
    fn signal(&self, point: u64) -> Result<()> {
        self.0.signal(point)
    }
    fn progress(&self) -> (u64, u64) {
        (self.1.completed(), self.1.submitted())
    }
    fn wait(&self, point: u64, reached: Reached, deadline: Deadline) -> Result<()> {
        wait_promise(&self.1.point(point), reached, deadline)
    }
    fn fence(&self, point: u64) -> Result<Fence> {
        self.1.point(point).fence()
    }
    fn descriptor(&self, point: u64, reached: Reached) -> Box<dyn AsFd> {
        Box::new(self.1.point(point).descriptor(reached).unwrap())
    }
}

/// A driver's.
pub(crate) struct Driver(linux::Timeline);

impl Line for Driver {
    fn name(&self) -> &'static str {
        "driver"
    }
    fn submit(&self, point: u64, fence: &Fence) -> Result<()> {
        self.0.submit(point, &fence.sync_file().unwrap())
    }
    fn signal(&self, point: u64) -> Result<()> {
        self.0.signal(point)
    }
    fn progress(&self) -> (u64, u64) {
        (self.0.completed().unwrap(), self.0.submitted().unwrap())
    }
    fn wait(&self, point: u64, reached: Reached, deadline: Deadline) -> Result<()> {
        self.0.wait(point, reached, deadline)
    }
    fn fence(&self, point: u64) -> Result<Fence> {
        self.0.fence(point).map(Fence::from)
    }
    fn descriptor(&self, point: u64, reached: Reached) -> Box<dyn AsFd> {
        Box::new(self.0.descriptor(point, reached).unwrap())
    }
}

/// One check on every kind of timeline, with fences of every kind that it takes.
pub(crate) fn each(check: impl Fn(&dyn Fn() -> Box<dyn Line>, Source)) {
    for source in [Some(Source::Queue), driver()].into_iter().flatten() {
        check(&|| Box::new(Here(Timeline::new())), source);
        check(&|| Box::new(There::new()), source);
    }
    // Only the kernel's fences go into a driver's.
    if let (Some(card), Some(source)) = (need("virtio_gpu", Card::of_driver("virtio_gpu")), driver()) {
        check(&|| Box::new(Driver(linux::Timeline::new(&card).unwrap())), source);
    }
}

pub(crate) fn is_readable(descriptor: &dyn AsFd) -> bool {
    wait_readable(descriptor.as_fd(), now().at()).unwrap()
}
