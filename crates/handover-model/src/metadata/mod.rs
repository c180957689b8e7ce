//! What every allocation carries: a word of 8 bytes, and a block of 256 bytes headed by the device that defines the rest.
//!
//! Generic code stores, moves and compares metadata and never looks inside. A consumer reads the [`Header`] and picks the
//! decoder of the producer's device, or refuses.
//!
//! Sizes, set and get follow `DRM_AMDGPU_GEM_METADATA` (Linux, `include/uapi/drm/amdgpu_drm.h`), except that here the bytes
//! past the stored length always read as zero.

pub mod amdgpu;
pub mod blocks;
pub mod field;
pub mod registry;
pub mod words;

use alloc::format;
use core::fmt;

use crate::{Error, Kind, Result, Stage};

/// Size of a block in bytes: 64 words of 32 bits.
pub const BLOCK_BYTES: usize = 256;

/// Vendor of the simulated devices, "handover simulated". The PCI-SIG assigns no such number to anybody.
pub const SIM_VENDOR: u16 = 0xf0f0;
/// PCI ID of the simulated device `plain`, which only knows linear layouts.
pub const SIM_PLAIN: u16 = 0x0001;
/// PCI ID of the simulated device `blocks`, see [`blocks`].
pub const SIM_BLOCKS: u16 = 0x0002;

/// The tiling word: 64 bits whose meaning the producer's device defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Word(pub u64);

/// Up to 256 bytes of metadata. Bytes past the length are zero.
///
/// ```
/// use handover_model::Block;
/// let block = Block::new(&[1, 2, 3])?;
/// assert_eq!((block.len(), block.as_bytes()[2], block.as_bytes()[3]), (3, 3, 0));
/// assert!(Block::new(&[0; 257]).is_err());
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    bytes: [u8; BLOCK_BYTES],
    len: u16,
}

impl Block {
    /// No metadata. Setting it clears what was there.
    pub const EMPTY: Self = Self { bytes: [0; BLOCK_BYTES], len: 0 };

    /// A block of these bytes.
    ///
    /// # Errors
    /// `Invalid` for more than 256 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let mut block = Self::EMPTY;
        match (block.bytes.get_mut(..bytes.len()), u16::try_from(bytes.len())) {
            (Some(head), Ok(len)) => {
                head.copy_from_slice(bytes);
                block.len = len;
                Ok(block)
            }
            _ => Err(Error::new(Stage::Allocate, Kind::Invalid)
                .asked(format!("a metadata block of {} bytes", bytes.len()))
                .why(format!("a block has at most {BLOCK_BYTES} bytes"))),
        }
    }

    /// All 256 bytes; zero past the length.
    pub const fn as_bytes(&self) -> &[u8; BLOCK_BYTES] {
        &self.bytes
    }

    /// The stored bytes.
    pub fn stored(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or(&self.bytes)
    }

    /// How many bytes are stored.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Is nothing stored?
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One 32-bit word, little-endian, if all of it is stored.
    pub fn dword(&self, index: usize) -> Option<u32> {
        let start = index.checked_mul(4)?;
        let bytes = self.stored().get(start..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    }

    /// The header, if 8 bytes are stored.
    pub fn header(&self) -> Option<Header> {
        let (first, second) = (self.dword(0)?, self.dword(1)?);
        let (version, flags) = halves(first);
        let (pci_id, vendor_id) = halves(second);
        Some(Header { vendor_id, pci_id, version, flags })
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Block").field(&self.stored()).finish()
    }
}

/// Low half, high half.
const fn halves(dword: u32) -> (u16, u16) {
    ((dword & 0xffff) as u16, (dword >> 16) as u16)
}

/// The first 8 bytes of a block: who wrote it, and in which version. Dword 0 is version | flags << 16, dword 1 is
/// PCI ID | vendor << 16, as Mesa heads the blocks of AMDGPU (`ac_surface.c:ac_surface_compute_umd_metadata`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// PCI vendor of the producer's device.
    pub vendor_id: u16,
    /// PCI device ID of the producer's device.
    pub pci_id: u16,
    /// Version of what follows, defined by the device.
    pub version: u16,
    /// Flags of that version.
    pub flags: u16,
}

impl Header {
    /// Size in bytes.
    pub const BYTES: usize = 8;

    /// The two dwords.
    pub const fn dwords(self) -> [u32; 2] {
        [self.version as u32 | (self.flags as u32) << 16, self.pci_id as u32 | (self.vendor_id as u32) << 16]
    }

    /// Writes the header over the first 8 bytes of a block, which is at least that long afterwards.
    pub fn write_to(self, block: &mut Block) {
        for (to, from) in block.bytes.chunks_exact_mut(4).zip(self.dwords()) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        block.len = block.len.max(Self::BYTES as u16);
    }

    /// A block of this header and nothing more.
    pub fn alone(self) -> Block {
        let mut block = Block::EMPTY;
        self.write_to(&mut block);
        block
    }

    /// A name for the device, for messages: a simulated one says so.
    pub const fn device_name(self) -> &'static str {
        match (self.vendor_id, self.pci_id) {
            (SIM_VENDOR, SIM_PLAIN) => "plain (simulated)",
            (SIM_VENDOR, SIM_BLOCKS) => "blocks (simulated)",
            (SIM_VENDOR, _) => "an unknown simulated device",
            (0x1002, _) => "an AMD device",
            (0x8086, _) => "an Intel device",
            (0x10de, _) => "an NVIDIA device",
            _ => "an unknown device",
        }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor_id, pci_id, version, flags } = self;
        write!(f, "{} {vendor_id:04x}:{pci_id:04x} version {version}", self.device_name())?;
        if *flags != 0 {
            write!(f, " flags {flags:#06x}")?;
        }
        Ok(())
    }
}

/// Word and block, which are always set and read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Metadata {
    /// The tiling word.
    pub word: Word,
    /// The block.
    pub block: Block,
}
