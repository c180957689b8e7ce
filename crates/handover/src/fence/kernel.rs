//! Fences of the kernel: how far one is, and one thread a process that tells of their ends.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use handover_model::Stage;
use handover_sys::clock::Monotonic;
use handover_sys::poll::{self, Entry, Interest};
use handover_sys::{eventfd, sync_file};

use super::{Fence, Until, WeakFence};
use crate::backend::linux::SyncFile;
use crate::backend::linux::sync_file::failed;
use crate::backend::software::reservation::SLICE;
use crate::error::{Result, os};
use crate::surface::lock;

/// How it ended, and when; `None` while it pends.
pub(super) fn look(file: &SyncFile) -> Option<(Result<()>, Monotonic)> {
    // By poll and not by its status: that of several fences is 0 for ever on some kernels, and hides their errors on others, as
    // long as nobody has polled the file (`dma_fence_array_signaled`).
    match poll::wait_readable(file, Some(Monotonic(0))) {
        Ok(true) => {}
        // Whoever cannot ask does not know that it ended; a wait tells the error.
        Ok(false) | Err(_) => return None,
    }
    let info = match file.info() {
        Ok(info) => info,
        // It was a sync_file when it came, and nothing turns it into anything else: the kernel could not say more.
        Err(error) => return Some((Err(error), Monotonic::now())),
    };
    let errno = |status| if let sync_file::Status::Failed(errno) = status { Some(errno) } else { None };
    let leaves = info.fences.iter().filter_map(|fence| Some((fence.timestamp, errno(fence.status)?)));
    let first = leaves.min_by_key(|(at, _)| *at).map(|(_, errno)| errno).or_else(|| errno(info.status));
    let last = info.fences.iter().filter_map(|fence| fence.timestamp).max();
    Some((first.map_or(Ok(()), |errno| Err(failed(errno))), last.unwrap_or_else(Monotonic::now)))
}

/// Returns at the end, the deadline or a cancel.
pub(super) fn wait(file: &SyncFile, until: &Until<'_>) -> Result<()> {
    loop {
        let slice = until.cancel.map(|_| Monotonic::now().saturating_add(SLICE));
        let to = match (until.deadline.at(), slice) {
            (Some(deadline), Some(slice)) => Some(deadline.min(slice)),
            (deadline, slice) => deadline.or(slice),
        };
        let is_over = poll::wait_readable(file, to).map_err(os(Stage::Acquire, "wait for a sync_file"))?;
        if is_over || until.is_over() {
            return Ok(());
        }
    }
}

/// The thread that waits for all of them at once: `poll` knows no futexes, and the poll thread's `futex_waitv` no descriptors.
#[derive(Debug)]
struct Watcher {
    /// Each with a descriptor of its own, since the fence may go meanwhile.
    watched: Mutex<Vec<(OwnedFd, WeakFence)>>,
    /// Wakes the thread to look at the list anew.
    changed: OwnedFd,
}

/// With the process it belongs to: a forked child has the memory of it and not the thread.
static WATCHER: Mutex<Option<(u32, Arc<Watcher>)>> = Mutex::new(None);

/// Sees to it that the end of `fence`, which is that of `file`, is found.
pub(super) fn watch(file: &SyncFile, fence: &Fence) -> Result<()> {
    let watcher = watcher()?;
    let own = file.try_clone()?.into_fd();
    lock(&watcher.watched).push((own, fence.downgrade()));
    eventfd::signal(&watcher.changed).map_err(os(Stage::Acquire, "wake the thread that waits for kernel fences"))
}

fn watcher() -> Result<Arc<Watcher>> {
    let mut watcher = lock(&WATCHER);
    let process = std::process::id();
    if let Some((_, watcher)) = watcher.as_ref().filter(|(of, _)| *of == process) {
        return Ok(Arc::clone(watcher));
    }
    let changed = eventfd::create().map_err(os(Stage::Acquire, "make an eventfd"))?;
    let new = Arc::new(Watcher { watched: Mutex::default(), changed });
    let theirs = Arc::clone(&new);
    std::thread::Builder::new()
        .name("handover-fence".into())
        .spawn(move || theirs.run())
        .map_err(os(Stage::Acquire, "start the thread that waits for kernel fences"))?;
    *watcher = Some((process, Arc::clone(&new)));
    Ok(new)
}

impl Watcher {
    fn run(&self) -> ! {
        let mut watched: Vec<(OwnedFd, WeakFence)> = Vec::new();
        loop {
            watched.append(&mut lock(&self.watched));
            // What everybody has dropped is nobody's business; what has ended tells its listeners by being looked at.
            watched.retain(|(_, fence)| fence.upgrade().is_some_and(|fence| !fence.has_ended()));
            let mut entries = vec![Entry::new(self.changed.as_fd(), Interest::READ)];
            entries.extend(watched.iter().map(|(file, _)| Entry::new(file.as_fd(), Interest::READ)));
            // A fence that was dropped is closed a second later at the latest; without any there is nothing to look at.
            let look = (!watched.is_empty()).then(|| Monotonic::now().saturating_add(LOOK));
            if poll::poll(&mut entries, look).is_err() {
                std::thread::sleep(SLICE);
            }
            // A counter that could not be read keeps the thread awake and nothing else.
            let _ = eventfd::drain(&self.changed);
        }
    }
}

/// How often the thread looks for fences that were dropped.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);
