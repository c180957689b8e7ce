//! Linear pixels: rows one after the other, `stride` bytes apart.

use handover_model::{Bytes, Elements, Layout, Stage};
use handover_sys::map::{Pixels, PixelsMut};

use super::{At, outside};
use crate::error::{Error, Kind, Result};

/// First byte of a run, if all of it lies inside its row.
fn locate(layout: &Layout, at: At, length: usize) -> Result<usize> {
    let refused = || outside(at, Bytes(length as u64));
    let (bytes_each, wide, rows) = shape(layout, at.plane).ok_or_else(refused)?;
    let end = (at.x.get() as usize).checked_mul(bytes_each).and_then(|start| start.checked_add(length));
    if at.y >= rows || end.is_none_or(|end| end > wide) {
        return Err(refused());
    }
    let plane = layout.plane(at.plane).ok_or_else(refused)?;
    let row = plane.stride.checked_mul(u64::from(at.y)).and_then(|row| row.checked_add(plane.offset));
    let start = row.and_then(|row| row.checked_add(Bytes(at.x.get() as u64 * bytes_each as u64)));
    start.and_then(|start| usize::try_from(start.get()).ok()).ok_or_else(refused)
}

/// Bytes an element, bytes a row, rows. A byte buffer is one row of bytes.
fn shape(layout: &Layout, plane: usize) -> Option<(usize, usize, u32)> {
    let Some((format, extent)) = layout.format().zip(layout.extent()) else {
        return Some((1, usize::try_from(layout.size().get()).ok()?, 1));
    };
    let (wide, rows) = format.plane_extent(plane, extent)?;
    let bytes_each = usize::try_from(format.planes().get(plane)?.bytes_per_element.get()).ok()?;
    Some((bytes_each, bytes_each.checked_mul(wide.get() as usize)?, rows))
}

pub(super) fn read(layout: &Layout, pixels: &Pixels<'_>, at: At, into: &mut [u8]) -> Result<()> {
    let start = locate(layout, at, into.len())?;
    if pixels.read(start, into) { Ok(()) } else { Err(outside(at, Bytes(into.len() as u64))) }
}

pub(super) fn write(layout: &Layout, pixels: &PixelsMut<'_>, at: At, from: &[u8]) -> Result<()> {
    let start = locate(layout, at, from.len())?;
    if pixels.write(start, from) { Ok(()) } else { Err(outside(at, Bytes(from.len() as u64))) }
}

pub(super) fn read_image(
    layout: &Layout,
    pixels: &Pixels<'_>,
    plane: usize,
    into: &mut [u8],
    stride: usize,
) -> Result<()> {
    let (row_bytes, rows) = image(layout, plane, into.len(), stride)?;
    for (y, row) in into.chunks_mut(stride).take(rows as usize).enumerate() {
        let row = row.get_mut(..row_bytes).unwrap_or_default();
        read(layout, pixels, At { plane, x: Elements(0), y: y as u32 }, row)?;
    }
    Ok(())
}

pub(super) fn write_image(
    layout: &Layout,
    pixels: &PixelsMut<'_>,
    plane: usize,
    from: &[u8],
    stride: usize,
) -> Result<()> {
    let (row_bytes, rows) = image(layout, plane, from.len(), stride)?;
    for (y, row) in from.chunks(stride).take(rows as usize).enumerate() {
        let row = row.get(..row_bytes).unwrap_or_default();
        write(layout, pixels, At { plane, x: Elements(0), y: y as u32 }, row)?;
    }
    Ok(())
}

/// Bytes a row and rows of a plane, if an image of `length` bytes with this stride holds them.
fn image(layout: &Layout, plane: usize, length: usize, stride: usize) -> Result<(usize, u32)> {
    let at = At { plane, x: Elements(0), y: 0 };
    let refused = || outside(at, Bytes(length as u64)).help("pass an image that has every row of the plane");
    let (_, row_bytes, rows) = shape(layout, plane).ok_or_else(refused)?;
    let needed = stride.checked_mul((rows as usize).saturating_sub(1)).and_then(|n| n.checked_add(row_bytes));
    if stride < row_bytes || needed.is_none_or(|needed| needed > length) {
        return Err(refused());
    }
    Ok((row_bytes, rows))
}

pub(super) fn clear(layout: &Layout, pixels: &PixelsMut<'_>, pixel: u32) -> Result<()> {
    let at = At { plane: 0, x: Elements(0), y: 0 };
    let (bytes_each, row_bytes, rows) = shape(layout, 0).ok_or_else(|| outside(at, Bytes::ZERO))?;
    let bytes = pixel.to_le_bytes();
    let element = bytes.get(..bytes_each).ok_or_else(|| {
        Error::new(Stage::Access, Kind::Unsupported)
            .asked("a clear with one value of 4 bytes")
            .found(format!("pixels of {bytes_each} bytes"))
            .help("write the rows")
    })?;
    let row: Vec<u8> = element.iter().copied().cycle().take(row_bytes).collect();
    (0..rows).try_for_each(|y| write(layout, pixels, At { y, ..at }, &row))
}
