//! Word, block and chip configuration ⇄ format modifier, where both say the same.
//!
//! The kernel makes a modifier of a word when a framebuffer is added without one (Linux 6.12,
//! `amdgpu_display.c:convert_tiling_flags_to_modifier`). It has to guess some bits of DCC there; here they come from bits 46:43 of
//! the word, which Mesa and PAL write, and from the block. The result is the modifier that Mesa offers for the same layout.
//!
//! Not defined, and refused: everything before GFX9, which has no modifiers; Z orders, which are for depth; blocks of variable size.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{BlockSize, ChipConfig, Descriptor, Gfx9Word, Gfx12Word, Level, Swizzle, TilingWord};
use crate::metadata::field::Bits;
use crate::{Bytes, Error, Kind, Modifier, Result, Stage, Text};

const TILE_VERSION: Bits = Bits::new("TILE_VERSION", 7, 0);
const TILE: Bits = Bits::new("TILE", 12, 8);
const DCC: Bits = Bits::new("DCC", 13, 13);
const DCC_RETILE: Bits = Bits::new("DCC_RETILE", 14, 14);
const DCC_PIPE_ALIGN: Bits = Bits::new("DCC_PIPE_ALIGN", 15, 15);
const INDEPENDENT_64B: Bits = Bits::new("DCC_INDEPENDENT_64B", 16, 16);
const INDEPENDENT_128B: Bits = Bits::new("DCC_INDEPENDENT_128B", 17, 17);
const MAX_COMPRESSED: Bits = Bits::new("DCC_MAX_COMPRESSED_BLOCK", 19, 18);
const CONSTANT_ENCODE: Bits = Bits::new("DCC_CONSTANT_ENCODE", 20, 20);
const PIPE_XOR: Bits = Bits::new("PIPE_XOR_BITS", 23, 21);
const BANK_XOR: Bits = Bits::new("BANK_XOR_BITS", 26, 24);
const PACKERS: Bits = Bits::new("PACKERS", 29, 27);
const RB: Bits = Bits::new("RB", 32, 30);
const PIPE: Bits = Bits::new("PIPE", 35, 33);
const VENDOR: Bits = Bits::new("vendor", 63, 56);
const RESERVED: Bits = Bits::new("(reserved)", 55, 36);

const AMD: u64 = 2;

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
    let mut raw = 0;
    VENDOR.put(&mut raw, AMD)?;
    TILE_VERSION.put(&mut raw, version(Level::Gfx12))?;
    TILE.put(&mut raw, u64::from(word.swizzle.mode()))?;
    if image.dcc.enabled {
        DCC.put(&mut raw, 1)?;
        MAX_COMPRESSED.put(&mut raw, word.max_compressed_block.number())?;
    }
    Ok((Modifier(raw), Vec::new()))
}

fn gfx9(
    word: &Gfx9Word,
    bytes_per_element: Option<Bytes>,
    image: Option<&Descriptor>,
    config: Option<&ChipConfig>,
    constant_encode: Option<bool>,
) -> Result<(Modifier, Vec<DccPlane>)> {
    let swizzle = word.swizzle;
    let level = swizzle.level();
    if swizzle.is_linear() {
        return Ok((Modifier::LINEAR, Vec::new()));
    }
    let order = swizzle.order().unwrap_or_default();
    if order == "Z" {
        return Err(unsupported(format!("{swizzle} is an order for depth, and no modifier has it")));
    }
    let Some(block) = swizzle.block_bytes_log2() else {
        return Err(unsupported(format!("{swizzle} has blocks of variable size, and no modifier has them")));
    };
    let shared_with_gfx9 = match (swizzle.is_xor(), order, bytes_per_element) {
        (false, "S", _) => true,
        (false, "D", Some(bytes)) => bytes != Bytes(4),
        (false, "D", None) if level != Level::Gfx9 && level < Level::Gfx11 => {
            return Err(missing(
                "the size of a pixel",
                format!("{swizzle} is GFX9's layout except with 4 bytes a pixel"),
            ));
        }
        _ => false,
    };
    let mut raw = 0;
    VENDOR.put(&mut raw, AMD)?;
    let as_gfx9 = level < Level::Gfx11 && shared_with_gfx9;
    TILE_VERSION.put(&mut raw, version(if as_gfx9 { Level::Gfx9 } else { level }))?;
    TILE.put(&mut raw, u64::from(swizzle.mode()))?;
    if swizzle.is_xor() {
        put_xor(&mut raw, block, config_of(level, config, swizzle)?)?;
    }
    let planes = put_dcc(&mut raw, word, image, config, constant_encode)?;
    Ok((Modifier(raw), planes))
}

fn config_of(level: Level, config: Option<&ChipConfig>, swizzle: Swizzle) -> Result<&ChipConfig> {
    let Some(config) = config else {
        let why = format!("{swizzle} mixes pipe bits of the producer's chip into the address");
        return Err(missing("GB_ADDR_CONFIG of the producer", why));
    };
    if config.level != level {
        return Err(Error::new(Stage::Import, Kind::Invalid)
            .asked(format!("a layout of {level} with the configuration of a chip of {}", config.level)));
    }
    Ok(config)
}

/// As many bits are mixed in as the block has above the 256 bytes that go to one pipe.
fn put_xor(raw: &mut u64, block: u8, config: &ChipConfig) -> Result<()> {
    let room = block.saturating_sub(8);
    let engines = if config.level == Level::Gfx9 { config.shader_engines } else { 0 };
    let pipes = room.min(config.pipes.saturating_add(engines));
    let left = room.saturating_sub(pipes);
    PIPE_XOR.put(raw, u64::from(pipes))?;
    match config.level {
        Level::Gfx9 => BANK_XOR.put(raw, u64::from(left.min(config.banks))),
        Level::Gfx10_3 => PACKERS.put(raw, u64::from(left.min(config.packers))),
        Level::Gfx11 | Level::Gfx11_5 => PACKERS.put(raw, u64::from(config.packers)),
        _ => Ok(()),
    }
}

fn put_dcc(
    raw: &mut u64,
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
            return Err(missing("external_rev of the producer", why));
        }
    };
    let render = image.dcc.offset;
    let retile = render != word.dcc_offset;
    for (bits, set) in [
        (DCC, true),
        (DCC_RETILE, retile),
        (DCC_PIPE_ALIGN, !retile && image.dcc.pipe_aligned),
        (INDEPENDENT_64B, word.independent_64b),
        (INDEPENDENT_128B, word.independent_128b),
        (CONSTANT_ENCODE, constant_encode),
    ] {
        bits.put(raw, u64::from(set))?;
    }
    MAX_COMPRESSED.put(raw, word.max_compressed_block.number())?;
    if level == Level::Gfx9 && image.dcc.pipe_aligned {
        let config = config_of(level, config, word.swizzle)?;
        RB.put(raw, u64::from(config.rbs()))?;
        PIPE.put(raw, u64::from(config.pipes))?;
    }
    let pitch = Some(u32::from(word.dcc_pitch_max).saturating_add(1));
    let mut planes = Vec::from([DccPlane { offset: word.dcc_offset, pitch }]);
    if retile {
        planes.push(DccPlane { offset: render, pitch: None });
    }
    Ok(planes)
}

/// The word of a surface with this modifier on a device of this level. `dcc` is the first plane of DCC that the modifier counts.
///
/// Bits 46:43 are 0 for surfaces without DCC; Mesa writes the level's defaults there, which mean nothing.
///
/// # Errors
/// `Malformed`, naming the field, for reserved values; `Unsupported` for the modifier of another vendor or level; `Invalid` if the
/// modifier has DCC and `dcc` is missing, or the reverse.
pub fn from_modifier(level: Level, modifier: Modifier, dcc: Option<DccPlane>, scanout: bool) -> Result<TilingWord> {
    let raw = modifier.0;
    let found =
        |kind, why: String| Error::new(Stage::Allocate, kind).found(format!("the modifier {raw:#018x}")).why(why);
    if modifier != Modifier::LINEAR && VENDOR.get(raw) != AMD {
        return Err(found(Kind::Unsupported, format!("{VENDOR} are {:#04x}, and AMD is 0x02", VENDOR.get(raw))));
    }
    if RESERVED.get(raw) != 0 {
        return Err(found(Kind::Malformed, format!("{RESERVED} are not 0")));
    }
    // S and D orders without XOR are written as GFX9's by GFX10 and GFX10.3 too, which lay them out alike.
    let stands_for = TILE_VERSION.get(raw);
    let as_gfx9 = stands_for == 1 && TILE.get(raw) < 16 && level < Level::Gfx11;
    if modifier != Modifier::LINEAR && stands_for != version(level) && !as_gfx9 {
        return Err(found(
            Kind::Unsupported,
            format!("{TILE_VERSION} are {stands_for}, which is not the layout of {level}"),
        ));
    }
    let swizzle = Swizzle::new(level, TILE.get(raw) as u8)?;
    let has_dcc = DCC.get(raw) != 0;
    let wants_plane = has_dcc && level < Level::Gfx12;
    if wants_plane != dcc.is_some() {
        let why = if wants_plane {
            "DCC is set, and no plane of DCC is given"
        } else {
            "a plane of DCC is given, and it has none"
        };
        return Err(found(Kind::Invalid, why.into()));
    }
    let max_compressed_block = BlockSize::of(MAX_COMPRESSED.get(raw))
        .ok_or_else(|| found(Kind::Malformed, format!("{MAX_COMPRESSED} are 3; 0, 1 and 2 are defined")))?;
    if level == Level::Gfx12 {
        return Ok(TilingWord::Gfx12(Gfx12Word {
            swizzle,
            max_compressed_block,
            dcc_number_type: 0,
            dcc_data_format: 0,
            write_compress_disable: false,
            scanout,
        }));
    }
    let pitch = dcc.and_then(|plane| plane.pitch).unwrap_or(1).saturating_sub(1);
    let dcc_pitch_max = u16::try_from(pitch)
        .map_err(|_| found(Kind::Unsupported, format!("DCC_PITCH_MAX holds 14 bits, and the pitch is {pitch} + 1")))?;
    Ok(TilingWord::Gfx9(Gfx9Word {
        dcc_offset: dcc.map(|plane| plane.offset).unwrap_or_default(),
        dcc_pitch_max,
        independent_64b: INDEPENDENT_64B.get(raw) != 0,
        independent_128b: INDEPENDENT_128B.get(raw) != 0,
        max_compressed_block,
        ..Gfx9Word::plain(swizzle, scanout)
    }))
}

/// TILE_VERSION; 0 where there are no modifiers.
const fn version(level: Level) -> u64 {
    match level {
        Level::Gfx6 | Level::Gfx7 | Level::Gfx8 => 0,
        Level::Gfx9 => 1,
        Level::Gfx10 => 2,
        Level::Gfx10_3 => 3,
        Level::Gfx11 | Level::Gfx11_5 => 4,
        Level::Gfx12 => 5,
    }
}

fn unsupported(why: impl Into<Text>) -> Error {
    Error::new(Stage::Import, Kind::Unsupported).asked("a modifier for a tiling word").why(why)
}

fn missing(parameter: &'static str, why: impl Into<Text>) -> Error {
    unsupported(why).found(format!("{parameter} is missing")).help(parameter)
}
