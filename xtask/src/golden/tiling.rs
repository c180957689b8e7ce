//! Vectors of tiled layouts: size, stride, alignment and planes, the addresses of samples, and the hash of a whole image.

use std::fmt::Write;

use handover_model::layout::tiling::{
    ArrayMode, Gfx8, MicroTile, Parameters, Placed, Plane, Qualcomm, SupertileOrder, Tiling,
};
use handover_model::{Bytes, Elements, Modifier};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::vector::{Fault, count, list, number, same, text};

/// Checks one vector.
pub(super) fn check(vector: &Value) -> Result<(), Fault> {
    let tiling = tiling(vector)?;
    let (width, height) = (Elements(count(vector, "width")?), count(vector, "height")?);
    let (samples, hash) = (list(vector, "samples")?, text(vector, "sha256")?);
    let stride = number(vector, "pitch")?;
    let refused = |error: handover_model::Error| Fault::Differs(error.to_string());
    let placed = tiling.place(width, height, Some(Bytes(stride))).map_err(refused)?;
    same("pitch", stride, placed.stride().get())?;
    same("aligned_height", count(vector, "aligned_height")?, placed.rows())?;
    same("size", number(vector, "size")?, placed.size().get())?;
    same("align", number(vector, "align")?, placed.align().get())?;
    let smallest = tiling.place(width, height, None).map_err(refused)?.stride().get();
    if smallest > stride {
        return Err(Fault::Differs(format!("smallest pitch: expected at most {stride}, found {smallest}")));
    }
    let layout = text(vector, "layout")?;
    same("compressed", layout.contains("DCC") || layout.contains("CCS"), tiling.is_compressed())?;
    planes(vector, &placed)?;
    for sample in samples {
        address(sample, &placed)?;
    }
    same("sha256", hash.to_owned(), image(&placed)?)
}

fn tiling(vector: &Value) -> Result<Tiling, Fault> {
    let bytes = Bytes(number(vector, "bpp")?);
    let refused = |error: handover_model::Error| Fault::Differs(error.to_string());
    if vector.get("modifier").is_some_and(Value::is_null) {
        return Tiling::amd_gfx8(gfx8(vector)?, bytes).map_err(refused);
    }
    let modifier = Modifier(number(vector, "modifier")?);
    Tiling::of(modifier, bytes, &parameters(vector)?).map_err(refused)
}

fn parameters(vector: &Value) -> Result<Parameters, Fault> {
    let params = vector.get("params").unwrap_or(&Value::Null);
    let mut parameters = Parameters::default();
    if params.get("bit6_swizzle") == Some(&Value::Bool(true)) {
        parameters.intel_bit6 = Some(true);
    }
    if params.get("first_row").is_some() {
        parameters.sand_first_row = Some(count(params, "first_row")?);
    }
    if params.get("highest_bank_bit").is_some() {
        parameters.qualcomm = Some(Qualcomm {
            highest_bank_bit: count(params, "highest_bank_bit")?,
            bank_swizzle_levels: count(params, "bank_swizzle_levels")?,
            macrotile_channels: count(params, "macrotile_channels")?,
        });
    }
    if params.get("supertile_order").is_some() {
        parameters.vivante_supertile = Some(match text(params, "supertile_order")? {
            "2x4groups" => SupertileOrder::TwoByFour,
            "zorder" => SupertileOrder::ZOrder,
            other => return Err(Fault::Unreadable(format!("`supertile_order` is {other}"))),
        });
    }
    if params.get("plane").is_some() {
        parameters.plane = Some(match text(params, "plane")? {
            "luma" => Plane::Luma,
            "chroma" => Plane::Chroma,
            other => return Err(Fault::Unreadable(format!("`plane` is {other}"))),
        });
    }
    Ok(parameters)
}

fn gfx8(vector: &Value) -> Result<Gfx8, Fault> {
    let params = vector.get("params").unwrap_or(&Value::Null);
    Ok(Gfx8 {
        array_mode: match number(params, "tile_mode")? {
            2 => ArrayMode::Tiled1D,
            4 => ArrayMode::Tiled2D,
            other => return Err(Fault::Unreadable(format!("`tile_mode` is {other}"))),
        },
        micro_tile: micro_tile(text(params, "micro_tile")?)?,
        pipe_config: count(params, "pipe_config")?,
        pipes: count(params, "num_pipes")?,
        banks: count(params, "banks")?,
        bank_width: count(params, "bank_width")?,
        bank_height: count(params, "bank_height")?,
        macro_aspect: count(params, "macro_aspect")?,
        tile_split: Bytes(number(params, "tile_split_bytes")?),
    })
}

/// The micro tile of this name.
pub(super) fn micro_tile(name: &str) -> Result<MicroTile, Fault> {
    match name {
        "thin" => Ok(MicroTile::Thin),
        "display" => Ok(MicroTile::Display),
        other => Err(Fault::Unreadable(format!("the micro tile is {other}"))),
    }
}

fn planes(vector: &Value, placed: &Placed) -> Result<(), Fault> {
    let Some(params) = vector.get("params").filter(|params| params.get("planes").is_some()) else {
        return Ok(());
    };
    let planes = placed.planes().map_err(|error| Fault::Differs(error.to_string()))?;
    let expected = list(params, "planes")?;
    same("planes", expected.len(), planes.len())?;
    for (index, (expected, plane)) in expected.iter().zip(&planes).enumerate() {
        for (member, found) in [("offset", plane.offset), ("stride", plane.stride), ("size", plane.size)] {
            same(&format!("{member} of plane {index}"), number(expected, member)?, found.get())?;
        }
    }
    let end = planes.last().and_then(|plane| plane.end()).unwrap_or_default();
    same("total_size", number(params, "total_size")?, end.get())
}

fn address(sample: &Value, placed: &Placed) -> Result<(), Fault> {
    let member = |index: usize| sample.get(index).and_then(Value::as_u64);
    let (Some(x), Some(y), Some(expected)) = (member(0), member(1), member(2)) else {
        return Err(Fault::Unreadable(format!("`samples` has {sample}, which is not [x, y, offset]")));
    };
    let [Ok(column), Ok(row)] = [x, y].map(u32::try_from) else {
        return Err(Fault::Unreadable(format!("`samples` has {sample}, beyond 32 bits")));
    };
    let found = placed.offset(Elements(column), row);
    let found = found.ok_or_else(|| Fault::Unreadable(format!("`samples` has {sample}, outside the image")))?;
    same(&format!("offset of ({x}, {y})"), expected, found.get())
}

/// The hash of an image of the pattern that FORMAT.md describes, written the way a mover writes: by rows and runs.
fn image(placed: &Placed) -> Result<String, Fault> {
    let outside = || Fault::Differs("the row form reaches beyond the size".to_owned());
    let mut memory = vec![0u8; usize::try_from(placed.size().get()).map_err(|_| outside())?];
    let element = placed.tiling().bytes_per_element().get() as usize;
    let run = placed.run().get();
    let classes: Vec<Vec<u32>> = (0..placed.classes()).map(|class| placed.columns(class).collect()).collect();
    for y in 0..placed.height() {
        let row = placed.row(y).ok_or_else(outside)?;
        let columns = classes.get(usize::from(row.class)).ok_or_else(outside)?;
        for x in 0..placed.width().get() {
            let entry = columns.get((x / run) as usize).ok_or_else(outside)?;
            let start = row.base + u64::from(entry ^ row.xor) + u64::from(x % run) * element as u64;
            let start = usize::try_from(start).map_err(|_| outside())?;
            let pixel = memory.get_mut(start..start + element).ok_or_else(outside)?;
            write_pixel(x, y, pixel);
        }
    }
    let mut text = String::new();
    for byte in Sha256::digest(&memory) {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

fn write_pixel(x: u32, y: u32, pixel: &mut [u8]) {
    let value = x.wrapping_add(y << 16) ^ 0x9E37_79B9;
    for (word, bytes) in pixel.chunks_mut(4).enumerate() {
        let word = value ^ (word as u32).wrapping_mul(0x85EB_CA6B);
        bytes.copy_from_slice(word.to_le_bytes().get(..bytes.len()).unwrap_or_default());
    }
}
