//! One consumer, as its producer knows it: a channel, and what it was promised.

use handover_model::wire::{Message, Roles};
use handover_model::{Decision, ExportFlags, ReadOnly, Stage};

use super::{ConsumerId, Delivery, VERSION};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::export::{self, export};
use crate::surface::Surface;
use crate::transport::Channel;

/// A consumer of a stream.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: ConsumerId,
    pub(super) channel: Channel,
    pub(super) delivery: Delivery,
    /// The newest frame that a mailbox's full queue had no room for.
    pub(super) untold: Option<(u32, u64)>,
}

/// What a consumer says since it was last heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Surface and frame of each release.
    pub(super) released: Vec<(u32, u64)>,
    /// It closed its end, or said what no consumer says: either way it takes part no more.
    pub(super) gone: bool,
}

/// Messages taken from one consumer at a time: a flood must not keep the others waiting.
const AT_ONCE: usize = 64;

impl Peer {
    /// Agrees with a new consumer on version and delivery.
    pub(super) fn greet(&self, deadline: Deadline) -> Result<()> {
        let ours = Message::Hello { version: VERSION, roles: Roles::PRODUCER | self.delivery.role() };
        self.channel.send(&ours, &[], deadline)?;
        match self.answer(deadline)? {
            Message::Hello { version: VERSION, roles } if roles & Roles::MAILBOX == self.delivery.role() => Ok(()),
            Message::Hello { version: VERSION, .. } => Err(Error::new(Stage::Export, Kind::Invalid)
                .asked(format!("a {} consumer", self.delivery.word()))
                .found("one that expects its frames the other way")
                .help("say the same delivery on both sides")),
            other => Err(unexpected(&other, "a hello of the same version")),
        }
    }

    /// Exports a surface to the consumer and waits until it has mapped it.
    pub(super) fn hand_over(&self, surface: &Surface, flags: ExportFlags, deadline: Deadline) -> Result<Decision> {
        let exported = export(surface, flags, deadline)?;
        self.channel.send_handle(exported.handle, deadline)?;
        match self.answer(deadline)? {
            Message::Mapped { index } if index == surface.index() => {}
            other => return Err(unexpected(&other, "the surface to be mapped")),
        }
        // A writer that does not answer keeps its place: it may have mapped all the same.
        if flags.contains(ExportFlags::WRITE) && surface.read_only() == ReadOnly::Sealed {
            export::writer_mapped(surface)?;
        }
        Ok(exported.decision)
    }

    /// The next message of a consumer that has to answer.
    fn answer(&self, deadline: Deadline) -> Result<Message> {
        match self.channel.receive(deadline)? {
            Some((Message::Refused { stage, text }, _)) => {
                Err(Error::new(stage, Kind::Unsupported).asked("a consumer to take part").found(text))
            }
            Some((message, _)) => Ok(message),
            None => Err(Error::new(Stage::Export, Kind::PeerGone)
                .asked("a consumer to take part")
                .found(format!("{} has closed its end", self.channel.peer_name()))),
        }
    }

    /// What it has said, without waiting.
    pub(super) fn hear(&self) -> Heard {
        let mut heard = Heard::default();
        for _ in 0..AT_ONCE {
            match self.channel.receive(Deadline::now()) {
                Ok(Some((Message::Released { index, frame }, _))) => heard.released.push((index, frame)),
                Err(error) if error.is_timeout() => break,
                Ok(_) | Err(_) => {
                    heard.gone = true;
                    break;
                }
            }
        }
        heard
    }
}

fn unexpected(message: &Message, asked: &'static str) -> Error {
    Error::new(Stage::Export, Kind::Malformed).asked(asked).found(format!("a {} message", message.word()))
}
