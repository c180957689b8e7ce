//! Copies out of, into and over memory that another process may write at the same time.
//!
//! # Contract
//!
//! Shared memory comes as `&[AtomicU8]`: the borrow proves that it is mapped, and the language allows every byte of it
//! to change under our hands. The moves themselves are wider than a byte. On x86-64 they are assembly, opaque to the
//! compiler, so a race is settled by the processor as if each byte were loaded and stored on its own; elsewhere they are
//! volatile accesses of aligned words. Either way a race yields torn content and nothing worse.
//!
//! The caller of [`write`] and [`fill`] holds memory that is mapped writable.
#![allow(unsafe_code)]

use std::sync::atomic::AtomicU8;

pub mod tiles;
#[cfg(target_arch = "x86_64")]
mod vectors;
#[cfg(any(test, not(target_arch = "x86_64")))]
mod words;

#[cfg(target_arch = "x86_64")]
use vectors as moves;
#[cfg(not(target_arch = "x86_64"))]
use words as moves;

/// Copies the first bytes of `from` over all of `into`, or as many as both have.
pub(crate) fn read(from: &[AtomicU8], into: &mut [u8]) {
    let length = from.len().min(into.len());
    // SAFETY: module contract: `from` is mapped for `length` bytes because it is borrowed, `into` is ours alone, and
    // the two cannot overlap because nothing here ever lends shared memory as `&mut [u8]`.
    unsafe { moves::out_of(from.as_ptr().cast(), into.as_mut_ptr(), length) }
}

/// Copies all of `from` over the first bytes of `to`, or as many as both have.
pub(crate) fn write(to: &[AtomicU8], from: &[u8]) {
    let length = to.len().min(from.len());
    // SAFETY: module contract: `to` is mapped writable for `length` bytes and may be written through a shared borrow
    // because it is atomic; `from` cannot overlap it, nothing here ever lends shared memory as `&[u8]`.
    unsafe { moves::into(from.as_ptr(), to.as_ptr().cast_mut().cast(), length) }
}

/// Stores `byte` in all of `to`.
pub(crate) fn fill(to: &[AtomicU8], byte: u8) {
    // SAFETY: module contract: `to` is mapped writable for its length and may be written through a shared borrow.
    unsafe { moves::fill(to.as_ptr().cast_mut().cast(), byte, to.len()) }
}

#[cfg(test)]
mod tests {
    //! Both ways of moving, against `copy_from_slice`, at every alignment of both sides and every length to 600 bytes.

    use super::*;

    type Move = unsafe fn(*const u8, *mut u8, usize);
    type Fill = unsafe fn(*mut u8, u8, usize);

    const ROOM: usize = 1024;

    fn lengths() -> impl Iterator<Item = usize> {
        (0..160).chain((160..600).step_by(7)).chain([127, 128, 129, 255, 256, 257, 511, 512, 513])
    }

    fn check_move(name: &str, action: Move) {
        let source: Vec<u8> = (0..ROOM).map(|index| (index * 31 + 7) as u8).collect();
        for length in lengths() {
            for (from, to) in (0..40).map(|step| (step * 5 % 33, step * 7 % 65)) {
                let mut found = vec![0xEE; ROOM];
                let mut expected = found.clone();
                expected[to..to + length].copy_from_slice(&source[from..from + length]);
                // SAFETY: 33 + 600 and 65 + 600 bytes fit in ROOM; the two vectors are distinct.
                unsafe { action(source.as_ptr().wrapping_add(from), found.as_mut_ptr().wrapping_add(to), length) }
                assert!(found == expected, "{name}: {length} bytes from {from} to {to}");
            }
        }
    }

    fn check_fill(name: &str, action: Fill) {
        for length in lengths() {
            for to in 0..65 {
                let mut found = vec![0xEE; ROOM];
                let mut expected = found.clone();
                expected[to..to + length].fill(0x5A);
                // SAFETY: 65 + 600 bytes fit in ROOM.
                unsafe { action(found.as_mut_ptr().wrapping_add(to), 0x5A, length) }
                assert!(found == expected, "{name}: {length} bytes at {to}");
            }
        }
    }

    #[test]
    fn moves_equal_copy_from_slice() {
        check_move("out_of", moves::out_of);
        check_move("into", moves::into);
        check_move("words::out_of", words::out_of);
        check_move("words::into", words::into);
    }

    #[test]
    fn fills_equal_slice_fill() {
        check_fill("fill", moves::fill);
        check_fill("words::fill", words::fill);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn moves_without_avx_equal_copy_from_slice() {
        check_move("sse", vectors::copy_sse);
    }
}
