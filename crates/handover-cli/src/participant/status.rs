//! A page in which a participant notes where it is, and which its parent can still read when it was killed.
//!
//! A sealed memfd of 16 bytes: byte 0 is the stage, bytes 8 to 15 are the frames done, little-endian. Written and read with
//! `pwrite` and `pread`, so that neither side maps what the other can change.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use handover::Stage;
use rustix::fs::{MemfdFlags, SealFlags};

const BYTES: usize = 16;

/// The parent's end.
#[derive(Debug)]
pub struct Page(File);

impl Page {
    /// A page that says "negotiate, no frame yet".
    pub fn new() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("handover-status", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&memory, BYTES as u64)?;
        rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self(memory.into()))
    }

    /// The stage and the number of frames done, as last noted.
    pub fn read(&self) -> (Stage, u64) {
        let mut bytes = [0; BYTES];
        // A page that cannot be read says what a new one says; it is a progress bar that depends on it.
        let _ = self.0.read_exact_at(&mut bytes, 0);
        let [stage, _, _, _, _, _, _, _, frames @ ..] = bytes;
        let stage = Stage::ALL.get(usize::from(stage)).copied().unwrap_or(Stage::Negotiate);
        (stage, u64::from_le_bytes(frames))
    }
}

impl AsFd for Page {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The participant's end.
#[derive(Debug)]
pub struct Notes {
    page: File,
    stage: Cell<Stage>,
    frames: Cell<u64>,
}

impl Notes {
    /// On the page that came with the job.
    pub fn on(page: OwnedFd) -> Self {
        Self { page: page.into(), stage: Cell::new(Stage::Negotiate), frames: Cell::new(0) }
    }

    /// Notes the stage that begins.
    pub fn stage(&self, stage: Stage) {
        if self.stage.replace(stage) != stage {
            self.write();
        }
    }

    /// Notes that so many frames are done.
    pub fn frames(&self, frames: u64) {
        self.frames.set(frames);
        self.write();
    }

    /// The stage last noted.
    pub fn current(&self) -> Stage {
        self.stage.get()
    }

    fn write(&self) {
        let stage = Stage::ALL.iter().position(|stage| *stage == self.stage.get()).unwrap_or_default();
        let mut bytes = [0; BYTES];
        let (head, tail) = bytes.split_at_mut(8);
        head.fill(0);
        if let Some(first) = head.first_mut() {
            *first = stage as u8;
        }
        tail.copy_from_slice(&self.frames.get().to_le_bytes());
        // The run does not depend on its notes.
        let _ = self.page.write_all_at(&bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Notes, Page};
    use handover::Stage;
    use std::os::fd::AsFd;

    #[test]
    fn every_stage_is_read_as_it_was_noted() {
        let page = Page::new().unwrap();
        assert_eq!(page.read(), (Stage::Negotiate, 0));
        let notes = Notes::on(page.as_fd().try_clone_to_owned().unwrap());
        for (frames, stage) in (1..).zip(Stage::ALL) {
            notes.stage(stage);
            notes.frames(frames);
            assert_eq!(page.read(), (stage, frames));
        }
    }
}
