//! Atomic commits: many properties set at once, or none of them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;

use super::{count, property};
use crate::file;
use crate::ioctl::{self, Retry, address_mut};
use crate::uapi::mode::{self, Atomic};

bitflags::bitflags! {
    /// How to commit (`DRM_MODE_ATOMIC_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Flags: u32 {
        /// Asks whether it would work and changes nothing. No fence comes back.
        const TEST_ONLY = mode::ATOMIC_TEST_ONLY;
        /// Returns before it is on the screen. Only one such commit may be under way on a CRTC (`EBUSY`).
        const NONBLOCK = mode::ATOMIC_NONBLOCK;
        /// Allows what makes the screen flicker: another mode, a CRTC on or off.
        const ALLOW_MODESET = mode::ATOMIC_ALLOW_MODESET;
        /// An event of each CRTC when it is on the screen: [`read_events`](super::read_events).
        const PAGE_FLIP_EVENT = mode::PAGE_FLIP_EVENT;
    }
}

/// What a commit gave.
#[derive(Debug, Default)]
pub struct Committed {
    /// The fences that were asked for by [`AtomicRequest::out_fence`], each with its object: sync_files that signal when this
    /// commit is on the screen (a writeback connector's: when the picture is written). Empty after a test.
    pub out_fences: Vec<(u32, OwnedFd)>,
}

/// Properties to set, and the open file of the card that they are for.
///
/// The request holds a descriptor of that file, for two reasons. Ids of properties mean something in one device only, and one of the
/// values is an address that the kernel writes to (`OUT_FENCE_PTR`): a number that is harmless on one card would be that address
/// on another. So each property is looked up on this very card when it is first used, once in the life of the request, and
/// those that take an address are refused as plain numbers.
///
/// A request is for re-use: [`AtomicRequest::clear`] keeps what was looked up and the memory.
#[derive(Debug)]
pub struct AtomicRequest {
    card: OwnedFd,
    known: Vec<(u32, Class)>,
    entries: Vec<Entry>,
    scratch: Scratch,
}

/// What a property's value is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Plain,
    InFence,
    OutFence,
    OtherAddress,
}

#[derive(Debug)]
struct Entry {
    object: u32,
    property: u32,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Plain(u64),
    InFence(OwnedFd),
    OutFence,
}

/// The lists of one commit, kept for the next.
#[derive(Debug, Default)]
struct Scratch {
    objects: Vec<u32>,
    counts: Vec<u32>,
    properties: Vec<u32>,
    values: Vec<u64>,
    /// Where the kernel writes descriptors; -1 for none.
    fences: Vec<i32>,
}

impl AtomicRequest {
    /// An empty request for this open file of a card.
    ///
    /// Call: `fcntl(F_DUPFD_CLOEXEC)`. Permission: none. May block: no. Retries: none. Errors: `EMFILE`.
    pub fn new(card: impl AsFd) -> io::Result<Self> {
        let card = file::duplicate(card)?;
        Ok(Self { card, known: Vec::new(), entries: Vec::new(), scratch: Scratch::default() })
    }

    /// Sets a property of an object; what was set before is replaced. Signed values go as their 64 bits, ids as they are.
    ///
    /// Call: `DRM_IOCTL_MODE_GETPROPERTY`, at the first use of the property. Permission: none. May block: no. Retries: none.
    /// Errors: `ENOENT` (no such property), `EINVAL` (a property that takes an address or a descriptor: [`Self::in_fence`] and
    /// [`Self::out_fence`] are for those).
    pub fn set(&mut self, object: u32, property: u32, value: u64) -> io::Result<()> {
        self.put(object, property, Class::Plain, Value::Plain(value))
    }

    /// Makes a plane wait for `fence`, a sync_file, before it shows its new framebuffer. `property` is that plane's `IN_FENCE_FD`.
    ///
    /// The kernel looks the descriptor up during the commit and does not close it. The request owns it until the entry is replaced
    /// or cleared; pass a [`duplicate`](file::duplicate) to keep it. Without such a fence the plane waits for the writers in the
    /// buffer's own reservation.
    ///
    /// Call, errors: as [`Self::set`], and `EINVAL` for a property of another name. That it is no sync_file is told by the commit.
    pub fn in_fence(&mut self, plane: u32, property: u32, fence: OwnedFd) -> io::Result<()> {
        self.put(plane, property, Class::InFence, Value::InFence(fence))
    }

    /// Asks for a fence that signals when the commit is on the screen of this CRTC. `property` is its `OUT_FENCE_PTR`, or
    /// `WRITEBACK_OUT_FENCE_PTR` of a writeback connector. The address behind it is this module's own.
    ///
    /// Call, errors: as [`Self::set`], and `EINVAL` for a property of another name.
    pub fn out_fence(&mut self, object: u32, property: u32) -> io::Result<()> {
        self.put(object, property, Class::OutFence, Value::OutFence)
    }

    /// Forgets what was set, and closes the fences that it owns.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Commits what was set, all or nothing. The request stays as it is.
    ///
    /// Call: `DRM_IOCTL_MODE_ATOMIC`. Node: a card, with the client capability `ATOMIC`. Permission: the master (`EACCES`), except
    /// for [`Flags::TEST_ONLY`] on kernels that allow it. May block: without [`Flags::NONBLOCK`], until the in-fences signal and the
    /// picture is on the screen; with it, no longer than the driver needs to check. Since: 4.2; fences 4.10.
    /// Retries: with `NONBLOCK` none, `EINTR` and `EAGAIN` are repeated; without it both are given to the caller, who has a deadline
    /// to look at (repeat them). Nothing has been changed where they come.
    /// Errors: `EBUSY` (a commit is under way on the CRTC: wait for its event or fence), `EINVAL` (refused by the driver; an in-fence
    /// that is no sync_file; an event asked for in a test), `ENOENT` (object or property), `ERANGE`, `ENOSPC` (a plane out
    /// of bounds), `EMFILE` (no room for the out-fence).
    pub fn commit(&mut self, flags: Flags, user_data: u64) -> io::Result<Committed> {
        let retry = if flags.contains(Flags::NONBLOCK) { Retry::Drm } else { Retry::Never };
        let lists = &mut self.scratch;
        lists.fill(&self.entries);
        let mut atomic = Atomic {
            flags: flags.bits(),
            count_objs: count(&lists.objects)?,
            objs_ptr: address_mut(&mut lists.objects),
            count_props_ptr: address_mut(&mut lists.counts),
            props_ptr: address_mut(&mut lists.properties),
            prop_values_ptr: address_mut(&mut lists.values),
            reserved: 0,
            user_data,
        };
        // SAFETY: the four addresses are those of lists that `fill` made of one length each: `count_objs` objects and counts, and
        // as many properties and values as the counts sum up to. A value is an address to the kernel only where the card itself
        // names the property so (`put`), and is then that of an element of `fences`, which has one for each such entry and is not
        // touched before the call returns. The kernel writes there during the call only.
        unsafe { ioctl::call(&self.card, &mode::ATOMIC, &mut atomic, retry) }?;
        let mut out_fences = Vec::new();
        let asked = self.entries.iter().filter(|entry| matches!(entry.value, Value::OutFence));
        for (entry, descriptor) in asked.zip(&lists.fences).filter(|(_, descriptor)| **descriptor >= 0) {
            // SAFETY: the commit was done, so the kernel has put a new descriptor there, close-on-exec, which nobody else knows.
            let fence = unsafe { ioctl::own(*descriptor) }?;
            out_fences.push((entry.object, fence));
        }
        Ok(Committed { out_fences })
    }

    fn put(&mut self, object: u32, property: u32, class: Class, value: Value) -> io::Result<()> {
        if self.class(property)? != class {
            return Err(Errno::INVAL.into());
        }
        let entry = Entry { object, property, value };
        // The kernel wants the properties of an object in one run, and none of them twice.
        match self.entries.binary_search_by_key(&(object, property), |entry| (entry.object, entry.property)) {
            Ok(at) => {
                if let Some(old) = self.entries.get_mut(at) {
                    *old = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
        Ok(())
    }

    fn class(&mut self, id: u32) -> io::Result<Class> {
        if let Some((_, class)) = self.known.iter().find(|(known, _)| *known == id) {
            return Ok(*class);
        }
        let name = ioctl::text(&property::name(self.card.as_fd(), id)?);
        let class = match name.as_str() {
            "IN_FENCE_FD" => Class::InFence,
            "OUT_FENCE_PTR" | "WRITEBACK_OUT_FENCE_PTR" => Class::OutFence,
            // None is known. The kernel's own mark of an address is heeded, lest a new one become a hole.
            other if other.ends_with("_PTR") => Class::OtherAddress,
            _ => Class::Plain,
        };
        self.known.push((id, class));
        Ok(class)
    }
}

impl Scratch {
    fn fill(&mut self, entries: &[Entry]) {
        self.objects.clear();
        self.counts.clear();
        self.properties.clear();
        self.values.clear();
        self.fences.clear();
        // All of them before the first address is taken: growing would move them.
        self.fences.resize(entries.iter().filter(|entry| matches!(entry.value, Value::OutFence)).count(), -1);
        let mut slots = self.fences.iter_mut();
        for entry in entries {
            match (self.objects.last(), self.counts.last_mut()) {
                (Some(object), Some(count)) if *object == entry.object => *count += 1,
                _ => {
                    self.objects.push(entry.object);
                    self.counts.push(1);
                }
            }
            self.properties.push(entry.property);
            self.values.push(match &entry.value {
                Value::Plain(value) => *value,
                // Not negative: an owned descriptor is open.
                Value::InFence(fence) => fence.as_raw_fd() as u64,
                Value::OutFence => slots.next().map_or(0, |slot| address_mut(std::slice::from_mut(slot))),
            });
        }
    }
}
