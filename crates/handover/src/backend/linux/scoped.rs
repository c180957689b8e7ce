//! Regions of fences in the kernel: which of them this process attached, and for which cells.
//!
//! # Contract
//!
//! The kernel has one reservation a buffer and gives out one union. Who asks it for a region would wait for all. So this process
//! remembers the fences that it attached itself for some cells, and whoever in it acquires other cells of that surface leaves them
//! out, **if nothing else pends**: `K`, what the kernel gave, must hold no fence but those. That is asked of the kernel: `K` merged
//! with all that is known has as many fences as what is known alone. A stranger's fence would be one more.
//!
//! A fence that is attached twice counts for the cells of both. Whoever else attaches one of ours for other cells than we did says
//! nothing new: what the work touches, we know.
//!
//! Merging keeps the latest fence of a context. So a stranger's fence that shares a context with one of ours would hide in it, and the
//! answer only counts for drivers whose fences have each a context of its own: [`PRIVATE_CONTEXTS`]. Fences of any other
//! driver are waited for as the union. So is everything that another process attached: strangers to the kernel are strangers
//! here, and the region that they meant is in their own memory. Nobody is less safe than with the union, nobody slower.

use std::sync::Mutex;

use handover_model::{Region, Usage, reservation};
use handover_sys::sync_file;

use super::SyncFile;
use crate::error::Result;
use crate::surface::lock;

/// Drivers of which no two fences share a context, so that none of a stranger's can hide behind one of ours when they are merged.
///
/// vgem: `dma_fence_init(…, dma_fence_context_alloc(1), 1)` for each fence (Linux 6.12, `drivers/gpu/drm/vgem/vgem_fence.c`).
/// Schedulers of real drivers have a context a ring, which jobs that we do not know of share.
const PRIVATE_CONTEXTS: [&str; 1] = ["vgem"];

/// The fences that this process attached to the surfaces of one pool for some cells.
#[derive(Debug, Default)]
pub(crate) struct Scoped(Mutex<Vec<Known>>);

#[derive(Debug)]
struct Known {
    surface: u32,
    usage: Usage,
    region: Region,
    fence: SyncFile,
}

impl Scoped {
    /// Remembers a fence that was attached to a surface with cells, if it can be told from others. Where there is no descriptor left it is forgotten, and so waited for by all.
    pub(crate) fn attached(&self, surface: u32, usage: Usage, region: Region, fence: &SyncFile) {
        let mut all = lock(&self.0);
        all.retain(|known| known.fence.is_pending());
        let private = |fence: &sync_file::Fence| PRIVATE_CONTEXTS.contains(&fence.driver.as_str());
        let is_private = fence.info().is_ok_and(|info| info.fences.iter().all(private));
        match fence.try_clone() {
            Ok(fence) if is_private => all.push(Known { surface, usage, region, fence }),
            // It may hold one of those that are known for some cells, attached for others now.
            _ => all.retain(|known| known.surface != surface),
        }
    }

    /// What an access of a region has to wait for, where the kernel gave `all`: less, if all of it is known here; `None` of
    /// nothing.
    pub(crate) fn narrow(&self, surface: u32, mine: (Usage, Region), all: SyncFile) -> Option<SyncFile> {
        match self.some_of(surface, mine, &all) {
            Ok(Some(some)) => some,
            // What cannot be found out is waited for.
            Ok(None) | Err(_) => Some(all),
        }
    }

    /// `None`: all of it must be waited for.
    fn some_of(&self, surface: u32, mine: (Usage, Region), all: &SyncFile) -> Result<Option<Option<SyncFile>>> {
        let (mut mine_too, mut everything): (Vec<SyncFile>, Vec<SyncFile>) = (Vec::new(), Vec::new());
        for known in lock(&self.0).iter().filter(|known| known.surface == surface) {
            everything.push(known.fence.try_clone()?);
            if reservation::waits_for(mine, (known.usage, known.region)) {
                mine_too.push(known.fence.try_clone()?);
            }
        }
        if mine_too.len() == everything.len() {
            return Ok(None);
        }
        let Some(known) = SyncFile::union(everything)? else { return Ok(None) };
        // With the stranger's first: a fence that ends between the two makes the second smaller, and never the first.
        let both = all.merge(&known)?;
        let known = known.merge(&known)?;
        let nothing_else = both.count()? == known.count()? && known.is_pending();
        if nothing_else { SyncFile::union(mine_too).map(Some) } else { Ok(None) }
    }

    /// Is there anything to be left out?
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}
