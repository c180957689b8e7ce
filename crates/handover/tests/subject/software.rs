//! The library's reservation as a subject: entries in the control file of two surfaces, seen through the public interface.
//!
//! Fences without a queue and files of fences are the test's own here, as numbers, so that entries can be counted; the library's
//! own are in [`library`](super::library). What an import adds, who meets whom, what is listed
//! and when there is no room any more is the library's.

use std::os::fd::OwnedFd;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::layout::{ENTRIES, ENTRIES_EACH};
use handover::backend::software::reservation::working_set::{self, Seat};
use handover::backend::software::reservation::{Attach, Entry, Reservation, Trouble};
use handover::{
    Access, Acquire, Bytes, Deadline, Device, Error, ExportFlags, Kind, Options, Region, Surface, Usage, Writers,
    acquire, allocate, export, reservation, try_acquire,
};
use handover_model::Stage;
use handover_sys::file::{self, Reopen};

use super::rules::{access, entry};
use super::{BUFFERS, Files, Held, Met, Refusal, Subject};

/// An entry that stands for a fence on one buffer, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    participant: usize,
    wish: Attach,
    entry: Entry,
}

#[derive(Debug)]
pub(crate) struct Software {
    surfaces: Vec<Surface>,
    /// Each may take [`ENTRIES_EACH`] of a surface's entries, so it takes some to take them all. The surfaces' own is one more.
    participants: Vec<Reservation<Control>>,
    files: Files,
    /// By fence.
    placed: Vec<Vec<Placed>>,
}

impl Software {
    pub(crate) fn new() -> Self {
        let options = Options { surfaces: BUFFERS as u32, writers: Writers::Open, ..Options::default() };
        let surfaces = allocate::buffer(Device::PLAIN, Bytes(4096), &options).expect("surfaces");
        let exported = export(&surfaces[0], ExportFlags::READ, Deadline::Never).expect("a handle");
        let (_, [_, control]) = exported.handle.into_parts();
        let participants = (0..ENTRIES / ENTRIES_EACH as usize).map(|_| join(&control)).collect();
        Self { surfaces, participants, files: Files::default(), placed: Vec::new() }
    }

    /// The surface behind a buffer.
    pub(crate) fn surface(&self, buffer: usize) -> &Surface {
        &self.surfaces[buffer]
    }

    /// A place in line on one buffer.
    pub(crate) fn place(&self, buffer: usize, access: Access) -> handover::Result<Acquire> {
        acquire(&[(&self.surfaces[buffer], access, Region::WHOLE)], Deadline::now())
    }

    /// An entry of the first participant who has room.
    fn attach(&self, buffer: usize, as_entry: reservation::Entry) -> Result<Placed, Refusal> {
        let reservation::Entry { context, seq, usage, region, .. } = as_entry;
        let wish = Attach { surface: buffer as u32, usage, region, lease: false, context, seq };
        for (participant, reservation) in self.participants.iter().enumerate() {
            // Whom it stands behind does not matter: an import never waits (C29).
            match working_set::attach(&[(reservation, wish)]) {
                Ok(attached) => return Ok(Placed { participant, wish, entry: attached.entries[0] }),
                Err((_, Trouble::Full(_))) => {}
                Err((_, trouble)) => panic!("{}", trouble.at(Stage::Acquire)),
            }
        }
        Err(Refusal::Full)
    }

    /// An entry that no import makes.
    pub(crate) fn attach_as(&self, buffer: usize, usage: Usage) -> Placed {
        let entry = reservation::Entry { usage, ..entry(usize::MAX >> 1, Access::Read) };
        self.attach(buffer, entry).expect("room")
    }

    pub(crate) fn detach(&self, placed: Placed) {
        working_set::release(&[self.seat(&placed)], None).expect("the entry is still ours");
    }

    fn seat(&self, placed: &Placed) -> Seat<'_, Control, ENTRIES> {
        Seat { reservation: &self.participants[placed.participant], wish: placed.wish, entry: placed.entry }
    }

    /// Pending fences of others that an access meets, as the library reports them.
    fn pending(&self, buffer: usize, access: Access) -> Vec<usize> {
        let pending = self.surfaces[buffer].pending();
        reservation::collect(&pending, access.waits()).map(|entry| entry.context as usize - 1).collect()
    }

    fn would_wait(&self, buffer: usize, access: Access) -> bool {
        self.would_wait_as(buffer, access.usage())
    }

    pub(crate) fn would_wait_as(&self, buffer: usize, usage: Usage) -> bool {
        let (context, region) = (reservation::NO_CONTEXT, Region::WHOLE);
        let wish = Attach { surface: buffer as u32, usage, region, lease: true, context, seq: 0 };
        self.participants[0].would_wait(&wish)
    }

    /// What the library says to a wish that no access of its types can be: no surface, or cells that the surface has not.
    fn refused(&self, buffer: usize, flags: u32) -> Refusal {
        let nowhere = [(&self.surfaces[buffer], Access::Read, Region::from_bits(u64::from(flags)))];
        let set = if flags == 0 { &nowhere[..0] } else { &nowhere[..] };
        errno(&acquire(set, Deadline::now()).expect_err("no access"))
    }
}

fn join(control: &OwnedFd) -> Reservation<Control> {
    let file = file::reopen(control, Reopen::ReadWrite).expect("a description of one's own");
    Control::join(Stage::Import, file, None).expect("a place in the pool")
}

/// What the kernel would have said.
fn errno(error: &Error) -> Refusal {
    match error.kind() {
        Kind::Invalid => Refusal::Invalid,
        Kind::Full => Refusal::Full,
        _ => panic!("{error}"),
    }
}

impl Subject for Software {
    fn name(&self) -> &'static str {
        "software"
    }

    fn reset(&mut self) {
        (0..self.placed.len()).for_each(|fence| self.end(fence));
        self.files = Files::default();
        self.placed.clear();
        assert!(self.surfaces.iter().all(|surface| surface.pending().is_empty()));
    }

    fn fence(&mut self) {
        self.files.fence();
        self.placed.push(Vec::new());
    }

    fn end(&mut self, fence: usize) {
        self.files.end(fence);
        for placed in std::mem::take(&mut self.placed[fence]) {
            self.detach(placed);
        }
    }

    fn merge(&mut self, one: usize, other: usize) {
        self.files.merge(one, other);
    }

    fn export(&mut self, buffer: usize, flags: u32) -> Result<(), Refusal> {
        let access = access(flags).map_err(|_| self.refused(buffer, flags))?;
        let fences = self.pending(buffer, access);
        self.files.push(fences);
        Ok(())
    }

    fn import(&mut self, buffer: usize, flags: u32, file: usize) -> Result<(), Refusal> {
        let access = access(flags).map_err(|_| self.refused(buffer, flags))?;
        let mut made = Vec::new();
        for fence in self.files.of(file) {
            match self.attach(buffer, entry(fence, access)) {
                Ok(placed) => made.push((fence, placed)),
                Err(refusal) => {
                    for (_, placed) in &made {
                        working_set::withdraw(&[self.seat(placed)]).expect("the entry is still ours");
                    }
                    return Err(refusal);
                }
            }
        }
        made.into_iter().for_each(|(fence, placed)| self.placed[fence].push(placed));
        Ok(())
    }

    fn access(&mut self, buffer: usize, flags: u32) -> Result<bool, Refusal> {
        let access = access(flags).map_err(|_| self.refused(buffer, flags))?;
        let place = self.place(buffer, access).map_err(|error| errno(&error))?;
        match place.wait() {
            Ok(lease) => {
                lease.release().expect("release");
                Ok(true)
            }
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => panic!("{error}"),
        }
    }

    fn poll(&mut self, buffer: usize) -> (bool, bool) {
        let may = |access| {
            let may = !self.would_wait(buffer, access);
            let lease = try_acquire(&[(&self.surfaces[buffer], access, Region::WHOLE)]).expect("an answer");
            let is_full = || self.place(buffer, access).is_err_and(|error| errno(&error) == Refusal::Full);
            assert!(lease.is_some() == may || (may && is_full()), "try_acquire and would_wait for {access}");
            may
        };
        (may(Access::Read), may(Access::Write))
    }

    fn met(&self, buffer: usize, flags: u32) -> Met {
        let Ok(access) = access(flags) else { return Met { busy: false, contexts: 0, listed: 0 } };
        let mut found = self.pending(buffer, access);
        let listed = found.len();
        found.sort_unstable();
        found.dedup();
        Met { busy: self.would_wait(buffer, access), contexts: found.len(), listed }
    }

    fn held(&self, file: usize) -> Held {
        self.files.held(file)
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        // A panicking test has failed already, and its entries go with the process.
        if !std::thread::panicking() {
            self.reset();
        }
    }
}
