//! A queue of user space: jobs are submitted by a store to shared memory, and a 64-bit value says how far the engine is.
//!
//! No kernel and no reservation hears of them (`Documentation/driver-api/dma-buf.rst`, "Indefinite DMA Fences"): the engine may
//! never come so far, so a [`Value`] is no [`Fence`](crate::Fence), belongs in no working set, and crosses to the world of fences by
//! being awaited and in no other way.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;

use handover_model::{Blocked, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::futex;
use handover_sys::map::{Mapping, Populate};
use handover_sys::memfd::{self, Seals};

use crate::backend::software::reservation::SLICE;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};

/// A queue whose submissions are stores.
///
/// ```
/// use handover::Deadline;
/// use handover::queue::UserQueue;
/// let mut queue = UserQueue::new("compute", |command| assert_eq!(command, 7))?;
/// let value = queue.submit(7)?;
/// value.wait(Deadline::Never)?;
/// # Ok::<(), handover::Error>(())
/// ```
///
/// Its values are no fences:
///
/// ```compile_fail
/// # use handover::{Deadline, Queue, queue::UserQueue};
/// # let queue = Queue::new("one").unwrap();
/// # let mut user = UserQueue::new("other", |_| ()).unwrap();
/// # let value = user.submit(7).unwrap();
/// queue.submit(&[], &[value], Deadline::Never, |_| Ok(()));
/// ```
#[derive(Debug)]
pub struct UserQueue {
    page: Arc<Page>,
    engine: Option<JoinHandle<()>>,
}

/// The page that user and engine share: how far each is, and the commands in between.
#[derive(Debug)]
struct Page {
    map: Mapping,
    _file: OwnedFd,
}

/// Commands that may be under way at once.
const COMMANDS: u64 = 64;

const PAGE: usize = 4096;
/// How many commands were submitted: the doorbell.
const WRITTEN: usize = 0;
/// How many have ended.
const DONE: usize = 64;
/// Changes when the doorbell rings.
const RUNG: usize = 128;
/// Changes when a command has ended.
const ENDED: usize = 192;
/// 1: the queue goes, and its engine ends with what was submitted. 2: it has ended.
const CLOSED: usize = 256;
const ENGINE_ENDED: u64 = 2;
/// The commands.
const RING: usize = 512;

impl Page {
    fn u64(&self, at: usize) -> &AtomicU64 {
        &self.map.words64()[at / 8]
    }

    fn u32(&self, at: usize) -> &AtomicU32 {
        &self.map.words32()[at / 4]
    }

    fn ring(&self, at: usize) {
        self.u32(at).fetch_add(1, Ordering::SeqCst);
        // Cannot fail on a mapped, aligned word.
        let _ = futex::wake_bitset(self.u32(at), NonZeroU32::MAX, u32::MAX);
    }

    /// Sleeps for a slice at the most, unless the word has changed.
    fn sleep(&self, at: usize, expected: u32, until: Monotonic) {
        // Every outcome means the same: look again.
        let _ = futex::wait_bitset(self.u32(at), expected, NonZeroU32::MAX, Some(until));
    }

    fn command(&self, number: u64) -> &AtomicU64 {
        self.u64(RING + 8 * (number % COMMANDS) as usize)
    }

    fn run(&self, mut engine: impl FnMut(u64)) {
        loop {
            let rung = self.u32(RUNG).load(Ordering::Acquire);
            let done = self.u64(DONE).load(Ordering::Relaxed);
            // Closed first: whatever was submitted before the close is seen behind it.
            let closed = self.u64(CLOSED).load(Ordering::Acquire) != 0;
            // A doorbell that runs ahead of the ring was scribbled: no more than the ring has is believed.
            let written = self.u64(WRITTEN).load(Ordering::Acquire).min(done.saturating_add(COMMANDS));
            for number in done..written {
                engine(self.command(number).load(Ordering::Relaxed));
                self.u64(DONE).store(number + 1, Ordering::Release);
                self.ring(ENDED);
            }
            if written <= done {
                if closed {
                    return;
                }
                self.sleep(RUNG, rung, Monotonic::now().saturating_add(SLICE));
            }
        }
    }
}

/// The engine's hold of the page. However it ends, a panic too, those who wait are told.
struct Engine(Arc<Page>);

impl Engine {
    fn page(&self) -> &Page {
        &self.0
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.u64(CLOSED).store(ENGINE_ENDED, Ordering::Release);
        self.0.ring(ENDED);
    }
}

impl UserQueue {
    /// A queue whose commands are given to `engine`, one after the other, on a thread of this name.
    ///
    /// # Errors
    /// [`Kind::Os`]: no memory, descriptor or thread.
    pub fn new(name: &str, engine: impl FnMut(u64) + Send + 'static) -> Result<Self> {
        let stage = Stage::Access;
        let file = memfd::create("handover-user-queue", PAGE as u64).map_err(os(stage, "make a user queue"))?;
        memfd::add_seals(&file, Seals::SHRINK | Seals::GROW | Seals::SEAL).map_err(os(stage, "seal a user queue"))?;
        let map = Mapping::new(&file, PAGE, Populate::Now).map_err(os(stage, "map a user queue"))?;
        map.dont_fork().map_err(os(stage, "keep a user queue from forked children"))?;
        let page = Arc::new(Page { map, _file: file });
        let theirs = Engine(Arc::clone(&page));
        let engine = std::thread::Builder::new()
            .name(name.chars().take(15).collect())
            .spawn(move || theirs.page().run(engine))
            .map_err(os(stage, "start a queue's thread"))?;
        Ok(Self { page, engine: Some(engine) })
    }

    /// Submits a command: two stores, and a wake of the engine. Gives the value that the engine will have reached with it.
    ///
    /// For one thread at a time, as rings of hardware are: `&mut self`.
    ///
    /// # Errors
    /// [`Kind::Full`]: 64 commands are under way.
    pub fn submit(&mut self, command: u64) -> Result<Value> {
        let written = self.page.u64(WRITTEN).load(Ordering::Relaxed);
        let done = self.page.u64(DONE).load(Ordering::Acquire);
        if written.saturating_sub(done) >= COMMANDS {
            return Err(Error::new(Stage::Access, Kind::Full)
                .asked("room in the ring of a user queue")
                .found(format!("{COMMANDS} commands under way"))
                .help("wait for an earlier value"));
        }
        self.page.command(written).store(command, Ordering::Relaxed);
        let value = written.wrapping_add(1);
        self.page.u64(WRITTEN).store(value, Ordering::Release);
        self.page.ring(RUNG);
        Ok(Value { page: Arc::clone(&self.page), value })
    }
}

impl Drop for UserQueue {
    fn drop(&mut self) {
        // An engine that panicked has said more already.
        let _ = self.page.u64(CLOSED).compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
        self.page.ring(RUNG);
        if let Some(engine) = self.engine.take() {
            // A panic of the engine ended it there; its values are never reached, and waits for them find that.
            let _ = engine.join();
        }
    }
}

/// How far a user queue must have come. Not a fence: nothing but its engine's good will brings it.
#[derive(Debug, Clone)]
pub struct Value {
    page: Arc<Page>,
    value: u64,
}

impl Value {
    /// The number.
    pub fn number(&self) -> u64 {
        self.value
    }

    /// Has the engine come so far?
    pub fn is_reached(&self) -> bool {
        self.page.u64(DONE).load(Ordering::Acquire) >= self.value
    }

    /// Waits until it has: the one way from here to fences.
    ///
    /// # Errors
    /// [`Kind::Timeout`] says how far the engine is. [`Kind::PeerGone`]: the queue is gone, and never came so far.
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        loop {
            let ended = self.page.u32(ENDED).load(Ordering::Acquire);
            if self.is_reached() {
                return Ok(());
            }
            let error = |kind, found: String| {
                Err(Error::new(Stage::Access, kind).asked(format!("value {} of a user queue", self.value)).found(found))
            };
            // Looked at once more behind the close: it may have been reached before it.
            if self.page.u64(CLOSED).load(Ordering::Acquire) == ENGINE_ENDED && !self.is_reached() {
                return error(Kind::PeerGone, "that its engine has ended before".into());
            }
            if deadline.has_passed() {
                let done = self.page.u64(DONE).load(Ordering::Acquire);
                return error(Kind::Timeout(Blocked::default()), format!("its engine at {done}"));
            }
            let slice = Monotonic::now().saturating_add(SLICE);
            self.page.sleep(ENDED, ended, deadline.at().map_or(slice, |at| at.min(slice)));
        }
    }
}
