//! Fences of the kernel among the commands of OpenGL ES, and back.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd};

use handover::backend::linux::SyncFile;
use handover::{Deadline, Result, Stage};

use crate::display::Core;
use crate::egl::{self, Syncs};
use crate::error::refused;

/// `EGL_NO_NATIVE_FENCE_FD_ANDROID`: a fence of our own, or none.
const NO_FD: i32 = -1;

impl Core {
    /// What is drawn from here on waits for the fence: the device does where it can, else the CPU here. The fence stays the caller's.
    pub(crate) fn wait_for(&self, fence: &SyncFile, deadline: Deadline) -> Result<()> {
        self.gl()?;
        let Some(syncs) = &self.syncs else { return fence.wait(deadline) };
        let file = fence.try_clone()?.into_fd();
        let sync = self.sync(syncs, file.as_raw_fd(), "wait for a sync_file")?;
        // The driver owns the descriptor from here on.
        let _ = file.into_raw_fd();
        // SAFETY: the sync is one of this display, the context is current, and there are no flags.
        let waited = unsafe { (syncs.wait)(self.display(), sync, 0) };
        let error = (waited == 0).then(|| refused(Stage::Acquire, self.error(), "wait for a sync_file"));
        // SAFETY: the sync is ours; a wait that was issued keeps what it needs.
        unsafe { (syncs.destroy)(self.display(), sync) };
        error.map_or(Ok(()), Err)
    }

    /// Has the device begin, and gives the end of what was drawn so far. `None`: it has ended, the CPU waited for it here.
    pub(crate) fn end(&self) -> Result<Option<SyncFile>> {
        let gl = self.gl()?;
        let fence = self.syncs.as_ref().and_then(|syncs| self.fence(syncs, gl.flush));
        if fence.is_none() {
            // SAFETY: the context is current.
            unsafe { (gl.finish)() };
        }
        Ok(fence)
    }

    /// A driver that has the extension may still have no fence to give.
    fn fence(&self, syncs: &Syncs, flush: unsafe extern "C" fn()) -> Option<SyncFile> {
        let sync = self.sync(syncs, NO_FD, "make a fence").ok()?;
        // The kernel's fence is there once the commands are on their way.
        // SAFETY: a context is current.
        unsafe { flush() };
        // SAFETY: the sync is one of this display.
        let fd = unsafe { (syncs.duplicate_fd)(self.display(), sync) };
        // SAFETY: the sync is ours; the descriptor is a duplicate.
        unsafe { (syncs.destroy)(self.display(), sync) };
        if fd == NO_FD {
            return None;
        }
        // SAFETY: the call gave a new descriptor, which nobody else owns.
        SyncFile::new(unsafe { OwnedFd::from_raw_fd(fd) }).ok()
    }

    fn sync(&self, syncs: &Syncs, fd: i32, what: &'static str) -> Result<egl::Handle> {
        let list = [egl::SYNC_NATIVE_FENCE_FD_ANDROID, fd, egl::NONE];
        // SAFETY: the display is initialised, a context is current, the descriptor is an open sync_file or none, and the list has
        // its end.
        let sync = unsafe { (syncs.create)(self.display(), egl::SYNC_NATIVE_FENCE_ANDROID, list.as_ptr()) };
        if sync.is_null() { Err(refused(Stage::Acquire, self.error(), what)) } else { Ok(sync) }
    }
}
