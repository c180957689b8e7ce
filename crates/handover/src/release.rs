//! Release: a lease goes back to the reservation. Dropping one does the same, without the chance to hear of trouble.

use handover_model::Stage;

use crate::error::Result;
use crate::lease::{Lease, Share};

impl Lease {
    /// Ends CPU access. The entries end too, unless a job still holds a share: then they end with the job.
    ///
    /// # Errors
    /// [`Kind::Spoiled`](crate::Kind::Spoiled): an entry was no longer ours, since somebody wrote over the control file.
    #[inline]
    pub fn release(self) -> Result<()> {
        Share::end_last(self.into_share()).map_err(|trouble| trouble.at(Stage::Release))
    }

    /// Ends CPU access and says that the content is no good: whoever waits for it is told ([`Lease::is_torn`]) and goes on.
    ///
    /// `errno`: why, as in `errno(3)`; it travels with the fence.
    pub fn release_failed(self, errno: u32) -> Result<()> {
        self.share().fail(errno);
        self.release()
    }
}
