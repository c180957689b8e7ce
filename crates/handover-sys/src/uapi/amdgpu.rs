//! `include/uapi/drm/amdgpu_drm.h`: buffers of the amdgpu driver, their metadata, and what the device is.
//!
//! Where the header has a union, the struct here has the fields of one member; the others are read from its bytes.

use super::drm::GROUP;
use crate::ioctl::Request;

/// `DRM_COMMAND_BASE` of `drm.h`: a driver's own requests begin here.
const COMMAND_BASE: u8 = 0x40;

/// `union drm_amdgpu_gem_create`, its member `in`. Out: the handle lies in the first four bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemCreate {
    /// Bytes.
    pub bo_size: u64,
    /// Bytes.
    pub alignment: u64,
    /// `AMDGPU_GEM_DOMAIN_*`.
    pub domains: u64,
    /// `AMDGPU_GEM_CREATE_*`.
    pub domain_flags: u64,
}

/// `union drm_amdgpu_gem_mmap`, its member `in`. Out: all eight bytes are the offset that `mmap` takes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemMmap {
    /// In.
    pub handle: u32,
    /// Zero.
    pub pad: u32,
}

/// The struct `data` inside `struct drm_amdgpu_gem_metadata`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataData {
    /// None are defined.
    pub flags: u64,
    /// The tiling word.
    pub tiling_info: u64,
    /// Bytes of the block, at most 256.
    pub data_size_bytes: u32,
    /// The block.
    pub data: [u32; 64],
    /// Zero. The header leaves it to the compiler; named here, or bytes of our stack would go to the kernel.
    pub pad: u32,
}

/// `struct drm_amdgpu_gem_metadata`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GemMetadata {
    /// In.
    pub handle: u32,
    /// [`METADATA_SET`] or [`METADATA_GET`].
    pub op: u32,
    /// In or out.
    pub data: MetadataData,
}

/// `struct drm_amdgpu_gem_op`. Linux 6.18 has two more fields behind these, for an operation that is not used here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GemOp {
    /// In.
    pub handle: u32,
    /// [`GEM_OP_GET_CREATE_INFO`].
    pub op: u32,
    /// The address of a [`GemCreate`] to be filled in.
    pub value: u64,
}

/// `struct drm_amdgpu_info`, its union as four words: see [`INFO_HW_IP`] and [`INFO_READ_MMR_REG`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Address of the answer.
    pub return_pointer: u64,
    /// Bytes of room there.
    pub return_size: u32,
    /// `AMDGPU_INFO_*`.
    pub query: u32,
    /// What the query asks for.
    pub argument: [u32; 4],
}

/// `struct drm_amdgpu_info_hw_ip`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoHwIp {
    /// Version of the block.
    pub hw_ip_version_major: u32,
    /// And its second part.
    pub hw_ip_version_minor: u32,
    /// Capabilities.
    pub capabilities_flags: u64,
    /// Bytes.
    pub ib_start_alignment: u32,
    /// Bytes.
    pub ib_size_alignment: u32,
    /// Bit n: ring n can be used.
    pub available_rings: u32,
    /// In newer headers `ip_discovery_version`.
    pub pad: u32,
}

/// The beginning of `struct drm_amdgpu_info_device`, which grows at its end. Older kernels write less of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoDevice {
    /// PCI device id.
    pub device_id: u32,
    /// Revision of the chip.
    pub chip_rev: u32,
    /// Picks the chip inside its family.
    pub external_rev: u32,
    /// PCI revision.
    pub pci_rev: u32,
    /// `AMDGPU_FAMILY_*`.
    pub family: u32,
    /// Count.
    pub num_shader_engines: u32,
    /// Count, in each engine.
    pub num_shader_arrays_per_engine: u32,
    /// kHz.
    pub gpu_counter_freq: u32,
    /// kHz.
    pub max_engine_clock: u64,
    /// kHz.
    pub max_memory_clock: u64,
    /// Count.
    pub cu_active_number: u32,
    /// Not valid.
    pub cu_ao_mask: u32,
    /// Compute units by engine and array.
    pub cu_bitmap: [[u32; 4]; 4],
    /// Bit n: render backend n is there.
    pub enabled_rb_pipes_mask: u32,
    /// Count.
    pub num_rb_pipes: u32,
    /// Count.
    pub num_hw_gfx_contexts: u32,
    /// In newer headers `pcie_gen`.
    pub pad: u32,
    /// `AMDGPU_IDS_FLAGS_*`.
    pub ids_flags: u64,
    /// First virtual address.
    pub virtual_address_offset: u64,
    /// Last virtual address.
    pub virtual_address_max: u64,
    /// Bytes.
    pub virtual_address_alignment: u32,
    /// Bytes.
    pub pte_fragment_size: u32,
    /// Bytes.
    pub gart_page_size: u32,
    /// Bytes.
    pub ce_ram_size: u32,
    /// `AMDGPU_VRAM_TYPE_*`.
    pub vram_type: u32,
    /// Bits.
    pub vram_bit_width: u32,
}

/// `AMDGPU_GEM_METADATA_OP_SET_METADATA`
pub const METADATA_SET: u32 = 1;
/// `AMDGPU_GEM_METADATA_OP_GET_METADATA`
pub const METADATA_GET: u32 = 2;
/// `AMDGPU_GEM_OP_GET_GEM_CREATE_INFO`
pub const GEM_OP_GET_CREATE_INFO: u32 = 0;
/// `AMDGPU_INFO_HW_IP_INFO`. Argument: type, instance.
pub const INFO_HW_IP: u32 = 0x02;
/// `AMDGPU_INFO_READ_MMR_REG`. Argument: offset in 32-bit words, count, instance, flags.
pub const INFO_READ_MMR_REG: u32 = 0x15;
/// `AMDGPU_INFO_DEV_INFO`
pub const INFO_DEV: u32 = 0x16;

/// `DRM_IOCTL_AMDGPU_GEM_CREATE`
pub const GEM_CREATE: Request<GemCreate> = Request::iowr(GROUP, COMMAND_BASE);
/// `DRM_IOCTL_AMDGPU_GEM_MMAP`
pub const GEM_MMAP: Request<GemMmap> = Request::iowr(GROUP, COMMAND_BASE + 0x01);
/// `DRM_IOCTL_AMDGPU_INFO`
pub const INFO: Request<Info> = Request::iow(GROUP, COMMAND_BASE + 0x05);
/// `DRM_IOCTL_AMDGPU_GEM_METADATA`
pub const GEM_METADATA: Request<GemMetadata> = Request::iowr(GROUP, COMMAND_BASE + 0x06);
/// `DRM_IOCTL_AMDGPU_GEM_OP`
pub const GEM_OP: Request<GemOp> = Request::iowr(GROUP, COMMAND_BASE + 0x10);
