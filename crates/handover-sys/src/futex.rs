//! Sleeping on a 32-bit word that processes share.
//!
//! All futexes here are shared ones (no `FUTEX_PRIVATE_FLAG`): the kernel keys them by file and offset, so that
//! mappings at different addresses in different processes mean the same word. A wake-up is a hint and never an answer:
//! every sleeper re-checks its condition, which is why a signal counts as [`Wait::Woken`] (a signal whose handler was
//! installed with `SA_RESTART` does not show at all: the kernel goes on sleeping).

use std::io;
use std::num::NonZeroU32;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, WaitFlags, WaitPtr, WaitvFlags};

use crate::clock::Monotonic;

/// The most words one [`waitv`] takes (`FUTEX_WAITV_MAX` of `include/uapi/linux/futex.h`).
pub const WAITV_MAX: usize = 128;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Someone woke us, or a signal came. Look again.
    Woken,
    /// The word was not the expected one; nobody slept.
    Changed,
    /// The deadline.
    TimedOut,
}

/// A word to sleep on: it can be loaded, and nothing else. Made from an [`AtomicU32`] of a writable mapping, or by
/// [`ReadMapping::word32`](crate::map::ReadMapping::word32).
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    // May lie in a PROT_READ mapping, where a store would be a SIGSEGV: this reference never leaves the crate and is
    // used for relaxed loads and for its address.
    word: &'a AtomicU32,
}

impl<'a> Word<'a> {
    pub(crate) fn new(word: &'a AtomicU32) -> Self {
        Self { word }
    }

    /// The value now. `fence(Acquire)` after it orders what is read next.
    ///
    /// Only the relaxed load is defined by the language for memory that is mapped read-only (`std::sync::atomic`,
    /// "Atomic accesses to read-only memory").
    #[must_use]
    pub fn load_relaxed(self) -> u32 {
        self.word.load(Ordering::Relaxed)
    }
}

impl<'a> From<&'a AtomicU32> for Word<'a> {
    fn from(word: &'a AtomicU32) -> Self {
        Self::new(word)
    }
}

/// Sleeps while `word` is `expected`, until a wake whose bits meet `bits`, or until `deadline` (`None`: for ever).
///
/// Call: `futex(FUTEX_WAIT_BITSET)`, shared, absolute `CLOCK_MONOTONIC`. Permission: the word is mapped, read-only is
/// enough. May block: until the deadline. Retries: none; `EINTR` is [`Wait::Woken`].
pub fn wait_bitset<'a>(
    word: impl Into<Word<'a>>,
    expected: u32,
    bits: NonZeroU32,
    deadline: Option<Monotonic>,
) -> io::Result<Wait> {
    let until = deadline.map(|at| Monotonic::timespec_of(at.0));
    outcome(futex::wait_bitset(word.into().word, Flags::empty(), expected, until.as_ref(), bits))
}

/// Wakes at most `count` sleepers of `word` whose bits meet `bits` and says how many. Sleepers of [`waitv`] have all
/// bits.
///
/// Call: `futex(FUTEX_WAKE_BITSET)`, shared, 0.3 µs with no sleeper. Permission: the word is mapped, read-only is
/// enough. May block: no. Retries: none.
pub fn wake_bitset<'a>(word: impl Into<Word<'a>>, bits: NonZeroU32, count: u32) -> io::Result<u32> {
    // The kernel reads the count as a signed int.
    let count = count.min(i32::MAX as u32);
    let woken = futex::wake_bitset(word.into().word, Flags::empty(), count, bits)?;
    Ok(u32::try_from(woken).unwrap_or(u32::MAX))
}

/// Sleeps while each of `words` has the value beside it, until any of them is woken or until `deadline`.
///
/// Call: `futex_waitv`, shared, absolute `CLOCK_MONOTONIC`. Permission: the words are mapped, read-only is enough.
/// May block: until the deadline. Since: Linux 5.16 (`ENOSYS` before). Retries: none; `EINTR` is [`Wait::Woken`].
/// Errors: `EINVAL` (no word, or more than [`WAITV_MAX`]).
pub fn waitv<'a, W>(words: &[(W, u32)], deadline: Option<Monotonic>) -> io::Result<Wait>
where
    W: Copy + Into<Word<'a>>,
{
    if words.is_empty() || words.len() > WAITV_MAX {
        return Err(Errno::INVAL.into());
    }
    let mut table = [futex::Wait::new(); WAITV_MAX];
    for (entry, &(word, expected)) in table.iter_mut().zip(words) {
        entry.val = u64::from(expected);
        entry.uaddr = WaitPtr::new(ptr::from_ref(word.into().word).cast_mut().cast());
        entry.flags = WaitFlags::SIZE_U32;
    }
    let (used, _) = table.split_at(words.len());
    let until = deadline.map(|at| Monotonic::timespec_of(at.0));
    let woken = futex::waitv(used, WaitvFlags::empty(), until.as_ref(), rustix::thread::ClockId::Monotonic);
    outcome(woken.map(|_index| ()))
}

fn outcome(result: Result<(), Errno>) -> io::Result<Wait> {
    match result {
        Ok(()) | Err(Errno::INTR) => Ok(Wait::Woken),
        Err(Errno::AGAIN) => Ok(Wait::Changed),
        Err(Errno::TIMEDOUT) => Ok(Wait::TimedOut),
        Err(error) => Err(error.into()),
    }
}
