//! The control file under the protocol: a sealed memfd, its mapping, and the lock bytes that say who is alive.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use handover_model::{Error, Kind, Result, Stage};
use handover_sys::clock::Monotonic;
use handover_sys::map::{Mapping, Populate};
use handover_sys::memfd::{self, Seals};
use handover_sys::{file, futex, ofd};

use super::reservation::Reservation;
use super::reservation::layout::{ABI, FEATURES, MAGIC, PAGE, PARTICIPANTS, SURFACES, file_size, header};
use super::reservation::platform::Platform;
use crate::backend::received;
use crate::error::os;

/// A mapped control file.
#[derive(Debug)]
pub struct Control {
    map: Mapping,
    /// For lock queries and re-export. No lock is ever taken through it: whoever it was or will be sent to shares its
    /// description, would own the same locks, and our death would never be seen.
    file: OwnedFd,
}

impl Platform for Control {
    type U64 = AtomicU64;
    type U32 = AtomicU32;

    #[inline]
    fn u64(&self, at: usize) -> &AtomicU64 {
        &self.map.words64()[at / 8]
    }
    #[inline]
    fn u32(&self, at: usize) -> &AtomicU32 {
        &self.map.words32()[at / 4]
    }
    #[inline]
    fn fence(&self, order: Ordering) {
        fence(order);
    }
    #[inline]
    fn pause(&self) {
        std::hint::spin_loop();
    }
    fn sleep(&self, at: usize, expected: u32, bits: NonZeroU32, until: Monotonic) {
        // Every outcome, an error too, means the same to the caller: look again. A kernel that refuses to sleep at all
        // turns the wait into a spin that still ends at its deadline.
        let _ = futex::wait_bitset(self.u32(at), expected, bits, Some(until));
    }
    fn wake(&self, at: usize, bits: NonZeroU32) {
        // Cannot fail on a mapped, aligned word; and if it did, the sleepers' slices make up for it.
        let _ = futex::wake_bitset(self.u32(at), bits, u32::MAX >> 1);
    }
    fn now(&self) -> Monotonic {
        Monotonic::now()
    }
    fn coarse(&self) -> Monotonic {
        Monotonic::coarse()
    }
    fn is_alive(&self, owner: u8) -> bool {
        // "Cannot tell" must not end a living owner's work.
        ofd::is_locked(self.file.as_fd(), u32::from(owner)).unwrap_or(true)
    }
}

impl Control {
    /// Makes and joins the control file of a new pool.
    pub fn create(surfaces: u32) -> Result<Reservation<Self>> {
        let stage = Stage::Allocate;
        if surfaces == 0 || surfaces > SURFACES {
            return Err(Error::new(stage, Kind::Invalid)
                .asked(format!("a pool of {surfaces} surfaces"))
                .why(format!("a pool has 1 to {SURFACES} surfaces")));
        }
        let file = memfd::create("handover-control", file_size(surfaces)).map_err(os(stage, "make a control file"))?;
        memfd::add_seals(file.as_fd(), Seals::SHRINK | Seals::GROW | Seals::SEAL)
            .map_err(os(stage, "seal the control file"))?;
        let (control, owner) = Self::enter(stage, file, surfaces, |map| {
            for (at, value) in [
                (header::ABI, ABI),
                (header::FEATURES, FEATURES),
                (header::SURFACES, u64::from(surfaces)),
                (header::MAGIC, MAGIC),
            ] {
                map.words64()[at / 8].store(value, Ordering::SeqCst);
            }
            Ok(())
        })?;
        // Nobody was here before: there is no surface to look for what he left behind.
        Ok(Reservation::join(control, owner, std::process::id(), 0))
    }

    /// Joins the pool behind a received descriptor: [`open`](Self::open), then [`Reservation::join`].
    pub fn join(stage: Stage, file: OwnedFd, surfaces: Option<u32>) -> Result<Reservation<Self>> {
        let (control, owner) = Self::open(stage, file, surfaces)?;
        let surfaces = control.surfaces();
        Ok(Reservation::join(control, owner, std::process::id(), surfaces))
    }

    /// Maps a received control file and takes a lock byte in it, whose index comes with it: what a participant needs
    /// before it joins. The descriptor is an allegation, checked here before anything is believed.
    ///
    /// `surfaces`: what the message says; the file must agree.
    pub fn open(stage: Stage, file: OwnedFd, surfaces: Option<u32>) -> Result<(Self, u8)> {
        let surfaces = check_file(stage, file.as_fd(), surfaces)?;
        Self::enter(stage, file, surfaces, |map| check_head(stage, map, surfaces))
    }

    /// Maps once, since a mapping costs as much as all the checks, looks at or writes the header, then takes a lock byte.
    fn enter(
        stage: Stage,
        file: OwnedFd,
        surfaces: u32,
        head: impl FnOnce(&Mapping) -> Result<()>,
    ) -> Result<(Self, u8)> {
        // The lock must live in a description that nobody else has. Reopening makes one; where /proc is missing the
        // received one serves, since the exporter made it for us alone. Any other refusal is final: a lock in a description
        // that somebody else might still hold would outlive us.
        let own = match file::reopen(file.as_fd(), file::Reopen::ReadWrite) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            own => Some(own.map_err(os(stage, "open the control file anew through /proc/self/fd"))?),
        };
        let lock_through = own.as_ref().map_or(file.as_fd(), AsFd::as_fd);
        let map = map(stage, lock_through, surfaces)?;
        head(&map)?;
        let owner = take_byte(stage, lock_through)?;
        // From here on the mapping alone keeps description and lock: both go with the address space, whatever kills it.
        drop(own);
        Ok((Self { map, file }, owner))
    }

    /// How many surfaces the pool has, by the size of the file, which seals fix.
    pub fn surfaces(&self) -> u32 {
        (self.map.len() / PAGE).saturating_sub(1) as u32
    }

    /// The descriptor of the file, for identity and re-export.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A description of the control file for one importer alone, to send and forget.
    pub fn fresh_description(&self) -> Result<OwnedFd> {
        file::reopen(self.file.as_fd(), file::Reopen::ReadWrite)
            .map_err(os(Stage::Export, "open the control file anew through /proc/self/fd"))
    }
}

fn map(stage: Stage, file: BorrowedFd<'_>, surfaces: u32) -> Result<Mapping> {
    let map =
        Mapping::new(file, file_size(surfaces) as usize, Populate::Now).map_err(os(stage, "map the control file"))?;
    // An inherited mapping would keep a dead parent alive for its peers.
    map.dont_fork().map_err(os(stage, "keep the control file from forked children"))?;
    Ok(map)
}

fn take_byte(stage: Stage, file: BorrowedFd<'_>) -> Result<u8> {
    for owner in 0..PARTICIPANTS as u8 {
        if ofd::try_lock(file, u32::from(owner)).map_err(os(stage, "lock a participant's byte"))? {
            return Ok(owner);
        }
    }
    Err(Error::new(stage, Kind::Full)
        .asked("a place among the participants of a pool")
        .found(format!("all {PARTICIPANTS} taken"))
        .help("drop imports that are no longer needed, or use more pools"))
}

/// Seals first, which cannot block on anything a stranger can send; then the size. Gives the number of surfaces.
fn check_file(stage: Stage, file: BorrowedFd<'_>, surfaces: Option<u32>) -> Result<u32> {
    let refused = |found: String, why: &'static str| spoiled(stage, found, why);
    let seals = received::seals(stage, file)?;
    if !seals.contains(Seals::SHRINK | Seals::GROW | Seals::SEAL) {
        return Err(refused(format!("a memfd sealed only {seals:?}"), "its sender could shrink it under us"));
    }
    if seals.intersects(Seals::FUTURE_WRITE | Seals::WRITE) {
        return Err(refused(format!("a memfd sealed {seals:?}"), "nobody could take part in it"));
    }
    let size = file::size(file).map_err(os(stage, "read the size of a control file"))?;
    let found = (1..=SURFACES).find(|&n| file_size(n) == size);
    let Some(found) = found.filter(|found| surfaces.is_none_or(|said| said == *found)) else {
        let said = surfaces.map_or(String::new(), |said| format!(" for {said} surfaces"));
        return Err(refused(format!("{size} bytes{said}"), "its size is not one page and one page a surface"));
    };
    Ok(found)
}

/// What the file says of itself must agree with what its size says.
fn check_head(stage: Stage, map: &Mapping, surfaces: u32) -> Result<()> {
    let field = |at: usize| map.words64()[at / 8].load(Ordering::Acquire);
    let (magic, abi, features, said) =
        (field(header::MAGIC), field(header::ABI), field(header::FEATURES), field(header::SURFACES));
    if magic != MAGIC {
        return Err(spoiled(stage, format!("{magic:#018x} in its first bytes"), "that is not \"handover\""));
    }
    if abi != ABI || features & !FEATURES != 0 {
        return Err(Error::new(stage, Kind::Unsupported)
            .asked(format!("a control file of version {ABI}"))
            .found(format!("version {abi}, feature bits {features:#x}"))
            .help("run the same version of handover on both sides"));
    }
    if said != u64::from(surfaces) {
        return Err(spoiled(stage, format!("{said} surfaces in its header, room for {surfaces}"), "they differ"));
    }
    Ok(())
}

fn spoiled(stage: Stage, found: String, why: &'static str) -> Error {
    Error::new(stage, Kind::Spoiled).asked("a control file").found(found).why(why)
}
