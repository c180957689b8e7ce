//! Writing blocks from their first address to their last.
#![allow(unsafe_code)]

use std::ops::Range;

use super::super::Job;
use super::super::map::{Blocks, WIDEST};
use super::line::{LINE, gather, gather_even, prefetch};
use super::{cuts, unit};

/// Blocks side by side are fetched together until they have so many bytes of a row: each row is in another page of memory.
const GROUP_BYTES: usize = 512;

/// Where the lines of a block come from.
pub(super) struct Lines {
    /// Bytes from the first unit of the block, as if all of it were in the rows, to the first unit of each line.
    heads: Vec<u32>,
    /// Bytes from there to each unit of the line.
    offsets: Vec<u32>,
    /// How far on the offsets of the next line are: 0 where all lines are alike, which keeps the table small.
    step: usize,
}

impl Lines {
    /// `None`: a block is less than a line, or taller than its addresses can say.
    pub(super) fn of(job: &Job<'_>, blocks: &Blocks) -> Option<Self> {
        let (unit, each) = (job.map.unit, LINE / job.map.unit);
        let source = |&(x, y): &(u16, u16)| {
            usize::from(y).checked_mul(job.stride)?.checked_add(usize::from(x) * unit)?.try_into().ok()
        };
        let sources = blocks.order.iter().map(source).collect::<Option<Vec<u32>>>()?;
        let heads: Vec<u32> = sources.chunks_exact(each).filter_map(|line| line.iter().copied().min()).collect();
        let least = *heads.first()?;
        let offsets: Vec<u32> = sources.iter().take(each).map(|source| source - least).collect();
        let is_like_first = |(line, head): (&[u32], &u32)| line.iter().map(|at| at - head).eq(offsets.iter().copied());
        if sources.chunks_exact(each).zip(&heads).all(is_like_first) {
            return Some(Self { heads, offsets, step: 0 });
        }
        Some(Self { heads: vec![0; heads.len()], offsets: sources, step: each })
    }

    /// For each line, its head and the offsets of its units.
    fn iter(&self) -> impl Iterator<Item = (usize, *const u32)> {
        let offset = |index: usize| self.offsets.as_ptr().wrapping_add(index * self.step);
        self.heads.iter().enumerate().map(move |(index, &head)| (head as usize, offset(index)))
    }
}

/// # Safety
///
/// The contract of [`Job`], whose tiled side is written and begins on a line; the window begins and ends between two units, and
/// units of this size can be [gathered](super::line::gathers). The lines are those of this job.
pub(super) unsafe fn write(job: &Job<'_>, blocks: &Blocks, lines: &Lines) {
    let unit = job.map.unit;
    let each = unit / job.map.element;
    let window = job.window.x / each..job.window.columns().end / each;
    // Where the unit of this column and row would be in the rows, inside the window or not.
    let begin = job.row(job.window.x, job.window.y);
    let from = |x: usize, y: usize| {
        let down = y.wrapping_sub(job.window.y).wrapping_mul(job.stride);
        begin.wrapping_add(down).wrapping_add(x.wrapping_sub(window.start).wrapping_mul(unit))
    };
    let group = GROUP_BYTES.div_ceil(blocks.width * unit) * blocks.width;
    for top in cuts(job.window.rows(), blocks.height) {
        let y = top.start / blocks.height * blocks.height;
        for part in cuts(window.clone(), group) {
            let next = if part.end < window.end { from(part.end, y) } else { from(window.start, y + blocks.height) };
            let mut ahead = Ahead { next, left: group * unit, width: group * unit, stride: job.stride };
            for left in cuts(part, blocks.width) {
                let x = left.start / blocks.width * blocks.width;
                let Some((to, flip)) = place(job, blocks, x, y) else { return };
                let block = Block { to, flip, from: from(x, y), unit, blocks, lines };
                let (columns, rows) = (left.start - x..left.end - x, top.start - y..top.end - y);
                // SAFETY: the part of the block that lies in the window that the caller promised.
                unsafe { block.write(&columns, &rows, &mut ahead) }
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

/// The lines of the next blocks, row after row: what is fetched while others are written.
#[derive(Clone, Copy)]
struct Ahead {
    next: *mut u8,
    /// Bytes of this row that are not fetched yet.
    left: usize,
    width: usize,
    stride: usize,
}

impl Ahead {
    fn line(&mut self) -> *mut u8 {
        let line = self.next;
        if self.left > LINE {
            (self.next, self.left) = (line.wrapping_add(LINE), self.left - LINE);
        } else {
            self.next = line.wrapping_add(self.left).wrapping_add(self.stride).wrapping_sub(self.width);
            self.left = self.width;
        }
        line
    }
}

/// One block to be written.
struct Block<'a> {
    /// Its first byte in memory.
    to: *mut u8,
    flip: usize,
    /// Where its first unit would be in the rows.
    from: *mut u8,
    unit: usize,
    blocks: &'a Blocks,
    lines: &'a Lines,
}

impl Block<'_> {
    /// # Safety
    ///
    /// The units of these columns and rows are readable, can be gathered, and are writable in the block.
    unsafe fn write(&self, columns: &Range<usize>, rows: &Range<usize>, ahead: &mut Ahead) {
        let each = LINE / self.unit;
        let is_even = self.flip.is_multiple_of(each) && self.to.align_offset(LINE) == 0;
        let is_whole = columns.len() == self.blocks.width && rows.len() == self.blocks.height;
        if !is_even || !is_whole {
            // SAFETY: the caller's promise is the callee's contract.
            return unsafe { self.part(columns, rows, is_even, ahead) };
        }
        match (self.unit, self.lines.offsets.as_slice()) {
            (WIDEST, &[0, second, third, last]) if second + third == last => {
                // SAFETY: a whole block, whose units lie as the callee wants them.
                unsafe { self.even(second as usize, third as usize, ahead) }
            }
            // SAFETY: a whole block, by the caller's promise.
            (WIDEST, _) => unsafe { self.whole::<WIDEST>(ahead) },
            // SAFETY: as above.
            (8, _) => unsafe { self.whole::<8>(ahead) },
            // SAFETY: as above.
            (4, _) => unsafe { self.whole::<4>(ahead) },
            // SAFETY: as above.
            (2, _) => unsafe { self.whole::<2>(ahead) },
            // SAFETY: as above.
            _ => unsafe { self.whole::<1>(ahead) },
        }
    }

    /// # Safety
    ///
    /// All units of the block, of `UNIT` bytes, are readable, can be gathered, and are writable in it; it begins on a line.
    unsafe fn whole<const UNIT: usize>(&self, ahead: &mut Ahead) {
        let (flip, mut next) = (self.flip / (LINE / UNIT), *ahead);
        for (index, (head, offsets)) in self.lines.iter().enumerate() {
            let (from, to) = (self.from.wrapping_add(head), self.to.wrapping_add((index ^ flip) * LINE));
            // SAFETY: the units of a line of the block, by the caller's promise.
            unsafe { gather::<UNIT, true>(from, offsets, 0, to, next.line()) }
        }
        *ahead = next;
    }

    /// # Safety
    ///
    /// As [`whole`](Self::whole), with units of 16 bytes whose places in a line are 0, `second`, `third` and the sum of both.
    unsafe fn even(&self, second: usize, third: usize, ahead: &mut Ahead) {
        let (flip, mut next) = (self.flip / (LINE / WIDEST), *ahead);
        for (index, (head, _)) in self.lines.iter().enumerate() {
            let (from, to) = (self.from.wrapping_add(head), self.to.wrapping_add((index ^ flip) * LINE));
            // SAFETY: the units of a line of the block, by the caller's promise.
            unsafe { gather_even(from, second, third, to, next.line()) }
        }
        *ahead = next;
    }

    /// # Safety
    ///
    /// The units of these columns and rows are readable, can be gathered, and are writable in the block. Where `is_even`, lines of units
    /// are lines of memory.
    unsafe fn part(&self, columns: &Range<usize>, rows: &Range<usize>, is_even: bool, ahead: &mut Ahead) {
        let is_inside = |&(x, y): &(u16, u16)| columns.contains(&usize::from(x)) && rows.contains(&usize::from(y));
        let each = LINE / self.unit;
        let flip = self.flip / each;
        for (index, ((head, offsets), units)) in self.lines.iter().zip(self.blocks.order.chunks(each)).enumerate() {
            let (from, to) = (self.from.wrapping_add(head), self.to.wrapping_add((index ^ flip) * LINE));
            prefetch(ahead.line());
            let is_whole = is_even && units.iter().all(is_inside);
            match self.unit {
                // SAFETY: the units of a line, all inside, by the caller's promise.
                WIDEST if is_whole => unsafe { gather::<WIDEST, true>(from, offsets, 0, to, from) },
                // SAFETY: as above.
                8 if is_whole => unsafe { gather::<8, true>(from, offsets, 0, to, from) },
                // SAFETY: as above.
                4 if is_whole => unsafe { gather::<4, true>(from, offsets, 0, to, from) },
                _ => {
                    let offsets = self.lines.offsets.get(index * self.lines.step..).unwrap_or_default();
                    for (unit, (_, &offset)) in
                        units.iter().zip(offsets).enumerate().filter(|(_, (at, _))| is_inside(at))
                    {
                        let to = self.to.wrapping_add(((index * each + unit) ^ self.flip) * self.unit);
                        unit!(self.unit, from.wrapping_add(offset as usize), to);
                    }
                }
            }
        }
    }
}
