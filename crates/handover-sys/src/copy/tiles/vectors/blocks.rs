//! Writing blocks from their first address to their last.
#![allow(unsafe_code)]

use std::ops::Range;

use super::super::Job;
use super::super::map::{Blocks, WIDEST};
use super::{LINE, cuts, gather, prefetch, unit};

/// # Safety
///
/// The contract of [`Job`], whose tiled side is written and begins on a line; the window begins and ends between two units, and
/// units of this size can be [gathered](super::gathers).
pub(super) unsafe fn write(job: &Job<'_>, blocks: &Blocks) {
    let unit = job.map.unit;
    let each = unit / job.map.element;
    let offset = |&(x, y): &(u16, u16)| usize::from(y).wrapping_mul(job.stride).wrapping_add(usize::from(x) * unit);
    let sources: Vec<usize> = blocks.order.iter().map(offset).collect();
    for top in cuts(job.window.rows(), blocks.height) {
        let y = top.start / blocks.height * blocks.height;
        for left in cuts(job.window.x / each..job.window.columns().end / each, blocks.width) {
            let x = left.start / blocks.width * blocks.width;
            let Some((to, flip)) = place(job, blocks, x, y) else { return };
            let (columns, rows) = (left.start - x..left.end - x, top.start - y..top.end - y);
            let begin = job.row(left.start * each, top.start);
            let from = begin.wrapping_sub(rows.start.wrapping_mul(job.stride).wrapping_add(columns.start * unit));
            let block = Block { to, flip, from, stride: job.stride, unit, blocks, sources: &sources };
            if columns.len() == blocks.width && rows.len() == blocks.height && block.has_lines() {
                // SAFETY: a whole block of the window that the caller promised; blocks of whole lines begin on a line, as the first does.
                unsafe { block.whole() }
            } else {
                // SAFETY: the part of the block that lies in the window.
                unsafe { block.part(&columns, &rows) }
            }
        }
    }
}

/// Where the block of this unit and row begins in memory, and which bits of the index of a unit are flipped in it.
fn place(job: &Job<'_>, blocks: &Blocks, unit: usize, y: usize) -> Option<(*mut u8, usize)> {
    let row = job.map.rows.get(y)?;
    let first = (job.map.units.get(row.class)?.get(unit)? ^ row.xor) as usize;
    let mask = blocks.order.len() * job.map.unit - 1;
    Some((job.tiled.wrapping_add(row.base + (first & !mask)), (first & mask) / job.map.unit))
}

/// One block to be written.
struct Block<'a> {
    /// Its first byte in memory.
    to: *mut u8,
    flip: usize,
    /// Where its first unit would be in the rows.
    from: *mut u8,
    stride: usize,
    unit: usize,
    blocks: &'a Blocks,
    /// For each unit, in the order of addresses, where it is from `from` on.
    sources: &'a [usize],
}

impl Block<'_> {
    fn source(&self, index: usize) -> *const u8 {
        self.from.wrapping_add(self.sources.get(index ^ self.flip).copied().unwrap_or(0))
    }

    /// Does it consist of whole lines?
    fn has_lines(&self) -> bool {
        (self.sources.len() * self.unit).is_multiple_of(LINE) && self.to.align_offset(LINE) == 0
    }

    /// Fetches the rows of the next block, a line at each call.
    fn fetcher(&self) -> impl FnMut() {
        let (width, stride) = (self.blocks.width * self.unit, self.stride);
        let lines = width.div_ceil(LINE);
        let (mut done, mut next) = (0, self.from.wrapping_add(width));
        move || {
            prefetch(next);
            done += 1;
            next = next.wrapping_add(LINE);
            if done == lines {
                (done, next) = (0, next.wrapping_add(stride.wrapping_sub(lines * LINE)));
            }
        }
    }

    /// # Safety
    ///
    /// The block is writable and begins on a line; all its units are readable, and can be gathered.
    unsafe fn whole(&self) {
        match self.unit {
            // SAFETY: the caller's promise is the callee's contract.
            WIDEST => unsafe { self.lines::<WIDEST>() },
            // SAFETY: as above.
            8 => unsafe { self.lines::<8>() },
            // SAFETY: as above.
            _ => unsafe { self.lines::<4>() },
        }
    }

    /// # Safety
    ///
    /// As [`whole`](Self::whole), and a unit has `UNIT` bytes.
    unsafe fn lines<const UNIT: usize>(&self) {
        let mut fetch = self.fetcher();
        for line in 0..self.sources.len() * UNIT / LINE {
            fetch();
            for part in 0..LINE / WIDEST {
                let at = (line * LINE + part * WIDEST) / UNIT;
                let to = self.to.wrapping_add(at * UNIT);
                // SAFETY: the units of the next 16 bytes of the block, by the caller's promise.
                unsafe { gather(UNIT, |unit| self.source(at + unit), to) }
            }
        }
    }

    /// # Safety
    ///
    /// The units of these columns and rows are readable, and writable in the block.
    unsafe fn part(&self, columns: &Range<usize>, rows: &Range<usize>) {
        let mut fetch = self.fetcher();
        for index in 0..self.sources.len() {
            let Some(&(x, y)) = self.blocks.order.get(index ^ self.flip) else { return };
            if (index * self.unit).is_multiple_of(LINE) {
                fetch();
            }
            if !columns.contains(&usize::from(x)) || !rows.contains(&usize::from(y)) {
                continue;
            }
            let (from, to) = (self.source(index), self.to.wrapping_add(index * self.unit));
            match self.unit {
                // SAFETY: one unit of the part; it is aligned to its size since the block begins on a line or is none.
                WIDEST if to.align_offset(WIDEST) == 0 => unsafe { gather(WIDEST, |_| from, to) },
                WIDEST => unit!(16, from, to),
                8 => unit!(8, from, to),
                _ => unit!(4, from, to),
            }
        }
    }
}
