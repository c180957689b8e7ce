//! One try of one input, and how an input gets smaller.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, catch_unwind};
use std::time::{Duration, Instant};

use super::targets::Target;

/// Longer than this for one small input is a finding, on whatever machine.
const LONGEST: Duration = Duration::from_secs(20);

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The hook: keeps what a panic says and where.
pub(super) fn note(panic: &PanicHookInfo<'_>) {
    PANIC.with_borrow_mut(|noted| *noted = panic.to_string());
}

/// The way of an input, or what is broken.
pub(super) fn tried(target: &Target, input: &[u8]) -> Result<String, String> {
    let began = Instant::now();
    let result = catch_unwind(|| (target.run)(input));
    let result = result.unwrap_or_else(|_| Err(format!("a panic: {}", PANIC.with_borrow_mut(std::mem::take))));
    let took = began.elapsed();
    if took > LONGEST { Err(format!("it took {} s", took.as_secs())) } else { result }
}

/// A small input for which this still holds: parts are left out, then bytes become 0.
pub(super) fn smallest(input: &[u8], holds: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut part = best.len();
    while part > 0 {
        let mut start = 0;
        while start < best.len() {
            let end = best.len().min(start + part);
            let mut less = best.clone();
            less.drain(start..end);
            if holds(&less) { best = less } else { start = end }
        }
        part /= 2;
    }
    for index in 0..best.len() {
        let mut zeroed = best.clone();
        if let Some(byte) = zeroed.get_mut(index).filter(|byte| **byte != 0) {
            *byte = 0;
            if holds(&zeroed) {
                best = zeroed;
            }
        }
    }
    best
}
