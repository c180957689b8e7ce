//! The image descriptor in dwords 2–9: typed, written and read through the fields of its level.

use alloc::format;
use core::fmt;

use super::bits::{Name, rows};
use crate::metadata::amdgpu::format::{DstSel, FormatNumbers, TexelFormat};
use crate::metadata::amdgpu::{BlockSize, Level};
use crate::{Bytes, Error, Extent, Kind, Result, Stage};

/// TYPE of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageType(pub u8);

impl ImageType {
    /// One dimension.
    pub const D1: Self = Self(8);
    /// Two dimensions. GFX9 stores one-dimensional images so too.
    pub const D2: Self = Self(9);
    /// Three dimensions.
    pub const D3: Self = Self(10);
    /// A cube, or an array of them.
    pub const CUBE: Self = Self(11);
    /// An array of one-dimensional images.
    pub const D1_ARRAY: Self = Self(12);
    /// An array of two-dimensional images.
    pub const D2_ARRAY: Self = Self(13);
    /// Two dimensions, several samples a pixel.
    pub const D2_MSAA: Self = Self(14);
    /// An array of those.
    pub const D2_MSAA_ARRAY: Self = Self(15);

    /// Its name, as the register headers have it.
    pub const fn name(self) -> &'static str {
        match self.0 {
            8 => "1D",
            9 => "2D",
            10 => "3D",
            11 => "CUBE",
            12 => "1D_ARRAY",
            13 => "2D_ARRAY",
            14 => "2D_MSAA",
            15 => "2D_MSAA_ARRAY",
            _ => "no image",
        }
    }

    /// Has a pixel several samples? LAST_LEVEL then counts them, as a logarithm.
    pub const fn is_multisampled(self) -> bool {
        matches!(self.0, 14 | 15)
    }
}

impl fmt::Display for ImageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a descriptor says about DCC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Dcc {
    /// COMPRESSION_EN. On GFX12: the buffer has the flag `GFX12_DCC`, and its pages are compressed.
    pub enabled: bool,
    /// Where the DCC of shaders and render targets begins, from the start of the buffer; a multiple of 256. 0: there is none. It can
    /// be set while `enabled` is not. Always 0 on GFX6, 7 and 12.
    pub offset: Bytes,
    /// ALPHA_IS_ON_MSB; GFX8 to GFX11.5. This and what follows is written only while `enabled`, except on GFX12.
    pub alpha_is_on_msb: bool,
    /// META_PIPE_ALIGNED; GFX9 to GFX11.5.
    pub pipe_aligned: bool,
    /// META_RB_ALIGNED; GFX9.
    pub rb_aligned: bool,
    /// The largest block that compresses; GFX10 and later.
    pub max_compressed_block: BlockSize,
}

/// The image descriptor of a whole resource, its base address cleared and its DCC address an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// The level whose fields these are.
    pub level: Level,
    /// TYPE.
    pub image: ImageType,
    /// Width in texels.
    pub width: u32,
    /// Height in texels.
    pub height: u32,
    /// DEPTH as it is stored: depth − 1 of three dimensions, layers − 1 of arrays (of cubes: layers / 6 − 1 up to GFX8, faces − 1
    /// later), else 0.
    pub depth_field: u16,
    /// LAST_ARRAY as it is stored; GFX6–8: layers − 1 of arrays, else 0.
    pub last_array: u16,
    /// Levels − 1; with several samples the logarithm of their number.
    pub last_level: u8,
    /// The format.
    pub format: FormatNumbers,
    /// Where the channels come from.
    pub dst_sel: DstSel,
    /// BC_SWIZZLE; GFX9 and later.
    pub bc_swizzle: u8,
    /// TILING_INDEX on GFX6–8, SW_MODE later.
    pub tiling: u8,
    /// GFX6–8: pitch of level 0 in texels. GFX9: PITCH + 1, which is the pitch in elements only with one level. Later: the pitch of
    /// a linear two-dimensional image with one level, where the descriptor carries it (GFX10.3–11.5: only after an import with
    /// another stride than the computed one).
    pub pitch: Option<u32>,
    /// What it says about compression.
    pub dcc: Dcc,
}

/// PERF_MOD, which every writer sets so.
const PERF_MOD: u64 = 4;
/// Mask of GFX6 and 7 with one level, with several, and with several samples.
const MASKS: [u64; 3] = [0xffff_f1ff, 0xffff_ffff, 0];

impl Descriptor {
    /// The eight dwords, from dword 2 of the block on.
    pub(super) fn dwords(&self) -> Result<[u32; 8]> {
        self.check()?;
        let mut dwords = [0_u64; 8];
        for row in rows(self.level) {
            if let Some(dword) = dwords.get_mut(usize::from(row.dword).saturating_sub(2)) {
                row.bits.put(dword, self.value(row.name)).map_err(|error| error.found(format!("{row}")))?;
            }
        }
        // Every field lies below bit 32, so the cast keeps all of them.
        Ok(dwords.map(|dword| dword as u32))
    }

    fn check(&self) -> Result<()> {
        let refused = |asked: alloc::string::String, why: &'static str| {
            Err(Error::new(Stage::Allocate, Kind::Invalid).asked(asked).why(why))
        };
        if self.width == 0 || self.height == 0 {
            return refused(
                format!("a descriptor of {}x{}", self.width, self.height),
                "WIDTH and HEIGHT hold size − 1",
            );
        }
        let offset = self.dcc.offset.get();
        let bits = if self.level == Level::Gfx8 { 40 } else { 48 };
        if !offset.is_multiple_of(256) || offset >> bits != 0 {
            return refused(
                format!("DCC at {}", self.dcc.offset),
                "META_DATA_ADDRESS counts units of 256 bytes, below 2^40 on GFX8 and below 2^48 later",
            );
        }
        let levels_without = matches!(self.level, Level::Gfx6 | Level::Gfx7 | Level::Gfx12);
        if offset != 0 && levels_without {
            return refused(
                format!("DCC at {} on {}", self.dcc.offset, self.level),
                "the descriptor has no DCC address",
            );
        }
        if self.dcc.enabled && self.level < Level::Gfx8 {
            return refused(format!("COMPRESSION_EN on {}", self.level), "DCC exists from GFX8 on");
        }
        let unified = matches!(self.format, FormatNumbers::Unified(_));
        if unified != (self.level >= Level::Gfx10) {
            return refused(
                format!("{:?} on {}", self.format, self.level),
                "up to GFX9 there are DATA_FORMAT and NUM_FORMAT, later FORMAT alone",
            );
        }
        match self.pitch {
            None if self.level <= Level::Gfx9 => {
                refused(format!("no PITCH on {}", self.level), "the field is always there")
            }
            Some(0) => refused(format!("{} = 0", Name::Pitch.text()), "PITCH holds pitch − 1"),
            Some(pitch) if self.level >= Level::Gfx10 => {
                let holds = if self.level == Level::Gfx12 { 1 << 16 } else { 1 << 14 };
                if !self.may_carry_pitch() || pitch == 1 || pitch > holds {
                    return refused(
                        format!("a pitch of {pitch} on {}", self.level),
                        "PITCH_MSB and DEPTH hold it for linear two-dimensional images with one level, from GFX10.3 on, as far \
                         as it fits",
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// May dword 6 hold a pitch instead of a depth?
    const fn may_carry_pitch(&self) -> bool {
        !matches!(self.level, Level::Gfx10)
            && self.tiling == 0
            && self.image.0 == ImageType::D2.0
            && self.last_level == 0
    }

    fn value(&self, name: Name) -> u64 {
        let Self { width, height, dst_sel, dcc, .. } = self;
        let offset = dcc.offset.get();
        let (width, height) = (u64::from(width.saturating_sub(1)), u64::from(height.saturating_sub(1)));
        let pitch = self.pitch.map(|pitch| u64::from(pitch.saturating_sub(1)));
        let (data, num) = match self.format {
            FormatNumbers::Split { data, num } => (u64::from(data), u64::from(num)),
            FormatNumbers::Unified(format) => (u64::from(format), 0),
        };
        let enabled = |value: u64| if dcc.enabled { value } else { 0 };
        let [x, y, z, w] = dst_sel.map(u64::from);
        let samples = self.image.is_multisampled();
        match name {
            Name::DataFormat | Name::Format => data,
            Name::NumFormat => num,
            Name::Width => width,
            Name::WidthLo => width & 3,
            Name::WidthHi => width >> 2,
            Name::Height => height,
            Name::PerfMod => PERF_MOD,
            Name::DstSelX => x,
            Name::DstSelY => y,
            Name::DstSelZ => z,
            Name::DstSelW => w,
            Name::LastLevel | Name::MaxMip => u64::from(self.last_level),
            Name::TilingIndex | Name::SwMode => u64::from(self.tiling),
            Name::Pow2Pad => u64::from(self.last_level > 0 && !samples),
            Name::Type => u64::from(self.image.0),
            Name::Depth => match (pitch, self.level) {
                (Some(pitch), Level::Gfx12) => pitch & 0x3fff,
                (Some(pitch), level) if level >= Level::Gfx10 => pitch & 0x1fff,
                _ => u64::from(self.depth_field),
            },
            Name::PitchMsb => match (pitch, self.level) {
                (Some(pitch), Level::Gfx12) => pitch >> 14,
                (Some(pitch), _) => pitch >> 13,
                (None, _) => 0,
            },
            Name::Pitch => pitch.unwrap_or(0),
            Name::LastArray => u64::from(self.last_array),
            Name::BcSwizzle => u64::from(self.bc_swizzle),
            Name::MetaAddressHi => offset >> 40,
            Name::MetaAddress if self.level <= Level::Gfx9 => (offset >> 8) & 0xffff_ffff,
            Name::MetaAddress => offset >> 16,
            Name::MetaAddressLo => (offset >> 8) & 0xff,
            Name::MetaPipeAligned => enabled(u64::from(dcc.pipe_aligned)),
            Name::MetaRbAligned => enabled(u64::from(dcc.rb_aligned)),
            Name::CompressionEn => u64::from(dcc.enabled),
            Name::AlphaIsOnMsb => enabled(u64::from(dcc.alpha_is_on_msb)),
            Name::SamplerMask => {
                let [one, several, multisampled] = MASKS;
                if samples {
                    multisampled
                } else if self.last_level > 0 {
                    several
                } else {
                    one
                }
            }
            Name::ResourceLevel => 1,
            Name::MaxUncompressed if self.level == Level::Gfx12 => 1,
            Name::MaxUncompressed => enabled(2),
            Name::MaxCompressed if self.level == Level::Gfx12 => dcc.max_compressed_block.number(),
            Name::MaxCompressed => enabled(dcc.max_compressed_block.number()),
            _ => 0,
        }
    }

    /// Reads the eight dwords as devices of this level write them. Fields without meaning here (addresses, counters, reserved
    /// bits) are left out.
    pub(super) fn read(level: Level, dwords: &[u32; 8]) -> Self {
        let find = |name: Name| {
            let row = rows(level).find(|row| row.name == name)?;
            let dword = dwords.get(usize::from(row.dword).saturating_sub(2))?;
            Some(row.bits.get(u64::from(*dword)))
        };
        let get = |name: Name| find(name).unwrap_or(0);
        // Fields have at most 16 bits where they are cast to 32, and at most their own width elsewhere.
        let texels = |value: u64| (value as u32).saturating_add(1);
        let unified = level >= Level::Gfx10;
        let width = if unified { get(Name::WidthHi) << 2 | get(Name::WidthLo) } else { get(Name::Width) };
        let address = match level {
            Level::Gfx8 | Level::Gfx9 => get(Name::MetaAddressHi) << 40 | get(Name::MetaAddress) << 8,
            _ => get(Name::MetaAddress) << 16 | get(Name::MetaAddressLo) << 8,
        };
        let mut descriptor = Self {
            level,
            image: ImageType(get(Name::Type) as u8),
            width: texels(width),
            height: texels(get(Name::Height)),
            depth_field: get(Name::Depth) as u16,
            last_array: get(Name::LastArray) as u16,
            last_level: get(Name::LastLevel) as u8,
            format: if unified {
                FormatNumbers::Unified(get(Name::Format) as u16)
            } else {
                FormatNumbers::Split { data: get(Name::DataFormat) as u8, num: get(Name::NumFormat) as u8 }
            },
            dst_sel: [Name::DstSelX, Name::DstSelY, Name::DstSelZ, Name::DstSelW].map(|name| get(name) as u8),
            bc_swizzle: get(Name::BcSwizzle) as u8,
            tiling: find(Name::TilingIndex).unwrap_or_else(|| get(Name::SwMode)) as u8,
            pitch: find(Name::Pitch).map(texels),
            dcc: Dcc {
                enabled: get(Name::CompressionEn) != 0,
                offset: Bytes(address),
                alpha_is_on_msb: get(Name::AlphaIsOnMsb) != 0,
                pipe_aligned: get(Name::MetaPipeAligned) != 0,
                rb_aligned: get(Name::MetaRbAligned) != 0,
                max_compressed_block: BlockSize::of(get(Name::MaxCompressed)).unwrap_or_default(),
            },
        };
        let stored = match level {
            Level::Gfx12 => get(Name::PitchMsb) << 14 | get(Name::Depth),
            _ => get(Name::PitchMsb) << 13 | get(Name::Depth),
        };
        if unified && descriptor.may_carry_pitch() && stored != 0 {
            descriptor.pitch = Some(texels(stored));
            descriptor.depth_field = 0;
        }
        descriptor
    }

    /// Layers, the faces of cubes counted; of three dimensions, slices.
    pub const fn layers(&self) -> u32 {
        let stored = (self.depth_field as u32).saturating_add(1);
        match self.image {
            // A single cube has DEPTH 0. Arrays of cubes count cubes up to GFX8, and faces later.
            ImageType::CUBE
                if self.depth_field == 0 || matches!(self.level, Level::Gfx6 | Level::Gfx7 | Level::Gfx8) =>
            {
                stored.saturating_mul(6)
            }
            ImageType::D3 | ImageType::CUBE | ImageType::D1_ARRAY | ImageType::D2_ARRAY | ImageType::D2_MSAA_ARRAY => {
                stored
            }
            _ => 1,
        }
    }

    /// Width and height.
    ///
    /// # Errors
    /// Those of [`Extent::new`].
    pub fn extent(&self) -> Result<Extent> {
        Extent::new(self.width, self.height)
    }

    /// The format by name and order of channels, if the table has it.
    pub fn texel_format(&self) -> Option<TexelFormat> {
        TexelFormat::find(self.level, self.format, self.dst_sel)
    }
}
