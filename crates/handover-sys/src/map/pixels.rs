//! Views of pixels in shared memory: bounds once, then copies; never a `&[u8]`.

use std::ops::Deref;
use std::sync::atomic::AtomicU8;

use crate::copy;
use crate::copy::tiles::{self, TileMap, Window};

/// Bytes that other processes may write at any time, to be copied out.
///
/// Offsets are bytes from the start of the view. A call that would leave the view does nothing and says so.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    // May lie in a PROT_READ mapping: never stored through from here.
    bytes: &'a [AtomicU8],
}

/// Bytes that other processes may read and write at any time, to be copied out and in. Reads as [`Pixels`] do.
#[derive(Clone, Copy, Debug)]
pub struct PixelsMut<'a> {
    view: Pixels<'a>,
}

impl<'a> Pixels<'a> {
    pub(super) fn new(bytes: &'a [AtomicU8]) -> Self {
        Self { bytes }
    }

    /// Bytes in the view.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the view has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Copies `into.len()` bytes from `at` on. `false`: out of range, nothing done.
    #[must_use]
    pub fn read(&self, at: usize, into: &mut [u8]) -> bool {
        let Some(from) = self.span(at, into.len()) else { return false };
        copy::read(from, into);
        true
    }

    /// Copies `rows` rows of `row_bytes` bytes, whose starts lie `stride` bytes apart and of which the first begins at
    /// `at`, to `into` without gaps. `false`: out of range, or `into` has another size than `rows · row_bytes`;
    /// nothing done.
    #[must_use]
    pub fn read_rows(&self, at: usize, stride: usize, row_bytes: usize, rows: usize, into: &mut [u8]) -> bool {
        if row_bytes.checked_mul(rows) != Some(into.len()) || !self.holds_rows(at, stride, row_bytes, rows) {
            return false;
        }
        if row_bytes == 0 {
            return true;
        }
        if stride == row_bytes {
            return self.read(at, into);
        }
        into.chunks_exact_mut(row_bytes).enumerate().all(|(row, into)| self.read(at + row * stride, into))
    }

    /// Copies a window of the tiled memory that begins at `at` into rows, which begin `stride` bytes apart. `false`: the map reaches
    /// beyond the view, the window beyond the map, or the rows beyond `into`; nothing done.
    #[must_use]
    pub fn detile(&self, at: usize, map: &TileMap, window: Window, into: &mut [u8], stride: usize) -> bool {
        self.bytes.get(at..).is_some_and(|from| tiles::detile(from, map, window, into, stride))
    }

    /// The byte at `at`; `None` out of range.
    #[must_use]
    pub fn get_u8(&self, at: usize) -> Option<u8> {
        let mut byte = [0; 1];
        self.read(at, &mut byte).then_some(u8::from_le_bytes(byte))
    }

    /// The four bytes from `at` on, at any alignment, the lowest first, as pixel formats number them; `None` out of
    /// range.
    #[must_use]
    pub fn get_u32(&self, at: usize) -> Option<u32> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes).then_some(u32::from_le_bytes(bytes))
    }

    fn span(&self, at: usize, length: usize) -> Option<&'a [AtomicU8]> {
        self.bytes.get(at..at.checked_add(length)?)
    }

    /// Whether all rows lie inside. True also says that `at + row · stride` of each row cannot overflow.
    fn holds_rows(&self, at: usize, stride: usize, row_bytes: usize, rows: usize) -> bool {
        let Some(before_last) = rows.checked_sub(1) else { return at <= self.len() };
        before_last
            .checked_mul(stride)
            .and_then(|last| last.checked_add(at)?.checked_add(row_bytes))
            .is_some_and(|end| end <= self.len())
    }
}

impl<'a> PixelsMut<'a> {
    pub(super) fn new(bytes: &'a [AtomicU8]) -> Self {
        Self { view: Pixels::new(bytes) }
    }

    /// The same bytes, to be read only.
    #[must_use]
    pub fn as_pixels(&self) -> Pixels<'a> {
        self.view
    }

    /// Copies all of `from` to `at` and on. `false`: out of range, nothing done.
    #[must_use]
    pub fn write(&self, at: usize, from: &[u8]) -> bool {
        let Some(to) = self.view.span(at, from.len()) else { return false };
        copy::write(to, from);
        true
    }

    /// Copies `rows` rows of `row_bytes` bytes, which lie in `from` without gaps, to rows whose starts lie `stride`
    /// bytes apart and of which the first begins at `at`. Bytes between rows stay. `false`: out of range, or `from` has
    /// another size than `rows · row_bytes`; nothing done.
    #[must_use]
    pub fn write_rows(&self, at: usize, stride: usize, row_bytes: usize, rows: usize, from: &[u8]) -> bool {
        if row_bytes.checked_mul(rows) != Some(from.len()) || !self.view.holds_rows(at, stride, row_bytes, rows) {
            return false;
        }
        if row_bytes == 0 {
            return true;
        }
        if stride == row_bytes {
            return self.write(at, from);
        }
        from.chunks_exact(row_bytes).enumerate().all(|(row, from)| self.write(at + row * stride, from))
    }

    /// Copies rows, which begin `stride` bytes apart, into a window of the tiled memory that begins at `at`. `false`: the map reaches
    /// beyond the view, the window beyond the map, or the rows beyond `from`; nothing done.
    #[must_use]
    pub fn tile(&self, at: usize, map: &TileMap, window: Window, from: &[u8], stride: usize) -> bool {
        self.view.bytes.get(at..).is_some_and(|to| tiles::tile(to, map, window, from, stride))
    }

    /// Stores `byte` in `length` bytes from `at` on. `false`: out of range, nothing done.
    #[must_use]
    pub fn fill(&self, at: usize, length: usize, byte: u8) -> bool {
        let Some(to) = self.view.span(at, length) else { return false };
        copy::fill(to, byte);
        true
    }

    /// Stores one byte at `at`. `false`: out of range.
    #[must_use]
    pub fn set_u8(&self, at: usize, value: u8) -> bool {
        self.write(at, &value.to_le_bytes())
    }

    /// Stores four bytes from `at` on, at any alignment, the lowest first. `false`: out of range, nothing done.
    #[must_use]
    pub fn set_u32(&self, at: usize, value: u32) -> bool {
        self.write(at, &value.to_le_bytes())
    }
}

impl<'a> Deref for PixelsMut<'a> {
    type Target = Pixels<'a>;

    fn deref(&self) -> &Pixels<'a> {
        &self.view
    }
}
