//! The client's end: what a compositor offers, and a window that shows surfaces.
//!
//! # Contract
//!
//! - Every wait has a deadline. A compositor that died, or that ended the connection with a protocol error, is
//!   [`Kind::PeerGone`]; what was held for buffers then comes back by [`Window::take_held`].
//! - A surface has one `wl_buffer`, found by its identity and never by a descriptor's number. It is made by `create`, so that a refusal
//!   is an error that says what was refused and does not end the connection.
//! - What was held for a surface is kept from [`Window::show`] until the compositor is done with it: its `wl_buffer.release`, or with
//!   explicit synchronisation the release point, whose fence is put into the surface's own reservation first. Whoever acquires the
//!   surface next therefore waits for what the compositor's devices still read.
//! - With explicit synchronisation there is one timeline for acquire points and one a buffer for release points, because releases come
//!   in any order. A commit sets both points if, and only if, it attaches a buffer; see `explicit`.

mod buffers;
mod explicit;
mod feedback;
mod inbox;
mod window;

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use handover::{Blocked, Deadline, Error, Kind, Result, Stage};
use handover_sys::poll::{self, Entry, Interest};
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_compositor::WlCompositor;
use wayland_client::protocol::wl_registry::WlRegistry;
use wayland_client::{Connection, Dispatch, DispatchError, EventQueue, Proxy, QueueHandle};
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_dmabuf_v1::ZwpLinuxDmabufV1;
use wayland_protocols::wp::linux_drm_syncobj::v1::client::wp_linux_drm_syncobj_manager_v1::WpLinuxDrmSyncobjManagerV1;
use wayland_protocols::wp::presentation_time::client::wp_presentation::WpPresentation;
use wayland_protocols::xdg::shell::client::xdg_wm_base::XdgWmBase;

pub use feedback::{Feedback, LeftOut, Tranche};
pub use window::{Event, Options, Presented, Window};

use inbox::Inbox;

/// A connection to a compositor, with what a window needs of it.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    queue: EventQueue<Inbox>,
    inbox: Inbox,
    globals: Globals,
    feedback: Feedback,
}

/// The objects that a compositor has one of.
#[derive(Debug)]
struct Globals {
    compositor: WlCompositor,
    shell: XdgWmBase,
    dmabuf: ZwpLinuxDmabufV1,
    timelines: Option<WpLinuxDrmSyncobjManagerV1>,
    presentation: Option<WpPresentation>,
}

impl Client {
    /// Connects to the compositor that the environment names (`WAYLAND_SOCKET`, or `WAYLAND_DISPLAY` in `XDG_RUNTIME_DIR`), and asks
    /// what it takes.
    ///
    /// # Errors
    /// [`Kind::PeerGone`]: there is none. [`Kind::Unsupported`] names the protocol that it lacks. [`Kind::Timeout`].
    pub fn connect(deadline: Deadline) -> Result<Self> {
        let connection = Connection::connect_to_env().map_err(|error| {
            Error::new(Stage::Negotiate, Kind::PeerGone)
                .asked("a Wayland compositor")
                .found(error.to_string())
                .help("set WAYLAND_DISPLAY (and XDG_RUNTIME_DIR) to the socket of one that runs")
        })?;
        Self::over(connection, deadline)
    }

    /// The same over a connection that is there already.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn on(stream: UnixStream, deadline: Deadline) -> Result<Self> {
        let connection = Connection::from_socket(stream)
            .map_err(|error| Error::new(Stage::Negotiate, Kind::Os).asked("a connection").found(error.to_string()))?;
        Self::over(connection, deadline)
    }

    fn over(connection: Connection, deadline: Deadline) -> Result<Self> {
        let mut queue = connection.new_event_queue();
        let mut inbox = Inbox::default();
        let registry = connection.display().get_registry(&queue.handle(), ());
        round_trip(&connection, &mut queue, &mut inbox, deadline)?;
        let globals = Globals::bind(&registry, &inbox, &queue.handle())?;
        if globals.dmabuf.version() >= 4 {
            let asked = globals.dmabuf.get_default_feedback(&queue.handle(), inbox::Feedback::Default);
            round_trip(&connection, &mut queue, &mut inbox, deadline)?;
            asked.destroy();
        } else {
            // A second one: the events that the first provokes may come behind its answer.
            round_trip(&connection, &mut queue, &mut inbox, deadline)?;
        }
        let feedback = inbox.take_default_feedback(globals.dmabuf.version())?;
        Ok(Self { connection, queue, inbox, globals, feedback })
    }

    /// What the compositor takes, for any window: devices, formats, modifiers, in its order of preference.
    pub fn feedback(&self) -> &Feedback {
        &self.feedback
    }

    /// Has the compositor explicit synchronisation?
    pub fn has_explicit_sync(&self) -> bool {
        self.globals.timelines.is_some()
    }

    fn handle(&self) -> QueueHandle<Inbox> {
        self.queue.handle()
    }

    /// Runs what has arrived. Waits for nothing.
    fn dispatch(&mut self) -> Result<()> {
        read(&mut self.queue, &mut self.inbox, Deadline::now()).map(drop)
    }

    /// Sends what was asked.
    fn flush(&self, deadline: Deadline) -> Result<()> {
        flush(&self.connection, deadline)
    }

    /// Waits for whatever the compositor says next. `false`: the deadline.
    fn wait(&mut self, deadline: Deadline) -> Result<bool> {
        read_and_flush(&self.connection, deadline)?;
        read(&mut self.queue, &mut self.inbox, deadline)
    }

    /// Waits until the compositor has seen everything that was sent.
    fn round_trip(&mut self, deadline: Deadline) -> Result<()> {
        round_trip(&self.connection, &mut self.queue, &mut self.inbox, deadline)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl Globals {
    fn bind(registry: &WlRegistry, inbox: &Inbox, queue: &QueueHandle<Inbox>) -> Result<Self> {
        Ok(Self {
            compositor: required(registry, inbox, queue, 4..=6)?,
            shell: required(registry, inbox, queue, 1..=6)?,
            dmabuf: required(registry, inbox, queue, 3..=5)?,
            timelines: optional(registry, inbox, queue, 1..=1),
            presentation: optional(registry, inbox, queue, 1..=1),
        })
    }
}

type Versions = std::ops::RangeInclusive<u32>;

fn optional<I: Proxy + 'static>(
    registry: &WlRegistry,
    inbox: &Inbox,
    queue: &QueueHandle<Inbox>,
    wanted: Versions,
) -> Option<I>
where
    Inbox: Dispatch<I, ()>,
{
    let (name, version) = inbox.global(I::interface().name)?;
    (version >= *wanted.start()).then(|| registry.bind(name, version.min(*wanted.end()), queue, ()))
}

fn required<I: Proxy + 'static>(
    registry: &WlRegistry,
    inbox: &Inbox,
    queue: &QueueHandle<Inbox>,
    wanted: Versions,
) -> Result<I>
where
    Inbox: Dispatch<I, ()>,
{
    let name = I::interface().name;
    let found = inbox.global(name).map_or("none".into(), |(_, version)| format!("version {version}"));
    let least = *wanted.start();
    optional(registry, inbox, queue, wanted).ok_or_else(|| {
        Error::new(Stage::Negotiate, Kind::Unsupported)
            .asked(format!("{name} of version {least}"))
            .found(found)
            .why("this compositor cannot show surfaces without it")
            .help("another compositor, or a newer one")
    })
}

/// The connection is over.
fn gone(error: &WaylandError) -> Error {
    let found = match error {
        WaylandError::Io(error) => error.to_string(),
        WaylandError::Protocol(error) => {
            let text = if error.message.is_empty() { String::new() } else { format!(": {}", error.message) };
            format!("protocol error {} of {}{text}", error.code, error.object_interface)
        }
    };
    Error::new(Stage::Access, Kind::PeerGone).asked("the compositor").found(found)
}

/// As [`flush`], but what the compositor has said is read first: it may say why it left, and a failed write would be all that anybody
/// hears of after. Only for who runs what was read before he waits: the socket has it no more, and nothing wakes him for it.
fn read_and_flush(connection: &Connection, deadline: Deadline) -> Result<()> {
    if let Some(guard) = connection.prepare_read() {
        match guard.read() {
            Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => {
                other.map_err(|error| gone(&error))?;
            }
        }
    }
    flush(connection, deadline)
}

/// Sends what was asked.
fn flush(connection: &Connection, deadline: Deadline) -> Result<()> {
    loop {
        match connection.flush() {
            Ok(()) => return Ok(()),
            Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let mut room = [Entry::new(connection.as_fd(), Interest::WRITE)];
                if poll::poll(&mut room, deadline.at()).map_err(|error| gone(&WaylandError::Io(error)))? == 0 {
                    return Err(late("room for a request", "a compositor that does not read"));
                }
            }
            Err(error) => return Err(gone(&error)),
        }
    }
}

/// Runs what has arrived, else waits for something. `false`: nothing came before the deadline.
fn read(queue: &mut EventQueue<Inbox>, inbox: &mut Inbox, deadline: Deadline) -> Result<bool> {
    let mut run = |queue: &mut EventQueue<Inbox>| match queue.dispatch_pending(inbox) {
        Ok(count) => Ok(count > 0),
        Err(DispatchError::Backend(error)) => Err(gone(&error)),
        Err(error @ DispatchError::BadMessage { .. }) => {
            Err(Error::new(Stage::Access, Kind::PeerGone).asked("the compositor").found(error.to_string()))
        }
    };
    let had_some = run(queue)?;
    let Some(guard) = queue.prepare_read() else { return Ok(true) };
    let until = if had_some { Deadline::now() } else { deadline };
    let ready =
        poll::wait_readable(guard.connection_fd(), until.at()).map_err(|error| gone(&WaylandError::Io(error)))?;
    if !ready {
        return Ok(had_some);
    }
    match guard.read() {
        Ok(_) => run(queue).map(|_| true),
        Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(had_some),
        // What came before the end is run first; it may say why.
        Err(error) => match run(queue) {
            Ok(true) if matches!(error, WaylandError::Io(_)) => Ok(true),
            _ => Err(gone(&error)),
        },
    }
}

fn round_trip(
    connection: &Connection,
    queue: &mut EventQueue<Inbox>,
    inbox: &mut Inbox,
    deadline: Deadline,
) -> Result<()> {
    let turn = inbox.next_turn();
    connection.display().sync(&queue.handle(), inbox::Turn(turn));
    read_and_flush(connection, deadline)?;
    while !inbox.has_answered(turn) {
        if !read(queue, inbox, deadline)? {
            return Err(late("an answer of the compositor", "silence"));
        }
    }
    Ok(())
}

fn late(asked: &'static str, found: &'static str) -> Error {
    Error::new(Stage::Access, Kind::Timeout(Blocked::default())).asked(asked).found(found)
}
