//! Awkward habits of devices, which simulated ones take on where one asks for them: no real device of a test machine does these things
//! when told to.
//!
//! # Contract
//!
//! 1. A habit changes what a device does, and nothing of what it says: it offers the same, and its metadata is the same. Only who tries
//!    finds out ([`prove`](crate::negotiate::prove)).
//! 2. A *submission* is what is granted: a lease by the device's own rules, or a job of a queue. One over several surfaces of a device is
//!    one.
//! 3. A submission that fails ends like a job that failed: whoever comes after a write of it is told
//!    ([`Lease::torn_by`](crate::Lease::torn_by)), and nobody waits for ever.
//! 4. A device is lost in this process, for all surfaces that are open on it here, and for good. Whatever would begin on it (to
//!    allocate, import, export, prove, acquire, submit, view or flush) answers [`Kind::DeviceLost`]. Surfaces stay with whoever else has
//!    them, on another device here too. What is dropped is given back as ever.
//! 5. What waits for its turn behind work of participants, or for a [`Fence`](crate::Fence), ends within a slice of 20 ms: a job with
//!    `ENODEV`, without having touched a pixel, and an acquire by leaving the line. Who polls is told when he polls. A wait for what
//!    pends in the kernel's own reservation of a dma-buf is another device's to end: it goes on until that, or its deadline.
//! 6. What was granted is its holder's, who may be in the middle of it: a lease until it is dropped, a job until it returns. It ends
//!    with `ENODEV` then, if it wrote, and its release or its fence says so.
//!
//! A device is known by its value: two of one name and one habit in a process are one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use handover_model::{Bytes, Layout, Stage};
use handover_sys::clock::Monotonic;

use super::{Device, is_compressed};
use crate::backend::software::reservation::SLICE;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::lease::Part;
use crate::surface::{Side, lock};

/// What a device does that its offers do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Habit {
    /// Surfaces of so many bytes and more are not compressed, neither made nor read, although the modifier is offered at every size.
    CompressesBelow(Bytes),
    /// Every import is good, and the first submission on what was imported fails, with `EIO`.
    FirstSubmissionFails,
    /// So many submissions go well; in the next one the device is lost.
    LostAfter(u32),
}

/// "Input/output error".
const EIO: i32 = 5;
/// "No such device": what the work of a lost one ends with.
pub(crate) const ENODEV: i32 = 19;

/// Submissions of each device that may be lost, in this process.
static SUBMISSIONS: LazyLock<Mutex<HashMap<Device, u32>>> = LazyLock::new(Mutex::default);

impl Habit {
    /// "compresses-below=65536", "first-submission-fails" or "lost-after=3": behind a "+", a part of the
    /// [name](Device::from_name) of a device.
    pub fn word(self) -> String {
        match self {
            Self::CompressesBelow(size) => format!("compresses-below={}", size.get()),
            Self::FirstSubmissionFails => "first-submission-fails".into(),
            Self::LostAfter(count) => format!("lost-after={count}"),
        }
    }

    /// The habit of this word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word.split_once('=') {
            Some(("compresses-below", size)) => size.parse().ok().map(|size| Self::CompressesBelow(Bytes(size))),
            Some(("lost-after", count)) => count.parse().ok().map(Self::LostAfter),
            None if word == "first-submission-fails" => Some(Self::FirstSubmissionFails),
            _ => None,
        }
    }
}

impl Device {
    /// The same device with a habit, in place of any that it had. See [`Habit`] for which there are.
    ///
    /// ```
    /// use handover::{Access, Bytes, Deadline, Device, Habit, Kind, Region, acquire, allocate};
    /// let device = Device::PLAIN.with_habit(Habit::LostAfter(1));
    /// let ours = allocate::buffer(device, Bytes(4096), &Default::default())?.remove(0);
    /// let write = || acquire(&[(&ours, Access::Write, Region::WHOLE)], Deadline::Never)?.wait()?.release();
    /// write()?;
    /// assert_eq!(*write().unwrap_err().kind(), Kind::DeviceLost);
    /// assert!(allocate::buffer(device, Bytes(4096), &Default::default()).is_err(), "every later verb");
    /// assert_eq!(Device::from_name("plain+lost-after=1"), Some(device));
    /// # Ok::<(), handover::Error>(())
    /// ```
    #[must_use]
    pub const fn with_habit(self, habit: Habit) -> Self {
        Self { habit: Some(habit), ..self }
    }

    /// What it does that its offers do not tell.
    pub const fn habit(self) -> Option<Habit> {
        self.habit
    }

    /// Can it do anything yet?
    #[inline]
    pub(crate) fn check_alive(self, stage: Stage) -> Result<()> {
        match self.habit {
            Some(Habit::LostAfter(count)) if self.submissions() > count => Err(lost(self, count, stage)),
            _ => Ok(()),
        }
    }

    fn submissions(self) -> u32 {
        lock(&SUBMISSIONS).get(&self).copied().unwrap_or_default()
    }

    /// Counts a submission, which may be the one in which it is lost.
    fn submit(self) -> Result<()> {
        let Some(Habit::LostAfter(count)) = self.habit else { return Ok(()) };
        let mut all = lock(&SUBMISSIONS);
        let begun = all.entry(self).or_default();
        *begun = begun.saturating_add(1);
        if *begun > count { Err(lost(self, count, Stage::Acquire)) } else { Ok(()) }
    }

    /// Does it make and read such a layout at its size?
    pub(crate) fn check_size(self, layout: &Layout, stage: Stage) -> Result<()> {
        let Some(Habit::CompressesBelow(most)) = self.habit else { return Ok(()) };
        if !is_compressed(layout.modifier()) || layout.size() < most {
            return Ok(());
        }
        Err(Error::new(stage, Kind::Unsupported)
            .asked(format!("{} in {} on device {self}", layout.modifier(), layout.size()))
            .why(format!("it compresses only what has less than {most}, which no offer tells"))
            .help("a modifier without compression; negotiate::prove finds out before anybody relies on it"))
    }

    /// Is the first submission on an import of its still to come, and to fail?
    pub(crate) fn first_fails(self) -> AtomicBool {
        AtomicBool::new(self.habit == Some(Habit::FirstSubmissionFails))
    }
}

#[cold]
fn lost(device: Device, count: u32, stage: Stage) -> Error {
    Error::new(stage, Kind::DeviceLost)
        .asked(format!("work on device {device}"))
        .found("device lost")
        .why(format!("it was lost after {count} submissions of this process, and does not come back"))
        .help("another device: its imports of the same handles are good")
        .with_errno(ENODEV)
}

/// Are the devices of these parts there?
#[inline]
pub(crate) fn check(parts: &[Part], stage: Stage) -> Result<()> {
    parts.iter().try_for_each(|part| part.surface.0.device.check_alive(stage))
}

/// The turn of a submission has come: does every device begin with it?
#[inline]
pub(crate) fn begin(parts: &[Part]) -> Result<()> {
    if parts.iter().all(|part| part.surface.0.device.habit.is_none()) {
        return Ok(());
    }
    let mut begun: Vec<Device> = Vec::new();
    for Part { surface, .. } in parts {
        let device = surface.0.device;
        if !begun.contains(&device) {
            device.submit()?;
            begun.push(device);
        }
        if let Side::Consumer { first_fails, .. } = &surface.0.side
            && first_fails.swap(false, Ordering::Relaxed)
        {
            return Err(Error::new(Stage::Acquire, Kind::Os)
                .asked(format!("the first submission on surface {} by device {device}", surface.index()))
                .why("its import was good, and it fails all the same")
                .help("negotiate::prove, whose trial submits, finds out before anybody relies on it")
                .with_errno(EIO));
        }
    }
    Ok(())
}

/// Until when to wait at the most before a look at the devices: who waits on one that may be lost looks every slice.
#[inline]
pub(crate) fn look_again(parts: &[Part], deadline: Deadline) -> Deadline {
    let may_be_lost = |part: &Part| matches!(part.surface.0.device.habit, Some(Habit::LostAfter(_)));
    if !parts.iter().any(may_be_lost) {
        return deadline;
    }
    let slice = Monotonic::now().saturating_add(SLICE);
    Deadline::At(deadline.at().map_or(slice, |at| at.min(slice)))
}
