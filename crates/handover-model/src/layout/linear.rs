//! The linear layout: rows of elements, one after the other, plane after plane.

use alloc::format;

use super::{Constraints, Layout, MAX_PLANES, PlaneLayout, Refusal};
use crate::units::lcm;
use crate::{Bytes, Elements, Error, Extent, Format, Kind, Modifier, Result, Stage};

impl Layout {
    /// The smallest linear layout that meets the constraints.
    ///
    /// A stride is at least a row of elements and a multiple of the alignment and of the element; an offset is the end of
    /// the plane before it, rounded up to the alignment and to the element.
    ///
    /// # Errors
    /// `Invalid` if an alignment is 0 or so large that the size overflows.
    ///
    /// ```
    /// use handover_model::{Bytes, Extent, Format, Layout, layout::Constraints};
    /// let constraints = Constraints { stride_align: Bytes(256), offset_align: Bytes(4096) };
    /// let layout = Layout::linear(Format::NV12, Extent::new(720, 404)?, constraints)?;
    /// let [y, chroma] = layout.planes() else { unreachable!() };
    /// assert_eq!((y.stride, y.size), (Bytes(768), Bytes(768 * 404)));
    /// assert_eq!((chroma.offset, chroma.size), (Bytes(311_296), Bytes(768 * 202)));
    /// # Ok::<(), handover_model::Error>(())
    /// ```
    pub fn linear(format: Format, extent: Extent, constraints: Constraints) -> Result<Self> {
        let refused = || {
            let Constraints { stride_align, offset_align } = constraints;
            Error::new(Stage::Allocate, Kind::Invalid)
                .asked(format!("{format} {extent} with strides of {stride_align} and offsets of {offset_align}"))
                .why("an alignment is at least 1 byte, and the size has to fit 64 bits")
        };
        let mut planes = [PlaneLayout::default(); MAX_PLANES];
        let mut end = Bytes::ZERO;
        for (index, plane) in planes.iter_mut().zip(format.planes()).map(|(plane, _)| plane).enumerate() {
            *plane = next(format, extent, index, end, constraints).ok_or_else(refused)?;
            end = plane.end().ok_or_else(refused)?;
        }
        let planes = planes.get(..format.planes().len()).unwrap_or_default();
        Self::checked(Some((format, extent)), Modifier::LINEAR, planes, end)
            .map_err(|refusal| refusal.into_error(Stage::Allocate, Kind::Unreachable))
    }

    /// First byte of an element of a linear plane, counted from the start of the memory. `None` outside the plane and for
    /// layouts that are not linear.
    pub fn element_offset(&self, plane: usize, column: Elements, row: u32) -> Option<Bytes> {
        let (format, extent) = self.image?;
        let (wide, rows) = format.plane_extent(plane, extent)?;
        if self.modifier != Modifier::LINEAR || column >= wide || row >= rows {
            return None;
        }
        let PlaneLayout { offset, stride, .. } = self.plane(plane)?;
        let within = format.planes().get(plane)?.bytes_per_element.checked_mul(u64::from(column.get()))?;
        offset.checked_add(stride.checked_mul(u64::from(row))?)?.checked_add(within)
    }
}

/// Bytes of a row of elements, and rows.
fn rows(format: Format, extent: Extent, index: usize) -> Option<(Bytes, u64)> {
    let (wide, rows) = format.plane_extent(index, extent)?;
    let element = format.planes().get(index)?.bytes_per_element;
    Some((element.checked_mul(u64::from(wide.get()))?, u64::from(rows)))
}

fn next(format: Format, extent: Extent, index: usize, end: Bytes, constraints: Constraints) -> Option<PlaneLayout> {
    let element = format.planes().get(index)?.bytes_per_element;
    let (row, rows) = rows(format, extent, index)?;
    let stride = row.align_up(Bytes(lcm(constraints.stride_align.get(), element.get())?))?;
    let offset = end.align_up(Bytes(lcm(constraints.offset_align.get(), element.get())?))?;
    Some(PlaneLayout { offset, stride, size: stride.checked_mul(rows)? })
}

/// The linear rule for planes whose place in memory was checked before.
pub(super) fn check(format: Format, extent: Extent, planes: &[PlaneLayout]) -> Result<(), Refusal> {
    if planes.len() != format.planes().len() {
        let wanted = format.planes().len();
        return Err(Refusal::Malformed(format!("{} planes; linear {format} has {wanted}", planes.len())));
    }
    for (index, (plane, shape)) in planes.iter().zip(format.planes()).enumerate() {
        let PlaneLayout { offset, stride, size } = *plane;
        let element = shape.bytes_per_element;
        let Some((row, rows)) = rows(format, extent, index) else {
            return Err(Refusal::Malformed(format!("plane {index} is too large")));
        };
        if stride < row {
            return Err(Refusal::Malformed(format!("plane {index} has a stride of {stride}; a row has {row}")));
        }
        if !stride.is_aligned(element) || !offset.is_aligned(element) {
            return Err(Refusal::Malformed(format!(
                "plane {index} has offset {offset} and stride {stride}; both are multiples of an element of {element}"
            )));
        }
        if stride.checked_mul(rows) != Some(size) {
            return Err(Refusal::Malformed(format!("plane {index} has {size}; {rows} rows of {stride} are not that")));
        }
    }
    Ok(())
}
