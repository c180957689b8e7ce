//! Moves for every processor: unit by unit, by volatile accesses of the shared side.
#![allow(unsafe_code)]

use std::ops::Range;

use super::super::words;
use super::Job;

/// # Safety
///
/// The contract of [`Job`], whose rows are written.
pub(super) unsafe fn detile(job: &Job<'_>) {
    pieces(job, |tiled, row, length| {
        // SAFETY: `pieces` gives `length` bytes of the mapping and of the rows, by the caller's promise.
        unsafe { words::out_of(tiled, row, length) }
    });
}

/// # Safety
///
/// The contract of [`Job`], whose tiled side is written.
pub(super) unsafe fn tile(job: &Job<'_>) {
    pieces(job, |tiled, row, length| {
        // SAFETY: `pieces` gives `length` bytes of the rows and of the mapping, by the caller's promise.
        unsafe { words::into(row, tiled, length) }
    });
}

/// Calls `piece` with the tiled side and the row of every element or unit of the window, and its length.
fn pieces(job: &Job<'_>, piece: impl Fn(*mut u8, *mut u8, usize)) {
    let (head, units, tail) = job.split();
    let (element, unit) = (job.map.element, job.map.unit);
    for y in job.window.rows() {
        let Some(row) = job.map.rows.get(y) else { return };
        let (Some(columns), Some(whole)) = (job.map.columns.get(row.class), job.map.units.get(row.class)) else {
            return;
        };
        let run = |offsets: &[u32], range: Range<usize>, size: usize| {
            for (x, at) in range.clone().zip(offsets.get(range).unwrap_or_default()) {
                let tiled = job.tiled.wrapping_add(row.base + (at ^ row.xor) as usize);
                piece(tiled, job.row(x * (size / element), y), size);
            }
        };
        run(columns, head.clone(), element);
        run(whole, units.clone(), unit);
        run(columns, tail.clone(), element);
    }
}
