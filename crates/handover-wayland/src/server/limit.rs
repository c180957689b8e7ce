//! What clients may have: connections, and objects that cost the compositor memory or a descriptor, are counted.
//!
//! Descriptors are the process's, and one that has none left can neither take a client nor serve those that it has. So clients get a
//! part of them, and each at most as many as it leaves to all others: however many are greedy, something is left for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use handover::{Error, Kind, Result, Stage};
use handover_sys::file;
use wayland_server::backend::ClientData;
use wayland_server::{Client, Resource};

/// Connections that there may be at a time.
const MOST_CONNECTIONS: u32 = 64;

/// Objects that a client may have: windows, buffers, planes, pools, timelines, callbacks, commits that wait. An honest one has some
/// dozens.
const MOST: u32 = 1024;

/// Descriptors that the objects of one client may keep open, where the process has enough: for buffers, planes, memory of pools,
/// copies, and commits that wait.
const MOST_DESCRIPTORS: u32 = 256;

/// Descriptors of a surface: its pixels, and the record of who uses it.
pub(super) const OF_SURFACE: u32 = 2;

/// One part in so many of what the process may have open is kept free of strays.
const SPARE: u64 = 8;

/// The code that a client is told. No interface has a word for it, and the object that stands for no memory cannot be reached.
const TOO_MANY: u32 = u32::MAX;

/// What all clients have together.
#[derive(Debug)]
pub(super) struct Total {
    /// Descriptors that the process may have.
    limit: u64,
    /// Those that clients may have.
    most: u32,
    descriptors: AtomicU32,
    /// So many of them are not open.
    idle: AtomicU32,
    connections: AtomicU32,
}

impl Total {
    /// Half of what the process may have: the other half is the caller's, and the compositor's own.
    pub(super) fn of_process() -> Arc<Self> {
        let limit = file::open_limit().unwrap_or(u64::MAX);
        let most = u32::try_from(limit / 2).unwrap_or(u32::MAX);
        let (descriptors, idle, connections) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { limit, most, descriptors, idle, connections })
    }

    /// With so many open, is the process about to have no descriptor left, whoever has them?
    pub(super) fn is_short(&self, open: u64) -> bool {
        open > self.limit - self.limit / SPARE
    }

    /// With so many open, how many are there that no client accounts for?
    pub(super) fn unaccounted(&self, open: u64) -> i64 {
        let (all, idle) = (self.descriptors.load(Ordering::Relaxed), self.idle.load(Ordering::Relaxed));
        i64::try_from(open).unwrap_or(i64::MAX).saturating_sub(i64::from(all) - i64::from(idle))
    }

    /// How many descriptors the process has open.
    pub(super) fn open(&self) -> u64 {
        // What is known when they cannot be counted, before Linux 6.2: there is none left to count with.
        file::open_count().ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(self.limit)
    }

    /// One more connection.
    ///
    /// # Errors
    /// [`Kind::Full`].
    pub(super) fn admit(self: &Arc<Self>) -> Result<Connection> {
        let connections = self.connections.fetch_add(1, Ordering::Relaxed);
        let descriptors = self.descriptors.fetch_add(1, Ordering::Relaxed);
        // From here on dropping it takes both back.
        let connection = Connection(Arc::clone(self));
        let found = if connections >= MOST_CONNECTIONS {
            format!("{MOST_CONNECTIONS} that are in use")
        } else if descriptors >= self.most {
            format!("clients that have all of their {} descriptors", self.most)
        } else {
            return Ok(connection);
        };
        Err(Error::new(Stage::Negotiate, Kind::Full)
            .asked("a connection for one more client")
            .found(found)
            .help("wait until a client goes"))
    }
}

/// A connection that counts. Gives its place back when dropped.
#[derive(Debug)]
pub(super) struct Connection(Arc<Total>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.descriptors.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How much a client has.
#[derive(Debug)]
pub(super) struct ClientLimit {
    counts: Arc<Counts>,
    /// Descriptors that it sent and that no request has taken.
    strays: AtomicI64,
    _connection: Connection,
}

#[derive(Debug)]
struct Counts {
    objects: AtomicU32,
    descriptors: AtomicU32,
    total: Arc<Total>,
}

impl ClientLimit {
    pub(super) fn new(connection: Connection) -> Self {
        let (objects, descriptors, total) = (AtomicU32::new(0), AtomicU32::new(0), Arc::clone(&connection.0));
        Self {
            counts: Arc::new(Counts { objects, descriptors, total }),
            strays: AtomicI64::new(0),
            _connection: connection,
        }
    }

    pub(super) fn strays(&self) -> i64 {
        self.strays.load(Ordering::Relaxed)
    }

    /// So many came, or were taken after all.
    pub(super) fn add_strays(&self, count: i64) {
        self.strays.store(self.strays().saturating_add(count).max(0), Ordering::Relaxed);
    }
}

impl ClientData for ClientLimit {}

/// One object of a client. Gives its place back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    counts: Arc<Counts>,
    descriptors: u32,
    is_idle: bool,
}

impl Place {
    /// Its descriptors are not open now, but may be later.
    pub(super) fn set_idle(&mut self, is_idle: bool) {
        let idle = &self.counts.total.idle;
        match (std::mem::replace(&mut self.is_idle, is_idle), is_idle) {
            (false, true) => drop(idle.fetch_add(self.descriptors, Ordering::Relaxed)),
            (true, false) => drop(idle.fetch_sub(self.descriptors, Ordering::Relaxed)),
            _ => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.set_idle(false);
        self.counts.objects.fetch_sub(1, Ordering::Relaxed);
        self.counts.descriptors.fetch_sub(self.descriptors, Ordering::Relaxed);
        self.counts.total.descriptors.fetch_sub(self.descriptors, Ordering::Relaxed);
    }
}

/// A place for one more object, asked for by a request to `on`. `None`: the client has too many, and was disconnected.
pub(super) fn place(client: &Client, on: &impl Resource) -> Option<Place> {
    descriptors(client, on, 0)
}

/// The same for an object that keeps so many descriptors open.
pub(super) fn descriptors(client: &Client, on: &impl Resource, count: u32) -> Option<Place> {
    match take(client, count)? {
        Ok(place) => Some(place),
        Err(text) => {
            on.post_error(TOO_MANY, text);
            None
        }
    }
}

/// The same for what the client did not ask for in so many words. `Err`: why it gets none. `None`: it is gone.
pub(super) fn take(client: &Client, count: u32) -> Option<Result<Place, String>> {
    let counts = Arc::clone(&client.get_data::<ClientLimit>()?.counts);
    let objects = counts.objects.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    let own = counts.descriptors.fetch_add(count, Ordering::Relaxed).saturating_add(count);
    let all = counts.total.descriptors.fetch_add(count, Ordering::Relaxed).saturating_add(count);
    let most = counts.total.most.saturating_sub(all).min(MOST_DESCRIPTORS);
    // From here on dropping it takes them back.
    let place = Place { counts, descriptors: count, is_idle: false };
    Some(if objects > MOST {
        Err(format!("more than {MOST} objects"))
    } else if count > 0 && own > most {
        Err(format!("objects with {own} descriptors, and a client may have {most} now"))
    } else {
        Ok(place)
    })
}
