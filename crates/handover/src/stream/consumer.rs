//! A consumer's end of a stream.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use handover_model::wire::{Message, Roles};
use handover_model::{Access, Region, Stage};

use super::{Delivery, VERSION, Waited};
use crate::acquire::acquire;
use crate::deadline::Deadline;
use crate::device::Device;
use crate::error::{Error, Kind, Result};
use crate::handle::Handle;
use crate::import::import;
use crate::lease::Lease;
use crate::surface::Surface;
use crate::transport::{Channel, Traffic};

/// Reads the frames of one producer.
#[derive(Debug)]
pub struct Consumer {
    channel: Arc<Channel>,
    device: Device,
    delivery: Delivery,
    surfaces: Vec<Surface>,
    ended: bool,
    skipped: u64,
    waited: Waited,
}

/// A frame that is ours until it is released or dropped.
#[derive(Debug)]
pub struct Frame {
    surface: Surface,
    number: u64,
    delivery: Delivery,
    channel: Arc<Channel>,
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
            device,
            delivery,
            surfaces: Vec::new(),
            ended: false,
            skipped: 0,
            waited: Waited::default(),
        };
        this.channel.send(&Message::Hello { version: VERSION, roles: Roles::CONSUMER }, &[], deadline)?;
        match this.hear(deadline)? {
            (Message::Hello { version: VERSION, .. }, _) => {}
            (other, _) => return Err(this.refuse(unexpected(&other, "a hello of the same version"))),
        }
        let mut expected = 1;
        while this.surfaces.len() < expected {
            let (message, descriptors) = this.hear(deadline)?;
            if let Message::Surface(surface) = &message {
                expected = surface.surfaces as usize;
            }
            this.take_handle(message, descriptors)?;
        }
        Ok(this)
    }

    /// Imports a surface, the next one or one that is sent anew, and says so; or says why not.
    fn take_handle(&mut self, message: Message, descriptors: Vec<OwnedFd>) -> Result<()> {
        let handle = Handle::from_message(message, descriptors).map_err(|error| self.refuse(error))?;
        let index = handle.message().index;
        let surface = import(handle, self.device).map_err(|error| self.refuse(error))?;
        let known = self.surfaces.len();
        match self.surfaces.get_mut(index as usize) {
            Some(known) => *known = surface,
            None if index as usize == known => self.surfaces.push(surface),
            None => {
                let found = format!("surface {index} after {known} others");
                return Err(self.refuse(Error::new(Stage::Import, Kind::Malformed).asked("surfaces in order").found(found)));
            }
        }
        self.channel.send(&Message::Mapped { index }, &[], Deadline::now())
    }

    /// The next frame. `None`: the producer has ended the stream.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::PeerGone`]: the producer is gone without a word; [`Kind::Malformed`].
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<Frame>> {
        while !self.ended {
            let started = Instant::now();
            let heard = self.hear(deadline);
            self.waited.peer += started.elapsed();
            let (message, descriptors) = heard?;
            match message {
                Message::End => self.ended = true,
                Message::Surface(_) => self.take_handle(message, descriptors)?,
                Message::Frame { index, frame } => {
                    let (index, frame) = self.newest(index, frame)?;
                    if let Some(frame) = self.frame(index, frame)? {
                        return Ok(Some(frame));
                    }
                }
                other => return Err(unexpected(&other, "a frame")),
            }
        }
        Ok(None)
    }

    /// In a mailbox only the newest of the frames that wait counts.
    fn newest(&mut self, index: u32, frame: u64) -> Result<(u32, u64)> {
        let mut newest = (index, frame);
        while self.delivery == Delivery::Mailbox && !self.ended {
            match self.hear(Deadline::now()) {
                Ok((Message::Frame { index, frame }, _)) => {
                    self.skipped += 1;
                    newest = (index, frame);
                }
                Ok((message @ Message::Surface(_), descriptors)) => self.take_handle(message, descriptors)?,
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
        let (surface, channel) = (surface.clone(), Arc::clone(&self.channel));
        Ok(Some(Frame { surface, number, delivery: self.delivery, channel, told: false }))
    }

    fn hear(&self, deadline: Deadline) -> Result<(Message, Vec<OwnedFd>)> {
        match self.channel.receive(deadline)? {
            Some((Message::Refused { stage, text }, _)) => {
                Err(Error::new(stage, Kind::Unsupported).asked("a producer's stream").found(text))
            }
            Some(heard) => Ok(heard),
            None => Err(Error::new(Stage::Acquire, Kind::PeerGone)
                .asked("the producer's next message")
                .found(format!("process {} has closed its end", self.channel.peer().pid))),
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

    /// How long this end has waited for its producer so far.
    pub fn waited(&self) -> Waited {
        self.waited
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
        let lease = acquire(&[(&self.surface, Access::Read, Region::WHOLE)], deadline)?.wait()?;
        if self.delivery == Delivery::Mailbox && self.surface.frame() != self.number {
            return Err(Error::new(Stage::Acquire, Kind::Cancelled)
                .asked(format!("frame {}", self.number))
                .found(format!("frame {} in its place", self.surface.frame()))
                .why("the producer does not wait for a mailbox"));
        }
        Ok(lease)
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
