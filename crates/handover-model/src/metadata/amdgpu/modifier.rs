//! Word, block and chip configuration ⇄ format modifier, where both say the same.
//!
//! The kernel makes a modifier of a word when a framebuffer is added without one (Linux 6.12,
//! `amdgpu_display.c:convert_tiling_flags_to_modifier`). It has to guess some bits of DCC there; here they come from bits 46:43 of
//! the word, which Mesa and PAL write, and from the block. The result is the modifier that Mesa offers for the same layout.
//!
//! Not defined, and refused: everything before GFX9, which has no modifiers, and swizzle modes that `drm_fourcc.h` does not number
//! (orders for depth, blocks of variable size, three dimensions).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{BlockSize, ChipConfig, Descriptor, Gfx9Word, Gfx12Word, Level, Swizzle, TexelFormat, TilingWord};
use crate::modifier::Parsed;
use crate::modifier::amd::{Amd, Dcc, MaxBlock, Tile, Version};
use crate::{Bytes, Error, Kind, Modifier, Result, Stage, Text};

/// One plane of DCC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DccPlane {
    /// Where it begins, from the start of the buffer.
    pub offset: Bytes,
    /// Its pitch in its own elements, where the word says it. The word knows that of the plane that a display reads, or of the only
    /// one.
    pub pitch: Option<u32>,
}

/// The modifier of a surface, and its planes of DCC in the order of the modifier's: display, then render; or the only one.
///
/// `config` is needed by modes that mix pipe bits in, `image` (the block) where there is DCC, `constant_encode` (see
/// [`Chip::constant_encode`](super::Chip::constant_encode)) for DCC before GFX11, `bytes_per_element` for D orders.
///
/// # Errors
/// `Unsupported`, naming the missing parameter or why no modifier is defined; `Malformed` where word and block contradict.
///
/// ```
/// use handover_model::metadata::amdgpu::{ChipConfig, Level, TilingWord, to_modifier};
/// use handover_model::{Bytes, Modifier, Word};
/// let word = TilingWord::parse(Level::Gfx9, Word(0x8000_0800_0000_001a))?;
/// let vega10 = ChipConfig::of_pci(0x687f)?;
/// let (modifier, dcc) = to_modifier(&word, Some(Bytes(4)), None, Some(&vega10), Some(false))?;
/// assert_eq!((modifier, dcc.len()), (Modifier(0x0200_0000_0480_1a01), 0));
/// let refused = to_modifier(&word, Some(Bytes(4)), None, None, None).unwrap_err();
/// assert!(refused.to_string().contains("GB_ADDR_CONFIG"));
/// # Ok::<(), handover_model::Error>(())
/// ```
pub fn to_modifier(
    word: &TilingWord,
    bytes_per_element: Option<Bytes>,
    image: Option<&Descriptor>,
    config: Option<&ChipConfig>,
    constant_encode: Option<bool>,
) -> Result<(Modifier, Vec<DccPlane>)> {
    let (modifier, dcc) = match word {
        TilingWord::Gfx6(_) => return Err(unsupported("GFX6, 7 and 8 have no modifiers")),
        TilingWord::Gfx9(word) => gfx9(word, bytes_per_element, image, config, constant_encode)?,
        TilingWord::Gfx12(word) => gfx12(word, image)?,
    };
    // Chips have modes and kinds of DCC that drm_fourcc.h gives no number, such as 4K_S_X.
    match modifier.parse() {
        Ok(_) => Ok((modifier, dcc)),
        Err(error) => Err(unsupported(format!("the layout has none: {error}"))),
    }
}

fn gfx12(word: &Gfx12Word, image: Option<&Descriptor>) -> Result<(Modifier, Vec<DccPlane>)> {
    if word.swizzle.is_linear() {
        return Ok((Modifier::LINEAR, Vec::new()));
    }
    let Some(image) = image else {
        return Err(missing(
            "COMPRESSION_EN of the block",
            "GFX12 compresses by pages, and the word does not say whether",
        ));
    };
    let dcc = image.dcc.enabled.then_some(Dcc {
        retile: false,
        pipe_align: false,
        independent_64b: false,
        independent_128b: false,
        max_compressed_block: max_block(word.max_compressed_block),
        constant_encode: false,
        rb: 0,
        pipe: 0,
    });
    let tile = tile(word.swizzle, Version::Gfx12)?;
    let amd = Amd { version: Version::Gfx12, tile, dcc, pipe_xor_bits: 0, bank_xor_bits: 0, packers: 0 };
    Ok((Parsed::Amd(amd).modifier(), Vec::new()))
}

fn gfx9(
    word: &Gfx9Word,
    bytes_per_element: Option<Bytes>,
    image: Option<&Descriptor>,
    config: Option<&ChipConfig>,
    constant_encode: Option<bool>,
) -> Result<(Modifier, Vec<DccPlane>)> {
    let swizzle = word.swizzle;
    if swizzle.is_linear() {
        return Ok((Modifier::LINEAR, Vec::new()));
    }
    let version = version_of(swizzle, bytes_per_element)?;
    let tile = tile(swizzle, version)?;
    let mut amd = Amd { version, tile, dcc: None, pipe_xor_bits: 0, bank_xor_bits: 0, packers: 0 };
    if tile.is_xor() {
        mix_in(&mut amd, config_of(swizzle, config)?)?;
    }
    let planes = add_dcc(&mut amd, word, image, config, constant_encode)?;
    Ok((Parsed::Amd(amd).modifier(), planes))
}

/// S and D orders without XOR are GFX9's up to GFX10.3, except D with 4 bytes a pixel.
fn version_of(swizzle: Swizzle, bytes_per_element: Option<Bytes>) -> Result<Version> {
    let own = version(swizzle.level()).ok_or_else(|| unsupported("GFX6, 7 and 8 have no modifiers"))?;
    if swizzle.is_xor() || matches!(own, Version::Gfx9 | Version::Gfx11 | Version::Gfx12) {
        return Ok(own);
    }
    match (swizzle.order(), bytes_per_element) {
        (Some("S"), _) => Ok(Version::Gfx9),
        (Some("D"), Some(bytes)) if bytes != Bytes(4) => Ok(Version::Gfx9),
        (Some("D"), None) => {
            Err(missing("bytes_per_element", format!("{swizzle} is GFX9's layout except with 4 bytes a pixel")))
        }
        _ => Ok(own),
    }
}

fn tile(swizzle: Swizzle, version: Version) -> Result<Tile> {
    Tile::from_code(u64::from(swizzle.mode())).filter(|tile| tile.is_of(version)).ok_or_else(|| {
        let depth = if swizzle.order() == Some("Z") { ", an order for depth" } else { "" };
        unsupported(format!("no modifier of {} has the swizzle mode {swizzle}{depth}", swizzle.level()))
    })
}

fn max_block(size: BlockSize) -> MaxBlock {
    match size {
        BlockSize::B64 => MaxBlock::B64,
        BlockSize::B128 => MaxBlock::B128,
        BlockSize::B256 => MaxBlock::B256,
    }
}

fn config_of(swizzle: Swizzle, config: Option<&ChipConfig>) -> Result<&ChipConfig> {
    let Some(config) = config else {
        let why = format!("{swizzle} mixes pipe bits of the producer's chip into the address");
        return Err(missing("gb_addr_config, the producer's register GB_ADDR_CONFIG", why));
    };
    if config.level != swizzle.level() {
        return Err(Error::new(Stage::Import, Kind::Invalid).asked(format!(
            "a layout of {} with the configuration of a chip of {}",
            swizzle.level(),
            config.level
        )));
    }
    Ok(config)
}

/// As many bits are mixed in as the block has above the 256 bytes that go to one pipe.
fn mix_in(amd: &mut Amd, config: &ChipConfig) -> Result<()> {
    let room = amd.tile.block_bytes_log2().saturating_sub(8);
    let engines = if config.level == Level::Gfx9 { config.shader_engines } else { 0 };
    amd.pipe_xor_bits = room.min(u32::from(config.pipes.saturating_add(engines)));
    let left = room.saturating_sub(amd.pipe_xor_bits);
    match config.level {
        Level::Gfx9 => amd.bank_xor_bits = left.min(u32::from(config.banks)),
        Level::Gfx10_3 => amd.packers = left.min(u32::from(config.packers)),
        Level::Gfx11 | Level::Gfx11_5 => amd.packers = u32::from(config.packers),
        _ => {}
    }
    let bits = [("PIPE_XOR_BITS", "bits 23:21", amd.pipe_xor_bits), ("BANK_XOR_BITS", "bits 26:24", amd.bank_xor_bits)];
    match bits.into_iter().find(|(_, _, bits)| *bits > 7) {
        Some((name, place, bits)) => Err(unsupported(format!("{place} {name} of a modifier hold at most 7"))
            .found(format!("{bits} bits by GB_ADDR_CONFIG {:#010x}", config.register()))),
        None => Ok(()),
    }
}

fn add_dcc(
    amd: &mut Amd,
    word: &Gfx9Word,
    image: Option<&Descriptor>,
    config: Option<&ChipConfig>,
    constant_encode: Option<bool>,
) -> Result<Vec<DccPlane>> {
    let level = word.swizzle.level();
    let has_dcc = word.dcc_offset != Bytes::ZERO;
    if image.is_some_and(|image| image.dcc.enabled != has_dcc) {
        return Err(Error::new(Stage::Import, Kind::Malformed)
            .found(format!("DCC_OFFSET_256B for {} in the word", word.dcc_offset))
            .why("COMPRESSION_EN of the block says the opposite"));
    }
    if !has_dcc {
        return Ok(Vec::new());
    }
    let Some(image) = image else {
        return Err(missing(
            "the block",
            "the word does not say whether DCC is aligned to pipes, or of which kind it is",
        ));
    };
    let constant_encode = match (level >= Level::Gfx11, constant_encode) {
        (true, _) => false,
        (false, Some(encode)) => encode,
        (false, None) => {
            let why = "Raven and Raven2 share PCI IDs, and only Raven2 encodes constants in DCC";
            return Err(missing("constant_encode", why));
        }
    };
    let render = image.dcc.offset;
    // As the kernel decides it: 0 is no second plane, and one past 4 GiB has no place in a framebuffer.
    let retile = render != Bytes::ZERO && render != word.dcc_offset && render.get() >> 32 == 0;
    let (rb, pipe) = if level == Level::Gfx9 && image.dcc.pipe_aligned && amd.tile.is_xor() {
        let config = config_of(word.swizzle, config)?;
        (u32::from(config.rbs()), u32::from(config.pipes))
    } else {
        (0, 0)
    };
    amd.dcc = Some(Dcc {
        retile,
        pipe_align: !retile && image.dcc.pipe_aligned,
        independent_64b: word.independent_64b,
        independent_128b: word.independent_128b,
        max_compressed_block: max_block(word.max_compressed_block),
        constant_encode,
        rb,
        pipe,
    });
    let pitch = Some(u32::from(word.dcc_pitch_max).saturating_add(1));
    let mut planes = Vec::from([DccPlane { offset: word.dcc_offset, pitch }]);
    if retile {
        planes.push(DccPlane { offset: render, pitch: None });
    }
    Ok(planes)
}

/// The word of a surface with this modifier on a device of this level. `dcc` is the first plane of DCC that the modifier counts.
///
/// From GFX9 to GFX11.5, bits 46:43 of a surface without DCC are the level's defaults, as Mesa writes them: they mean nothing, and
/// readers compare whole words. `scanout` is for what was asked for a display or is displayable, as the caller's device has it;
/// a linear surface has the bit on these levels whatever the caller says. On GFX12 the word has the format too, for the kernel that moves
/// compressed pages: `texel`. Without one those bits are 0, as Mesa leaves them for what is scanned out by a driver before 3.58.
///
/// # Errors
/// Those of [`Modifier::parse`], naming the field; `Unsupported` for the modifier of another vendor or level; `Invalid` if the modifier
/// has DCC and `dcc` is missing, or the reverse.
///
/// ```
/// use handover_model::metadata::amdgpu::{Level, TexelFormat, from_modifier};
/// use handover_model::{Fourcc, Modifier, Word};
/// let texel = TexelFormat::of(Fourcc::from_chars(*b"XR24"));
/// let word = from_modifier(Level::Gfx12, Modifier(0x0200_0000_0004_2305), texel, None, true)?;
/// assert_eq!(word.word()?, Word(0x8000_0000_0000_0a0b));
/// # Ok::<(), handover_model::Error>(())
/// ```
pub fn from_modifier(
    level: Level,
    modifier: Modifier,
    texel: Option<TexelFormat>,
    dcc: Option<DccPlane>,
    scanout: bool,
) -> Result<TilingWord> {
    let refused =
        |kind, why: String| Error::new(Stage::Allocate, kind).found(format!("the modifier {modifier}")).why(why);
    let amd = match modifier.parse().map_err(|error| error.at(Stage::Allocate))? {
        Parsed::Linear => None,
        Parsed::Amd(amd) => Some(amd),
        _ => return Err(refused(Kind::Unsupported, "bits 63:56 vendor are not 0x02, AMD".into())),
    };
    if let Some(amd) = amd {
        // S and D orders without XOR are written as GFX9's by GFX10 and GFX10.3 too, which lay them out alike.
        let as_gfx9 = amd.version == Version::Gfx9 && !amd.tile.is_xor() && level < Level::Gfx11;
        if version(level) != Some(amd.version) && !as_gfx9 {
            let why = format!("bits 7:0 TILE_VERSION are {}, which is not the layout of {level}", amd.version.code());
            return Err(refused(Kind::Unsupported, why));
        }
    }
    // Swizzle modes have 5 bits, so the cast keeps them all.
    let swizzle = Swizzle::new(level, amd.map_or(0, |amd| amd.tile.code() as u8))?;
    let stored = amd.and_then(|amd| amd.dcc);
    let wants_plane = stored.is_some() && level < Level::Gfx12;
    if wants_plane != dcc.is_some() {
        let why = if wants_plane {
            "DCC is set, and no plane of DCC is given"
        } else {
            "a plane of DCC is given, and it has none"
        };
        return Err(refused(Kind::Invalid, why.into()));
    }
    let default = Blocks::of(level);
    let max_compressed_block = match stored {
        Some(dcc) => BlockSize::of(dcc.max_compressed_block.code()).unwrap_or_default(),
        None => default.max_compressed,
    };
    if level == Level::Gfx12 {
        let (dcc_data_format, dcc_number_type) = texel.map_or((0, 0), TexelFormat::gfx12_word);
        return Ok(TilingWord::Gfx12(Gfx12Word {
            swizzle,
            max_compressed_block,
            dcc_number_type,
            dcc_data_format,
            write_compress_disable: false,
            scanout,
        }));
    }
    let pitch = dcc.and_then(|plane| plane.pitch).unwrap_or(1).saturating_sub(1);
    let dcc_pitch_max = u16::try_from(pitch).map_err(|_| {
        refused(Kind::Unsupported, format!("DCC_PITCH_MAX holds 14 bits, and the pitch is {pitch} + 1"))
    })?;
    Ok(TilingWord::Gfx9(Gfx9Word {
        dcc_offset: dcc.map(|plane| plane.offset).unwrap_or_default(),
        dcc_pitch_max,
        independent_64b: stored.map_or(default.independent_64b, |dcc| dcc.independent_64b),
        independent_128b: stored.map_or(default.independent_128b, |dcc| dcc.independent_128b),
        max_compressed_block,
        ..Gfx9Word::plain(swizzle, scanout || swizzle.is_linear())
    }))
}

/// The blocks of DCC of a level, which its surfaces without DCC carry too (`ac_surface.c:ac_surface_compute_bo_metadata` stores them).
struct Blocks {
    independent_64b: bool,
    independent_128b: bool,
    max_compressed: BlockSize,
}

impl Blocks {
    const fn of(level: Level) -> Self {
        let max_compressed = match level {
            Level::Gfx10 | Level::Gfx10_3 | Level::Gfx11 => BlockSize::B128,
            Level::Gfx11_5 => BlockSize::B256,
            _ => BlockSize::B64,
        };
        let from_10 = !matches!(level, Level::Gfx6 | Level::Gfx7 | Level::Gfx8 | Level::Gfx9 | Level::Gfx12);
        Self { independent_64b: matches!(level, Level::Gfx9), independent_128b: from_10, max_compressed }
    }
}

/// The version of modifiers that a level makes; `None` where there are no modifiers.
const fn version(level: Level) -> Option<Version> {
    match level {
        Level::Gfx6 | Level::Gfx7 | Level::Gfx8 => None,
        Level::Gfx9 => Some(Version::Gfx9),
        Level::Gfx10 => Some(Version::Gfx10),
        Level::Gfx10_3 => Some(Version::Gfx10RbPlus),
        Level::Gfx11 | Level::Gfx11_5 => Some(Version::Gfx11),
        Level::Gfx12 => Some(Version::Gfx12),
    }
}

fn unsupported(why: impl Into<Text>) -> Error {
    Error::new(Stage::Import, Kind::Unsupported).asked("a modifier for a tiling word").why(why)
}

fn missing(parameter: &'static str, why: impl Into<Text>) -> Error {
    unsupported(why).found(format!("{parameter} is missing")).help(parameter)
}
