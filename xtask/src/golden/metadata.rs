//! One line of a metadata vector file: what a writer stores, or what a reader must conclude, through the public API.

use handover_model::metadata::amdgpu::{
    ArrayMode, Because, BlockSize, Caller, Chip, ChipConfig, Dcc, DccPlane, Description, Descriptor, Extra,
    FormatNumbers, Gfx6Word, Gfx9Word, Gfx12Word, Ignored, ImageType, Level, MacroTile, Outcome, Producer, Reader,
    Reading, Reject, Swizzle, TexelFormat, TilingWord, determine, from_modifier, read, to_modifier,
};
use handover_model::{Block, Bytes, Metadata, Modifier, Word};
use serde_json::Value;

type Check<T = ()> = Result<T, String>;

/// Checks a vector. The error says what was expected and what was found.
pub(crate) fn check(line: &Value) -> Check {
    match line.text("kind")? {
        "surface" => surface(line),
        "reader" => reader(line),
        other => Err(format!("kind {other:?} is neither surface nor reader")),
    }
}

/// Members of a vector, by name and kind.
trait Members {
    fn at(&self, name: &str) -> Check<&Value>;

    fn text(&self, name: &str) -> Check<&str> {
        self.at(name)?.as_str().ok_or_else(|| format!("{name} is no text"))
    }

    fn number(&self, name: &str) -> Check<u64> {
        number(self.at(name)?).ok_or_else(|| format!("{name} is no number"))
    }

    fn small<T: TryFrom<u64>>(&self, name: &str) -> Check<T> {
        T::try_from(self.number(name)?).map_err(|_| format!("{name} is too large"))
    }

    fn flag(&self, name: &str) -> Check<bool> {
        self.at(name)?.as_bool().ok_or_else(|| format!("{name} is no boolean"))
    }

    fn numbers<T: TryFrom<u64>>(&self, name: &str) -> Check<Vec<T>> {
        let list = self.at(name)?.as_array().ok_or_else(|| format!("{name} is no list"))?;
        list.iter()
            .map(|value| number(value).and_then(|n| T::try_from(n).ok()).ok_or_else(|| format!("{name} has {value}")))
            .collect()
    }
}

impl Members for Value {
    fn at(&self, name: &str) -> Check<&Value> {
        self.get(name).ok_or_else(|| format!("there is no member {name}"))
    }
}

/// A number, or a hexadecimal text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Check {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:x?}, found {found:x?}")) }
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

/// The stored dwords. Every length that a writer stores is a multiple of 4.
fn dwords(block: &Block) -> Vec<u32> {
    (0..).map_while(|index| block.dword(index)).collect()
}

/// Word and stored bytes of a vector.
fn stored(line: &Value) -> Check<(Word, Vec<u8>)> {
    let block = line.at("metadata")?;
    let mut bytes: Vec<u8> = block.numbers::<u32>("dwords")?.into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.truncate(block.small("size")?);
    Ok((Word(line.number("tiling_word")?), bytes))
}

fn surface(line: &Value) -> Check {
    let level: Level = line.text("gfx")?.parse().map_err(said)?;
    let encode = line.at("encode")?;
    let (word, bytes) = stored(line)?;
    let block = Block::new(&bytes).map_err(said)?;

    let tiling = tiling_word(level, encode)?;
    same("tiling word", word, tiling.word().map_err(said)?)?;
    same("tiling word, decoded", tiling, TilingWord::parse(level, word).map_err(said)?)?;

    let description = description(level, line, encode)?;
    let (version, flags) = (encode.small("version")?, encode.small("version_flags")?);
    let written = description.encode_version(version, flags).map_err(said)?;
    same("block", dwords(&block), dwords(&written))?;
    if (version, flags) == (1, 0) {
        same("block, as writers store it", written, description.encode().map_err(said)?)?;
    }
    let decoded = Description::decode(level, &block).map_err(said)?;
    let again = decoded.encode_version(version, flags).map_err(said)?;
    same("block, decoded and encoded", dwords(&block), dwords(&again))?;
    same("block, decoded by its PCI ID", &decoded, &Description::decode_by_id(&block).map_err(said)?)?;
    same("layers", line.small::<u32>("layers")?.max(line.small("depth")?), decoded.descriptor.layers())?;
    format_table(level, line, &decoded.descriptor)?;
    chip_table(line, level)?;
    modifier(line, level, &tiling, &decoded)?;
    let tiled = level >= Level::Gfx9 && !tiling.is_linear();
    let plain = ["depth", "levels", "layers", "samples"].iter().all(|name| line.number(name) == Ok(1));
    let elsewhere = determine(&Metadata { word, block }, None, None, &Producer::default());
    same("not one plain level, yet read elsewhere", false, tiled && !plain && elsewhere.is_ok())?;

    let caller = Caller {
        modifier: None,
        offset: Bytes::ZERO,
        width: line.small("width")?,
        height: line.small("height")?,
        levels: line.small("levels")?,
        samples: line.small("samples")?,
        image: ImageType(encode.small("type")?),
        buffer: Bytes(line.number("bo_size")?),
        surface: Bytes(line.number("surf_size")?),
        dcc: Bytes(encode.get("dcc_size").and_then(number).unwrap_or(0)),
    };
    let device = Reader { pci_id: line.small("pci_id")?, level };
    let expect = line.at("expect")?;
    conclusion(expect, &read(&device, &caller, word, &bytes))?;
    if let Some(with) = expect.get("with_modifier") {
        let modifier = Some(Modifier(line.number("modifier")?));
        conclusion(with, &read(&device, &Caller { modifier, ..caller }, word, &bytes))?;
    }
    Ok(())
}

fn tiling_word(level: Level, encode: &Value) -> Check<TilingWord> {
    let block =
        || BlockSize::of(encode.number("max_compressed_block")?).ok_or_else(|| "max_compressed_block is 3".to_owned());
    let swizzle = || Swizzle::new(level, encode.small("swizzle_mode")?).map_err(said);
    Ok(match level {
        Level::Gfx6 | Level::Gfx7 | Level::Gfx8 => {
            let mode = ArrayMode(encode.small("array_mode")?);
            let tile = MacroTile {
                split_bytes: encode.small("tile_split_bytes")?,
                bank_width: encode.small("bank_width")?,
                bank_height: encode.small("bank_height")?,
                aspect: encode.small("macro_tile_aspect")?,
                banks: encode.small("num_banks")?,
            };
            let tile = mode.is_macro_tiled().then_some(tile);
            let (pipes, micro) = (encode.small("pipe_config")?, encode.small("micro_tile_mode")?);
            TilingWord::Gfx6(Gfx6Word::new(mode, pipes, micro, tile).map_err(said)?)
        }
        Level::Gfx12 => TilingWord::Gfx12(Gfx12Word {
            swizzle: swizzle()?,
            max_compressed_block: block()?,
            dcc_number_type: encode.small("dcc_number_type")?,
            dcc_data_format: encode.small("dcc_data_format")?,
            write_compress_disable: encode.flag("write_compress_disable")?,
            scanout: encode.flag("scanout")?,
        }),
        _ => {
            let display = encode.number("display_dcc_offset")?;
            let dcc = if encode.flag("compression_en")? { encode.number("dcc_offset")? } else { 0 };
            TilingWord::Gfx9(Gfx9Word {
                dcc_offset: Bytes(if display == 0 { dcc } else { display }),
                dcc_pitch_max: encode.small("dcc_pitch_max")?,
                independent_64b: encode.flag("independent_64b")?,
                independent_128b: encode.flag("independent_128b")?,
                max_compressed_block: block()?,
                ..Gfx9Word::plain(swizzle()?, encode.flag("scanout")?)
            })
        }
    })
}

fn description(level: Level, line: &Value, encode: &Value) -> Check<Description> {
    let dcc = Dcc {
        enabled: encode.flag("compression_en")?,
        offset: Bytes(encode.get("dcc_offset").and_then(number).unwrap_or(0)),
        alpha_is_on_msb: encode.get("alpha_is_on_msb").and_then(Value::as_bool).unwrap_or(false),
        pipe_aligned: encode.get("pipe_aligned").and_then(Value::as_bool).unwrap_or(false),
        rb_aligned: encode.get("rb_aligned").and_then(Value::as_bool).unwrap_or(false),
        max_compressed_block: encode
            .get("max_compressed_block")
            .and_then(number)
            .and_then(BlockSize::of)
            .unwrap_or_default(),
    };
    let image = ImageType(encode.small("type")?);
    let (levels, samples) = (line.small::<u8>("levels")?, line.number("samples")?);
    let log2 = samples.checked_ilog2().ok_or("samples is 0")?;
    let pitch = match level {
        Level::Gfx6 | Level::Gfx7 | Level::Gfx8 => Some(encode.small("pitch_texels")?),
        Level::Gfx9 => Some(encode.small::<u32>("epitch")?.saturating_add(1)),
        _ => encode.at("custom_pitch_texels")?.as_u64().and_then(|pitch| u32::try_from(pitch).ok()),
    };
    let split = level < Level::Gfx10;
    let up_to_8 = level < Level::Gfx9;
    let descriptor = Descriptor {
        level,
        image,
        width: line.small("width")?,
        height: line.small("height")?,
        depth_field: encode.small("depth_field")?,
        last_array: if up_to_8 { encode.small("last_array_field")? } else { 0 },
        last_level: if image.is_multisampled() { log2 as u8 } else { levels.saturating_sub(1) },
        format: if split {
            FormatNumbers::Split { data: encode.small("data_format")?, num: encode.small("num_format")? }
        } else {
            FormatNumbers::Unified(encode.small("img_format")?)
        },
        dst_sel: encode.numbers("dst_sel")?.try_into().map_err(|_| "dst_sel has not four members")?,
        bc_swizzle: if up_to_8 { 0 } else { encode.small("bc_swizzle")? },
        tiling: encode.small(if up_to_8 { "tile_index" } else { "swizzle_mode" })?,
        pitch,
        dcc,
    };
    let offsets = if up_to_8 { encode.numbers::<u64>("level_offsets_256b")? } else { Vec::new() };
    let planes = encode.get("planes_offset_stride").and_then(Value::as_array);
    Ok(Description {
        pci_id: line.small("pci_id")?,
        descriptor,
        level_offsets: offsets.into_iter().map(|units| Bytes(units.saturating_mul(256))).collect(),
        extra: planes.map(|planes| extra(line, planes)).transpose()?,
        overridden: encode.get("gfx_level_enum").and_then(number).and_then(|level| u32::try_from(level).ok()),
    })
}

fn extra(line: &Value, planes: &[Value]) -> Check<Extra> {
    let pair = |plane: &Value| Some((Bytes(plane.get(0)?.as_u64()?), Bytes(plane.get(1)?.as_u64()?)));
    let planes: Vec<_> =
        planes.iter().map(pair).collect::<Option<_>>().ok_or("planes_offset_stride is no list of pairs")?;
    match (number(line.at("modifier")?), planes.first()) {
        (Some(modifier), _) => Ok(Extra::Planes(Modifier(modifier), planes)),
        (None, Some((_, stride))) => Ok(Extra::Stride(*stride)),
        (None, None) => Err("planes_offset_stride is empty".into()),
    }
}

/// The format table says what the vector says.
fn format_table(level: Level, line: &Value, image: &Descriptor) -> Check {
    let named = TexelFormat::named(line.text("format")?).ok_or("the format is not in the table")?;
    same("format", Some(named), image.texel_format())?;
    same("BC_SWIZZLE", if level < Level::Gfx9 { 0 } else { named.bc_swizzle() }, image.bc_swizzle)?;
    if let Some(name) = line.at("drm_fourcc")?.as_str() {
        let code = named.fourcc().ok_or("the table has no DRM code")?;
        if let Some(known) = handover_model::Format::from_fourcc(code) {
            same("DRM name", name, known.name())?;
        }
    }
    let chip = Chip::of(line.small("pci_id")?);
    match (image.dcc.enabled && level < Level::Gfx12, named.alpha_is_on_msb(level, chip)) {
        (true, Some(on_msb)) => same("ALPHA_IS_ON_MSB", on_msb, image.dcc.alpha_is_on_msb),
        _ => Ok(()),
    }
}

fn chip_table(line: &Value, level: Level) -> Check {
    let chip = Chip::of(line.small("pci_id")?).ok_or("the PCI ID is not in the table")?;
    same("level by PCI ID", level, chip.level)?;
    same("family by PCI ID", line.small("family")?, chip.family)
}

/// Word, block and configuration give the modifier that the surface was allocated with, and the modifier gives the word.
fn modifier(line: &Value, level: Level, word: &TilingWord, description: &Description) -> Check {
    let Some(expected) = number(line.at("modifier")?).map(Modifier) else { return Ok(()) };
    let config = ChipConfig::parse(level, line.small("gb_addr_config")?).map_err(said)?;
    let encode = description.chip().and_then(Chip::constant_encode).or(Some(line.text("chip")? == "Raven2"));
    let bytes = Some(Bytes(line.number("bytes_per_element")?));
    let (found, planes) =
        to_modifier(word, bytes, Some(&description.descriptor), Some(&config), encode).map_err(said)?;
    same("modifier", expected, found)?;
    let (texel, dcc) = (description.descriptor.texel_format(), planes.first().copied());
    let back = from_modifier(level, expected, texel, dcc, word.is_scanout()).map_err(said)?;
    same("word", *word, back)?;
    let listed: Vec<_> = line.at("planes")?.as_array().into_iter().flatten().skip(1).collect();
    let offsets = |plane: &DccPlane| plane.offset.get();
    let expected: Vec<_> = listed.iter().filter_map(|plane| plane.get(0)?.as_u64()).collect();
    same("offsets of DCC planes", expected, planes.iter().map(offsets).collect())
}

fn reader(line: &Value) -> Check {
    let level: Level = line.text("gfx")?.parse().map_err(said)?;
    let (word, bytes) = stored(line)?;
    let wanted = line.at("caller")?;
    let caller = Caller {
        modifier: number(line.at("modifier")?).map(Modifier),
        offset: Bytes(line.number("offset")?),
        width: wanted.small("width")?,
        height: wanted.small("height")?,
        levels: wanted.small("levels")?,
        samples: wanted.small("samples")?,
        image: ImageType(wanted.small("type")?),
        buffer: Bytes(line.number("bo_size")?),
        surface: Bytes(line.number("surf_size")?),
        dcc: Bytes(line.number("dcc_size")?),
    };
    let expect = line.at("expect")?;
    conclusion(expect, &read(&Reader { pci_id: line.small("pci_id")?, level }, &caller, word, &bytes))?;

    let elsewhere = Block::new(&bytes)
        .map(|block| determine(&Metadata { word, block }, caller.modifier, None, &Producer::default()));
    match (expect.get("if_other_device").and_then(Value::as_str), elsewhere) {
        (Some("reject:other-device"), Ok(Ok(found))) => {
            Err(format!("on another device: expected a refusal, found {found:?}"))
        }
        (Some("accept-linear"), Ok(Err(error))) => Err(format!("on another device: expected linear, found: {error}")),
        _ => Ok(()),
    }
}

/// The word for an outcome in vector files.
fn result(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ignored(Ignored::Modifier) => "ignored:modifier",
        Outcome::Ignored(Ignored::Offset) => "ignored:offset",
        Outcome::Ignored(Ignored::NotDedicated) => "ignored:not-dedicated",
        Outcome::NoMetadata => "no-metadata",
        Outcome::Pal => "pal",
        Outcome::DropDcc(_) => "drop-dcc",
        Outcome::Foreign => "foreign",
        Outcome::PageTable => "page-table",
        Outcome::None => "none",
        Outcome::AcceptLarger { .. } => "accept-larger",
        Outcome::PalWithMesa => "pal+mesa",
        Outcome::Keep => "keep",
        Outcome::Reject(why) => match why {
            Reject::TooLarge => "reject:too-large",
            Reject::TilingWord => "reject:tiling-word",
            Reject::FamilyOverridden => "reject:family-overridden",
            Reject::SampleCount => "reject:sample-count",
            Reject::LevelCount => "reject:level-count",
            Reject::TypeMismatch => "reject:type-mismatch",
            Reject::SwizzleMismatch => "reject:swizzle-mismatch",
            Reject::SizeMismatch => "reject:size-mismatch",
            Reject::BoTooSmall => "reject:bo-too-small",
            Reject::DccOutOfBounds => "reject:dcc-out-of-bounds",
        },
    }
}

const fn because(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::DropDcc(Because::Short) => Some("short"),
        Outcome::DropDcc(Because::Version) => Some("version"),
        Outcome::DropDcc(Because::PciId) => Some("pci-id"),
        Outcome::DropDcc(Because::Offset0) => Some("offset-0"),
        _ => None,
    }
}

/// Compares a conclusion with the members that the vector has; a member that is not there is not claimed.
fn conclusion(expect: &Value, reading: &Reading) -> Check {
    same("result", expect.text("result")?, result(reading.outcome))?;
    same("because", expect.get("because").and_then(Value::as_str), because(reading.outcome))?;
    let claim = |name: &str, found: Option<u64>| match expect.get(name) {
        Some(value) => same(name, number(value), found),
        None => Ok(()),
    };
    let claim_flag = |name: &str, found: Option<bool>| match expect.get(name) {
        Some(value) => same(name, value.as_bool(), found),
        None => Ok(()),
    };
    claim_flag("dcc_kept", Some(reading.outcome.keeps_dcc()))?;
    claim("dcc_offset", reading.dcc_offset.map(Bytes::get))?;
    claim("display_dcc_offset", reading.display_dcc_offset.map(Bytes::get))?;
    let image = reading.descriptor.as_ref();
    claim("last_level", image.map(|image| u64::from(image.last_level)))?;
    claim("type", image.map(|image| u64::from(image.image.0)))?;
    claim("width", image.map(|image| u64::from(image.width)))?;
    claim("height", image.map(|image| u64::from(image.height)))?;
    claim_flag("dcc_in_page_table", image.map(|image| image.dcc.enabled))?;
    claim_flag("linear", reading.word.map(|word| word.is_linear()))?;
    claim_flag("scanout", reading.word.map(|word| word.is_scanout()))?;
    match expect.get("type_name").and_then(Value::as_str) {
        Some(name) => same("type_name", Some(name), image.map(|image| image.image.name())),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::check;

    #[test]
    fn all_154_vectors_hold() {
        let path = crate::root().join("crates/handover-model/tests/data/metadata/metadata.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let wrong: Vec<String> = text
            .lines()
            .filter_map(|line| {
                let vector = serde_json::from_str(line).unwrap();
                check(&vector).err().map(|why| format!("{}: {why}", vector["id"]))
            })
            .collect();
        assert!(wrong.is_empty(), "{} vectors:\n{}", wrong.len(), wrong.join("\n"));
        assert_eq!(text.lines().count(), 154);
    }
}
