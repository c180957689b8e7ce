//! From the model's layouts to the tables that movers step through.

use handover_model::layout::blocks::{Blocks, TILE_BYTES, TILE_EDGE};
use handover_model::{Layout, Modifier, Stage};
use handover_sys::tiles::{TileMap, TileRow};

use super::tiled::Plane;
use crate::error::{Error, Kind, Result};
use crate::tiles;

/// The planes of pixels of a tiled layout.
pub(super) fn of(layout: &Layout) -> Result<Vec<Plane>> {
    let unfit = || Error::new(Stage::Access, Kind::Unreachable).found(format!("{} as tiles", layout.modifier()));
    let planes = layout.format().ok_or_else(unfit)?.planes().len();
    let plane = |index: usize| {
        let begin = layout.plane(index).and_then(|plane| usize::try_from(plane.offset.get()).ok());
        let map = match layout.modifier() {
            Modifier::SIM_BLOCKS => blocks(layout),
            _ => tiles::map(&layout.placed(index)?),
        };
        Ok(Plane { begin: begin.ok_or_else(unfit)?, map: map.ok_or_else(unfit)? })
    };
    (0..planes).map(plane).collect()
}

/// The table of the simulated device `blocks`.
fn blocks(layout: &Layout) -> Option<TileMap> {
    let (extent, blocks) = (layout.extent()?, Blocks::of(layout)?);
    let (edge, bytes) = (TILE_EDGE.get(), TILE_BYTES.get() as u32);
    let row_of_tiles = u64::from(blocks.columns()).checked_mul(TILE_BYTES.get())?;
    let row = |y: u32| TileRow { base: u64::from(y / edge) * row_of_tiles, xor: y % edge * edge * 4, class: 0 };
    let column = |x: u32| x / edge * bytes + x % edge * 4;
    let rows: Vec<_> = (0..extent.height().get()).map(row).collect();
    let map = TileMap::new(4, edge as usize, &rows, vec![(0..extent.width().get()).map(column).collect()])?;
    Some(map.with_blocks(edge as usize, edge as usize))
}
