//! Does a driver do implicit synchronisation: does it put the fences of its jobs into the buffers that they use?
//!
//! Not all do (rule U4): then every export of fences finds the buffer idle, and whoever relies on it shows old or half-drawn
//! frames. No capability tells; a buffer that was given to a job does.

use std::os::fd::BorrowedFd;

use handover_model::Stage;
use handover_sys::dma_buf::{self, Direction};
use handover_sys::sync_file;

use crate::error::{Error, Kind, Result, os};
use crate::kernel_fences::ENOTTY;

/// What a look at a buffer behind a submission showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Implicit {
    /// A fence that was not there before: the driver attaches.
    Attached,
    /// None. If the job was still running then, the driver attaches nothing: collect what it must wait for
    /// ([`collect`](crate::Acquire::collect)) and release the lease [after](crate::Lease::release_after) its fence, or wait for its end before the lease ends.
    NothingSeen,
}

/// Submits a job on an idle buffer and looks whether the buffer became busy by it.
///
/// A driver attaches before its submission returns, if at all, so one look behind `submit` will do. A job that is over by then
/// shows nothing either: give one that takes a millisecond.
///
/// # Errors
/// [`Kind::Invalid`]: the buffer was busy before, and a fence more would not show. Those of `submit`. [`Kind::Os`]: no dma-buf.
pub fn attaches_fences<T>(buffer: BorrowedFd<'_>, submit: impl FnOnce() -> Result<T>) -> Result<(T, Implicit)> {
    if is_busy(buffer)? {
        return Err(Error::new(Stage::Acquire, Kind::Invalid)
            .asked("whether a driver attaches fences")
            .found("a buffer with a fence that has not ended")
            .why("a fence more would not show")
            .help("a buffer that nobody uses"));
    }
    let submitted = submit()?;
    let seen = if is_busy(buffer)? { Implicit::Attached } else { Implicit::NothingSeen };
    Ok((submitted, seen))
}

/// Does anybody's work pend? By export where there is one, since a poll would keep the buffer until the work ends (C47).
fn is_busy(buffer: BorrowedFd<'_>) -> Result<bool> {
    let stage = Stage::Acquire;
    match dma_buf::export_sync_file(buffer, Direction::WRITE) {
        Ok(fences) => sync_file::status(&fences)
            .map(|status| status == sync_file::Status::Pending)
            .map_err(os(stage, "read the status of a sync_file")),
        // Also what no dma-buf answers; whether it is one must not be asked by polling, which any file answers.
        Err(error) if error.raw_os_error() == Some(ENOTTY) && dma_buf::is_dma_buf(buffer).unwrap_or(false) => {
            dma_buf::is_idle(buffer, Direction::WRITE)
                .map(|idle| !idle)
                .map_err(os(stage, "look for fences of a dma-buf"))
        }
        Err(error) => Err(os(stage, "export the fences of a dma-buf")(error)),
    }
}
