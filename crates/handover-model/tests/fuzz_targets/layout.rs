//! A modifier, the size of an element, width and height, a stride, and parameters.

use handover_model::layout::tiling::{
    ArrayMode, Gfx8, MicroTile, Parameters, Placed, Plane, Qualcomm, SupertileOrder, Tiling,
};
use handover_model::{Bytes, Elements, Modifier};

use super::input::Input;
use super::{holds, said};

/// Images of so many elements are looked at as a whole.
const SMALL: u64 = 1 << 12;

pub(super) fn run(bytes: &[u8]) -> Result<(), String> {
    let mut input = Input::new(bytes);
    let modifier = Modifier(input.number());
    let element = Bytes(1 << (input.byte() % 6));
    let (width, height) = (edge(&mut input), edge(&mut input));
    let stride = match input.byte() {
        0..128 => None,
        128..192 => Some(Bytes(u64::from(input.half()) * 64)),
        192.. => Some(Bytes(input.number())),
    };
    let parameters = parameters(&mut input);
    let tiling = match Tiling::of(modifier, element, &parameters) {
        Ok(tiling) => tiling,
        Err(error) => return said(&error),
    };
    said(&tiling)?;
    let _ = (tiling.write_unit(), tiling.bits().map(<[_]>::len));
    let placed = match tiling.place(Elements(width), height, stride) {
        Ok(placed) => placed,
        Err(error) => return said(&error),
    };
    let _ = placed.planes();
    for x in [0, 1, width / 3, width / 2, width - 1] {
        for y in [0, 1, height / 3, height / 2, height - 1] {
            inside(&placed, x.min(width - 1), y.min(height - 1))?;
        }
    }
    holds(placed.offset(Elements(width), 0).is_none() && placed.row(height).is_none(), || "an element outside".into())?;
    if u64::from(width) * u64::from(height) <= SMALL {
        apart(&placed)?;
    }
    Ok(())
}

/// Small ones more often than large ones.
fn edge(input: &mut Input<'_>) -> u32 {
    match input.byte() {
        0..128 => u32::from(input.byte()) + 1,
        128..224 => u32::from(input.half()),
        224.. => input.dword(),
    }
}

fn parameters(input: &mut Input<'_>) -> Parameters {
    let which = input.byte();
    let given = |bit: u8| which & 1 << bit != 0;
    Parameters {
        amd_gfx8: given(0).then(|| Gfx8 {
            array_mode: if input.byte() & 1 == 0 { ArrayMode::Tiled2D } else { ArrayMode::Tiled1D },
            micro_tile: if input.byte() & 1 == 0 { MicroTile::Thin } else { MicroTile::Display },
            pipe_config: u32::from(input.byte()),
            pipes: count(input),
            banks: count(input),
            bank_width: count(input),
            bank_height: count(input),
            macro_aspect: count(input),
            tile_split: Bytes(u64::from(input.half())),
        }),
        qualcomm: given(1).then(|| Qualcomm {
            highest_bank_bit: u32::from(input.byte()),
            bank_swizzle_levels: u32::from(input.byte()),
            macrotile_channels: u32::from(input.byte()),
        }),
        vivante_supertile: given(2).then_some(if given(3) {
            SupertileOrder::ZOrder
        } else {
            SupertileOrder::TwoByFour
        }),
        intel_bit6: given(4).then_some(true),
        plane: given(5).then_some(if given(6) { Plane::Chroma } else { Plane::Luma }),
        sand_first_row: given(7).then(|| edge(input)),
    }
}

/// Mostly a power of two.
fn count(input: &mut Input<'_>) -> u32 {
    match input.byte() {
        small @ 0..16 => 1 << (small % 6),
        other => u32::from(other),
    }
}

fn inside(placed: &Placed, x: u32, y: u32) -> Result<(), String> {
    let at = || format!("{}: ({x}, {y})", placed.tiling());
    let offset = placed.offset(Elements(x), y).ok_or_else(|| format!("{} has no address", at()))?;
    let element = placed.tiling().bytes_per_element();
    let end = offset.checked_add(element).ok_or_else(|| format!("{} overflows", at()))?;
    holds(end <= placed.size(), || format!("{} is at {offset} of {}", at(), placed.size()))?;
    let row = placed.row(y).ok_or_else(|| format!("{} has no row", at()))?;
    let fits = row.base.checked_add(placed.span()).is_some_and(|end| end <= placed.size().get());
    holds(fits && row.class < placed.classes(), || {
        format!("{}: the row {row:?} with a span of {}", at(), placed.span())
    })
}

/// No two elements share a byte, and rows and columns give the addresses that elements have.
fn apart(placed: &Placed) -> Result<(), String> {
    let element = placed.tiling().bytes_per_element().get();
    let run = placed.run().get();
    let mut offsets = Vec::new();
    for y in 0..placed.height() {
        let row = placed.row(y).ok_or_else(|| format!("no row {y}"))?;
        let columns: Vec<u32> = placed.columns(row.class).collect();
        for x in 0..placed.width().get() {
            let at = || format!("{}: ({x}, {y})", placed.tiling());
            let offset = placed.offset(Elements(x), y).ok_or_else(|| format!("{} has no address", at()))?.get();
            let entry = columns.get((x / run) as usize).ok_or_else(|| format!("{} has no column", at()))?;
            let stepped = row.base + u64::from(entry ^ row.xor) + u64::from(x % run) * element;
            holds(stepped == offset, || format!("{} is at {offset}, and by rows and columns at {stepped}", at()))?;
            offsets.push(offset);
        }
    }
    offsets.sort_unstable();
    let shared = offsets.windows(2).find(|pair| matches!(pair, [one, two] if two - one < element));
    let inside = offsets.last().is_none_or(|last| last + element <= placed.size().get());
    holds(shared.is_none() && inside, || format!("{}: {shared:?} of elements of {element}", placed.tiling()))
}
