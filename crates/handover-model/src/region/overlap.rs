//! Do two cells have a pixel in common? Computed exactly.

use super::Cell;
use crate::units::gcd;
use crate::{Px, Rect};

/// `unit` is the height of a write unit, `rows` the number of rows of write units of the surface. Both cells were checked
/// against the surface before.
pub(super) fn overlap(left: Cell, right: Cell, unit: Px, rows: u32) -> bool {
    use Cell::{Plane, Rect, Rows, View};
    match (left, right) {
        (Plane(a), Plane(b)) | (View(a), View(b)) => a == b,
        (Rect(a), Rect(b)) => a.overlaps(b),
        (Rect(rect), Rows { start, step }) | (Rows { start, step }, Rect(rect)) => rect_meets(rect, start, step, unit),
        (Rows { start: a, step: m }, Rows { start: b, step: n }) => {
            first_common((a, m), (b, n)).is_some_and(|row| row < u64::from(rows))
        }
        (Plane(_), _) | (_, Plane(_)) | (View(_), _) | (_, View(_)) => true,
    }
}

/// Does one of the rows start, start + step, … lie in the rectangle?
fn rect_meets(rect: Rect, start: u32, step: u32, unit: Px) -> bool {
    let (start, step, unit) = (u64::from(start), u64::from(step).max(1), u64::from(unit.get()).max(1));
    let top = u64::from(rect.y().get()) / unit;
    let bottom = u64::from(rect.bottom().get()).div_ceil(unit);
    let first = start + top.saturating_sub(start).div_ceil(step) * step;
    first < bottom
}

/// The first row that both progressions have, by the Chinese remainder theorem. Starts and steps are at most 16384 each
/// (checked before), so no product here leaves 64 bits.
fn first_common((a, m): (u32, u32), (b, n): (u32, u32)) -> Option<u64> {
    let ((a, m), (b, n)) = if a <= b { ((a, m), (b, n)) } else { ((b, n), (a, m)) };
    let (a, m, b, n) = (u64::from(a), u64::from(m).max(1), u64::from(b), u64::from(n).max(1));
    let common = gcd(m, n);
    if (b - a) % common != 0 {
        return None;
    }
    // Wanted: the smallest k with b + n·k ≡ a (mod m). Divided by the common divisor, n has an inverse modulo m.
    let modulus = m / common;
    let distance = (b - a) / common % modulus;
    let needed = (modulus - distance) % modulus;
    let k = needed * inverse(n / common % modulus, modulus) % modulus;
    Some(b + n * k)
}

/// The x with `value`·x ≡ 1 (mod `modulus`), by Euclid's extended algorithm. The two have no common divisor; modulo 1
/// everything is 0.
fn inverse(value: u64, modulus: u64) -> u64 {
    let (mut old, mut rest) = (modulus, value);
    // Coefficients of `value`, kept modulo `modulus` so that they never go below zero.
    let (mut old_factor, mut factor) = (0, 1 % modulus);
    while rest != 0 {
        let quotient = old / rest;
        (old, rest) = (rest, old % rest);
        let product = quotient % modulus * factor % modulus;
        (old_factor, factor) = (factor, (old_factor + modulus - product) % modulus);
    }
    old_factor
}
