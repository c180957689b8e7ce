//! Release: a lease goes back to the reservation. Dropping one does the same, without the chance to hear of trouble.

use handover_model::Stage;
use handover_sys::dma_buf;

use crate::backend::linux::SyncFile;
use crate::error::{Error, Kind, Result, os};
use crate::lease::{Lease, Share};
use crate::waiting::{ENOTTY, direction};

impl Lease {
    /// Ends CPU access. The entries end too, unless a job still holds a share: then they end with the job.
    ///
    /// # Errors
    /// [`Kind::Spoiled`](crate::Kind::Spoiled): an entry was no longer ours, since somebody wrote over the control file.
    #[inline]
    pub fn release(self) -> Result<()> {
        Share::end_last(self.into_share()).map_err(|trouble| trouble.at(Stage::Release))
    }

    /// Attaches the end of a device's work to the reservation of every surface of this lease: as WRITE where the lease writes, else
    /// as READ. Release the lease after it; whoever comes next finds the fence in the kernel, strangers too.
    ///
    /// Never refused for a conflict (C29), and `fence` stays open (C32).
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: a surface of the lease has no reservation in the kernel, or the kernel takes no fences (before
    /// 6.0). Some surfaces may have the fence then. Wait for it on the CPU, and only then release the lease.
    pub fn attach(&self, fence: &SyncFile) -> Result<()> {
        let parts = self.share().parts();
        if let Some(part) = parts.iter().find(|part| !part.surface.0.memory.is_dma_buf()) {
            return Err(Error::new(Stage::Release, Kind::Unsupported)
                .asked("a device's fence on a lease")
                .found(format!("surface {}, which lives in a memfd", part.surface.index()))
                .why("only a dma-buf has a reservation that holds fences of devices")
                .help("allocate it from a backend of linux, or wait for the fence and release then"));
        }
        for part in parts {
            dma_buf::import_sync_file(part.surface.0.memory.file(), direction(part.wish.usage), fence).map_err(
                |error| {
                    let unsupported = error.raw_os_error() == Some(ENOTTY);
                    let error = os(Stage::Release, "import a fence into a dma-buf")(error);
                    if unsupported {
                        error.help("a kernel from 6.0 on; here, wait for the fence and release then")
                    } else {
                        error
                    }
                },
            )?;
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
