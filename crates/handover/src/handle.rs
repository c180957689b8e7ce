//! A handle: two descriptors and one message. Any carrier will do; what arrives is an allegation until it is imported.

use std::os::fd::OwnedFd;

use handover_model::wire::{Message, SurfaceMessage};
use handover_model::{ExportFlags, ReadOnly, Result, Stage};

use crate::error::{Error, Kind};

/// What passes from producer to consumer.
#[derive(Debug)]
pub struct Handle {
    pub(crate) message: SurfaceMessage,
    pub(crate) pixels: OwnedFd,
    pub(crate) control: OwnedFd,
}

impl Handle {
    /// The bytes and the descriptors to send, in this order: pixels, control file.
    pub fn into_parts(self) -> (Vec<u8>, [OwnedFd; 2]) {
        (Message::Surface(self.message).encode(), [self.pixels, self.control])
    }

    /// What arrived. Nothing is checked beyond the shape of the message; that is [`import`](crate::import())'s work.
    ///
    /// # Errors
    /// [`Kind::Malformed`] or [`Kind::Truncated`], naming the field.
    pub fn from_parts(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<Self> {
        let message = Message::parse(bytes, descriptors.len())?;
        Self::from_message(message, descriptors)
    }

    pub(crate) fn from_message(message: Message, descriptors: Vec<OwnedFd>) -> Result<Self> {
        match (message, <[OwnedFd; 2]>::try_from(descriptors)) {
            (Message::Surface(message), Ok([pixels, control])) => Ok(Self { message, pixels, control }),
            (message, descriptors) => Err(Error::new(Stage::Import, Kind::Malformed)
                .asked("a handle: a surface message and two descriptors")
                .found(format!("{} with {}", message.word(), descriptors.map_or_else(|d| d.len(), |d| d.len())))),
        }
    }

    /// What the message says. An allegation.
    pub fn message(&self) -> &SurfaceMessage {
        &self.message
    }

    /// What it was exported for.
    pub fn flags(&self) -> ExportFlags {
        self.message.access
    }

    /// What keeps its holder from writing, if it was exported for READ alone.
    pub fn read_only(&self) -> ReadOnly {
        self.message.read_only
    }
}
