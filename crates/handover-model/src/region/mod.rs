//! Parts of a surface with fences of their own: cells that the allocator declares, and masks over them.
//!
//! # Contract
//!
//! - An allocator declares at most 64 cells, and no two have a pixel in common. A [`Region`] names some of them by a mask.
//! - Cell edges lie on the layout's write unit ([`Layout::write_unit`]), except at the edge of the surface: otherwise two
//!   writers of two cells would share a byte.
//! - The whole surface is all ones and meets every region. Pixels in no cell are reached by whole access only.
//! - Two regions may run side by side if, and only if, their masks have no bit in common.

mod overlap;

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use crate::{Error, Extent, Kind, Layout, Px, Rect, Result, Stage};

/// The most cells of a surface.
pub const MAX_CELLS: usize = 64;

/// Some cells of a surface, one bit each, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region(u64);

impl Region {
    /// All of the surface, the pixels in no cell included.
    pub const WHOLE: Self = Self(u64::MAX);

    /// The region of this mask. A mask of nothing is read as the whole: an access that claims no pixels would be waited for
    /// by nobody, and only a broken or hostile peer makes one.
    pub const fn from_bits(mask: u64) -> Self {
        if mask == 0 { Self::WHOLE } else { Self(mask) }
    }

    /// The mask.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Is it all of the surface?
    pub const fn is_whole(self) -> bool {
        self.0 == u64::MAX
    }

    /// Do the two have a cell in common?
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Does it have every cell of the other?
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The cells of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Default for Region {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() { f.write_str("whole") } else { write!(f, "cells {:#x}", self.0) }
    }
}

/// One part of a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cell {
    /// A rectangle of pixels, in every plane.
    Rect(Rect),
    /// One plane of the format, all over the surface. It meets every rectangle and every set of rows.
    Plane(u8),
    /// One image of a surface that holds several (an eye, a layer). It meets everything but other views, because where a
    /// view lies is the application's affair.
    View(u8),
    /// Rows of write units: `start`, `start + step`, … down to the bottom. With a write unit of one row these are pixel
    /// rows, and `step` 2 makes the two fields of interlaced video.
    Rows {
        /// The first row of write units.
        start: u32,
        /// Distance to the next, at least 1.
        step: u32,
    },
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rect(rect) => write!(f, "rectangle {rect}"),
            Self::Plane(plane) => write!(f, "plane {plane}"),
            Self::View(view) => write!(f, "view {view}"),
            Self::Rows { start, step } => write!(f, "every row {start} + {step}n"),
        }
    }
}

/// The cells that the allocator of a surface declared: at most 64, pairwise disjoint.
///
/// ```
/// use handover_model::layout::Constraints;
/// use handover_model::{Cell, Cells, Extent, Format, Layout, Rect};
/// let layout = Layout::linear(Format::XRGB8888, Extent::new(64, 32)?, Constraints::NONE)?;
/// let half = Extent::new(32, 32)?;
/// let cells = Cells::new(&layout, vec![Cell::Rect(Rect::new(0, 0, half)?), Cell::Rect(Rect::new(32, 0, half)?)])?;
/// assert!(!cells.region(&[0])?.overlaps(cells.region(&[1])?));
/// let both = vec![Cell::Rect(Rect::new(0, 0, half)?), Cell::Rect(Rect::new(31, 0, half)?)];
/// assert!(Cells::new(&layout, both).is_err());
/// # Ok::<(), handover_model::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Cells(Vec<Cell>);

impl Cells {
    /// No cells: the surface is only reached as a whole.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// These cells of a surface with this layout.
    ///
    /// # Errors
    /// `Invalid` for more than 64 cells, for a cell that leaves the surface or cuts through a write unit, and for two that
    /// overlap, which are named.
    pub fn new(layout: &Layout, cells: Vec<Cell>) -> Result<Self> {
        if cells.len() > MAX_CELLS {
            return Err(refused(format!("{} cells", cells.len())).why("a surface has at most 64"));
        }
        let unit = layout.write_unit();
        for cell in &cells {
            check(layout, unit, *cell)?;
        }
        let rows = layout.extent().map_or(0, |extent| extent.height().get().div_ceil(unit.1.get().max(1)));
        for (index, left) in cells.iter().enumerate() {
            for (other, right) in cells.iter().enumerate().skip(index + 1) {
                if overlap::overlap(*left, *right, unit.1, rows) {
                    return Err(refused(format!("cell {index}, {left}, and cell {other}, {right}"))
                        .why("the two have pixels in common")
                        .help("cells that are disjoint; a region may name several of them"));
                }
            }
        }
        Ok(Self(cells))
    }

    /// The cells, in the order of their bits.
    pub fn as_slice(&self) -> &[Cell] {
        &self.0
    }

    /// All cells together. Not the whole surface, which may have pixels in no cell too.
    pub fn together(&self) -> Region {
        Region(1u64.checked_shl(self.len() as u32).map_or(u64::MAX, |bit| bit - 1))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The region of the cells with these indices.
    ///
    /// # Errors
    /// `Invalid` for an index that no cell has, and for no index at all: an access without pixels is none.
    pub fn region(&self, indices: &[usize]) -> Result<Region> {
        let mut mask = 0;
        for index in indices {
            if *index >= self.0.len().min(MAX_CELLS) {
                return Err(refused(format!("cell {index}"))
                    .at(Stage::Acquire)
                    .why(format!("the surface has {} cells, counted from 0", self.0.len())));
            }
            mask |= 1_u64 << *index;
        }
        if mask == 0 {
            return Err(refused("a region of no cells".into())
                .at(Stage::Acquire)
                .why("it would conflict with nobody")
                .help("Region::WHOLE for all of the surface"));
        }
        Ok(Region(mask))
    }
}

fn refused(asked: alloc::string::String) -> Error {
    Error::new(Stage::Allocate, Kind::Invalid).asked(asked)
}

/// Is the cell a part of this surface, and does it respect the write unit?
fn check(layout: &Layout, unit: (Px, Px), cell: Cell) -> Result<()> {
    let refused = || refused(format!("the cell {cell}"));
    let image = || {
        let image = layout.format().zip(layout.extent());
        image.ok_or_else(|| refused().why("a byte buffer has no rows and no columns").help("views"))
    };
    match cell {
        Cell::Rect(rect) => {
            let (_, extent) = image()?;
            if !rect.within(extent) {
                return Err(refused().why(format!("it leaves the surface of {extent}")));
            }
            if !on_units(rect, extent, unit) {
                let (wide, high) = (unit.0.get(), unit.1.get());
                return Err(refused()
                    .why(format!("its edges cut through the write unit of {wide}x{high} px"))
                    .help("edges on multiples of the write unit, or on the edge of the surface"));
            }
        }
        Cell::Plane(plane) => {
            let planes = layout.format().map_or(1, |format| format.planes().len());
            if usize::from(plane) >= planes {
                return Err(refused().why(format!("the surface has {planes} planes of pixels, counted from 0")));
            }
            if layout.is_opaque() && planes > 1 {
                return Err(refused()
                    .why(format!("only a driver knows where the planes of {} end", layout.modifier()))
                    .help("the whole surface, or views"));
            }
        }
        Cell::View(_) => {}
        Cell::Rows { start, step } => {
            let (_, extent) = image()?;
            let rows = extent.height().get().div_ceil(unit.1.get().max(1));
            if step == 0 || step > Extent::MAX || start >= rows {
                return Err(refused().why(format!(
                    "rows step by 1 to {} and start within the {rows} rows of write units of the surface",
                    Extent::MAX
                )));
            }
        }
    }
    Ok(())
}

fn on_units(rect: Rect, extent: Extent, unit: (Px, Px)) -> bool {
    let right = rect.right().is_aligned(unit.0) || rect.right() == extent.width();
    let bottom = rect.bottom().is_aligned(unit.1) || rect.bottom() == extent.height();
    rect.x().is_aligned(unit.0) && rect.y().is_aligned(unit.1) && right && bottom
}
