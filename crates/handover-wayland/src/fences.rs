//! Fences of the kernel on their way into the reservation of a surface's memory, and out of it.

use handover::backend::linux::SyncFile;
use handover::backend::linux::sync_file::Status;
use handover::{Error, Kind, Result, Stage, Surface};
use handover_sys::dma_buf::{self, Direction};

/// "Inappropriate ioctl": a kernel before 6.0 has no such call.
const ENOTTY: i32 = 25;

/// Puts a fence into the reservation. `false`: this kernel cannot, and the fence must be waited for instead.
pub(crate) fn attach(surface: &Surface, fence: &SyncFile, direction: Direction) -> Result<bool> {
    match dma_buf::import_sync_file(surface.pixels_fd(), direction, fence) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(ENOTTY) => Ok(false),
        Err(error) => Err(refused("to import a fence into a dma-buf", &error)),
    }
}

/// What pends on the memory, read or write. `None`: nothing, or a kernel that does not say.
pub(crate) fn pending(surface: &Surface) -> Result<Option<SyncFile>> {
    let fence = match dma_buf::export_sync_file(surface.pixels_fd(), Direction::WRITE) {
        Ok(fence) => SyncFile::new(fence)?,
        Err(error) if error.raw_os_error() == Some(ENOTTY) => return Ok(None),
        Err(error) => return Err(refused("to export the fences of a dma-buf", &error)),
    };
    Ok((fence.status()? == Status::Pending).then_some(fence))
}

fn refused(asked: &'static str, error: &std::io::Error) -> Error {
    let refused = Error::new(Stage::Release, Kind::Os).asked(asked).found(error.to_string());
    error.raw_os_error().map_or(refused.clone(), |errno| refused.with_errno(errno))
}
