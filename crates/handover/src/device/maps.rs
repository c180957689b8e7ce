//! From the model's layouts to the tables that movers step through.

use handover_model::layout::blocks::{Blocks, TILE_BYTES, TILE_EDGE};
use handover_model::{Layout, Modifier, Stage};
use handover_sys::tiles::{TileMap, TileRow};

use super::tiled::Plane;
use crate::error::{Error, Kind, Result};
use crate::tiles;

/// The planes of pixels of a tiled layout.
pub(super) fn of(layout: &Layout) -> Result<Vec<Plane>> {
    planes(layout, 0)
}

/// The same with one bit of every address inverted, inside the blocks of the tiling.
///
/// # Errors
/// [`Kind::Invalid`]: the bit is none of the address of an element in its block.
pub(super) fn with_flipped_bit(layout: &Layout, bit: u32) -> Result<Vec<Plane>> {
    let tiling = layout.placed(0)?;
    let tiling = tiling.tiling();
    let (element, (wide, high)) = (tiling.bytes_per_element().get(), tiling.block());
    let block = u64::from(wide.get()) * u64::from(high) * element;
    match 1_u32.checked_shl(bit).filter(|flip| (element..block).contains(&u64::from(*flip))) {
        Some(flip) => planes(layout, flip),
        None => Err(Error::new(Stage::Import, Kind::Invalid)
            .asked(format!("a decoder of {} with bit {bit} of its addresses inverted", layout.modifier()))
            .found(format!("elements of {element} bytes in blocks of {block}"))
            .help(format!("a bit from {} to {}", element.ilog2(), block.ilog2().saturating_sub(1)))),
    }
}

fn planes(layout: &Layout, flip: u32) -> Result<Vec<Plane>> {
    let unfit = || Error::new(Stage::Access, Kind::Unreachable).found(format!("{} as tiles", layout.modifier()));
    let planes = layout.format().ok_or_else(unfit)?.planes().len();
    let plane = |index: usize| {
        let begin = layout.plane(index).and_then(|plane| usize::try_from(plane.offset.get()).ok());
        let map = match layout.modifier() {
            Modifier::SIM_BLOCKS => blocks(layout),
            // Compressed layouts are checked here first: only who knows the compression comes so far.
            _ => tiles::map_with_flipped_bits(&layout.placed(index).map_err(alleged)?, flip),
        };
        let map = map.ok_or_else(unfit)?;
        let plane = layout.plane(index).unwrap_or_default();
        if plane.size.get() < map.end() as u64 {
            let why = format!("plane {index} has {}; its pixels reach to byte {}", plane.size, map.end());
            return Err(Error::new(Stage::Import, Kind::Malformed).asked(layout.modifier().to_string()).why(why));
        }
        Ok(Plane { begin: begin.ok_or_else(unfit)?, map })
    };
    (0..planes).map(plane).collect()
}

/// A stride that the layout forbids is the peer's.
fn alleged(error: Error) -> Error {
    match error.kind() {
        Kind::Invalid => Error::new(Stage::Import, Kind::Malformed).why(error.to_string()),
        _ => error.at(Stage::Import),
    }
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
