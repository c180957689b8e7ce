//! The amdgpu driver's own calls: buffers, the metadata that the kernel keeps with each of them, and what the device is.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::Gem;
use super::driver::Witness;
use crate::ioctl::{self, Retry, address_mut};
use crate::uapi::amdgpu::{self, GemCreate, GemMetadata, GemMmap, GemOp, Info, InfoHwIp, MetadataData};

pub use crate::uapi::amdgpu::InfoDevice;

/// What the driver calls itself.
const DRIVER: &str = "amdgpu";

/// As many bytes as the block has at most.
pub const BLOCK_MAX: usize = 256;

/// As many registers as one call reads at most.
pub const REGISTERS_MAX: usize = 128;

bitflags::bitflags! {
    /// Where a buffer may lie (`AMDGPU_GEM_DOMAIN_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Domains: u64 {
        /// Memory of the system that the device does not see.
        const CPU = 0x1;
        /// Memory of the system that the device sees.
        const GTT = 0x2;
        /// Memory of the device.
        const VRAM = 0x4;
        /// On the chip.
        const GDS = 0x8;
        /// On the chip.
        const GWS = 0x10;
        /// On the chip.
        const OA = 0x20;
    }

    /// How a buffer is to be made (`AMDGPU_GEM_CREATE_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct CreateFlags: u64 {
        /// The processor will read or write it.
        const CPU_ACCESS_REQUIRED = 1 << 0;
        /// The processor never will.
        const NO_CPU_ACCESS = 1 << 1;
        /// Write-combined in GTT.
        const CPU_GTT_USWC = 1 << 2;
        /// Zeroed. The kernel does that in any case.
        const VRAM_CLEARED = 1 << 3;
        /// In one piece.
        const VRAM_CONTIGUOUS = 1 << 5;
        /// Always in the page table of this process. Cannot be exported.
        const VM_ALWAYS_VALID = 1 << 6;
        /// The driver neither waits for nor adds implicit fences.
        const EXPLICIT_SYNC = 1 << 7;
        /// Wiped when it is given back.
        const VRAM_WIPE_ON_RELEASE = 1 << 9;
        /// In the trusted zone.
        const ENCRYPTED = 1 << 10;
        /// Content may be lost when memory is short.
        const DISCARDABLE = 1 << 12;
        /// Coherent over the links between devices.
        const COHERENT = 1 << 13;
        /// Not cached by the device.
        const UNCACHED = 1 << 14;
        /// Compressed, on GFX12.
        const GFX12_DCC = 1 << 16;
    }
}

/// What a buffer was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateInfo {
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub alignment: u64,
    /// Where it is to lie: the preferred domains.
    pub domains: Domains,
    /// All flags of the buffer, those that the kernel added and those unknown here too.
    pub flags: CreateFlags,
}

/// The metadata that the kernel keeps with a buffer: a word and a block, both opaque to this crate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// None are defined.
    pub flags: u64,
    /// The 64-bit tiling word. Its layout depends on the generation of the device that owns the buffer.
    pub tiling: u64,
    length: usize,
    data: [u8; BLOCK_MAX],
}

impl Metadata {
    /// A word and a block; `None` where the block is longer than [`BLOCK_MAX`].
    #[must_use]
    pub fn new(flags: u64, tiling: u64, block: &[u8]) -> Option<Self> {
        let mut data = [0; BLOCK_MAX];
        data.get_mut(..block.len())?.copy_from_slice(block);
        Some(Self { flags, tiling, length: block.len(), data })
    }

    /// The block, 0 to [`BLOCK_MAX`] bytes.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        self.data.get(..self.length).unwrap_or_default()
    }
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Metadata");
        shown.field("flags", &self.flags).field("tiling", &self.tiling).field("block", &self.block()).finish()
    }
}

/// An open file of the driver amdgpu, of a card or a render node: what the calls here take, for on a file of another driver their
/// numbers mean other structs, some with addresses that the kernel would write to.
#[derive(Clone, Debug)]
pub struct File<'fd>(Witness<'fd>);

impl<'fd> File<'fd> {
    /// Asks an open file for its driver. Made once and kept, it costs the calls nothing.
    ///
    /// Call: `DRM_IOCTL_VERSION`. Permission: the open node, of either kind. May block: no. Retries: none. Errors: `ENODEV` (of
    /// another driver), `ENOTTY` (not a DRM node).
    pub fn of(fd: &'fd impl AsFd) -> io::Result<Self> {
        Witness::borrowed(fd, DRIVER).map(Self)
    }
}

impl File<'static> {
    /// The same, of a file that the witness keeps open.
    ///
    /// Call, permission, blocking, retries, errors: as [`of`](File::of).
    pub fn shared(file: Arc<OwnedFd>) -> io::Result<Self> {
        Witness::shared(file, DRIVER).map(Self)
    }
}

impl AsFd for File<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes a buffer of `size` bytes, zeroed.
///
/// Call: `DRM_IOCTL_AMDGPU_GEM_CREATE`. Node: of either kind. Permission: none. May block: while memory is found.
/// Since: 4.2. Retries: none; `EINTR` and `EAGAIN` are repeated. Errors: `EINVAL` (a domain or flag that this kernel does not take,
/// `ENCRYPTED` without a trusted zone), `ENOMEM`.
pub fn gem_create(file: &File<'_>, size: u64, alignment: u64, domains: Domains, flags: CreateFlags) -> io::Result<Gem> {
    let mut create = GemCreate { bo_size: size, alignment, domains: domains.bits(), domain_flags: flags.bits() };
    // SAFETY: `union drm_amdgpu_gem_create`, which amdgpu takes under this number, holds no address.
    unsafe { ioctl::call(file, &amdgpu::GEM_CREATE, &mut create, Retry::Drm) }?;
    // The answer overlays the question: its u32 `handle` begins where `bo_size` did.
    let [a, b, c, d, ..] = create.bo_size.to_ne_bytes();
    Ok(Gem(u32::from_ne_bytes([a, b, c, d])))
}

/// What the buffer was made with.
///
/// Call: `DRM_IOCTL_AMDGPU_GEM_OP` (`GET_GEM_CREATE_INFO`). Node: as [`gem_create`]. Permission: none. May block: while somebody holds
/// the reservation. Since: 4.2. Retries: none; `EINTR` is repeated. Errors: `ENOENT` (no such handle).
pub fn create_info(file: &File<'_>, gem: Gem) -> io::Result<CreateInfo> {
    let mut info = GemCreate::default();
    let value = address_mut(std::slice::from_mut(&mut info));
    let mut operation = GemOp { handle: gem.0, op: amdgpu::GEM_OP_GET_CREATE_INFO, value };
    // SAFETY: amdgpu writes one `drm_amdgpu_gem_create_in` at `value`, which is `info`, borrowed mutably just now and not
    // touched before the call returns. Other operations do not take an address, and none of them is asked for.
    unsafe { ioctl::call(file, &amdgpu::GEM_OP, &mut operation, Retry::Drm) }?;
    Ok(CreateInfo {
        size: info.bo_size,
        alignment: info.alignment,
        domains: Domains::from_bits_retain(info.domains),
        flags: CreateFlags::from_bits_retain(info.domain_flags),
    })
}

/// Sets word and block of the buffer, for every process that holds it on this device. The last one to set wins.
///
/// An empty block leaves the stored `flags` as they were. Where `ENOMEM` comes, the word has been changed already.
///
/// Call: `DRM_IOCTL_AMDGPU_GEM_METADATA` (set). Node: as [`gem_create`]. Permission: none. May block: while somebody holds the
/// reservation. Since: 4.2. Retries: none; `EINTR` is repeated. Errors: `ENOENT` (no such handle), `EINVAL` (a word that GFX6 to
/// GFX8 cannot have), `ENOMEM`.
pub fn set_metadata(file: &File<'_>, gem: Gem, metadata: &Metadata) -> io::Result<()> {
    let mut request = metadata_request(gem, amdgpu::METADATA_SET);
    request.data.flags = metadata.flags;
    request.data.tiling_info = metadata.tiling;
    request.data.data_size_bytes = u32::try_from(metadata.length).map_err(|_| Errno::INVAL)?;
    for (word, bytes) in request.data.data.iter_mut().zip(metadata.data.as_chunks().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    // SAFETY: `struct drm_amdgpu_gem_metadata`, which amdgpu takes under this number, holds no address.
    unsafe { ioctl::call(file, &amdgpu::GEM_METADATA, &mut request, Retry::Drm) }?;
    Ok(())
}

/// The word and the block of the buffer. A buffer whose metadata was never set has 0 and nothing, and so has one that was imported
/// from another device.
///
/// Call: `DRM_IOCTL_AMDGPU_GEM_METADATA` (get). Node, permission, blocking, retries: as [`set_metadata`]. Errors: `ENOENT` (no such
/// handle), `EOVERFLOW` (the kernel told of more bytes than a block has).
pub fn metadata(file: &File<'_>, gem: Gem) -> io::Result<Metadata> {
    // Zeroed, for the kernel leaves the bytes behind the block as they came.
    let mut request = metadata_request(gem, amdgpu::METADATA_GET);
    // SAFETY: `struct drm_amdgpu_gem_metadata`, which amdgpu takes under this number, holds no address.
    unsafe { ioctl::call(file, &amdgpu::GEM_METADATA, &mut request, Retry::Drm) }?;
    let mut data = [0; BLOCK_MAX];
    for (bytes, word) in data.as_chunks_mut().0.iter_mut().zip(request.data.data) {
        *bytes = word.to_ne_bytes();
    }
    let length = usize::try_from(request.data.data_size_bytes).map_err(|_| Errno::OVERFLOW)?;
    let block = data.get(..length).ok_or(Errno::OVERFLOW)?;
    Metadata::new(request.data.flags, request.data.tiling_info, block).ok_or_else(|| Errno::OVERFLOW.into())
}

/// The offset under which [`Mapping::new_at`](crate::map::Mapping::new_at) of the same open file finds the buffer.
///
/// Call: `DRM_IOCTL_AMDGPU_GEM_MMAP`. Node: as [`gem_create`]. Permission: none. May block: no. Since: 4.2. Retries: none.
/// Errors: `ENOENT` (no such handle), `EPERM` (made without access for the processor).
pub fn map_offset(file: &File<'_>, gem: Gem) -> io::Result<u64> {
    let mut map = GemMmap { handle: gem.0, pad: 0 };
    // SAFETY: `union drm_amdgpu_gem_mmap`, which amdgpu takes under this number, holds no address; what comes back is an offset.
    unsafe { ioctl::call(file, &amdgpu::GEM_MMAP, &mut map, Retry::Drm) }?;
    // The answer overlays the question: one u64 over both fields.
    let ([a, b, c, d], [e, f, g, h]) = (map.handle.to_ne_bytes(), map.pad.to_ne_bytes());
    Ok(u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
}

/// What the device is. An older kernel fills in less; what it does not know is 0.
///
/// Call: `DRM_IOCTL_AMDGPU_INFO` (`DEV_INFO`). Node: as [`gem_create`]. Permission: none. May block: no. Since: 4.2. Retries: none.
pub fn device(file: &File<'_>) -> io::Result<InfoDevice> {
    let mut device = InfoDevice::default();
    info(file, amdgpu::INFO_DEV, [0; 4], std::slice::from_mut(&mut device))?;
    Ok(device)
}

/// The version (major, minor) of a kind of engine: 0 is graphics, whose version is the GFX level; 1 is compute.
///
/// Call: `DRM_IOCTL_AMDGPU_INFO` (`HW_IP_INFO`). Node, permission: as [`device`]. May block: no. Since: 4.2. Retries: none.
/// Errors: `EINVAL` (no such kind).
pub fn engine_version(file: &File<'_>, kind: u32, instance: u32) -> io::Result<(u32, u32)> {
    let mut engine = InfoHwIp::default();
    info(file, amdgpu::INFO_HW_IP, [kind, instance, 0, 0], std::slice::from_mut(&mut engine))?;
    Ok((engine.hw_ip_version_major, engine.hw_ip_version_minor))
}

/// Reads registers of the few that the kernel shows, from `offset` (in 32-bit words): `GB_ADDR_CONFIG` is at 0x263e.
/// `instance` is 0xffffffff for all.
///
/// Call: `DRM_IOCTL_AMDGPU_INFO` (`READ_MMR_REG`). Node, permission: as [`device`]. May block: while the device wakes up. Since: 4.2.
/// Retries: none. Errors: `EFAULT` (not one of the few), `ENOENT` (the device is being reset), `EINVAL` (more than
/// [`REGISTERS_MAX`], without a call).
pub fn read_registers(file: &File<'_>, offset: u32, instance: u32, registers: &mut [u32]) -> io::Result<()> {
    if registers.len() > REGISTERS_MAX {
        return Err(Errno::INVAL.into());
    }
    let count = u32::try_from(registers.len()).map_err(|_| Errno::INVAL)?;
    info(file, amdgpu::INFO_READ_MMR_REG, [offset, count, instance, 0], registers)
}

/// Types of which every pattern of bytes is a value, for the kernel to write.
trait Answer: Copy {}
impl Answer for u32 {}
impl Answer for InfoDevice {}
impl Answer for InfoHwIp {}

fn info<T: Answer>(file: &File<'_>, query: u32, argument: [u32; 4], answer: &mut [T]) -> io::Result<()> {
    let return_size = u32::try_from(size_of_val(answer)).map_err(|_| Errno::INVAL)?;
    let return_pointer = address_mut(answer);
    let mut info = Info { return_pointer, return_size, query, argument };
    // SAFETY: amdgpu writes at most `return_size` bytes at the address, which are those of `answer`, borrowed mutably; by the
    // contract of `Answer` any bytes are values there. No query used here makes it follow another address.
    unsafe { ioctl::call(file, &amdgpu::INFO, &mut info, Retry::Drm) }?;
    Ok(())
}

fn metadata_request(gem: Gem, op: u32) -> GemMetadata {
    let data = MetadataData { flags: 0, tiling_info: 0, data_size_bytes: 0, data: [0; BLOCK_MAX / 4], pad: 0 };
    GemMetadata { handle: gem.0, op, data }
}
