//! The compositor's end: what clients show, handed to the caller as surfaces. It draws nothing.
//!
//! # Contract
//!
//! - Whatever a client says is an allegation. What breaks the protocol ends that client's connection, with the error that the protocol
//!   names; what merely cannot be done here is `failed`, and an [`Event::Refused`] tells the caller why. Other clients notice nothing.
//! - A buffer is imported once, when it is made, and checked then: one dma-buf, every plane inside it, a format and a modifier that
//!   were [offered](Options::offer). Each commit of it is a [`Committed`] with that one [`Surface`](handover::Surface).
//! - With explicit synchronisation a commit is passed on when a fence stands behind its acquire point, and not before; that fence is then
//!   in the surface's reservation, so whoever acquires the surface waits for it. A point that nobody submits delays that window until
//!   [`Options::patience`] is over, and nobody else (U7).
//! - A [`Committed`] that is dropped is released: when the last entry of handover peers on the surface has ended, or when patience with
//!   them is over, `wl_buffer.release` is sent, or the release point gets the fence of whatever still reads. This holds for every commit, shown or not (U3): those that a
//!   later one overtook between two dispatches, and those of a client that died, too.
//! - There are 64 clients at a time. Each may have 1024 objects that cost memory, and their objects may keep 256 descriptors open; all
//!   clients together may have half of those that the process may open (`RLIMIT_NOFILE` when the server was made), and each as many as
//!   it leaves to the others. Who has more is disconnected. Who comes when there are as many, or when the process has no descriptor left,
//!   waits outside, and an [`Event::Refused`] tells the caller once. When seven eighths of the descriptors are open, a client goes that
//!   sent some which no request takes.
//! - A client that died ends with everything it had. Surfaces that the caller has live on.

mod commit;
mod dmabuf;
mod door;
mod limit;
mod pace;
mod shell;
mod shm;
mod silent;
mod state;
mod strays;
mod surface;
mod syncobj;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use handover::backend::linux::Card;
use handover::negotiate::Offer;
use handover::{Access, Backend, Deadline, Device, Error, Extent, Kind, Result, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::epoll;
use handover_sys::poll::{self, Interest};
use wayland_server::{Display, ListeningSocket};

use crate::DeviceId;
pub use commit::{Committed, Unreleased};
use door::Door;
use limit::{ClientLimit, Connection, Total};
use state::State;

/// While peers still use surfaces that were released, they are looked at this often.
const LOOK: Duration = Duration::from_millis(5);

/// How a compositor is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The device that clients are told to allocate from.
    pub device: DeviceId,
    /// Formats and modifiers that clients may use, the best first. Those with the usage SCANOUT are told first, and as such.
    pub offer: Offer,
    /// Where to keep timelines. `None`: clients get no explicit synchronisation.
    pub timelines: Option<Card>,
    /// How long a commit may wait for somebody to submit its acquire point, and one that was released for peers who still read it.
    pub patience: Duration,
    /// The size of the screen, which full screen windows are told.
    pub extent: Extent,
    /// From frame to frame, as clients are told.
    pub refresh: Duration,
    /// What the surfaces will be read with.
    pub reader: Device,
    /// What the caller will do with them.
    pub access: Access,
    /// Where the copies of `wl_shm` buffers are made. `None`: clients get no `wl_shm`.
    pub copies: Option<Arc<dyn Backend>>,
}

impl Options {
    /// Surfaces to read, at 60 frames a second on a screen of 1280 by 720; 1 s of patience; no explicit synchronisation, no `wl_shm`.
    ///
    /// # Errors
    /// None in fact.
    pub fn new(device: DeviceId, offer: Offer) -> Result<Self> {
        Ok(Self {
            device,
            offer,
            timelines: None,
            patience: Duration::from_secs(1),
            extent: Extent::new(1280, 720)?,
            refresh: Duration::from_nanos(16_666_667),
            reader: Device::DRIVER,
            access: Access::Read,
            copies: None,
        })
    }
}

/// A window of a client, for as long as the server lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId(pub(crate) u64);

/// What clients did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A window shows another surface.
    Committed(Committed),
    /// A window shows nothing any more.
    Gone(WindowId),
    /// Something of a client was refused, and why.
    Refused(Error),
}

/// A compositor. See the [contract](self).
#[derive(Debug)]
pub struct Server {
    display: Display<State>,
    state: State,
    door: Door,
    epoll: OwnedFd,
}

impl Server {
    /// A compositor without a socket: its clients are those that [`add`](Self::add) gives it.
    ///
    /// # Errors
    /// [`Kind::Os`]: no descriptors.
    pub fn new(options: Options) -> Result<Self> {
        let mut display = Display::new()
            .map_err(|error| Error::new(Stage::Negotiate, Kind::Os).asked("a display").found(error.to_string()))?;
        let epoll = epoll::create().map_err(os("make a descriptor to wait with"))?;
        epoll::add(&epoll, display.backend().poll_fd(), Interest::READ).map_err(os("wait for clients"))?;
        let state = State::new(display.handle(), options, &epoll)?;
        state.create_globals();
        Ok(Self { display, state, door: Door::new(Total::of_process()), epoll })
    }

    /// The same, listening at a socket of this name in `XDG_RUNTIME_DIR`, for clients with this `WAYLAND_DISPLAY`.
    ///
    /// # Errors
    /// [`Kind::Os`]: there is no such folder, or the name is taken.
    pub fn bind(name: &str, options: Options) -> Result<Self> {
        Self::listening(ListeningSocket::bind(name), name, options)
    }

    /// The same at a path.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_at(path: impl Into<PathBuf>, options: Options) -> Result<Self> {
        let path = path.into();
        let name = path.display().to_string();
        Self::listening(ListeningSocket::bind_absolute(path), &name, options)
    }

    fn listening(
        socket: Result<ListeningSocket, wayland_server::BindError>,
        name: &str,
        options: Options,
    ) -> Result<Self> {
        let socket = socket.map_err(|error| {
            Error::new(Stage::Negotiate, Kind::Os).asked(format!("the Wayland socket {name}")).found(error.to_string())
        })?;
        let mut server = Self::new(options)?;
        server.door.listen(socket, &server.epoll)?;
        Ok(server)
    }

    /// Takes a client on a connection that is there already.
    ///
    /// # Errors
    /// [`Kind::Full`]: there are as many as there may be; see the [contract](self). [`Kind::Os`].
    pub fn add(&mut self, stream: UnixStream) -> Result<()> {
        let connection = self.door.total.admit()?;
        self.insert(stream, connection)
    }

    fn insert(&mut self, stream: UnixStream, connection: Connection) -> Result<()> {
        let limit = Arc::new(ClientLimit::new(connection));
        self.display.handle().insert_client(stream, limit).map_err(os("take a client"))?;
        Ok(())
    }

    /// Runs what clients have sent. Returns when something happened, at the latest at the deadline.
    ///
    /// Of several commits of a window only the last is passed on.
    ///
    /// # Errors
    /// [`Kind::Os`]. No client can cause one.
    pub fn dispatch(&mut self, deadline: Deadline) -> Result<Vec<Event>> {
        loop {
            self.accept(Monotonic::now());
            self.dispatch_clients()?;
            self.state.advance(Monotonic::now());
            self.display.flush_clients().map_err(os("send to clients"))?;
            let events = self.state.take_events();
            if !events.is_empty() || deadline.has_passed() {
                return Ok(events);
            }
            let until = [deadline.at(), self.wakes_at()].into_iter().flatten().min();
            poll::wait_readable(&self.epoll, until).map_err(os("wait for clients"))?;
        }
    }

    /// Takes who waits outside. What goes wrong is no reason to stop for those who are inside.
    fn accept(&mut self, now: Monotonic) {
        loop {
            let error = match self.door.next(&self.epoll, now) {
                Ok(None) => return,
                Ok(Some((stream, connection))) => match self.insert(stream, connection) {
                    Ok(()) => continue,
                    Err(error) => {
                        self.door.shut(&self.epoll, now);
                        error
                    }
                },
                Err(error) => error,
            };
            if self.door.tell() {
                self.state.refuse(error);
            }
            return;
        }
    }

    /// Becomes readable when [`dispatch`](Self::dispatch) is worth calling; so it is at [`wakes_at`](Self::wakes_at).
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// When [`dispatch`](Self::dispatch) has something to do although no client has sent anything: the end of a frame, or of patience,
    /// or a look at connections that could not be accepted.
    pub fn wakes_at(&self) -> Option<Monotonic> {
        let look = self.state.has_deferred().then(|| Monotonic::now().saturating_add(LOOK));
        [self.state.wakes_at(), self.door.wakes_at(), look].into_iter().flatten().min()
    }

    /// Offers something else from now on. Clients hear of it, and may make buffers anew; those they have stay good.
    ///
    /// # Errors
    /// [`Kind::Os`]: no memory for the table.
    pub fn set_offer(&mut self, offer: Offer) -> Result<()> {
        self.state.set_offer(offer)?;
        self.display.flush_clients().map_err(os("send to clients"))
    }

    /// Asks the client to close a window, as a user would.
    pub fn ask_to_close(&mut self, window: WindowId) {
        self.state.ask_to_close(window);
    }
}

fn os(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |error| {
        let base = Error::new(Stage::Access, Kind::Os).asked(format!("the system to {what}")).found(error.to_string());
        error.raw_os_error().map_or(base.clone(), |errno| base.with_errno(errno))
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic between two plain stores: what is guarded is still consistent.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
