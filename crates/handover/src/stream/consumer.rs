//! A consumer's end of a stream.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use handover_model::wire::{Message, Roles};
use handover_model::{Access, Region, Stage};

use super::{Delivery, VERSION, Waited};
use crate::acquire::acquire;
use crate::deadline::Deadline;
use crate::device::Device;
use crate::error::{Blocked, Error, Kind, Result};
use crate::handle::Handle;
use crate::import::{import, refresh};
use crate::lease::Lease;
use crate::surface::Surface;
use crate::transport::{Channel, Traffic};

/// How often one acquire of a frame looks at the layout again.
const REFRESHES: u32 = 4;

/// Frames of a mailbox that are passed over in one go.
const AT_ONCE: usize = 1024;

/// Reads the frames of one producer.
#[derive(Debug)]
pub struct Consumer {
    channel: Arc<Channel>,
    delivery: Delivery,
    surfaces: Vec<Surface>,
    ended: bool,
    skipped: u64,
    peer_waits: Duration,
    /// Nanoseconds, summed up by the frames.
    fence_waits: Arc<AtomicU64>,
}

/// A frame that is ours until it is released or dropped.
#[derive(Debug)]
pub struct Frame {
    surface: Surface,
    number: u64,
    delivery: Delivery,
    channel: Arc<Channel>,
    fence_waits: Arc<AtomicU64>,
    told: bool,
}

impl Consumer {
    /// Greets the producer and imports its surfaces. `delivery` as the producer was told.
    ///
    /// # Errors
    /// Those of [`import`](crate::import()), which the producer hears of too; [`Kind::PeerGone`], [`Kind::Timeout`].
    pub fn connect(channel: Channel, device: Device, delivery: Delivery, deadline: Deadline) -> Result<Self> {
        let mut this = Self {
            channel: Arc::new(channel),
            delivery,
            surfaces: Vec::new(),
            ended: false,
            skipped: 0,
            peer_waits: Duration::ZERO,
            fence_waits: Arc::default(),
        };
        let ours = Message::Hello { version: VERSION, roles: Roles::CONSUMER | delivery.role() };
        this.channel.send(&ours, &[], deadline)?;
        match this.hear(deadline)? {
            (Message::Hello { version: VERSION, roles }, _) if roles & Roles::MAILBOX == delivery.role() => {}
            (other, _) => return Err(this.refuse(unexpected(&other, "a hello of the same version and delivery"))),
        }
        let mut pool = None;
        while pool.is_none_or(|(_, surfaces)| this.surfaces.len() < surfaces as usize) {
            let (message, descriptors) = this.hear(deadline)?;
            let handle = Handle::from_message(message, descriptors).map_err(|error| this.refuse(error))?;
            let of = (handle.message().pool, handle.message().surfaces);
            if *pool.get_or_insert(of) != of || handle.message().index as usize != this.surfaces.len() {
                let found = format!("surface {} of pool {}", handle.message().index, of.0);
                let error = Error::new(Stage::Import, Kind::Malformed).asked("the surfaces of one pool in order");
                return Err(this.refuse(error.found(found)));
            }
            let index = handle.message().index;
            let surface = import(handle, device).map_err(|error| this.refuse(error))?;
            this.surfaces.push(surface);
            this.channel.send(&Message::Mapped { index }, &[], deadline)?;
        }
        Ok(this)
    }

    /// The next frame. `None`: the producer has ended the stream.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::PeerGone`]: the producer is gone without a word; [`Kind::Malformed`].
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<Frame>> {
        while !self.ended {
            let started = Instant::now();
            let heard = self.hear(deadline);
            self.peer_waits += started.elapsed();
            match heard?.0 {
                Message::End => self.ended = true,
                Message::Frame { index, frame } => {
                    let (index, frame) = self.newest(index, frame)?;
                    if let Some(frame) = self.frame(index, frame)? {
                        return Ok(Some(frame));
                    }
                    if deadline.has_passed() {
                        return Err(self.overtaken());
                    }
                }
                other => return Err(unexpected(&other, "a frame")),
            }
        }
        Ok(None)
    }

    /// In a mailbox only the newest of the frames that wait counts. A producer that sends faster than we read gets away with
    /// at most [`AT_ONCE`] at a time.
    fn newest(&mut self, index: u32, frame: u64) -> Result<(u32, u64)> {
        let mut newest = (index, frame);
        for _ in 0..AT_ONCE {
            if self.delivery == Delivery::Fifo || self.ended {
                break;
            }
            match self.hear(Deadline::now()) {
                Ok((Message::Frame { index, frame }, _)) => {
                    self.skipped += 1;
                    newest = (index, frame);
                }
                // The frame before it still counts.
                Ok((Message::End, _)) => self.ended = true,
                Ok((other, _)) => return Err(unexpected(&other, "a frame")),
                Err(error) if error.is_timeout() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    /// The frame, unless it is a mailbox's and overwritten already.
    fn frame(&mut self, index: u32, number: u64) -> Result<Option<Frame>> {
        let Some(surface) = self.surfaces.get(index as usize) else {
            return Err(Error::new(Stage::Acquire, Kind::Malformed)
                .asked(format!("one of {} surfaces", self.surfaces.len()))
                .found(format!("a frame in surface {index}")));
        };
        if self.delivery == Delivery::Mailbox && surface.frame() != number {
            self.skipped += 1;
            return Ok(None);
        }
        Ok(Some(Frame {
            surface: surface.clone(),
            number,
            delivery: self.delivery,
            channel: Arc::clone(&self.channel),
            fence_waits: Arc::clone(&self.fence_waits),
            told: false,
        }))
    }

    fn overtaken(&self) -> Error {
        Error::new(Stage::Acquire, Kind::Timeout(Blocked::default()))
            .asked("a frame that is still there")
            .found(format!("{} that were overwritten before they were read", self.skipped))
    }

    fn hear(&self, deadline: Deadline) -> Result<(Message, Vec<OwnedFd>)> {
        match self.channel.receive(deadline)? {
            Some((Message::Refused { stage, text }, _)) => {
                Err(Error::new(stage, Kind::Unsupported).asked("a producer's stream").found(text))
            }
            Some(heard) => Ok(heard),
            None => Err(Error::new(Stage::Acquire, Kind::PeerGone)
                .asked("the producer's next message")
                .found(format!("{} has closed its end", self.channel.peer_name()))),
        }
    }

    /// Tells the producer why it is left alone, as far as it still listens.
    fn refuse(&self, error: Error) -> Error {
        let message = Message::Refused { stage: error.stage(), text: error.to_string() };
        let _ = self.channel.send(&message, &[], Deadline::now());
        error
    }

    /// The imported surfaces, in their pool's order.
    pub fn surfaces(&self) -> &[Surface] {
        &self.surfaces
    }

    /// Frames of a mailbox that were passed over for newer ones.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How long this end has waited so far, for its producer and for fences in [`Frame::acquire`].
    pub fn waited(&self) -> Waited {
        let fence = Duration::from_nanos(self.fence_waits.load(Ordering::Relaxed));
        Waited { peer: self.peer_waits, fence, ..Waited::default() }
    }

    /// What went over the socket so far.
    pub fn traffic(&self) -> Traffic {
        self.channel.traffic()
    }
}

impl AsFd for Consumer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Frame {
    /// The surface that holds it.
    pub fn surface(&self) -> &Surface {
        &self.surface
    }

    /// Its number, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// READ access, once the producer's fence has ended.
    ///
    /// # Errors
    /// Those of [`acquire`](crate::acquire()). [`Kind::Cancelled`]: a mailbox's frame was overwritten before we had it; ask
    /// for the next.
    pub fn acquire(&self, deadline: Deadline) -> Result<Lease> {
        let started = Instant::now();
        let lease = self.lease(deadline);
        let waited = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.fence_waits.fetch_add(waited, Ordering::Relaxed);
        let lease = lease?;
        if self.delivery == Delivery::Mailbox && self.surface.frame() != self.number {
            return Err(Error::new(Stage::Acquire, Kind::Cancelled)
                .asked(format!("frame {}", self.number))
                .found(format!("frame {} in its place", self.surface.frame()))
                .why("the producer does not wait for a mailbox"));
        }
        Ok(lease)
    }

    /// A producer that drops compression for somebody else does so between two frames: look again, and go on.
    fn lease(&self, deadline: Deadline) -> Result<Lease> {
        let set = [(&self.surface, Access::Read, Region::WHOLE)];
        let lease = || acquire(&set, deadline).and_then(|acquire| acquire.wait());
        let mut result = lease();
        // An honest producer drops compression once; a generation that goes on changing is somebody's scribble.
        for _ in 0..REFRESHES {
            match &result {
                Err(error) if *error.kind() == Kind::LayoutChanged => refresh(&self.surface)?,
                _ => break,
            }
            result = lease();
        }
        result
    }

    /// Needs the frame no longer. Jobs that still hold shares of its leases keep the surface by their fences.
    pub fn release(mut self) -> Result<()> {
        self.tell()
    }

    fn tell(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.told, true) || self.delivery == Delivery::Mailbox {
            return Ok(());
        }
        let message = Message::Released { index: self.surface.index(), frame: self.number };
        self.channel.send(&message, &[], Deadline::now())
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // A producer that is gone needs no answer.
        let _ = self.tell();
    }
}

fn unexpected(message: &Message, asked: &'static str) -> Error {
    Error::new(Stage::Import, Kind::Malformed).asked(asked).found(format!("a {} message", message.word()))
}
