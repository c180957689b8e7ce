//! Vectors of address bits: every bit of every AMD layout, as text.

use handover_model::layout::tiling::{ArrayMode, Gfx8, Parameters, Tiling};
use handover_model::{Bytes, Modifier};
use serde_json::Value;

use super::tiling::micro_tile;
use super::vector::{Fault, count, list, number, same, text};

/// Checks one equation.
pub(super) fn check(vector: &Value) -> Result<(), Fault> {
    let bytes = Bytes(number(vector, "bpp")?);
    let tiling = match vector.get("modifier") {
        Some(_) => Tiling::of(Modifier(number(vector, "modifier")?), bytes, &Parameters::default()),
        None => Tiling::amd_gfx8(gfx8(vector)?, bytes),
    };
    let tiling = tiling.map_err(|error| Fault::Differs(error.to_string()))?;
    let bits = tiling.bits().ok_or_else(|| Fault::Differs(format!("{tiling} has no bits")))?;
    let expected = list(vector, "bits")?;
    same("count of bits", expected.len(), bits.len())?;
    for (index, (expected, bit)) in expected.iter().zip(bits).enumerate() {
        same(&format!("bit {index} above the element"), expected.as_str().unwrap_or_default(), &bit.to_string())?;
    }
    let (width, height) = tiling.block();
    let [wide, high] = if vector.get("macro_w").is_some() { ["macro_w", "macro_h"] } else { ["block_w", "block_h"] };
    same(wide, count(vector, wide)?, width.get())?;
    same(high, count(vector, high)?, height)
}

fn gfx8(vector: &Value) -> Result<Gfx8, Fault> {
    Ok(Gfx8 {
        array_mode: ArrayMode::Tiled2D,
        micro_tile: micro_tile(text(vector, "micro")?)?,
        pipe_config: count(vector, "pipe_config")?,
        pipes: count(vector, "pipes")?,
        banks: count(vector, "banks")?,
        bank_width: count(vector, "bank_w")?,
        bank_height: count(vector, "bank_h")?,
        macro_aspect: count(vector, "aspect")?,
        // The equations are of whole micro tiles.
        tile_split: Bytes(4096),
    })
}
