//! Copies between rows of pixels and tiled memory that another process may write at the same time.
//!
//! # Contract
//!
//! As for all copies here: shared memory comes borrowed as `&[AtomicU8]`, and every access to it is an instruction of its own that the
//! compiler cannot see into, or a volatile one. A [`TileMap`] ends inside that memory and a [`Window`] lies inside image and rows;
//! both are checked here, once a call, before anything is moved.
#![allow(unsafe_code)]

mod map;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vectors;

use std::ops::Range;
use std::sync::atomic::AtomicU8;

pub use map::{TileMap, TileRow};

/// A rectangle of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Elements in a row of it.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Window {
    /// All of an image.
    #[must_use]
    pub fn whole(map: &TileMap) -> Self {
        Self { x: 0, y: 0, width: map.width(), height: map.height() }
    }

    fn columns(&self) -> Range<usize> {
        self.x..self.x + self.width
    }

    fn rows(&self) -> Range<usize> {
        self.y..self.y + self.height
    }

    /// Does it lie inside the image, and do rows of `stride` bytes of which there are `length` hold it?
    fn fits(&self, map: &TileMap, stride: usize, length: usize) -> bool {
        let inside = |start: usize, count: usize, all: usize| start.checked_add(count).is_some_and(|end| end <= all);
        let row = self.width.checked_mul(map.element);
        let needed = row.and_then(|row| stride.checked_mul(self.height.saturating_sub(1))?.checked_add(row));
        inside(self.x, self.width, map.width())
            && inside(self.y, self.height, map.height())
            && row.is_some_and(|row| row <= stride || self.height <= 1)
            && needed.is_some_and(|needed| needed <= length)
    }
}

/// Copies a window of tiled memory out into rows, `stride` bytes apart. `false`: something does not fit, nothing done.
pub(crate) fn detile(from: &[AtomicU8], map: &TileMap, window: Window, into: &mut [u8], stride: usize) -> bool {
    if map.end() > from.len() || !window.fits(map, stride, into.len()) {
        return false;
    }
    if window.width == 0 || window.height == 0 {
        return true;
    }
    let job = Job { tiled: from.as_ptr().cast_mut().cast(), rows: into.as_mut_ptr(), stride, map, window };
    // SAFETY: module contract: the map ends inside `from`, which is mapped because it is borrowed; the window lies inside the map and its
    // rows inside `into`, which is ours alone; nothing here ever lends shared memory as `&mut [u8]`, so the two do not overlap.
    unsafe { fastest::detile(&job) }
    true
}

/// Copies rows, `stride` bytes apart, into a window of tiled memory. `false`: something does not fit, nothing done.
pub(crate) fn tile(to: &[AtomicU8], map: &TileMap, window: Window, from: &[u8], stride: usize) -> bool {
    if map.end() > to.len() || !window.fits(map, stride, from.len()) {
        return false;
    }
    if window.width == 0 || window.height == 0 {
        return true;
    }
    let job = Job { tiled: to.as_ptr().cast_mut().cast(), rows: from.as_ptr().cast_mut(), stride, map, window };
    // SAFETY: module contract: the map ends inside `to`, which the caller has mapped writable; the window lies inside the map and its rows
    // inside `from`, which is only read; nothing here ever lends shared memory as `&[u8]`, so the two do not overlap.
    unsafe { fastest::tile(&job) }
    true
}

#[cfg(not(target_arch = "x86_64"))]
use portable as fastest;
#[cfg(target_arch = "x86_64")]
use vectors as fastest;

/// One copy, checked: what the ways of moving take.
///
/// # Contract
///
/// Whoever makes one promises that `tiled` is mapped for `map.end()` bytes, that `window` lies inside the map, that `rows` points at as many
/// rows of it, `stride` bytes apart, and that whichever side is written is writable and overlaps the other nowhere.
#[derive(Clone, Copy)]
struct Job<'a> {
    tiled: *mut u8,
    rows: *mut u8,
    stride: usize,
    map: &'a TileMap,
    window: Window,
}

impl Job<'_> {
    /// The first byte in `rows` of an element of the image.
    fn row(&self, x: usize, y: usize) -> *mut u8 {
        self.rows.wrapping_add((y - self.window.y) * self.stride + (x - self.window.x) * self.map.element)
    }

    /// The same copy of these columns alone.
    #[cfg(target_arch = "x86_64")]
    fn columns(&self, columns: Range<usize>) -> Self {
        let window = Window { x: columns.start, width: columns.len(), ..self.window };
        Self { rows: self.row(columns.start, self.window.y), window, ..*self }
    }

    /// The columns of the window: elements before the first whole unit, whole units (counted in units), elements behind the last.
    fn split(&self) -> (Range<usize>, Range<usize>, Range<usize>) {
        let each = self.map.unit / self.map.element;
        let Range { start, end } = self.window.columns();
        let (first, last) = (start.div_ceil(each), end / each);
        if first >= last {
            return (start..end, 0..0, end..end);
        }
        (start..first * each, first..last, last * each..end)
    }
}
