//! The border between implicit and explicit: a fence out of a surface's reservation, and a fence into it.
//!
//! Both borrow. Together they are not one step: between an export and the import that follows, others may come and see nothing
//! (S16). What is ordered against peers without that gap is [`acquire`](crate::acquire()) and
//! [`Queue::submit`](crate::Queue::submit); where a message passes the surface on, only one side touches it between two messages,
//! and the gap does no harm.

use std::sync::Arc;

use handover_model::{Access, Region, Stage, reservation};
use handover_sys::dma_buf;

use super::entries::Entries;
use super::event::Listener;
use super::{Fence, Status};
use crate::acquire::{Wish, check, make_room, try_line_up};
use crate::backend::linux::SyncFile;
use crate::backend::software::reservation::Attach;
use crate::deadline::Deadline;
use crate::error::{Result, os};
use crate::kernel_fences::{Pending, direction};
use crate::surface::Surface;

impl Surface {
    /// What an access would wait for if it came now, as one fence (the kernel's `DMA_BUF_IOCTL_EXPORT_SYNC_FILE`): of who is in
    /// line in these cells, and of the kernel's reservation where the memory has one.
    ///
    /// A snapshot: who comes later is not in it, who ends meanwhile is (C42). Of an idle surface it has ended (C41).
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid): cells that the surface has not. [`Kind::Os`](crate::Kind::Os) from the kernel.
    pub fn export_fence(&self, access: Access, region: Region) -> Result<Fence> {
        self.check_region(region)?;
        let (usage, context) = (access.usage(), reservation::NO_CONTEXT);
        let wish = Attach { surface: self.0.index, usage, region, lease: false, context, seq: 0 };
        let entries = self.0.pool.reservation().snapshot(&wish);
        let mut fences = Vec::new();
        if !entries.is_empty() {
            fences.push(Fence::of_entries(Entries::new(Arc::clone(&self.0.pool), entries)));
        }
        if self.0.memory.is_dma_buf()
            && let Some(fence) = Pending::of(self.0.memory.file(), direction(usage))?
        {
            fences.push(fence.into_fence(Stage::Export)?);
        }
        Ok(Fence::union(&fences))
    }

    /// Puts a fence into the reservation as an access of these cells (the kernel's `DMA_BUF_IOCTL_IMPORT_SYNC_FILE`): whoever
    /// comes next and conflicts waits for it. It waits for nobody itself and is never refused for a conflict (C29); the fence
    /// stays the caller's (C32). What has ended changes nothing (C31). An error of the fence is told to who comes next.
    ///
    /// A fence of devices goes into the kernel's reservation of a dma-buf, where strangers find it too; anything else takes an
    /// entry among the surface's peers, until it ends.
    ///
    /// # Errors
    /// [`Kind::Full`](crate::Kind::Full) at the deadline. Those of [`acquire`](crate::acquire()).
    pub fn import_fence(&self, fence: &Fence, access: Access, region: Region, deadline: Deadline) -> Result<()> {
        let set: [Wish<'_>; 1] = [(self, access, region)];
        let mut parts = check(&set, false)?;
        if fence.status() != Status::Pending {
            return Ok(());
        }
        let of_devices = if self.0.memory.is_dma_buf() { fence.of_devices()? } else { None };
        // All of it is the kernel's, for the whole: peers find it there too.
        let all_of_it = region.is_whole() && fence.is_of_devices_alone();
        if let (Some(file), true) = (&of_devices, all_of_it) {
            return self.import_file(access, region, file);
        }
        // Before anything is attached: if nobody can look after it, nothing is.
        fence.watch()?;
        let place = match fence.leaves().as_slice() {
            [one] => (one.context(), one.seq()),
            _ => (fence.context(), fence.seq()),
        };
        let share = loop {
            match try_line_up(&mut parts, place) {
                Ok((share, _)) => break share,
                Err(refusal) => make_room(&parts, refusal, deadline, Stage::Release)?,
            }
        };
        if let Some(file) = of_devices {
            self.import_file(access, region, &file).inspect_err(|_| share.withdraw())?;
        }
        share.grant();
        share.leave_to_device();
        let this = fence.clone();
        fence.listen(Listener::new(move |result| {
            // It keeps itself until its end: the entry must not end before.
            let _this = this;
            if let Err(error) = result {
                share.fail(error.errno().and_then(|errno| u32::try_from(errno).ok()).unwrap_or(EIO));
            }
            drop(share);
        }));
        Ok(())
    }

    fn import_file(&self, access: Access, region: Region, file: &SyncFile) -> Result<()> {
        dma_buf::import_sync_file(self.0.memory.file(), direction(access.usage()), file)
            .map_err(os(Stage::Release, "import a fence into a dma-buf"))?;
        if !self.cells().is_empty() {
            self.0.pool.scoped.attached(self.0.index, access.usage(), region, file);
        }
        Ok(())
    }
}

/// "Input/output error", for fences that failed without an errno.
const EIO: u32 = 5;
