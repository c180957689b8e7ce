//! What a card tells of finished commits.

use std::io;
use std::os::fd::AsFd;

use crate::clock::Monotonic;
use crate::uapi::event::{EVENT_FLIP_COMPLETE, EVENT_VBLANK};

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A commit is on the screen.
    FlipComplete,
    /// A vertical blank that was asked for.
    Vblank,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What has happened.
    pub kind: EventKind,
    /// As given to the commit.
    pub user_data: u64,
    /// When, to the microsecond.
    pub at: Monotonic,
    /// Counts the frames of the CRTC, and wraps.
    pub sequence: u32,
    /// The CRTC.
    pub crtc: u32,
}

/// Room for 32 events of 32 bytes: a commit makes one for each of its CRTCs.
const ROOM: usize = 1024;

/// Reads the events that are there; those of unknown kinds are left out, so the list may be empty.
///
/// Call: `read`. Node: a card. Permission: the open file that asked for the events. May block: until an event, unless the open file is
/// non-blocking; ask [`poll`](crate::poll::wait_readable) first. Retries: none. Errors: `EAGAIN` (none, of a non-blocking file).
pub fn read_events(fd: impl AsFd) -> io::Result<Vec<Event>> {
    let mut buffer = [0; ROOM];
    let fd = fd.as_fd();
    let length = rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut buffer[..]))?;
    parse_events(buffer.get(..length).unwrap_or_default())
}

/// The events in what a card gave to `read`.
///
/// Pure: makes no call. Errors: `InvalidData` (an event that leaves the bytes, or is shorter than its kind).
pub fn parse_events(mut bytes: &[u8]) -> io::Result<Vec<Event>> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (event, rest) =
            split(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no list of DRM events"))?;
        events.extend(event);
        bytes = rest;
    }
    Ok(events)
}

/// The head of an event: kind and length.
const HEAD: usize = 8;

/// The first event, where its kind is known, and what comes after it.
fn split(bytes: &[u8]) -> Option<(Option<Event>, &[u8])> {
    let (kind, length) = (word(bytes, 0)?, word(bytes, 4)? as usize);
    if length < HEAD {
        return None;
    }
    let (event, rest) = bytes.split_at_checked(length)?;
    let kind = match kind {
        EVENT_FLIP_COMPLETE => EventKind::FlipComplete,
        EVENT_VBLANK => EventKind::Vblank,
        _ => return Some((None, rest)),
    };
    let user_data = event.get(HEAD..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))?;
    let (seconds, microseconds) = (u64::from(word(event, 16)?), u64::from(word(event, 20)?));
    // Below 2^62: no overflow.
    let at = Monotonic(seconds * 1_000_000_000 + microseconds * 1_000);
    Some((Some(Event { kind, user_data, at, sequence: word(event, 24)?, crtc: word(event, 28)? }), rest))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}
