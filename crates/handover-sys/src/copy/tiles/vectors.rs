//! Moves for x86-64: instructions on whole units, in assembly.
//!
//! What is large goes past the cache (`movntps`): a store that allocates a line reads it first, a third of all traffic. The processor
//! joins such stores only into whole [lines](line), so rows are written from left to right and [blocks](blocks) from their first line to
//! their last, and what comes next is fetched ahead, since neither order is one that a prefetcher guesses. With that the memory is as
//! busy as in a `memcpy`, and what costs is each instruction that finds the next unit: one table entry a line instead of four was a sixth.
#![allow(unsafe_code)]

use std::ops::Range;

use super::map::WIDEST;
use super::{Job, Window};

mod blocks;
mod line;

use blocks::Lines;
use line::{LINE, fence, gather, gathers};

/// From here on a copy is larger than what stays in a cache until somebody reads it.
const LARGE: usize = 2 << 20;
/// What is done at a time, so that the lines which rows share stay near: at least so many bytes of a row, and where no blocks are known
/// so many rows.
const STRIP_BYTES: usize = 1024;
const STRIP_ROWS: usize = 32;

/// One load and one store of `$size` bytes.
macro_rules! unit {
    (@move $load:literal, $store:literal, $register:ident, $from:ident, $to:ident) => {
        // SAFETY: the caller of the expanding function promises a readable unit and a writable one.
        unsafe {
            std::arch::asm!($load, $store, v = out($register) _, from = in(reg) $from, to = in(reg) $to,
                options(nostack, preserves_flags));
        }
    };
    ($size:expr, $from:expr, $to:expr) => {{
        let (from, to): (*const u8, *mut u8) = ($from, $to);
        match $size {
            16 => unit!(@move "movups {v}, [{from}]", "movups [{to}], {v}", xmm_reg, from, to),
            8 => unit!(@move "mov {v}, [{from}]", "mov [{to}], {v}", reg, from, to),
            4 => unit!(@move "mov {v:e}, [{from}]", "mov [{to}], {v:e}", reg, from, to),
            2 => unit!(@move "mov {v:x}, [{from}]", "mov [{to}], {v:x}", reg, from, to),
            _ => unit!(@move "mov {v}, [{from}]", "mov [{to}], {v}", reg_byte, from, to),
        }
    }};
}
use unit;

/// Which side is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The rows.
    Out,
    /// The rows, past the cache: every row begins at a multiple of 16 bytes, and [`gathers`] said so.
    OutPast,
    /// The tiled side.
    In,
}

/// # Safety
///
/// The contract of [`Job`], whose rows are written.
pub(super) unsafe fn detile(job: &Job<'_>) {
    let begins_even = job.rows.align_offset(WIDEST) == 0 && (job.window.x * job.map.element).is_multiple_of(WIDEST);
    let past = is_large(job) && gathers(job.map.unit) && begins_even && job.stride.is_multiple_of(WIDEST);
    // SAFETY: the caller's promise is the callee's contract, and rows begin evenly where it says so.
    unsafe { by_strips(job, if past { Way::OutPast } else { Way::Out }) }
    if past {
        fence();
    }
}

/// # Safety
///
/// The contract of [`Job`], whose tiled side is written.
pub(super) unsafe fn tile(job: &Job<'_>) {
    let by_blocks = is_large(job) && gathers(job.map.unit) && job.tiled.align_offset(LINE) == 0;
    let blocks = job.map.blocks.as_ref().filter(|_| by_blocks);
    let Some((blocks, lines)) = blocks.and_then(|blocks| Some((blocks, Lines::of(job, blocks)?))) else {
        // SAFETY: the caller's promise is the callee's contract.
        return unsafe { by_strips(job, Way::In) };
    };
    let (head, _, tail) = job.split();
    // SAFETY: the whole units of the window that the caller promised; the tiled side begins on a line.
    unsafe { blocks::write(&job.columns(head.end..tail.start), blocks, &lines) }
    for edge in [head, tail].into_iter().filter(|edge| !edge.is_empty()) {
        // SAFETY: the elements of the window before and behind its whole units.
        unsafe { rows(&job.columns(edge), Way::In, None) }
    }
    fence();
}

fn is_large(job: &Job<'_>) -> bool {
    job.window.width * job.window.height * job.map.element >= LARGE
}

/// # Safety
///
/// The contract of [`Job`], in this way.
unsafe fn by_strips(job: &Job<'_>, way: Way) {
    let least = STRIP_BYTES / job.map.element;
    let (wide, high, bytes) = match &job.map.blocks {
        Some(blocks) => {
            let wide = blocks.width * job.map.unit / job.map.element;
            let wide = least.next_multiple_of(wide);
            (wide, blocks.height, wide * blocks.height * job.map.element)
        }
        None => (least, STRIP_ROWS, 0),
    };
    for top in cuts(job.window.rows(), high) {
        for left in cuts(job.window.columns(), wide) {
            // Blocks in a row follow each other in memory.
            let next = (way == Way::OutPast && bytes > 0)
                .then(|| job.map.offset(left.start, top.start))
                .flatten()
                .map(|at| job.tiled.wrapping_add(at - at % bytes.max(1)).wrapping_add(bytes));
            let window = Window { x: left.start, y: top.start, width: left.len(), height: top.len() };
            // SAFETY: a part of the window that the caller promised.
            unsafe { rows(&Job { rows: job.row(left.start, top.start), window, ..*job }, way, next) }
        }
    }
}

/// The range, cut at multiples of `step`.
fn cuts(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let Range { start, end } = range;
    (start / step..end.div_ceil(step)).map(move |cut| (cut * step).max(start)..((cut + 1) * step).min(end))
}

/// Row by row; meanwhile fetches from `ahead` on as much as it moves, if it is known what comes next.
///
/// # Safety
///
/// As [`by_strips`].
unsafe fn rows(job: &Job<'_>, way: Way, mut ahead: Option<*mut u8>) {
    let (head, units, tail) = job.split();
    let (element, unit) = (job.map.element, job.map.unit);
    let edge = if way == Way::OutPast { Way::Out } else { way };
    let [head_to, units_to, tail_to] = [head.start, head.end, tail.start].map(|x| job.row(x, job.window.y));
    for (down, y) in job.window.rows().enumerate() {
        let Some(row) = job.map.rows.get(y) else { return };
        let (Some(columns), Some(whole)) = (job.map.columns.get(row.class), job.map.units.get(row.class)) else {
            return;
        };
        let (base, down) = (job.tiled.wrapping_add(row.base), down * job.stride);
        let whole = whole.get(units.clone()).unwrap_or_default();
        // SAFETY: each offset is that of a unit of this row of the window, in the mapping by the map's contract, and as many units follow
        // each other in the rows.
        unsafe { run(base, row.xor, whole, units_to.wrapping_add(down), (unit, way), ahead.unwrap_or(base)) }
        ahead = ahead.map(|ahead| ahead.wrapping_add(whole.len() * unit));
        for (range, to) in [(&head, head_to), (&tail, tail_to)].into_iter().filter(|(range, _)| !range.is_empty()) {
            let offsets = columns.get(range.clone()).unwrap_or_default();
            // SAFETY: as above, of elements.
            unsafe { run(base, row.xor, offsets, to.wrapping_add(down), (element, edge), base) }
        }
    }
}

/// # Safety
///
/// `offsets`, with the bits of `flip` flipped, are of units of `size` bytes behind `base`, all inside the mapping; as many units follow each
/// other from `begin` on.
unsafe fn run(base: *mut u8, flip: u32, offsets: &[u32], begin: *mut u8, (size, way): (usize, Way), ahead: *mut u8) {
    macro_rules! each {
        ($size:literal, $offsets:expr, $begin:expr) => {
            for (index, at) in $offsets.iter().enumerate() {
                let (shared, own) = (base.wrapping_add((at ^ flip) as usize), $begin.wrapping_add(index * $size));
                match way {
                    Way::Out | Way::OutPast => unit!($size, shared, own),
                    Way::In => unit!($size, own, shared),
                }
            }
        };
    }
    macro_rules! lines {
        ($size:literal, $past:literal) => {{
            let (lines, rest) = offsets.as_chunks::<{ LINE / $size }>();
            let (mut to, mut ahead) = (begin, ahead);
            for offsets in lines {
                // SAFETY: units of this row fill the next line, which begins evenly since the row does.
                unsafe { gather::<$size, $past>(base, offsets.as_ptr(), flip, to, ahead) }
                (to, ahead) = (to.wrapping_add(LINE), ahead.wrapping_add(LINE));
            }
            each!($size, rest, to);
        }};
    }
    match (size, way) {
        (16, Way::OutPast) => lines!(16, true),
        (8, Way::OutPast) => lines!(8, true),
        (4, Way::OutPast) => lines!(4, true),
        (2, Way::OutPast) => lines!(2, true),
        (1, Way::OutPast) => lines!(1, true),
        (16, Way::Out) => lines!(16, false),
        (8, Way::Out) => lines!(8, false),
        (16, _) => each!(16, offsets, begin),
        (8, _) => each!(8, offsets, begin),
        (4, _) => each!(4, offsets, begin),
        (2, _) => each!(2, offsets, begin),
        _ => each!(1, offsets, begin),
    }
}
