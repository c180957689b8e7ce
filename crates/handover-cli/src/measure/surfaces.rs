//! The buffers of a scenario as surfaces, their regions as cells.

use handover::negotiate::SurfaceUsages;
use handover::{Cell, Cells, Device, Extent, Format, Layout, Options, Rect, Result, Surface, Writers, negotiate};

use super::plan::{Plan, Surface as Wanted};

/// Pixels of a side of a tile.
const TILE: u32 = 64;

/// All surfaces, each in a pool of its own: no owner can spoil what he has no part in.
///
/// # Errors
/// In words.
pub(super) fn allocate(plan: &Plan) -> Result<Vec<Surface>, String> {
    let one = |wanted: &Wanted| one(wanted).map_err(|error| format!("{}: {error}", wanted.name));
    plan.surfaces.iter().map(one).collect()
}

fn one(wanted: &Wanted) -> Result<Surface> {
    let count = u32::try_from(wanted.regions).unwrap_or(u32::MAX).clamp(1, 64);
    let columns = if wanted.rows { 1 } else { (1..=8).find(|side| side * side >= count).unwrap_or(8) };
    let rows = if wanted.rows { 1 } else { count.div_ceil(columns) };
    let extent = Extent::new(columns * TILE, rows * TILE)?;
    let offers = ["writer", "reader"].map(|name| {
        let usages = SurfaceUsages::READ | SurfaceUsages::WRITE;
        Device::PLAIN.offer(name, &[Format::XRGB8888], usages)
    });
    let agreement = negotiate(extent, &offers)?;
    let layout = Layout::linear(Format::XRGB8888, extent, agreement.constraints())?;
    let cell = |index: u32| {
        if wanted.rows {
            return Ok(Cell::Rows { start: index, step: count });
        }
        let (x, y) = (index % columns * TILE, index / columns * TILE);
        Rect::new(x, y, Extent::new(TILE, TILE)?).map(Cell::Rect)
    };
    let cells = if wanted.regions > 1 { (0..count).map(cell).collect::<Result<Vec<_>>>()? } else { Vec::new() };
    let options = Options { writers: Writers::Open, cells: Cells::new(&layout, cells)?, ..Options::default() };
    handover::allocate(Device::PLAIN, &agreement, &options)?
        .into_iter()
        .next()
        .ok_or_else(|| handover::Error::new(handover::Stage::Allocate, handover::Kind::Unreachable))
}
