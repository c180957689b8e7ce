//! Release: a lease goes back to the reservation. Dropping one does the same, without the chance to hear of trouble.

mod shares;

pub use shares::{Releases, Schedule, Share};

use handover_model::Stage;
use handover_sys::dma_buf;

use crate::backend::linux::SyncFile;
use crate::error::{Error, Kind, Result, os};
use crate::kernel_fences::{ENOTTY, direction};
use crate::lease::{self, Lease};

impl Lease {
    /// Ends CPU access. The entries end too, unless a job still holds a share: then they end with the job.
    ///
    /// # Errors
    /// [`Kind::Spoiled`](crate::Kind::Spoiled): an entry was no longer ours, since somebody wrote over the control file.
    /// [`Kind::DeviceLost`]: the entries ended, as failed.
    #[inline]
    pub fn release(self) -> Result<()> {
        let (entries, on_device) = lease::Share::end_on_device(self.into_share());
        entries.map_err(|trouble| trouble.at(Stage::Release)).and(on_device)
    }

    /// Releases the lease after a device's work: attaches its fence to the kernel's reservation of every surface, as WRITE where the
    /// lease writes, else as READ, then ends the entries. Whoever comes next finds the fence in the kernel, strangers too.
    ///
    /// Never refused for a conflict (C29), and `fence` stays open (C32).
    ///
    /// # Errors
    /// [`Unattached`] gives the lease back, since the work still runs: wait for the fence on the CPU, then release it.
    pub fn release_after(self, fence: &SyncFile) -> Result<(), Unattached> {
        match self.attach(fence) {
            // Trouble with the entries is the control file's; the kernel has the fence.
            Ok(()) => self.leave_to_device().release().or(Ok(())),
            Err(error) => Err(Unattached { lease: self, error }),
        }
    }

    fn attach(&self, fence: &SyncFile) -> Result<()> {
        let parts = self.share().parts();
        if let Some(part) = parts.iter().find(|part| !part.surface.0.memory.is_dma_buf()) {
            return Err(Error::new(Stage::Release, Kind::Unsupported)
                .asked("a device's fence on a lease")
                .found(format!("surface {}, which lives in a memfd", part.surface.index()))
                .why("only a dma-buf has a reservation that holds fences of devices")
                .help("allocate it from a backend of linux, or wait for the fence and release then"));
        }
        for part in parts {
            let into = part.surface.0.memory.file();
            dma_buf::import_sync_file(into, direction(part.wish.usage), fence).map_err(|error| {
                let unsupported = error.raw_os_error() == Some(ENOTTY);
                let error = os(Stage::Release, "import a fence into a dma-buf")(error);
                if unsupported {
                    error.help("a kernel from 6.0 on; here, wait for the fence and release then")
                } else {
                    error
                }
            })?;
            if !part.surface.cells().is_empty() {
                part.surface.0.pool.scoped.attached(part.wish.surface, part.wish.usage, part.wish.region, fence);
            }
        }
        Ok(())
    }

    /// Ends CPU access and says that the content is no good: whoever waits for it is told ([`Lease::is_torn`]) and goes on.
    ///
    /// `errno`: why, as in `errno(3)`; it travels with the fence.
    pub fn release_failed(self, errno: u32) -> Result<()> {
        self.share().fail(errno);
        self.release()
    }
}

/// A lease whose device's work has no fence in the kernel's reservation. Dropping it would let the next one start while the device
/// still works, so it does not turn into an [`Error`] by itself.
#[derive(Debug)]
#[must_use = "the device still works; wait for its fence, then release the lease"]
pub struct Unattached {
    /// The lease, as it was. Some of its surfaces may have the fence.
    pub lease: Lease,
    /// Why: [`Kind::Unsupported`] for a surface in a memfd, [`Kind::Os`] from the kernel.
    pub error: Error,
}

impl std::fmt::Display for Unattached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Unattached {}
