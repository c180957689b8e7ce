//! The frames of one producer, as this participant gets them: through shared surfaces, or copied through a socket.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;

use handover::backend::linux::{Held, SyncFile};
use handover::stream::{Consumer, Delivery, Frame, Waited};
use handover::transport::{Channel, Traffic};
use handover::{Access, Deadline, Device, Error, Format, Kind, Lease, Region, Stage, Surface, acquire};

use handover_vulkan::Submitted;

use super::account::now;
use super::content::Content;
use super::desk::{Desk, timed};
use super::event::{Held as Holding, InputTally};
use super::job::InputJob;
use super::pixels::from_memory;
use super::{Failure, Result};
use crate::draw::{Canvas, Pixels};

/// How long a job may take whose fence the kernel does not take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One producer that is read.
pub(super) struct Input {
    index: usize,
    link: Link,
    format: Format,
    hold: Duration,
    pixels: Pixels,
    content: Content,
    tally: InputTally,
}

enum Link {
    Shared(Consumer),
    /// Frames follow each other without a word between them: one is as long as its pixels.
    Copied(File),
}

/// A frame that a device has, with READ access. The access ends before the frame does.
pub(super) struct Taking {
    access: (Lease, Frame),
    /// When it was asked for, and when it came.
    came: (u64, u64),
}

impl Held for Taking {
    fn lease(&self) -> &Lease {
        &self.access.0
    }
}

impl Taking {
    /// The surface of the frame.
    pub(super) fn surface(&self) -> &Surface {
        self.access.1.surface()
    }
}

/// What became of the wait for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is in [`Input::pixels`].
    Frame,
    /// There is none, and none will come.
    End,
}

impl Input {
    /// Meets the producer at the other end of `socket` and imports its surfaces. `None`: it was gone before that.
    pub(super) fn connect(
        index: usize,
        job: &InputJob,
        socket: OwnedFd,
        device: Device,
        hold: Duration,
        desk: &Desk,
    ) -> Result<Option<Self>> {
        desk.stage(Stage::Import);
        let link = if job.copies {
            Link::Copied(File::from(socket))
        } else {
            let channel = Channel::from_fd(socket, Default::default())?.with_peer_name(&job.producer);
            let delivery = if job.mailbox { Delivery::Mailbox } else { Delivery::Fifo };
            match Consumer::connect(channel, device, delivery, Deadline::Never) {
                Ok(consumer) => Link::Shared(consumer),
                Err(error) if *error.kind() == Kind::PeerGone => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let tally = InputTally { producer: job.producer.clone(), ..InputTally::default() };
        let (pixels, content) = (Pixels::new(job.extent()?), Content::new(job.hashes));
        Ok(Some(Self { index, link, format: job.format()?, hold, pixels, content, tally }))
    }

    /// The frame last taken, as XRGB8888 or ARGB8888; x is 255.
    pub(super) fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// Takes the next frame: waits for it, copies its pixels out, keeps it as long as the job says, gives it back. What
    /// the caller does then, with them or with the last ones, is access to pixels again and noted as such.
    pub(super) fn next(&mut self, desk: &mut Desk) -> Result<Taken> {
        desk.stage(Stage::Acquire);
        let taken = match &mut self.link {
            Link::Shared(_) => self.next_shared(desk)?,
            Link::Copied(_) => self.next_copied(desk)?,
        };
        self.tally.taken += u64::from(taken == Taken::Frame);
        desk.stage(Stage::Access);
        Ok(taken)
    }

    fn next_shared(&mut self, desk: &mut Desk) -> Result<Taken> {
        let asked = now();
        let Some((frame, lease)) = self.wait()? else { return Ok(Taken::End) };
        let came = (asked, now());
        desk.stage(Stage::Access);
        self.copy_out(&lease, frame.surface(), desk)?;
        if !self.hold.is_zero() {
            desk.hold(self.hold);
        }
        desk.stage(Stage::Release);
        lease.release()?;
        self.release(frame, came, desk)?;
        // Its producer need not wait for it.
        self.content.add(self.pixels.bytes());
        Ok(Taken::Frame)
    }

    /// The next frame, for a device that knows no fences: all of them have ended. `None`: none will come.
    pub(super) fn take(&mut self, desk: &Desk) -> Result<Option<Taking>> {
        desk.stage(Stage::Acquire);
        let asked = now();
        let taken = self.wait()?;
        desk.stage(Stage::Access);
        Ok(taken.map(|(frame, lease)| Taking { access: (lease, frame), came: (asked, now()) }))
    }

    /// The next frame, for a device that waits for fences itself: what pends is given along.
    pub(super) fn take_with_fence(&mut self, desk: &Desk) -> Result<Option<(Taking, Option<SyncFile>)>> {
        desk.stage(Stage::Acquire);
        let asked = now();
        let Some((frame, (lease, fence))) = self.wait_for(collect)? else { return Ok(None) };
        desk.stage(Stage::Access);
        Ok(Some((Taking { access: (lease, frame), came: (asked, now()) }, fence)))
    }

    /// Copies the pixels of a surface to [`Input::pixels`].
    pub(super) fn copy_out(&mut self, lease: &Lease, surface: &Surface, desk: &mut Desk) -> Result<()> {
        let (format, stride, pixels) = (self.format, self.pixels.stride(), &mut self.pixels);
        timed(&mut desk.tally.time.cpu, || -> handover::Result<()> {
            lease.read(surface)?.read_image(0, pixels.bytes_mut(), stride)?;
            from_memory(format, pixels.bytes_mut());
            Ok(())
        })?;
        Ok(())
    }

    /// The surfaces of its producer; none if they are copied.
    pub(super) fn surfaces(&self) -> &[Surface] {
        match &self.link {
            Link::Shared(consumer) => consumer.surfaces(),
            Link::Copied(_) => &[],
        }
    }

    /// The device is done with a frame.
    pub(super) fn done(&mut self, taking: Taking, desk: &mut Desk) -> Result<()> {
        self.give_back(taking, Lease::release, desk)
    }

    /// The device will be done with a frame when a job ends that has been submitted. Who uses the surface next waits for that.
    pub(super) fn done_after(&mut self, taking: Taking, job: &Submitted, desk: &mut Desk) -> Result<()> {
        let release = |lease: Lease| match job.fence() {
            None => lease.release(),
            Some(fence) => lease.release_after(fence).or_else(|unattached| {
                job.wait(Deadline::after(PATIENCE))?;
                unattached.lease.release()
            }),
        };
        self.give_back(taking, release, desk)
    }

    fn give_back(
        &mut self,
        Taking { access: (lease, frame), came }: Taking,
        release: impl FnOnce(Lease) -> handover::Result<()>,
        desk: &mut Desk,
    ) -> Result<()> {
        desk.stage(Stage::Release);
        release(lease)?;
        self.release(frame, came, desk)?;
        self.tally.taken += 1;
        desk.stage(Stage::Access);
        Ok(())
    }

    fn release(&self, frame: Frame, (asked, from): (u64, u64), desk: &mut Desk) -> Result<()> {
        let held = Holding { input: self.index, frame: frame.number(), asked, from, to: now() };
        match frame.release() {
            // A producer that is gone needs its surface no more.
            Err(error) if *error.kind() != Kind::PeerGone => return Err(error.into()),
            _ => {}
        }
        desk.held(held)
    }

    /// The next frame that can be read, and READ access to it.
    fn wait(&mut self) -> Result<Option<(Frame, Lease)>> {
        self.wait_for(|frame| frame.acquire(Deadline::Never))
    }

    /// The next frame to which `access` is granted, and what it gave.
    fn wait_for<A: AsLease>(&mut self, access: impl Fn(&Frame) -> handover::Result<A>) -> Result<Option<(Frame, A)>> {
        let Link::Shared(consumer) = &mut self.link else { return Ok(None) };
        loop {
            let frame = match consumer.next(Deadline::Never) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(error) if *error.kind() == Kind::PeerGone => {
                    self.tally.gone = true;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            match access(&frame) {
                Ok(access) if access.as_lease().is_torn() => {
                    self.tally.gone = true;
                    return Ok(None);
                }
                Ok(access) => return Ok(Some((frame, access))),
                // Overwritten before we had it: the next one will do.
                Err(error) if *error.kind() == Kind::Cancelled => self.tally.skipped += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn next_copied(&mut self, desk: &mut Desk) -> Result<Taken> {
        let Link::Copied(socket) = &mut self.link else { return Ok(Taken::End) };
        let bytes = self.pixels.bytes_mut();
        match timed(&mut desk.tally.time.peer, || read_frame(socket, bytes)) {
            Ok(true) => {}
            Ok(false) => return Ok(Taken::End),
            Err(error) if is_gone(&error) => {
                self.tally.gone = true;
                return Ok(Taken::End);
            }
            Err(error) => return Err(Failure::new(format!("the socket of {}: {error}", self.tally.producer))),
        }
        desk.stage(Stage::Access);
        if !self.hold.is_zero() {
            desk.hold(self.hold);
        }
        desk.stage(Stage::Release);
        Ok(Taken::Frame)
    }

    /// Its place among the inputs of the job.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The extent of the frames.
    pub(super) fn extent(&self) -> handover::Extent {
        self.pixels.extent()
    }

    /// What went over its socket so far.
    pub(super) fn traffic(&self) -> Traffic {
        match &self.link {
            Link::Shared(consumer) => consumer.traffic(),
            Link::Copied(_) => Traffic::default(),
        }
    }

    /// Its counts, and how long it waited for its producer and for fences.
    pub(super) fn tally(&self) -> (InputTally, Waited) {
        let mut tally = InputTally { content_sha256: self.content.text(), ..self.tally.clone() };
        let mut waited = Waited::default();
        if let Link::Shared(consumer) = &self.link {
            tally.skipped += consumer.skipped();
            waited = consumer.waited();
        }
        (tally, waited)
    }
}

/// What granted access brings with it.
trait AsLease {
    fn as_lease(&self) -> &Lease;
}

impl AsLease for Lease {
    fn as_lease(&self) -> &Lease {
        self
    }
}

impl AsLease for (Lease, Option<SyncFile>) {
    fn as_lease(&self) -> &Lease {
        &self.0
    }
}

/// Access for a device that waits for the kernel's fences itself.
fn collect(frame: &Frame) -> handover::Result<(Lease, Option<SyncFile>)> {
    let access = acquire(&[(frame.surface(), Access::Read, Region::WHOLE)], Deadline::Never)?.collect()?;
    // As [`Frame::acquire`] does: the producer does not wait for a mailbox.
    if frame.surface().frame() != frame.number() {
        return Err(Error::new(Stage::Acquire, Kind::Cancelled).asked(format!("frame {}", frame.number())));
    }
    Ok(access)
}

/// All of a frame, or `false` if the stream ended before its first byte.
fn read_frame(socket: &mut File, into: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match socket.read(rest) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}
