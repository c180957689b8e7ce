//! What the two sides say to each other: a request and an answer for each object, and then one word a frame each way.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover::interop::{Access, Interop, Refusal, Request, Status, Target, Versions};
use handover::transport::{Channel, Traffic};
use handover::{Deadline, Error, Handle, Kind, Stage};
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

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(frame) => write!(f, "frame {frame}"),
            Self::Enqueued(frame) => write!(f, "the work on frame {frame} in a queue"),
            Self::End => f.write_str("the end"),
        }
    }
}

impl Word {
    /// The refusal of a word that came in the place of this one.
    pub(super) fn instead(self, came: Self) -> Error {
        malformed(Stage::Acquire)
            .asked(self.to_string())
            .found(came.to_string())
            .why("words come in the order of frames")
    }
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
        if !self.send_bytes(&encoded(&asked)?, &[])? {
            return Ok(None);
        }
        let Some((bytes, _)) = self.0.receive_bytes(0, Deadline::Never)? else { return Ok(None) };
        let answered: Answered = decoded(&bytes)?;
        if answered.status != Status::Success.code() {
            // The refusal is the other side's, who made it as it exported.
            return Err(Failure::at(Stage::Export, answered.why));
        }
        let Some((bytes, descriptors)) = self.0.receive_bytes(2, Deadline::Never)? else { return Ok(None) };
        Ok(Some(Handle::from_parts(&bytes, descriptors)?))
    }

    /// The next request. `None`: the other side is gone.
    pub(super) fn asked(&self) -> Result<Option<Request>> {
        let Some((bytes, _)) = self.0.receive_bytes(0, Deadline::Never)? else { return Ok(None) };
        let Asked { export_in, export_out, target, access, level } = decoded(&bytes)?;
        let access = Access::of(access).ok_or_else(|| {
            let asked = format!("an access of {access}");
            malformed(Stage::Export).asked(asked).why("it is the number of no access of an interop")
        })?;
        Ok(Some(Request { versions: Versions { export_in, export_out }, target: Target::from(target), access, level }))
    }

    /// Answers a request, and gives what was exported but for the handle. A refusal is told to both sides.
    pub(super) fn answer(&self, exported: Result<Interop, Refusal>) -> Result<Exported> {
        let exported = match exported {
            Ok(exported) => exported,
            Err(refusal) => {
                let answered = Answered { status: refusal.status.code(), why: refusal.to_string() };
                self.send_bytes(&encoded(&answered)?, &[])?;
                return Err(handover::Error::from(refusal).into());
            }
        };
        let Interop { handle, versions, buffer_size, decision, steps, .. } = exported;
        let flags = handle.flags();
        let (bytes, [pixels, control]) = handle.into_parts();
        let answered = Answered { status: Status::Success.code(), why: String::new() };
        if self.send_bytes(&encoded(&answered)?, &[])? {
            self.send_bytes(&bytes, &[pixels.as_fd(), control.as_fd()])?;
        }
        Ok(Exported { flags, versions, bytes: buffer_size, decision, steps })
    }

    /// Sends a word. `false`: the other side is gone.
    pub(super) fn send(&self, word: Word) -> Result<bool> {
        let (tag, frame) = match word {
            Word::Frame(frame) => (b'f', frame),
            Word::Enqueued(frame) => (b'q', frame),
            Word::End => (b'e', 0),
        };
        let [a, b, c, d, e, f, g, h] = frame.to_le_bytes();
        self.send_bytes(&[tag, a, b, c, d, e, f, g, h], &[])
    }

    /// The next word. `None`: the other side is gone.
    pub(super) fn receive(&self, deadline: Deadline) -> handover::Result<Option<Word>> {
        let Some((bytes, _)) = self.0.receive_bytes(0, deadline)? else { return Ok(None) };
        let word = bytes.split_first().and_then(|(tag, frame)| {
            let frame = u64::from_le_bytes(frame.try_into().ok()?);
            match tag {
                b'f' => Some(Word::Frame(frame)),
                b'q' => Some(Word::Enqueued(frame)),
                b'e' => Some(Word::End),
                _ => None,
            }
        });
        let unknown =
            || malformed(Stage::Acquire).asked("a word of a frame").found(format!("{} other bytes", bytes.len()));
        word.map(Some).ok_or_else(unknown)
    }

    /// `false`: the other side is gone.
    fn send_bytes(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<bool> {
        match self.0.send_bytes(bytes, descriptors, Deadline::Never) {
            Ok(()) => Ok(true),
            Err(error) if *error.kind() == Kind::PeerGone => Ok(false),
            Err(error) => Err(error.into()),
        }
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

/// What helps where the two sides do not understand each other.
const SAME: &str = "the same version of this program on both sides";

/// A message that the other side should not have sent.
fn malformed(stage: Stage) -> Error {
    Error::new(stage, Kind::Malformed).help(SAME)
}

fn encoded(message: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(message).map_err(|error| Failure::at(Stage::Export, error.to_string()))
}

fn decoded<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    let wrong =
        |error: serde_json::Error| malformed(Stage::Import).asked("a message of an interop").found(error.to_string());
    serde_json::from_slice(bytes).map_err(|error| wrong(error).into())
}

#[cfg(test)]
mod tests {
    use super::{Link, Word};
    use handover::transport::Channel;
    use handover::{Deadline, Kind};

    /// Two ends.
    fn links() -> (Link, Link) {
        let (one, other) = Channel::pair().unwrap();
        (Link(one), Link(other))
    }

    #[test]
    fn words_arrive_and_the_end_of_a_side_is_no_word() {
        let (one, other) = links();
        for word in [Word::Frame(1), Word::Enqueued(u64::MAX), Word::End] {
            assert!(one.send(word).unwrap());
            assert_eq!(other.receive(Deadline::Never).unwrap(), Some(word));
        }
        drop(one);
        assert_eq!(other.receive(Deadline::Never).unwrap(), None);
        assert!(!other.send(Word::End).unwrap());
    }

    #[test]
    fn what_is_no_word_is_refused() {
        for bytes in [&b"f"[..], b"fffffffff0", b"x\0\0\0\0\0\0\0\0"] {
            let (one, other) = links();
            assert!(one.send_bytes(bytes, &[]).unwrap());
            assert_eq!(*other.receive(Deadline::Never).unwrap_err().kind(), Kind::Malformed, "{bytes:?}");
        }
    }

    #[test]
    fn a_word_out_of_order_names_both() {
        let refusal = Word::Enqueued(4).instead(Word::Frame(7)).to_string();
        assert!(refusal.contains("asked for the work on frame 4 in a queue; found frame 7; "), "{refusal}");
    }
}
