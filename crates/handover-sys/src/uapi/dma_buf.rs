//! `include/uapi/linux/dma-buf.h`: the CPU bracket, the name, and fences in and out of a buffer.

use crate::ioctl::Request;

/// `DMA_BUF_SYNC_READ`: the access reads.
pub const SYNC_READ: u32 = 1;
/// `DMA_BUF_SYNC_WRITE`: the access writes.
pub const SYNC_WRITE: u32 = 2;
/// `DMA_BUF_SYNC_START`: the access begins.
pub const SYNC_START: u32 = 0;
/// `DMA_BUF_SYNC_END`: the access ends.
pub const SYNC_END: u32 = 4;
/// `DMA_BUF_NAME_LEN`: the longest name, with its NUL, in bytes.
pub const NAME_LEN: usize = 32;

/// `struct dma_buf_sync`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// [`SYNC_READ`], [`SYNC_WRITE`] or both, with [`SYNC_START`] or [`SYNC_END`].
    pub flags: u64,
}

/// `struct dma_buf_export_sync_file`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportSyncFile {
    /// [`SYNC_READ`], [`SYNC_WRITE`] or both.
    pub flags: u32,
    /// Out: the sync_file.
    pub fd: i32,
}

/// `struct dma_buf_import_sync_file`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSyncFile {
    /// [`SYNC_READ`], [`SYNC_WRITE`] or both.
    pub flags: u32,
    /// The sync_file; it stays the caller's.
    pub fd: i32,
}

/// `DMA_BUF_IOCTL_SYNC`
pub const SYNC: Request<Sync> = Request::iow(b'b', 0);
/// `DMA_BUF_SET_NAME_A`: the number that 32-bit programs have; the argument is the text itself.
pub const SET_NAME_A: Request<[u8; NAME_LEN]> = Request::raw(0x4004_6201);
/// `DMA_BUF_SET_NAME_B`: the number that 64-bit programs have. Two numbers because the size of a pointer went into them;
/// the kernel takes either from anybody (since Linux 5.7).
pub const SET_NAME_B: Request<[u8; NAME_LEN]> = Request::raw(0x4008_6201);
/// `DMA_BUF_IOCTL_EXPORT_SYNC_FILE`
pub const EXPORT_SYNC_FILE: Request<ExportSyncFile> = Request::iowr(b'b', 2);
/// `DMA_BUF_IOCTL_IMPORT_SYNC_FILE`
pub const IMPORT_SYNC_FILE: Request<ImportSyncFile> = Request::iow(b'b', 3);
