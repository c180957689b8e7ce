//! The message of a handle: what never changes about a surface.

use alloc::format;
use alloc::vec::Vec;

use super::read::Reader;
use super::write::Writer;
use super::{MAX_SURFACES, malformed};
use crate::layout::MAX_PLANES;
use crate::region::MAX_CELLS;
use crate::{Bytes, Cell, Cells, Error, ExportFlags, Extent, Format, Fourcc, Kind, Layout, Modifier, PlaneLayout};
use crate::{ReadOnly, Rect, Result, Stage};

/// A surface of a pool, as its exporter describes it. What is parsed is consistent in itself; whether the descriptors that
/// came with it are what it says, the importer finds out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurfaceMessage {
    /// Number of the pool, chosen by its allocator; the same in all messages of one pool.
    pub pool: u64,
    /// Index of the surface in the pool, less than `surfaces`.
    pub index: u32,
    /// How many surfaces the pool has, 1 to [`MAX_SURFACES`]: how long the control file is.
    pub surfaces: u32,
    /// Format, extent, modifier and planes.
    pub layout: Layout,
    /// Size of the memory behind the pixel descriptor, at least that of the layout.
    pub memory: Bytes,
    /// The cells of the surface.
    pub cells: Cells,
    /// What the handle was exported for; READ, WRITE or both.
    pub access: ExportFlags,
    /// How far READ is enforced.
    pub read_only: ReadOnly,
}

const NO_FORMAT: u32 = 0;

const CELL_RECT: u8 = 1;
const CELL_PLANE: u8 = 2;
const CELL_VIEW: u8 = 3;
const CELL_ROWS: u8 = 4;

impl SurfaceMessage {
    pub(super) fn write(&self, out: &mut Writer) {
        out.u64(self.pool);
        out.u32(self.index);
        out.u32(self.surfaces);
        out.u8(self.access.bits());
        out.u8(self.read_only.bits());
        // DRM_FORMAT_INVALID is 0, so no format has this code.
        out.u32(self.layout.format().map_or(NO_FORMAT, |format| format.fourcc().0));
        out.u32(self.layout.extent().map_or(0, |extent| extent.width().get()));
        out.u32(self.layout.extent().map_or(0, |extent| extent.height().get()));
        out.u64(self.layout.modifier().0);
        out.u64(self.memory.get());
        out.u8(self.layout.planes().len() as u8);
        for plane in self.layout.planes() {
            out.u64(plane.offset.get());
            out.u64(plane.stride.get());
            out.u64(plane.size.get());
        }
        out.u8(self.cells.len() as u8);
        for cell in self.cells.as_slice() {
            write_cell(out, *cell);
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let pool = input.u64("pool")?;
        let index = input.u32("index")?;
        let surfaces = input.u32("surfaces")?;
        if surfaces > MAX_SURFACES {
            return Err(malformed("surfaces", format!("{surfaces}; a pool has at most {MAX_SURFACES}")));
        }
        if index >= surfaces {
            return Err(malformed("index", format!("{index} of {surfaces} surfaces")));
        }
        let access = input.u8("access")?;
        let access = ExportFlags::from_bits(access)
            .filter(|flags| flags.intersects(ExportFlags::READ | ExportFlags::WRITE))
            .ok_or_else(|| malformed("access", format!("{access:#x}")))?;
        let read_only = input.u8("read only")?;
        let read_only = ReadOnly::from_bits(read_only).ok_or_else(|| malformed("read only", format!("{read_only}")))?;
        let (layout, memory) = read_layout(input)?;
        let count = usize::from(input.u8("cells")?);
        if count > MAX_CELLS {
            return Err(malformed("cells", format!("{count}; a surface has at most {MAX_CELLS}")));
        }
        let mut cells = Vec::with_capacity(count);
        for _ in 0..count {
            cells.push(read_cell(input)?);
        }
        let cells = Cells::new(&layout, cells).map_err(|error| malformed("cells", format!("{error}")))?;
        Ok(Self { pool, index, surfaces, layout, memory, cells, access, read_only })
    }
}

fn read_layout(input: &mut Reader<'_>) -> Result<(Layout, Bytes)> {
    let fourcc = Fourcc(input.u32("format")?);
    let (width, height) = (input.u32("width")?, input.u32("height")?);
    let modifier = Modifier(input.u64("modifier")?);
    let memory = Bytes(input.u64("memory")?);
    let (format, extent) = if fourcc.0 == NO_FORMAT {
        if (width, height) != (0, 0) {
            return Err(malformed("width", format!("{width}x{height} px for a buffer, which has no extent")));
        }
        (None, None)
    } else {
        let format = Format::from_fourcc(fourcc).ok_or_else(|| {
            Error::new(Stage::Import, Kind::Unsupported)
                .found(format!("the format {fourcc} in a message"))
                .why("it is not known here")
        })?;
        let extent = Extent::new(width, height).map_err(|_| malformed("width", format!("{width}x{height} px")))?;
        (Some(format), Some(extent))
    };
    let count = usize::from(input.u8("planes")?);
    let mut planes = [PlaneLayout::default(); MAX_PLANES];
    let Some(planes) = planes.get_mut(..count) else {
        return Err(malformed("planes", format!("{count}; a layout has at most {MAX_PLANES}")));
    };
    for plane in planes.iter_mut() {
        let (offset, stride) = (Bytes(input.u64("plane offset")?), Bytes(input.u64("plane stride")?));
        *plane = PlaneLayout { offset, stride, size: Bytes(input.u64("plane size")?) };
    }
    Ok((Layout::from_allegation(format, extent, modifier, planes, memory)?, memory))
}

fn write_cell(out: &mut Writer, cell: Cell) {
    match cell {
        Cell::Rect(rect) => {
            out.u8(CELL_RECT);
            out.u32(rect.x().get());
            out.u32(rect.y().get());
            out.u32(rect.extent().width().get());
            out.u32(rect.extent().height().get());
        }
        Cell::Plane(plane) => {
            out.u8(CELL_PLANE);
            out.u8(plane);
        }
        Cell::View(view) => {
            out.u8(CELL_VIEW);
            out.u8(view);
        }
        Cell::Rows { start, step } => {
            out.u8(CELL_ROWS);
            out.u32(start);
            out.u32(step);
        }
    }
}

fn read_cell(input: &mut Reader<'_>) -> Result<Cell> {
    Ok(match input.u8("cell kind")? {
        CELL_RECT => {
            let (x, y) = (input.u32("cell x")?, input.u32("cell y")?);
            let (width, height) = (input.u32("cell width")?, input.u32("cell height")?);
            let rect = Extent::new(width, height).and_then(|extent| Rect::new(x, y, extent));
            Cell::Rect(rect.map_err(|_| malformed("cell", format!("{width}x{height} px at ({x}, {y})")))?)
        }
        CELL_PLANE => Cell::Plane(input.u8("cell plane")?),
        CELL_VIEW => Cell::View(input.u8("cell view")?),
        CELL_ROWS => Cell::Rows { start: input.u32("cell start")?, step: input.u32("cell step")? },
        unknown => return Err(malformed("cell kind", format!("{unknown}"))),
    })
}
