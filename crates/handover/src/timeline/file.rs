//! The file of a timeline: made and locked by its writer, sealed, and mapped by readers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

use handover_model::Stage;
use handover_sys::clock::Monotonic;
use handover_sys::file::{self, Identity};
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};
use handover_sys::{futex, ofd};

use super::page::{self, ABI, FEATURES, MAGIC, SIZE, Words, WriteWords, at};
use crate::backend::received;
use crate::error::{Error, Kind, Result, os};

/// The lock byte of the writer.
const WRITER: u32 = 0;
/// What a reader asks of the seals: one writer, and a size that stays.
const SEALS: Seals = Seals::SHRINK.union(Seals::GROW).union(Seals::FUTURE_WRITE).union(Seals::SEAL);

/// The writer's side: its mapping, which holds the lock and is the only one that can be written through.
#[derive(Debug)]
pub(super) struct Written {
    map: Mapping,
    file: OwnedFd,
}

impl Written {
    /// A page that stands at these points, of which these failed.
    pub(super) fn create(completed: u64, submitted: u64, failed: Vec<(u64, u32)>) -> Result<Self> {
        let stage = Stage::Export;
        let file = memfd::create("handover-timeline", SIZE as u64).map_err(os(stage, "make a timeline's file"))?;
        // The lock must live in a description that is never sent: whoever received it would own the lock too.
        let own = file::reopen(&file, file::Reopen::ReadWrite)
            .map_err(os(stage, "open a timeline's file anew through /proc/self/fd"))?;
        let map = Mapping::new(&own, SIZE, Populate::Now).map_err(os(stage, "map a timeline's file"))?;
        // An inherited mapping would keep a dead parent alive for its peers.
        map.dont_fork().map_err(os(stage, "keep a timeline from forked children"))?;
        ofd::try_lock(&own, WRITER).map_err(os(stage, "lock a timeline's writer byte"))?;
        drop(own);
        let this = Self { map, file };
        for (point, errno) in failed {
            page::fail(&this, point, errno);
        }
        for (at, value) in [
            (at::ABI, ABI),
            (at::FEATURES, FEATURES),
            (at::SUBMITTED, submitted),
            (at::COMPLETED, completed),
            (at::MAGIC, MAGIC),
        ] {
            this.store64(at, value);
        }
        memfd::add_seals(&this.file, SEALS).map_err(os(stage, "seal a timeline's file"))?;
        Ok(this)
    }

    /// A descriptor to send. Whoever holds it can map it for reading and no more.
    pub(super) fn descriptor(&self) -> Result<OwnedFd> {
        self.file.try_clone().map_err(os(Stage::Export, "duplicate a timeline's descriptor"))
    }
}

impl WriteWords for Written {
    fn store64(&self, at: usize, value: u64) {
        if let Some(word) = self.map.words64().get(at / 8) {
            word.store(value, Ordering::Release);
        }
    }

    fn ring(&self, at: usize) {
        if let Some(word) = self.map.words32().get(at / 4) {
            word.fetch_add(1, Ordering::SeqCst);
            // Always: readers cannot say that they sleep. Cannot fail on a mapped, aligned word.
            let _ = futex::wake_bitset(word, std::num::NonZeroU32::MAX, u32::MAX);
        }
    }
}

/// A reader's side.
#[derive(Debug)]
pub(super) struct Read {
    map: ReadMapping,
    file: OwnedFd,
    identity: Identity,
}

impl Read {
    /// Maps a received file, which is an allegation: seals first, which cannot block on anything a stranger can send.
    pub(super) fn open(file: OwnedFd) -> Result<Self> {
        let stage = Stage::Import;
        let refused = |found: String, why: &'static str| {
            Error::new(stage, Kind::Spoiled).asked("a timeline").found(found).why(why)
        };
        let seals = received::seals(stage, file.as_fd())?;
        if !seals.contains(SEALS) {
            return Err(refused(
                format!("a memfd sealed only {seals:?}"),
                "somebody besides its writer could write it, or shrink it under us",
            ));
        }
        let (identity, size) =
            file::identity_and_size(&file).map_err(os(stage, "read the size of a timeline's file"))?;
        if size != SIZE as u64 {
            return Err(refused(format!("{size} bytes"), "a timeline is one page of 4096"));
        }
        let map = ReadMapping::new(&file, SIZE, Populate::Now).map_err(os(stage, "map a timeline's file"))?;
        let this = Self { map, file, identity };
        let (magic, abi, features) = (this.load64(at::MAGIC), this.load64(at::ABI), this.load64(at::FEATURES));
        fence(Ordering::Acquire);
        if magic != MAGIC {
            return Err(refused(format!("{magic:#018x} in its first bytes"), "that is not \"timeline\""));
        }
        if abi != ABI || features & !FEATURES != 0 {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("a timeline of version {ABI}"))
                .found(format!("version {abi}, feature bits {features:#x}"))
                .help("run the same version of handover on both sides"));
        }
        Ok(this)
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// The word that changes with everything, to sleep on.
    pub(super) fn event(&self) -> Option<futex::Word<'_>> {
        self.map.word32(at::EVENT)
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Words for Read {
    fn load64(&self, at: usize) -> u64 {
        self.map.load64_relaxed(at).unwrap_or(0)
    }
    fn load32(&self, at: usize) -> u32 {
        self.map.word32(at).map_or(0, futex::Word::load_relaxed)
    }
    fn fence(&self, order: Ordering) {
        fence(order);
    }
    fn sleep(&self, at: usize, expected: u32, until: Monotonic) {
        // Every outcome, an error too, means the same to the caller: look again.
        if let Some(word) = self.map.word32(at) {
            let _ = futex::wait_bitset(word, expected, std::num::NonZeroU32::MAX, Some(until));
        }
    }
    fn now(&self) -> Monotonic {
        Monotonic::now()
    }
    fn writer_lives(&self) -> bool {
        // "Cannot tell" must not end a living writer's points.
        ofd::is_locked(&self.file, WRITER).unwrap_or(true)
    }
}

const _: () = assert!(page::at::error(page::ERRORS - 1) + 8 <= SIZE);
