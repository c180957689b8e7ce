//! Where clients come in: the socket that listens.
//!
//! A connection that cannot be accepted stays in the socket's queue and keeps the socket readable, so that an event loop would spin.
//! The socket is taken out of the loop then, and looked at again after a while. That takes no descriptor: there may be none.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use handover::Result;
use handover_sys::clock::Monotonic;
use handover_sys::epoll;
use handover_sys::poll::{self, Interest};
use wayland_server::ListeningSocket;

use super::limit::{Connection, Total};
use super::os;

/// For so long the door stays shut.
const SHUT: Duration = Duration::from_millis(100);

/// The way in.
#[derive(Debug)]
pub(super) struct Door {
    socket: Option<ListeningSocket>,
    /// When to look again. `None`: the loop watches the socket.
    opens_at: Option<Monotonic>,
    /// The caller knows why nobody comes in.
    is_told: bool,
    pub(super) total: Arc<Total>,
}

impl Door {
    /// One without a socket.
    pub(super) fn new(total: Arc<Total>) -> Self {
        Self { socket: None, opens_at: None, is_told: false, total }
    }

    /// Clients come in by this socket from now on.
    pub(super) fn listen(&mut self, socket: ListeningSocket, epoll: &OwnedFd) -> Result<()> {
        epoll::add(epoll, &socket, Interest::READ).map_err(os("wait for connections"))?;
        self.socket = Some(socket);
        Ok(())
    }

    /// When to look again whether somebody can come in.
    pub(super) fn wakes_at(&self) -> Option<Monotonic> {
        self.opens_at
    }

    /// The next who waits outside. `Err`: somebody does and cannot come in; the door is shut for a while.
    pub(super) fn next(&mut self, epoll: &OwnedFd, now: Monotonic) -> Result<Option<(UnixStream, Connection)>> {
        if self.opens_at.is_some_and(|at| at > now) {
            return Ok(None);
        }
        let next = self.accept(epoll);
        match &next {
            Ok(Some(_)) => self.is_told = false,
            Ok(None) => {}
            Err(_) => self.shut(epoll, now),
        }
        next
    }

    /// Nobody comes in for a while.
    pub(super) fn shut(&mut self, epoll: &OwnedFd, now: Monotonic) {
        if let (Some(socket), None) = (&self.socket, self.opens_at) {
            // It is watched, so there is no error to be had.
            let _ = epoll::remove(epoll, socket);
        }
        self.opens_at = Some(now.saturating_add(SHUT));
    }

    /// Is this the first time that the caller hears of it, since somebody came in?
    pub(super) fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }

    fn accept(&mut self, epoll: &OwnedFd) -> Result<Option<(UnixStream, Connection)>> {
        let Some(socket) = &self.socket else { return Ok(None) };
        let connection = match self.total.admit() {
            Ok(connection) => connection,
            Err(full) => {
                let is_wanted = poll::wait_readable(socket, Some(Monotonic(0))).map_err(os("look who waits"))?;
                return if is_wanted { Err(full) } else { self.open(epoll).map(|()| None) };
            }
        };
        loop {
            match socket.accept() {
                Ok(Some(stream)) => return Ok(Some((stream, connection))),
                // Only now: what waited is inside, so the loop has nothing to spin about.
                Ok(None) => return self.open(epoll).map(|()| None),
                // One that was gone before it was taken is no reason to stop.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => return Err(os("accept a connection")(error)),
            }
        }
    }

    fn open(&mut self, epoll: &OwnedFd) -> Result<()> {
        if let (Some(socket), Some(_)) = (&self.socket, self.opens_at) {
            epoll::add(epoll, socket, Interest::READ).map_err(os("wait for connections"))?;
        }
        self.opens_at = None;
        Ok(())
    }
}
