//! What the two sides say to each other: a request and an answer for each object, and then one word a frame each way.

use std::os::fd::{AsFd, OwnedFd};

use handover::interop::{Access, Interop, Refusal, Request, Status, Target, Versions};
use handover::transport::{Channel, Traffic};
use handover::{Deadline, Handle, Kind};
use serde::{Deserialize, Serialize};

use crate::participant::{Failure, Result};

/// OpenGL's number of a texture of two dimensions.
const TEXTURE: u32 = 0x0de1;
/// OpenGL's number of a buffer.
const BUFFER: u32 = 0x8892;

/// A request as it travels: all of it is numbers that mean something to both interfaces, or nothing.
#[derive(Serialize, Deserialize)]
struct Asked {
    export_in: u32,
    export_out: u32,
    target: u32,
    access: u32,
    level: u32,
}

/// An answer. Behind one of status 0 comes the handle.
#[derive(Serialize, Deserialize)]
struct Answered {
    status: i32,
    why: String,
}

/// What is said of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It is drawn: its fences are in the reservations.
    Frame(u64),
    /// The work on it is in a queue: its fence is in the reservations.
    Enqueued(u64),
    /// No frame follows.
    End,
}

/// One end.
pub(super) struct Link(Channel);

impl Link {
    pub(super) fn new(socket: OwnedFd, peer: &str) -> Result<Self> {
        Ok(Self(Channel::from_fd(socket, Default::default())?.with_peer_name(peer)))
    }

    /// What went over so far. Its words are none of pixels, though the channel takes them for the program's own.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic { sent_payload_bytes: 0, received_payload_bytes: 0, ..self.0.traffic() }
    }

    /// Asks for an object. `None`: the other side is gone.
    pub(super) fn ask(&self, is_texture: bool, access: Access, version: u32) -> Result<Option<Handle>> {
        let target = if is_texture { TEXTURE } else { BUFFER };
        let asked = Asked { export_in: version, export_out: version, target, access: access as u32, level: 0 };
        if !self.tell(&encoded(&asked)?)? {
            return Ok(None);
        }
        let Some((bytes, _)) = self.0.receive_bytes(0, Deadline::Never)? else { return Ok(None) };
        let answered: Answered = decoded(&bytes)?;
        if answered.status != Status::Success.code() {
            return Err(Failure::new(answered.why));
        }
        let Some((bytes, descriptors)) = self.0.receive_bytes(2, Deadline::Never)? else { return Ok(None) };
        Ok(Some(Handle::from_parts(&bytes, descriptors)?))
    }

    /// The next request. `None`: the other side is gone.
    pub(super) fn asked(&self) -> Result<Option<Request>> {
        let Some((bytes, _)) = self.0.receive_bytes(0, Deadline::Never)? else { return Ok(None) };
        let Asked { export_in, export_out, target, access, level } = decoded(&bytes)?;
        let access = Access::of(access).ok_or_else(|| Failure::new(format!("an interop access of {access}")))?;
        Ok(Some(Request { versions: Versions { export_in, export_out }, target: Target::from(target), access, level }))
    }

    /// Answers a request, and gives what was exported but for the handle. A refusal is told to both sides.
    pub(super) fn answer(&self, exported: Result<Interop, Refusal>) -> Result<Exported> {
        let exported = match exported {
            Ok(exported) => exported,
            Err(refusal) => {
                let answered = Answered { status: refusal.status.code(), why: refusal.to_string() };
                self.tell(&encoded(&answered)?)?;
                return Err(handover::Error::from(refusal).into());
            }
        };
        let Interop { handle, versions, buffer_size, decision, steps, .. } = exported;
        let flags = handle.flags();
        let (bytes, [pixels, control]) = handle.into_parts();
        let answered = Answered { status: Status::Success.code(), why: String::new() };
        if self.tell(&encoded(&answered)?)? {
            heard(self.0.send_bytes(&bytes, &[pixels.as_fd(), control.as_fd()], Deadline::Never))?;
        }
        Ok(Exported { flags, versions, bytes: buffer_size, decision, steps })
    }

    /// Says a word. `false`: the other side is gone.
    pub(super) fn say(&self, word: Word) -> Result<bool> {
        let (tag, frame) = match word {
            Word::Frame(frame) => (b'f', frame),
            Word::Enqueued(frame) => (b'q', frame),
            Word::End => (b'e', 0),
        };
        let [a, b, c, d, e, f, g, h] = frame.to_le_bytes();
        self.tell(&[tag, a, b, c, d, e, f, g, h])
    }

    /// The next word. `None`: the other side is gone.
    pub(super) fn hear(&self, deadline: Deadline) -> handover::Result<Option<Word>> {
        let heard = match self.0.receive_bytes(0, deadline) {
            Err(error) if *error.kind() == Kind::PeerGone => None,
            heard => heard?,
        };
        Ok(heard.and_then(|(bytes, _)| {
            let (tag, frame) = bytes.split_first()?;
            let frame = u64::from_le_bytes(frame.try_into().ok()?);
            match tag {
                b'f' => Some(Word::Frame(frame)),
                b'q' => Some(Word::Enqueued(frame)),
                b'e' => Some(Word::End),
                // Who says something else is of another version, and as good as gone.
                _ => None,
            }
        }))
    }

    fn tell(&self, bytes: &[u8]) -> Result<bool> {
        heard(self.0.send_bytes(bytes, &[], Deadline::Never))
    }
}

/// What an export gave, the handle aside.
pub(super) struct Exported {
    pub(super) flags: handover::ExportFlags,
    pub(super) versions: Versions,
    pub(super) bytes: handover::Bytes,
    pub(super) decision: handover::Decision,
    pub(super) steps: Vec<handover::export::Step>,
}

/// Was somebody there to hear it?
fn heard(sent: handover::Result<()>) -> Result<bool> {
    match sent {
        Ok(()) => Ok(true),
        Err(error) if *error.kind() == Kind::PeerGone => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn encoded(message: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(message).map_err(|error| Failure::new(error.to_string()))
}

fn decoded<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Failure::new(format!("no message of an interop: {error}")))
}
