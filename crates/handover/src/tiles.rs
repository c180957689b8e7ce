//! Tile and de-tile a plane that nobody shares: what comes from a file or goes into one. Surfaces do it by themselves, through a
//! [`View`](crate::View).

use handover_model::Stage;
use handover_model::layout::tiling::Placed;
use handover_sys::map::{Mapping, Populate};
use handover_sys::memfd;
use handover_sys::tiles::{TileMap, TileRow, Window};

use crate::error::{Error, Kind, Result, os};

/// The bytes of a tiled plane, padding 0, of rows of elements that begin `stride` bytes apart.
///
/// # Errors
/// `Unsupported` for a compressed layout; `Invalid` if `rows` has less than the rows of the image, or the plane does not fit memory; `Os`
/// if the kernel gives no memory.
///
/// ```
/// use handover::layout::tiling::{Parameters, Tiling};
/// use handover::{Bytes, Elements, Modifier, tiles};
/// let y_tiled = Tiling::of(Modifier(0x0100_0000_0000_0002), Bytes(4), &Parameters::default())?;
/// let placed = y_tiled.place(Elements(5), 3, None)?;
/// let rows: Vec<u8> = (0..60).collect();
/// let tiled = tiles::tile(&placed, &rows, 20)?;
/// assert_eq!(tiled.len() as u64, placed.size().get());
/// assert_eq!(tiles::detile(&placed, &tiled)?, rows);
/// # Ok::<(), handover::Error>(())
/// ```
pub fn tile(placed: &Placed, rows: &[u8], stride: usize) -> Result<Vec<u8>> {
    let plane = Plane::of(placed)?;
    let needed = plane.map.height().saturating_sub(1).saturating_mul(stride);
    let needed = needed.saturating_add(plane.map.width() * plane.map.element());
    let pixels = plane.memory.pixels_mut(0..plane.size).ok_or_else(|| broken(placed))?;
    if !pixels.tile(0, &plane.map, Window::whole(&plane.map), rows, stride) {
        return Err(invalid(placed)
            .found(format!("{} bytes in rows {stride} bytes apart", rows.len()))
            .why(format!("{needed} bytes are the least, and rows do not overlap")));
    }
    let mut tiled = zeroed(placed, plane.size)?;
    if pixels.as_pixels().read(0, &mut tiled) { Ok(tiled) } else { Err(broken(placed)) }
}

/// The rows of a tiled plane, without padding.
///
/// # Errors
/// As of [`tile()`]; `Invalid` too if `tiled` has not exactly the bytes of the plane: the text says how many those are.
pub fn detile(placed: &Placed, tiled: &[u8]) -> Result<Vec<u8>> {
    let plane = Plane::of(placed)?;
    if tiled.len() != plane.size {
        return Err(invalid(placed).found(format!("{} bytes", tiled.len())).why(format!(
            "the plane has {} bytes, {} rows of padding included",
            plane.size,
            padding(placed)
        )));
    }
    let pixels = plane.memory.pixels_mut(0..plane.size).ok_or_else(|| broken(placed))?;
    let row = plane.map.width() * plane.map.element();
    let mut rows = zeroed(placed, row.saturating_mul(plane.map.height()))?;
    let is_done =
        pixels.write(0, tiled) && pixels.as_pixels().detile(0, &plane.map, Window::whole(&plane.map), &mut rows, row);
    if is_done { Ok(rows) } else { Err(broken(placed)) }
}

/// Memory of a plane, which the movers know only as memory that others may write, and the table that they step through.
struct Plane {
    map: TileMap,
    size: usize,
    memory: Mapping,
}

impl Plane {
    fn of(placed: &Placed) -> Result<Self> {
        if placed.tiling().is_compressed() {
            return Err(Error::new(Stage::Access, Kind::Unsupported)
                .asked(format!("the pixels of {}", placed.tiling()))
                .why("compressed: resolve first")
                .help("the modifier of the same layout without compression, once its device has resolved it"));
        }
        let size = usize::try_from(placed.size().get()).map_err(|_| invalid(placed).why("it does not fit memory"))?;
        let file = memfd::create("handover-tiles", placed.size().get()).map_err(os(Stage::Access, "make memory"))?;
        let memory = Mapping::new(file, size, Populate::Later).map_err(os(Stage::Access, "map memory"))?;
        Ok(Self { map: map(placed).ok_or_else(|| broken(placed))?, size, memory })
    }
}

/// The table of a plane for the movers of `handover_sys`, as surfaces use it. `None`: an address does not fit this machine.
pub fn map(placed: &Placed) -> Option<TileMap> {
    map_with_flipped_bits(placed, 0)
}

/// The same with bits of every address inverted, for tests of decoders.
pub(crate) fn map_with_flipped_bits(placed: &Placed, flip: u32) -> Option<TileMap> {
    let element = usize::try_from(placed.tiling().bytes_per_element().get()).ok()?;
    let run = placed.run().get();
    let row = |y| placed.row(y).map(|row| TileRow { base: row.base, xor: row.xor ^ flip, class: row.class });
    let rows = (0..placed.height()).map(row).collect::<Option<Vec<_>>>()?;
    // One entry a run in the model, one an element here.
    let columns = (0..placed.classes()).map(|class| {
        let runs = placed.columns(class);
        let elements = runs.flat_map(|first| (0..run).map(move |step| first.wrapping_add(step * element as u32)));
        elements.take(placed.width().get() as usize).collect()
    });
    // A run is moved at once, and the bit may lie inside it.
    let at_once = if flip == 0 { run as usize } else { 1 };
    let map = TileMap::new(element, at_once, &rows, columns.collect())?;
    let (wide, high) = placed.tiling().block();
    Some(map.with_blocks(wide.get() as usize, high as usize))
}

fn zeroed(placed: &Placed, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|error| invalid(placed).why(error.to_string()))?;
    bytes.resize(length, 0);
    Ok(bytes)
}

fn padding(placed: &Placed) -> u32 {
    placed.rows().saturating_sub(placed.height())
}

fn invalid(placed: &Placed) -> Error {
    let (width, height) = (placed.width(), placed.height());
    Error::new(Stage::Access, Kind::Invalid).asked(format!("{width} in {height} rows of {}", placed.tiling()))
}

/// What was placed fits its own size: if not, it is our bug.
#[cold]
fn broken(placed: &Placed) -> Error {
    Error::new(Stage::Access, Kind::Unreachable).found(format!("{} outside its own size", placed.tiling()))
}
