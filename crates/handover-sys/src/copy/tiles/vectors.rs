//! Moves for x86-64: instructions on whole units, in assembly.
//!
//! What is large goes past the cache (`movntps`): a store that allocates a line reads it first, a third of all traffic. The processor
//! joins such stores only into whole lines, so rows are written from left to right and blocks from their first address to their last
//! ([`blocks`]), and what comes next is fetched ahead, since neither order is one that a prefetcher guesses.
#![allow(unsafe_code)]

use std::arch::{asm, is_x86_feature_detected};
use std::ops::Range;

use super::map::{Row, WIDEST};
use super::{Job, Window};

mod blocks;

/// A line of the cache, in bytes.
const LINE: usize = 64;
/// From here on a copy is larger than what stays in a cache until somebody reads it.
const LARGE: usize = 2 << 20;
/// What is done at a time, so that the lines which rows share stay near: at least so many bytes of a row, and where no blocks are known
/// so many rows.
const STRIP_BYTES: usize = 512;
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
    ($size:literal, $from:expr, $to:expr) => {{
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

/// Loads 16 bytes, unit by unit from wherever they are, and stores them together past the cache.
///
/// # Safety
///
/// `source(0)` and on are readable units of `unit` bytes (4, 8 or 16; 4 only where SSE4.1 was found), as many as 16 bytes have; `to` is
/// writable for 16 bytes and aligned to them.
#[inline(always)]
unsafe fn gather(unit: usize, source: impl Fn(usize) -> *const u8, to: *mut u8) {
    match unit {
        WIDEST => {
            // SAFETY: the caller's promise.
            unsafe {
                asm!("movups {v}, [{a}]", "movntps [{to}], {v}", a = in(reg) source(0), to = in(reg) to, v = out(xmm_reg) _,
                    options(nostack, preserves_flags));
            }
        }
        8 => {
            // SAFETY: the caller's promise.
            unsafe {
                asm!("movq {v}, [{a}]", "movhps {v}, [{b}]", "movntps [{to}], {v}", a = in(reg) source(0),
                    b = in(reg) source(1), to = in(reg) to, v = out(xmm_reg) _, options(nostack, preserves_flags));
            }
        }
        _ => {
            // SAFETY: the caller's promise.
            unsafe {
                asm!("movd {v}, [{a}]", "pinsrd {v}, [{b}], 1", "pinsrd {v}, [{c}], 2", "pinsrd {v}, [{d}], 3",
                    "movntps [{to}], {v}", a = in(reg) source(0), b = in(reg) source(1), c = in(reg) source(2),
                    d = in(reg) source(3), to = in(reg) to, v = out(xmm_reg) _, options(nostack, preserves_flags));
            }
        }
    }
}

/// Can units of this size be gathered?
fn gathers(unit: usize) -> bool {
    unit >= 8 || (unit == 4 && is_x86_feature_detected!("sse4.1"))
}

fn prefetch(at: *const u8) {
    // SAFETY: a prefetch of any address is allowed, and faults nowhere.
    unsafe { asm!("prefetcht0 [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly)) }
}

/// Stores past the cache are ordered by nothing else: whoever is told that the content is there must find it.
fn fence() {
    // SAFETY: touches no memory of the program's.
    unsafe { asm!("sfence", options(nostack, preserves_flags)) }
}

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
    let Some(blocks) = job.map.blocks.as_ref().filter(|_| by_blocks) else {
        // SAFETY: the caller's promise is the callee's contract.
        return unsafe { by_strips(job, Way::In) };
    };
    let (head, _, tail) = job.split();
    // SAFETY: the whole units of the window that the caller promised; the tiled side begins on a line.
    unsafe { blocks::write(&job.columns(head.end..tail.start), blocks) }
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

/// Row by row; meanwhile fetches from `next` on as much as it moves.
///
/// # Safety
///
/// As [`by_strips`].
unsafe fn rows(job: &Job<'_>, way: Way, mut next: Option<*mut u8>) {
    let (head, units, tail) = job.split();
    let (element, unit) = (job.map.element, job.map.unit);
    let lines = (job.window.width * element).div_ceil(LINE);
    for y in job.window.rows() {
        let Some(row) = job.map.rows.get(y) else { return };
        let (Some(columns), Some(whole)) = (job.map.columns.get(row.class), job.map.units.get(row.class)) else {
            return;
        };
        if let Some(next) = &mut next {
            (0..lines).for_each(|line| prefetch(next.wrapping_add(line * LINE)));
            *next = next.wrapping_add(lines * LINE);
        }
        for (range, offsets, size) in [(&head, columns, element), (&units, whole, unit), (&tail, columns, element)] {
            let offsets = offsets.get(range.clone()).unwrap_or_default();
            if offsets.is_empty() {
                continue;
            }
            let begin = job.row(range.start * (size / element), y);
            let way = if way == Way::OutPast && size != unit { Way::Out } else { way };
            // SAFETY: each offset is that of an element or a unit of this row of the window, in the mapping by the map's contract, and
            // as many follow each other from `begin` on.
            unsafe { run(job.tiled.wrapping_add(row.base), row, offsets, begin, (size, way)) }
        }
    }
}

/// # Safety
///
/// `offsets` are of units of `size` bytes of `row`, all inside the mapping; as many units follow each other from `begin` on.
unsafe fn run(base: *mut u8, row: &Row, offsets: &[u32], begin: *mut u8, (size, way): (usize, Way)) {
    let shared = |at: &u32| base.wrapping_add((at ^ row.xor) as usize);
    macro_rules! each {
        ($size:literal, $offsets:expr, $begin:expr) => {
            for (index, at) in $offsets.iter().enumerate() {
                let own = $begin.wrapping_add(index * $size);
                match way {
                    Way::Out | Way::OutPast => unit!($size, shared(at), own),
                    Way::In => unit!($size, own, shared(at)),
                }
            }
        };
    }
    macro_rules! together {
        ($size:literal) => {{
            let (groups, rest) = offsets.as_chunks::<{ WIDEST / $size }>();
            for (index, group) in groups.iter().enumerate() {
                let source = |unit: usize| shared(group.get(unit).unwrap_or(&0)).cast_const();
                // SAFETY: a group of units of this row fills the next 16 bytes, which begin evenly since the row does.
                unsafe { gather($size, source, begin.wrapping_add(index * WIDEST)) }
            }
            each!($size, rest, begin.wrapping_add(groups.len() * WIDEST));
        }};
    }
    match (size, way) {
        (16, Way::OutPast) => together!(16),
        (8, Way::OutPast) => together!(8),
        (4, Way::OutPast) => together!(4),
        (16, _) => each!(16, offsets, begin),
        (8, _) => each!(8, offsets, begin),
        (4, _) => each!(4, offsets, begin),
        (2, _) => each!(2, offsets, begin),
        _ => each!(1, offsets, begin),
    }
}
