//! A commit: a surface that a window shows, and how it goes back to its client.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use handover::backend::linux::{SyncFile, Timeline};
use handover::{Error, Kind, Result, Stage, Surface};
use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::Direction;
use wayland_server::DisplayHandle;
use wayland_server::backend::WeakHandle;
use wayland_server::protocol::wl_buffer::WlBuffer;

use super::limit::Place;
use super::{WindowId, lock};
use crate::fences;

/// What a window shows. Dropping it releases it; see the [contract](super).
#[derive(Debug)]
#[must_use = "a dropped commit is released at once"]
pub struct Committed {
    pub(super) window: WindowId,
    pub(super) title: String,
    pub(super) app_id: String,
    pub(super) is_copy: bool,
    pub(super) release: Release,
}

impl Committed {
    /// The surface, to [acquire](handover::acquire()). The same one each time the client shows the same buffer.
    pub fn surface(&self) -> &Surface {
        &self.release.surface
    }

    /// The window.
    pub fn window(&self) -> WindowId {
        self.window
    }

    /// What the client calls the window.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What the client calls itself.
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// Is the surface a copy of a `wl_shm` buffer? Else it is the client's own.
    pub fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// Goes back to the client. Dropping does the same.
    pub fn release(self) {}

    /// Goes back to the client, whose next work on the surface waits for this fence of the reader's.
    ///
    /// # Errors
    /// [`Unreleased`] gives the commit back, since the reader still works: wait for the fence, and release then.
    pub fn release_after(self, fence: &SyncFile) -> Result<(), Unreleased> {
        match fences::attach(self.surface(), fence, Direction::READ) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let error = Error::new(Stage::Release, Kind::Unsupported)
                    .asked("a fence in a dma-buf's reservation")
                    .found("a kernel that cannot put one there")
                    .help("Linux 6.0; here, wait for the fence and release then");
                Err(Unreleased { committed: Box::new(self), error })
            }
            Err(error) => Err(Unreleased { committed: Box::new(self), error }),
        }
    }
}

/// A commit whose reader's fence nobody else knows.
#[derive(Debug)]
#[must_use = "the reader still works; wait for its fence, then release the commit"]
pub struct Unreleased {
    /// The commit, as it was.
    pub committed: Box<Committed>,
    /// Why.
    pub error: Error,
}

impl fmt::Display for Unreleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Unreleased {}

/// Releases that wait for peers who still use the surface, each with the time at which patience ends.
pub(super) type Deferred = Mutex<Vec<(Ending, Monotonic)>>;

/// The end of a commit. Runs when dropped.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) surface: Surface,
    /// `None`: it has been handed on.
    ending: Option<Ending>,
    deferred: Weak<Deferred>,
    patience: Duration,
}

/// What is left to do for the client.
#[derive(Debug)]
pub(super) struct Ending {
    surface: Surface,
    how: How,
    /// Not the handle itself: a commit that the caller keeps must not keep the sockets of a compositor that is gone.
    handle: WeakHandle,
}

/// How a client hears of the end.
#[derive(Debug)]
pub(super) enum How {
    /// By `wl_buffer.release`, with the last of the commits that use the buffer.
    Buffer(WlBuffer, Arc<AtomicU32>),
    /// By a point of its timeline. The buffer counts as the client's for as long as its surface is needed.
    Point { timeline: Arc<Timeline>, point: u64, _buffer: WlBuffer },
    /// It had its buffer back when the copy was made. The token says that the copy is in use.
    Copy { _token: Arc<Place> },
}

impl Release {
    pub(super) fn new(
        surface: Surface,
        how: How,
        handle: &DisplayHandle,
        deferred: &Arc<Deferred>,
        patience: Duration,
    ) -> Self {
        if let How::Buffer(_, uses) = &how {
            uses.fetch_add(1, Ordering::Relaxed);
        }
        let ending = Ending { surface: surface.clone(), how, handle: handle.backend_handle().downgrade() };
        Self { surface, ending: Some(ending), deferred: Arc::downgrade(deferred), patience }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let Some(ending) = self.ending.take() else { return };
        match self.deferred.upgrade() {
            // Somebody among the peers reads, and no fence of the kernel says so.
            Some(deferred) if ending.is_in_use() => {
                lock(&deferred).push((ending, Monotonic::now().saturating_add(self.patience)));
            }
            _ => ending.run(),
        }
    }
}

impl Ending {
    /// Has a handover peer an entry on the surface?
    pub(super) fn is_in_use(&self) -> bool {
        !self.surface.pending().is_empty()
    }

    pub(super) fn run(self) {
        match &self.how {
            How::Buffer(buffer, uses) => {
                if uses.fetch_sub(1, Ordering::AcqRel) == 1 {
                    buffer.release();
                }
            }
            How::Point { timeline, point, .. } => {
                // Of a reader that cannot be asked for there is nothing to pass on, and a client that is told nothing starves.
                let fence = fences::pending(&self.surface).ok().flatten();
                let submitted = fence.is_some_and(|fence| timeline.submit(*point, &fence).is_ok());
                if !submitted {
                    // Point 0, which an honest client never names, stands for no work.
                    let _ = timeline.signal(*point);
                }
            }
            How::Copy { .. } => {}
        }
        // To a client that is gone there is nothing to send.
        if let Some(handle) = self.handle.upgrade() {
            let _ = DisplayHandle::from(handle).flush_clients();
        }
    }
}
