//! Transport: messages and descriptors over Unix sockets. One carrier of handles among many; nothing else depends on it
//! but [`stream`](crate::stream).
//!
//! What goes over these sockets: who speaks, descriptions of surfaces with their descriptors, indices of frames, and
//! refusals. Never pixels, never a word or block of metadata.
//!
//! Every message is bounded, truncation is an error, descriptors are close-on-exec and owned from the first moment, and
//! the peer's user is checked before anything is read.

mod listener;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use handover_model::Stage;
use handover_model::wire::{MAX_MESSAGE, Message};
use handover_sys::poll::{Entry, Interest, poll};
use handover_sys::{process, socket};
pub use listener::Listener;

use crate::deadline::Deadline;
use crate::error::{Blocked, Error, Kind, Result, os};
use crate::handle::Handle;

/// How long to wait between two attempts to connect to a listener that is behind.
const BACKLOG_FULL: std::time::Duration = std::time::Duration::from_millis(1);

/// The longest payload of a program's own ([`Channel::send_bytes`]).
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Whom to talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Processes of our own user.
    #[default]
    SameUser,
    /// Whoever got hold of the other end.
    Anyone,
}

/// Who is at the other end, as the kernel saw it when the connection was made; for a pair, who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process. For messages only: numbers are recycled.
    pub pid: u32,
    /// User.
    pub uid: u32,
}

/// What went over a channel so far, seen from this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes of all messages sent.
    pub sent_bytes: u64,
    /// Bytes of all messages received.
    pub received_bytes: u64,
    /// Bytes among them that were a program's own payload, not messages of ours.
    pub sent_payload_bytes: u64,
    /// As `sent_payload_bytes`, received.
    pub received_payload_bytes: u64,
    /// Messages sent.
    pub sent_messages: u64,
    /// Messages received.
    pub received_messages: u64,
    /// Descriptors sent.
    pub sent_descriptors: u64,
    /// Descriptors received.
    pub received_descriptors: u64,
}

impl std::ops::Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received_bytes: self.received_bytes + other.received_bytes,
            sent_payload_bytes: self.sent_payload_bytes + other.sent_payload_bytes,
            received_payload_bytes: self.received_payload_bytes + other.received_payload_bytes,
            sent_messages: self.sent_messages + other.sent_messages,
            received_messages: self.received_messages + other.received_messages,
            sent_descriptors: self.sent_descriptors + other.sent_descriptors,
            received_descriptors: self.received_descriptors + other.received_descriptors,
        }
    }
}

#[derive(Debug, Default)]
struct Count {
    bytes: AtomicU64,
    payload_bytes: AtomicU64,
    messages: AtomicU64,
    descriptors: AtomicU64,
}

impl Count {
    fn add(&self, bytes: usize, descriptors: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.descriptors.fetch_add(descriptors as u64, Ordering::Relaxed);
    }
}

/// One end of a connection. Readable when a message is there or the peer is gone.
///
/// One thread receives at a time; any may send.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    peer: Peer,
    name: Option<String>,
    sent: Count,
    received: Count,
}

impl Channel {
    /// Two connected ends, one to keep and one to give to a child or a peer.
    pub fn pair() -> Result<(Self, Self)> {
        let (ours, theirs) = socket::pair().map_err(os(Stage::Export, "make a pair of sockets"))?;
        Ok((Self::from_fd(ours, Trust::SameUser)?, Self::from_fd(theirs, Trust::SameUser)?))
    }

    /// A channel over a socket that came from elsewhere: inherited, passed, or accepted.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: it is not a Unix SEQPACKET socket. [`Kind::Untrusted`]: the peer is another user.
    pub fn from_fd(socket: OwnedFd, trust: Trust) -> Result<Self> {
        let stage = Stage::Import;
        if !socket::is_seqpacket(&socket).map_err(os(stage, "read the type of a socket"))? {
            return Err(Error::new(stage, Kind::Invalid)
                .asked("a channel")
                .found("a descriptor that is not a Unix SEQPACKET socket")
                .why("messages need borders, and descriptors need a Unix socket"));
        }
        let found = socket::peer(&socket).map_err(os(stage, "read the peer's credentials"))?;
        let peer = Peer { pid: found.pid, uid: found.uid };
        if trust == Trust::SameUser && peer.uid != process::own_uid() {
            return Err(Error::new(stage, Kind::Untrusted)
                .asked(format!("a peer of user {}", process::own_uid()))
                .found(format!("process {} of user {}", peer.pid, peer.uid))
                .help("Trust::Anyone, if strangers are welcome"));
        }
        Ok(Self { socket, peer, name: None, sent: Count::default(), received: Count::default() })
    }

    /// Connects to a [`Listener`]. Waits only while too many others wait to be accepted.
    pub fn connect(path: &std::path::Path, trust: Trust, deadline: Deadline) -> Result<Self> {
        loop {
            match socket::connect(path) {
                Ok(socket) => return Self::from_fd(socket, trust),
                // Nothing tells when there is room again.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !deadline.has_passed() => {
                    std::thread::sleep(BACKLOG_FULL);
                }
                Err(error) => return Err(os(Stage::Import, format!("connect to {}", path.display()))(error)),
            }
        }
    }

    /// Gives the peer a name for messages. Without one they tell the process that made the socket, which for the two ends of
    /// a pair that were passed on is neither of those who use them.
    #[must_use]
    pub fn with_peer_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The peer, for messages.
    pub(crate) fn peer_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("the peer on a socket of process {}", self.peer.pid))
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// What went over so far.
    pub fn traffic(&self) -> Traffic {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Traffic {
            sent_bytes: load(&self.sent.bytes),
            received_bytes: load(&self.received.bytes),
            sent_payload_bytes: load(&self.sent.payload_bytes),
            received_payload_bytes: load(&self.received.payload_bytes),
            sent_messages: load(&self.sent.messages),
            received_messages: load(&self.received.messages),
            sent_descriptors: load(&self.sent.descriptors),
            received_descriptors: load(&self.received.descriptors),
        }
    }

    /// Sends a message and its descriptors, whole or not at all.
    ///
    /// # Errors
    /// [`Kind::PeerGone`]; [`Kind::Timeout`]: the peer does not read; [`Kind::Invalid`]: the count of descriptors is not the
    /// message's.
    pub fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        if descriptors.len() != message.descriptors() {
            return Err(Error::new(Stage::Export, Kind::Invalid)
                .asked(format!("a {} message with {} descriptors", message.word(), descriptors.len()))
                .why(format!("it carries {}", message.descriptors())));
        }
        self.send_raw(&message.encode(), descriptors, deadline)
    }

    /// The next message. `None`: the peer closed its end.
    ///
    /// # Errors
    /// [`Kind::Timeout`]; [`Kind::Truncated`], [`Kind::Malformed`]: the message is lost, and the peer not to be trusted.
    pub fn receive(&self, deadline: Deadline) -> Result<Option<(Message, Vec<OwnedFd>)>> {
        let Some((bytes, descriptors)) = self.receive_raw(MAX_MESSAGE, socket::RECEIVE_MAX, deadline)? else {
            return Ok(None);
        };
        Ok(Some((Message::parse(&bytes, descriptors.len())?, descriptors)))
    }

    /// Sends a payload of the program's own: 1 byte to [`MAX_PAYLOAD`]. Both ends must know that it is none of ours.
    pub fn send_bytes(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        if bytes.is_empty() || bytes.len() > MAX_PAYLOAD || descriptors.len() > socket::RECEIVE_MAX {
            return Err(Error::new(Stage::Export, Kind::Invalid)
                .asked(format!("a payload of {} bytes with {} descriptors", bytes.len(), descriptors.len()))
                .why(format!("it has 1 to {MAX_PAYLOAD} bytes and at most {} descriptors", socket::RECEIVE_MAX)));
        }
        self.send_raw(bytes, descriptors, deadline)?;
        self.sent.payload_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Sends the parts of a handle: a message of ours, though made by [`Handle::into_parts`](crate::Handle::into_parts).
    pub(crate) fn send_handle(&self, handle: Handle, deadline: Deadline) -> Result<()> {
        let (bytes, [pixels, control]) = handle.into_parts();
        self.send_raw(&bytes, &[pixels.as_fd(), control.as_fd()], deadline)
    }

    /// The next payload, with at most this many descriptors. `None`: the peer closed its end.
    pub fn receive_bytes(&self, max_descriptors: usize, deadline: Deadline) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let received = self.receive_raw(MAX_PAYLOAD, max_descriptors, deadline)?;
        let length = received.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64);
        self.received.payload_bytes.fetch_add(length, Ordering::Relaxed);
        Ok(received)
    }

    fn send_raw(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        loop {
            match socket::send(&self.socket, bytes, descriptors, true) {
                Ok(()) => {
                    self.sent.add(bytes.len(), descriptors.len());
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.ready(Interest::WRITE, deadline, "room in the peer's queue")?;
                }
                Err(error) => return Err(self.gone_or(error, "send a message")),
            }
        }
    }

    fn receive_raw(
        &self,
        room: usize,
        max_descriptors: usize,
        deadline: Deadline,
    ) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; room];
        let mut reset = false;
        let received = loop {
            self.ready(Interest::READ, deadline, "a message")?;
            match socket::try_receive(&self.socket, &mut bytes, max_descriptors) {
                Ok(received) => break received,
                // The peer closed with messages of ours unread. The kernel says so once, and then still hands out what the
                // peer had sent before.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset && !reset => reset = true,
                // Another thread, or another holder of the socket, was quicker.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(os(Stage::Import, "receive a message")(error)),
            }
        };
        if received.truncated || received.descriptors_truncated {
            let what = if received.truncated { "bytes" } else { "descriptors" };
            return Err(Error::new(Stage::Import, Kind::Truncated)
                .asked(format!("a message of at most {room} bytes and {max_descriptors} descriptors"))
                .found(format!("more {what} from {}", self.peer_name()))
                .why("what was cut off cannot be had again")
                .help(if received.truncated {
                    ""
                } else {
                    // The kernel says the same of a sender of too many and of a receiver with no room.
                    "if no more were sent than that, a higher limit of open files (RLIMIT_NOFILE)"
                }));
        }
        if received.len == 0 && received.descriptors.is_empty() {
            return Ok(None);
        }
        bytes.truncate(received.len);
        self.received.add(received.len, received.descriptors.len());
        Ok(Some((bytes, received.descriptors)))
    }

    fn ready(&self, interest: Interest, deadline: Deadline, what: &'static str) -> Result<()> {
        let mut entries = [Entry::new(self.socket.as_fd(), interest)];
        match poll(&mut entries, deadline.at()).map_err(os(Stage::Import, "wait for a peer"))? {
            0 => Err(Error::new(Stage::Import, Kind::Timeout(Blocked::default()))
                .asked(format!("{what} from {}", self.peer_name()))
                .found("nothing before the deadline")),
            _ => Ok(()),
        }
    }

    fn gone_or(&self, error: std::io::Error, what: &'static str) -> Error {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        match error.kind() {
            BrokenPipe | ConnectionReset | NotConnected => Error::new(Stage::Export, Kind::PeerGone)
                .asked(what)
                .found(format!("{} has closed its end", self.peer_name())),
            _ => os(Stage::Export, what)(error),
        }
    }
}

/// The socket, to pass on: a child may get it as its standard input.
impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
