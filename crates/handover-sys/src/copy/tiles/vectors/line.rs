//! One line of the cache, gathered unit by unit in registers and stored past the cache.
#![allow(unsafe_code)]

use std::arch::{asm, is_x86_feature_detected};

use super::super::map::WIDEST;

/// A line of the cache, in bytes.
pub(super) const LINE: usize = 64;

/// Can units of this size be gathered?
pub(super) fn gathers(unit: usize) -> bool {
    matches!(unit, 2 | 8 | WIDEST) || is_x86_feature_detected!("sse4.1")
}

/// Brings a line near, but not into the nearest cache, where it would take the room of what is in use.
pub(super) fn prefetch(at: *const u8) {
    // SAFETY: a prefetch of any address is allowed, and faults nowhere.
    unsafe { asm!("prefetcht1 [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly)) }
}

/// Stores past the cache are ordered by nothing else: whoever is told that the content is there must find it.
pub(super) fn fence() {
    // SAFETY: touches no memory of the program's.
    unsafe { asm!("sfence", options(nostack, preserves_flags)) }
}

/// Loads the units of a line from wherever they are, stores them together, `PAST` the cache or through it, and fetches another line.
///
/// # Safety
///
/// `offsets` has as many entries as a line has units of `UNIT` bytes, which can be [gathered](gathers); at `base` and each entry, its bits
/// flipped by `flip`, a unit is readable; `to` is writable for a line, and aligned to 16 bytes if `PAST`.
#[inline(always)]
pub(super) unsafe fn gather<const UNIT: usize, const PAST: bool>(
    base: *const u8,
    offsets: *const u32,
    flip: u32,
    to: *mut u8,
    ahead: *const u8,
) {
    prefetch(ahead);
    // SAFETY: the caller's promise, of the first quarter.
    unsafe { quarter::<UNIT, PAST, 0>(base, offsets, flip, to) }
    // SAFETY: as above, of the second.
    unsafe { quarter::<UNIT, PAST, 16>(base, offsets, flip, to) }
    // SAFETY: as above, of the third.
    unsafe { quarter::<UNIT, PAST, 32>(base, offsets, flip, to) }
    // SAFETY: as above, of the last.
    unsafe { quarter::<UNIT, PAST, 48>(base, offsets, flip, to) }
}

/// The same past the cache, for units of 16 bytes that lie at `from`, and `second` and `third` bytes and the sum of both behind it: what
/// nearly all layouts are made of, and a sixth faster without a table entry for each.
///
/// # Safety
///
/// These four units are readable; `to` is writable for a line and aligned to 16 bytes.
#[inline(always)]
pub(super) unsafe fn gather_even(from: *const u8, second: usize, third: usize, to: *mut u8, ahead: *const u8) {
    prefetch(ahead);
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "movups {a}, [{from}]",
            "movups {b}, [{from} + {second}]",
            "add {from}, {third}",
            "movups {c}, [{from}]",
            "movups {d}, [{from} + {second}]",
            "movntps [{to}], {a}",
            "movntps [{to} + 16], {b}",
            "movntps [{to} + 32], {c}",
            "movntps [{to} + 48], {d}",
            from = inout(reg) from => _, second = in(reg) second, third = in(reg) third, to = in(reg) to,
            a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _, options(nostack)
        );
    }
}

/// # Safety
///
/// As [`gather`], for the 16 bytes from `AT` on.
#[inline(always)]
unsafe fn quarter<const UNIT: usize, const PAST: bool, const AT: usize>(
    base: *const u8,
    offsets: *const u32,
    flip: u32,
    to: *mut u8,
) {
    // How the assembler says where in the register a unit goes.
    macro_rules! place {
        ($unit:tt "pinsrd {v},") => {
            concat!(", ", $unit)
        };
        ($unit:tt "pinsrw {v},") => {
            concat!(", ", $unit)
        };
        ($unit:tt "pinsrb {v},") => {
            concat!(", ", $unit)
        };
        ($unit:tt $load:tt) => {
            ""
        };
    }
    macro_rules! load {
        ($store:literal, $($unit:tt $load:tt),+ $(; first $clear:literal)?) => {
            // SAFETY: the caller's promise.
            unsafe {
                asm!(
                    $($clear,)?
                    $(
                        concat!("mov {at:e}, [{offsets} + {first} + 4 * ", $unit, "]"),
                        "xor {at:e}, {flip:e}",
                        concat!($load, " [{base} + {at}]", place!($unit $load)),
                    )+
                    concat!($store, " [{to} + {part}], {v}"),
                    offsets = in(reg) offsets, first = const AT / UNIT * size_of::<u32>(), flip = in(reg) flip, base = in(reg) base,
                    at = out(reg) _, to = in(reg) to, part = const AT, v = out(xmm_reg) _, options(nostack)
                );
            }
        };
    }
    macro_rules! store {
        ($store:literal) => {
            match UNIT {
                WIDEST => load!($store, 0 "movups {v},"),
                8 => load!($store, 0 "movq {v},", 1 "movhps {v},"),
                4 => load!($store, 0 "movd {v},", 1 "pinsrd {v},", 2 "pinsrd {v},", 3 "pinsrd {v},"),
                2 => load!($store, 0 "pinsrw {v},", 1 "pinsrw {v},", 2 "pinsrw {v},", 3 "pinsrw {v},",
                    4 "pinsrw {v},", 5 "pinsrw {v},", 6 "pinsrw {v},", 7 "pinsrw {v},"; first "pxor {v}, {v}"),
                _ => load!($store, 0 "pinsrb {v},", 1 "pinsrb {v},", 2 "pinsrb {v},", 3 "pinsrb {v},",
                    4 "pinsrb {v},", 5 "pinsrb {v},", 6 "pinsrb {v},", 7 "pinsrb {v},",
                    8 "pinsrb {v},", 9 "pinsrb {v},", 10 "pinsrb {v},", 11 "pinsrb {v},",
                    12 "pinsrb {v},", 13 "pinsrb {v},", 14 "pinsrb {v},", 15 "pinsrb {v},"; first "pxor {v}, {v}"),
            }
        };
    }
    if PAST { store!("movntps") } else { store!("movups") }
}
