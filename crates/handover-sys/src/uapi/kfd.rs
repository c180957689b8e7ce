//! `include/uapi/linux/kfd_ioctl.h`: what the compute driver of AMD tells of a dma-buf.

use crate::ioctl::Request;

/// `struct kfd_ioctl_get_dmabuf_info_args`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetDmabufInfo {
    /// Out: bytes of the buffer.
    pub size: u64,
    /// In: address of the block.
    pub metadata_ptr: u64,
    /// In: room. Out: bytes of the block, also where the room was too small.
    pub metadata_size: u32,
    /// Out: the exporting device, as KFD numbers them.
    pub gpu_id: u32,
    /// Out: `KFD_IOC_ALLOC_MEM_FLAGS_*`.
    pub flags: u32,
    /// In.
    pub dmabuf_fd: u32,
}

/// `AMDKFD_IOC_GET_DMABUF_INFO`
pub const GET_DMABUF_INFO: Request<GetDmabufInfo> = Request::iowr(b'K', 0x1c);
