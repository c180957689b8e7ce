//! A tiling laid out for one image: its size, and the address of every element.

use alloc::format;
use alloc::vec::Vec;

use super::Tiling;
use super::block::Block;
use crate::{Bytes, Elements, Error, Kind, PlaneLayout, Result, Stage};

/// Where the elements of a row lie, see the [contract](super#contract).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Row {
    /// The part of the address that is added.
    pub base: u64,
    /// The part that is XORed to each column entry.
    pub xor: u32,
    /// Which columns the row goes with.
    pub class: u8,
}

/// An image in blocks: what all of its addresses are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) block: Block,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Rows of the image and its padding.
    pub(super) rows: u32,
    /// Blocks of a row.
    pub(super) blocks: u32,
}

impl Grid {
    /// Bytes of all blocks side by side.
    pub(super) fn row_of_blocks(&self) -> u64 {
        u64::from(self.blocks).saturating_mul(u64::from(self.block.bytes()))
    }
}

/// A tiling laid out for one image.
///
/// ```
/// use handover_model::layout::tiling::{Parameters, Tiling};
/// use handover_model::{Bytes, Elements, Modifier};
/// let tiling = Tiling::of(Modifier(0x0200_0000_0000_0901), Bytes(4), &Parameters::default())?;
/// let image = tiling.place(Elements(300), 100, None)?;
/// let (x, y) = (Elements(200), 99);
/// // What a mover does, for each row and each run of elements:
/// let row = image.row(y).unwrap();
/// let columns: Vec<u32> = image.columns(row.class).collect();
/// let run = image.run().get();
/// let entry = columns[(x.get() / run) as usize];
/// let address = row.base + u64::from(entry ^ row.xor) + u64::from(x.get() % run) * 4;
/// assert_eq!(image.offset(x, y), Some(Bytes(address)));
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    tiling: Tiling,
    grid: Grid,
    stride: Bytes,
    size: Bytes,
    span: u64,
}

impl Tiling {
    /// Lays out an image of `width` × `height` elements with this stride, or with the smallest its device would take.
    ///
    /// # Errors
    /// `Invalid` for an empty image, one whose row of blocks reaches beyond 4 GiB, and for a stride that the layout
    /// forbids; the text says the rule.
    ///
    /// ```
    /// use handover_model::layout::tiling::{Parameters, Tiling};
    /// use handover_model::{Bytes, Elements, Modifier};
    /// let x_tiled = Tiling::of(Modifier(0x0100_0000_0000_0001), Bytes(4), &Parameters::default())?;
    /// let refusal = x_tiled.place(Elements(100), 10, Some(Bytes(600))).unwrap_err();
    /// assert!(refusal.to_string().contains("a multiple of 512 bytes"));
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn place(&self, width: Elements, height: u32, stride: Option<Bytes>) -> Result<Placed> {
        let refused = |error: Error| error.asked(format!("{width} in {height} rows of {self}"));
        if width == Elements::ZERO || height == 0 {
            return Err(refused(invalid("an image has at least one element")));
        }
        let too_large = || refused(invalid("its addresses do not fit: a row of blocks has at most 4 GiB"));
        let bytes = self.bytes_per_element().checked_mul(u64::from(width.get())).ok_or_else(too_large)?;
        self.above.fits(height).map_err(refused)?;
        let block = self.above.block(&self.block, width.get(), height);
        let rows = self.above.rows(&block, height).ok_or_else(too_large)?;
        let stride = match stride {
            Some(stride) => self.check_stride(stride, bytes).map_err(refused)?,
            None => self.above.smallest_stride(bytes, self.stride_unit, rows).ok_or_else(too_large)?,
        };
        let blocks = self.above.blocks(&block, width.get(), stride).ok_or_else(too_large)?;
        let grid = Grid { block, width: width.get(), height, rows, blocks };
        let size = self.above.size(&grid).ok_or_else(too_large)?;
        let span = self.above.span(&grid);
        if span > u64::from(u32::MAX) || size > i64::MAX as u64 {
            return Err(too_large());
        }
        let tiling = Self { block, ..self.clone() };
        Ok(Placed { tiling, grid, stride, size: Bytes(size), span })
    }

    fn check_stride(&self, stride: Bytes, row: Bytes) -> Result<Bytes> {
        let unit = self.stride_unit;
        if stride.is_aligned(Bytes(unit)) && stride >= row {
            return Ok(stride);
        }
        let why = format!("the stride is a multiple of {unit} bytes and at least a row of {row}");
        Err(invalid(why).found(format!("a stride of {stride}")))
    }
}

pub(super) fn invalid(why: impl Into<crate::Text>) -> Error {
    Error::new(Stage::Allocate, Kind::Invalid).why(why)
}

impl Placed {
    /// The tiling it was laid out with.
    pub const fn tiling(&self) -> &Tiling {
        &self.tiling
    }

    /// Elements of a row, without padding.
    pub const fn width(&self) -> Elements {
        Elements(self.grid.width)
    }

    /// Rows, without padding.
    pub const fn height(&self) -> u32 {
        self.grid.height
    }

    /// The stride as drivers pass it: bytes of a row of elements as if they lay side by side, padding included.
    pub const fn stride(&self) -> Bytes {
        self.stride
    }

    /// Rows, padding included.
    pub const fn rows(&self) -> u32 {
        self.grid.rows
    }

    /// Bytes of the plane, padding included.
    pub const fn size(&self) -> Bytes {
        self.size
    }

    /// The plane begins at a multiple of this.
    pub const fn align(&self) -> Bytes {
        Bytes(self.tiling.align)
    }

    /// First byte of an element, counted from the start of the plane. `None` outside the image.
    pub fn offset(&self, x: Elements, y: u32) -> Option<Bytes> {
        let row = self.row(y)?;
        let column = (x < self.width()).then(|| self.tiling.above.column(&self.grid, row.class, x.get()))?;
        row.base.checked_add(u64::from(column ^ row.xor)).map(Bytes)
    }

    /// Where a row lies. `None` below the image.
    pub fn row(&self, y: u32) -> Option<Row> {
        (y < self.grid.height).then(|| self.tiling.above.row(&self.grid, y))
    }

    /// What the columns of this class give to an address: one entry for each [`run`](Self::run) of elements, from column 0 on. The last
    /// run may reach beyond the image.
    pub fn columns(&self, class: u8) -> impl Iterator<Item = u32> + '_ {
        let step = self.run().get() as usize;
        (0..self.grid.width).step_by(step).map(move |x| self.tiling.above.column(&self.grid, class, x))
    }

    /// How many classes of rows there are: a row's class is less than this.
    pub const fn classes(&self) -> u8 {
        self.tiling.above.classes()
    }

    /// How many elements, a power of two and aligned to itself, lie one after the other everywhere.
    pub fn run(&self) -> Elements {
        self.grid.block.run()
    }

    /// Every column entry is less than this.
    pub const fn span(&self) -> u64 {
        self.span
    }

    /// The planes of the layout, this one first and those of the compression data behind it, packed as drivers pack them. Offsets
    /// count from the start of this plane.
    ///
    /// # Errors
    /// `Unsupported` if the layout is compressed and no public source says how large the compression data is.
    pub fn planes(&self) -> Result<Vec<PlaneLayout>> {
        let mut planes = Vec::from([PlaneLayout { offset: Bytes::ZERO, stride: self.stride, size: self.size }]);
        if let Some(compressed) = &self.tiling.compressed {
            compressed
                .add_planes(&self.grid, self.stride, &mut planes)
                .map_err(|error| error.asked(format!("the planes of {}", self.tiling)))?;
        }
        Ok(planes)
    }
}
