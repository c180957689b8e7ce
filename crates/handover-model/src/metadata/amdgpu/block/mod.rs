//! The block: who wrote it, an image descriptor, and what some levels and debug options append.
//!
//! | dword | content |
//! |---|---|
//! | 0 | version in the low half, flags in the high half |
//! | 1 | vendor 0x1002 in the high half, PCI ID of the writing device in the low half |
//! | 2–9 | the image descriptor of the whole resource, see [`Descriptor`] |
//! | 10 … | GFX6–8: the offset of each level, in units of 256 bytes |
//! | 10 … | version 3 with flag [`EXTRA`], GFX9 and later: see [`Extra`] |
//! | last | version 3 with flag [`OVERRIDDEN`]: a number of Mesa's own for the level that was pretended |
//!
//! Everybody reads versions 1 to 3 alike; version 1 is what everybody writes, and 2 and 3 came from debug options. Before storing, a
//! writer clears the base address and puts the DCC offset where the DCC address was. Source: Mesa 25.0.7,
//! `ac_surface.c:ac_surface_compute_umd_metadata`.

mod bits;
mod descriptor;
mod fields;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub use descriptor::{Dcc, Descriptor, ImageType};

use super::{Chip, Level, VENDOR};
use crate::{Block, Bytes, Error, Header, Kind, Modifier, Result, Stage};

/// Dwords 0–9, which every block has.
pub(super) const HEAD_DWORDS: usize = 10;
/// Bytes of those.
pub const HEAD_BYTES: usize = 4 * HEAD_DWORDS;
/// Flag of version 3: planes follow the descriptor (AMD_DEBUG=extra_md).
pub const EXTRA: u16 = 1;
/// Flag of version 3: the writing driver pretended to be on another chip (AMD_FORCE_FAMILY).
pub const OVERRIDDEN: u16 = 2;

/// What flag [`EXTRA`] appends on GFX9 and later. It appends nothing on GFX6–8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    /// Without a modifier: the stride of plane 0.
    Stride(Bytes),
    /// With one: the modifier, and offset and stride of each plane.
    Planes(Modifier, Vec<(Bytes, Bytes)>),
}

/// What a block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// PCI ID of the writing device.
    pub pci_id: u16,
    /// The image.
    pub descriptor: Descriptor,
    /// GFX6–8: where each level begins; multiples of 256. Empty later.
    pub level_offsets: Vec<Bytes>,
    /// What a debug option appended.
    pub extra: Option<Extra>,
    /// The pretended level of a debug option, in a numbering that changes between versions of Mesa.
    pub overridden: Option<u32>,
}

impl Description {
    /// The block as every writer stores it: version 1, no flags, nothing that debug options append.
    ///
    /// # Errors
    /// `Invalid`, naming the field, for what does not fit.
    ///
    /// ```
    /// use handover_model::metadata::amdgpu::{Description, Level};
    /// # use handover_model::Block;
    /// let dwords: [u32; 10] = [1, 0x1002_687f, 0, 0x00a0_0000, 0x410d_c77f, 0x91a0_0f2e, 0x80ef_e000, 0, 0, 0];
    /// let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    /// let vega10 = Description::decode(Level::Gfx9, &Block::new(&bytes)?)?;
    /// assert_eq!((vega10.descriptor.width, vega10.descriptor.height, vega10.descriptor.tiling), (1920, 1080, 26));
    /// assert_eq!(vega10.encode()?.stored(), bytes);
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn encode(&self) -> Result<Block> {
        self.encode_version(1, 0)
    }

    /// The block in a version and with flags of one's choice: what tests of readers need. Writers use [`Description::encode`].
    ///
    /// # Errors
    /// As of [`Description::encode`], and for a flag whose part is missing here.
    pub fn encode_version(&self, version: u16, flags: u16) -> Result<Block> {
        let invalid = |why: String| Error::new(Stage::Allocate, Kind::Invalid).asked("a block of AMDGPU").why(why);
        let header = Header { vendor_id: VENDOR, pci_id: self.pci_id, version, flags };
        let mut dwords: Vec<u32> = header.dwords().into();
        dwords.extend(self.descriptor.dwords()?);

        let level = self.descriptor.level;
        let with_levels = level < Level::Gfx9;
        let levels = if self.descriptor.image.is_multisampled() { 0 } else { self.descriptor.last_level };
        let expected = if with_levels { usize::from(levels).saturating_add(1) } else { 0 };
        if self.level_offsets.len() != expected {
            return Err(invalid(format!("it has offsets of {} levels, not of {expected}", self.level_offsets.len())));
        }
        for offset in &self.level_offsets {
            let units = u32::try_from(offset.get() / 256).ok().filter(|_| offset.get().is_multiple_of(256));
            dwords.push(units.ok_or_else(|| invalid(format!("a level at {offset} is no multiple of 256 below 2^40")))?);
        }
        if flags & EXTRA != 0 && !with_levels {
            self.push_extra(&mut dwords)
                .ok_or_else(|| invalid("EXTRA_MD needs planes with offsets below 2^32".into()))?;
        }
        if flags & OVERRIDDEN != 0 {
            dwords.push(self.overridden.ok_or_else(|| invalid("FAMILY_OVERRIDDEN needs a level".into()))?);
        }
        let bytes: Vec<u8> = dwords.iter().flat_map(|dword| dword.to_le_bytes()).collect();
        Block::new(&bytes)
    }

    fn push_extra(&self, dwords: &mut Vec<u32>) -> Option<()> {
        match self.extra.as_ref()? {
            Extra::Stride(stride) => dwords.push(u32::try_from(stride.get()).ok()?),
            Extra::Planes(modifier, planes) => {
                // The two halves of 64 bits.
                dwords.extend([modifier.0 as u32, (modifier.0 >> 32) as u32, u32::try_from(planes.len()).ok()?]);
                for (offset, stride) in planes {
                    dwords.extend([u32::try_from(offset.get()).ok()?, u32::try_from(stride.get()).ok()?]);
                }
            }
        }
        Some(())
    }

    /// Reads a block as devices of this level write it. What follows the last part is ignored, as by every reader.
    ///
    /// # Errors
    /// `Truncated` below 40 bytes or where an appended part is cut off, `Unsupported` for a version above 3 or another vendor,
    /// `Malformed` for version 0 and for a count of planes that cannot be.
    pub fn decode(level: Level, block: &Block) -> Result<Self> {
        let dwords: Vec<u32> = (0..).map_while(|index| block.dword(index)).collect();
        Self::read(level, &dwords)
    }

    /// As [`Description::decode`], by the level of the PCI ID in the block.
    ///
    /// # Errors
    /// Also `Unsupported` for a PCI ID that the table does not know.
    pub fn decode_by_id(block: &Block) -> Result<Self> {
        let level = block.header().and_then(|header| Chip::of(header.pci_id)).map(|chip| chip.level);
        let level = level.ok_or_else(|| {
            unsupported(block.header().map_or_else(|| format!("{} bytes", block.len()), |header| format!("{header}")))
                .why("no chip with this PCI ID is known, so the level and with it the fields are not either")
                .help("the GFX level of the producer's device")
        })?;
        Self::decode(level, block)
    }

    fn read(level: Level, dwords: &[u32]) -> Result<Self> {
        let Some((&[first, second, ref descriptor @ ..], rest)) = dwords.split_first_chunk::<HEAD_DWORDS>() else {
            return Err(Error::new(Stage::Import, Kind::Truncated)
                .found(format!("{} bytes of metadata", dwords.len().saturating_mul(4)))
                .why(format!("header and descriptor of AMDGPU have {HEAD_BYTES}")));
        };
        let (version, flags) = (first & 0xffff, (first >> 16) as u16);
        let (pci_id, vendor) = (second as u16, (second >> 16) as u16);
        if vendor != VENDOR {
            return Err(
                unsupported(format!("metadata of vendor {vendor:#06x}")).why("dword 1 bits 31:16 are not 0x1002, AMD")
            );
        }
        match version {
            1..=3 => {}
            0 => {
                return Err(Error::new(Stage::Import, Kind::Malformed)
                    .found("version 0 in dword 0 bits 15:0")
                    .why("nobody writes it; PAL leaves all of dword 0 at 0"));
            }
            _ => {
                return Err(
                    unsupported(format!("version {version} in dword 0 bits 15:0")).why("versions 1 to 3 are known")
                );
            }
        }
        let descriptor = Descriptor::read(level, descriptor);
        let debug = |flag: u16| version == 3 && flags & flag != 0;
        let (levels, rest) = if level < Level::Gfx9 { level_offsets(&descriptor, rest)? } else { (Vec::new(), rest) };
        let (overridden, rest) = match rest.split_last() {
            Some((last, before)) if debug(OVERRIDDEN) => (Some(*last), before),
            None if debug(OVERRIDDEN) => {
                return Err(Error::new(Stage::Import, Kind::Truncated)
                    .found("metadata with FAMILY_OVERRIDDEN, dword 0 bit 17")
                    .why("the pretended level follows as the last dword, and nothing does"));
            }
            _ => (None, rest),
        };
        let extra = if debug(EXTRA) && level >= Level::Gfx9 { Some(read_extra(rest)?) } else { None };
        Ok(Self { pci_id, descriptor, level_offsets: levels, extra, overridden })
    }

    /// The chip of the PCI ID, if the table knows it.
    pub fn chip(&self) -> Option<&'static Chip> {
        Chip::of(self.pci_id)
    }
}

/// Header and image of a block, whatever follows them, if it has both and a version that is known.
pub(super) fn head(level: Level, block: &Block) -> Option<(Header, Descriptor)> {
    let header = block.header().filter(|header| matches!(header.version, 1..=3))?;
    let dwords: Vec<u32> = (2..HEAD_DWORDS).map_while(|index| block.dword(index)).collect();
    Some((header, Descriptor::read(level, dwords.first_chunk()?)))
}

fn level_offsets<'a>(descriptor: &Descriptor, rest: &'a [u32]) -> Result<(Vec<Bytes>, &'a [u32])> {
    let levels = if descriptor.image.is_multisampled() { 0 } else { usize::from(descriptor.last_level) };
    let Some((offsets, rest)) = rest.split_at_checked(levels.saturating_add(1)) else {
        return Err(Error::new(Stage::Import, Kind::Truncated)
            .found(format!("offsets of {} levels", rest.len()))
            .why(format!("LAST_LEVEL is {levels}, and each level has one from dword 10 on")));
    };
    Ok((offsets.iter().map(|units| Bytes(u64::from(*units) << 8)).collect(), rest))
}

fn read_extra(rest: &[u32]) -> Result<Extra> {
    let cut = |why: String| Error::new(Stage::Import, Kind::Truncated).found("metadata with EXTRA_MD").why(why);
    match rest {
        [] => Err(cut("nothing follows dword 9".into())),
        [stride] => Ok(Extra::Stride(Bytes(u64::from(*stride)))),
        [_, _] => Err(cut("a modifier needs three dwords from dword 10 on".into())),
        [low, high, count, pairs @ ..] => {
            let (pairs, _) = pairs.as_chunks::<2>();
            let planes = usize::try_from(*count).ok().and_then(|count| pairs.get(..count)).ok_or_else(|| {
                cut(format!("dword 12 says {count} planes, and offsets and strides of {} follow", pairs.len()))
            })?;
            let modifier = Modifier(u64::from(*high) << 32 | u64::from(*low));
            let plane = |[offset, stride]: &[u32; 2]| (Bytes(u64::from(*offset)), Bytes(u64::from(*stride)));
            Ok(Extra::Planes(modifier, planes.iter().map(plane).collect()))
        }
    }
}

fn unsupported(found: String) -> Error {
    Error::new(Stage::Import, Kind::Unsupported).found(found)
}
