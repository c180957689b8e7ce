//! The compute driver of AMD: what it tells of a dma-buf that any amdgpu device exported.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::ioctl::{self, Retry};
use crate::uapi::kfd::{self, GetDmabufInfo};

/// The node.
pub const PATH: &str = "/dev/kfd";

/// What an amdgpu device has stored with a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmaBufInfo {
    /// Bytes of the buffer.
    pub size: u64,
    /// The exporting device, as KFD numbers them (`/sys/class/kfd/kfd/topology/nodes/N/gpu_id`).
    pub gpu: u32,
    /// `KFD_IOC_ALLOC_MEM_FLAGS_*`: 1 for memory of the device, 2 for memory of the system.
    pub flags: u32,
    /// The metadata block. The tiling word is not told this way.
    pub metadata: Vec<u8>,
}

/// Opens the node.
///
/// Call: `open("/dev/kfd")`. Permission: the node's, often group `render`. May block: no. Retries: none. Errors: `ENOENT` (no such
/// driver), `EACCES`.
pub fn open() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::io::retry_on_intr(|| rustix::fs::open(PATH, flags, Mode::empty()))?)
}

/// What is stored with the buffer behind a dma-buf.
///
/// Call: `AMDKFD_IOC_GET_DMABUF_INFO`, again where the block is longer than 256 bytes. Node: `/dev/kfd`. Permission: none besides.
/// May block: no. Since: 4.19. Retries: none; `EINTR` is repeated. Errors: `EINVAL` (not of an amdgpu device, or neither in its
/// memory nor in the system's).
pub fn dma_buf_info(kfd: impl AsFd, dma_buf: impl AsFd) -> io::Result<DmaBufInfo> {
    let (kfd, dma_buf) = (kfd.as_fd(), dma_buf.as_fd());
    let mut metadata = vec![0; 256];
    loop {
        let room = u32::try_from(metadata.len()).map_err(|_| rustix::io::Errno::OVERFLOW)?;
        let mut info = GetDmabufInfo {
            metadata_ptr: ioctl::address_mut(&mut metadata),
            metadata_size: room,
            // Not negative: a borrowed descriptor is open.
            dmabuf_fd: dma_buf.as_raw_fd() as u32,
            ..GetDmabufInfo::default()
        };
        // SAFETY: the kernel writes at most `metadata_size` bytes at the address, which are those of `metadata`, borrowed mutably
        // just now and not touched before the call returns.
        let result = unsafe { ioctl::call(kfd, &kfd::GET_DMABUF_INFO, &mut info, Retry::Interrupted) };
        match result {
            Ok(_) => {
                metadata.truncate(info.metadata_size as usize);
                return Ok(DmaBufInfo { size: info.size, gpu: info.gpu_id, flags: info.flags, metadata });
            }
            // Too little room is the one refusal that tells a size.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && info.metadata_size > room => {
                metadata.resize(info.metadata_size as usize, 0);
            }
            Err(error) => return Err(error),
        }
    }
}
