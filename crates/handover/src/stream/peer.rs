//! One consumer, as its producer knows it: a channel, and what it was promised.

use std::os::fd::AsFd;

use handover_model::wire::Message;
use handover_model::{Decision, ExportFlags, Stage};

use super::{ConsumerId, Delivery};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::export::export;
use crate::surface::Surface;
use crate::transport::Channel;

/// A consumer of a stream.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: ConsumerId,
    pub(super) channel: Channel,
    pub(super) delivery: Delivery,
    pub(super) flags: ExportFlags,
}

impl Peer {
    /// The next message of a consumer that has to answer.
    pub(super) fn answer(&self, deadline: Deadline) -> Result<Message> {
        match self.channel.receive(deadline)? {
            Some((Message::Refused { stage, text }, _)) => {
                Err(Error::new(stage, Kind::Unsupported).asked("a consumer to take part").found(text))
            }
            Some((message, _)) => Ok(message),
            None => Err(Error::new(Stage::Export, Kind::PeerGone)
                .asked("a consumer to take part")
                .found(format!("process {} has closed its end", self.channel.peer().pid))),
        }
    }
}

pub(super) fn send_handle(surface: &Surface, peer: &Peer, deadline: Deadline) -> Result<Decision> {
    let exported = export(surface, peer.flags, deadline)?;
    let (bytes, [pixels, control]) = exported.handle.into_parts();
    peer.channel.send_bytes(&bytes, &[pixels.as_fd(), control.as_fd()], deadline)?;
    Ok(exported.decision)
}

pub(super) fn unexpected(message: &Message, asked: &'static str) -> Error {
    Error::new(Stage::Export, Kind::Malformed).asked(asked).found(format!("a {} message", message.word()))
}
