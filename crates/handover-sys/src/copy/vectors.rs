//! Moves for x86-64: vector registers, in assembly.
//!
//! Not `rep movsb`, which is what this was first written with: on AMD Zen 3 and 4 it runs 20 times slower when the
//! destination lies 1 to 63 bytes behind the source modulo 4096 (glibc bug 30994; measured on an EPYC: 520 µs for 1 MiB
//! against 31 µs), and pixels meet that by chance. Moves of 32 bytes with an aligned destination are as fast as the C
//! library's memcpy at its best and have no such case.
#![allow(unsafe_code)]

use std::arch::{asm, is_x86_feature_detected};

/// Where the wide loop begins to pay for its alignment.
const WIDE: usize = 256;

/// # Safety
///
/// `from` is readable and `to` writable for `length` bytes; they do not overlap.
pub(super) unsafe fn out_of(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: the caller's promise is the callee's contract, word for word.
    unsafe { copy(from, to, length) }
}

/// # Safety
///
/// `from` is readable and `to` writable for `length` bytes; they do not overlap.
pub(super) unsafe fn into(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: the caller's promise is the callee's contract, word for word.
    unsafe { copy(from, to, length) }
}

/// # Safety
///
/// `to` is writable for `length` bytes.
pub(super) unsafe fn fill(to: *mut u8, byte: u8, length: usize) {
    let pattern = u64::from_ne_bytes([byte; 8]);
    let words = length / 8;
    let tail = to.wrapping_add(words * 8);
    // SAFETY: stores 8 * words <= length bytes from `to`, writable by the caller's promise; rcx and rdi are declared as
    // changed and the direction flag is clear on entry (System V ABI, 3.2.1).
    unsafe {
        asm!("rep stosq", inout("rcx") words => _, inout("rdi") to => _, in("rax") pattern,
            options(nostack, preserves_flags));
    }
    // SAFETY: stores the remaining length % 8 bytes behind those; as above.
    unsafe {
        asm!("rep stosb", inout("rcx") length % 8 => _, inout("rdi") tail => _, in("rax") pattern,
            options(nostack, preserves_flags));
    }
}

/// # Safety
///
/// `from` is readable and `to` writable for `length` bytes; they do not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    if length < WIDE || !is_x86_feature_detected!("avx") {
        // SAFETY: the caller's promise is the callee's contract, word for word.
        return unsafe { copy_sse(from, to, length) };
    }
    let head = to.align_offset(32).min(length);
    // SAFETY: the first head <= length bytes, by the caller's promise.
    unsafe { copy_sse(from, to, head) }
    let blocks = (length - head) / 128;
    if blocks > 0 {
        // SAFETY: head + 128 * blocks <= length bytes, by the caller's promise; AVX was just found.
        unsafe { copy_blocks_avx(from.wrapping_add(head), to.wrapping_add(head), blocks) }
    }
    let done = head + blocks * 128;
    // SAFETY: the remaining length - done bytes behind those, by the caller's promise.
    unsafe { copy_sse(from.wrapping_add(done), to.wrapping_add(done), length - done) }
}

/// # Safety
///
/// `from` is readable and `to` writable for `length` bytes; they do not overlap.
pub(super) unsafe fn copy_sse(from: *const u8, to: *mut u8, length: usize) {
    let blocks = length / 64;
    let done = blocks * 64;
    if blocks > 0 {
        // SAFETY: 64 * blocks <= length bytes, by the caller's promise.
        unsafe { copy_blocks_sse(from, to, blocks) }
    }
    // SAFETY: the remaining length - done bytes behind those, by the caller's promise.
    unsafe { copy_tail(from.wrapping_add(done), to.wrapping_add(done), length - done) }
}

/// # Safety
///
/// As [`copy`] for `128 * blocks` bytes, `blocks` > 0, on a processor with AVX.
unsafe fn copy_blocks_avx(from: *const u8, to: *mut u8, blocks: usize) {
    // SAFETY: `blocks` turns of 128 bytes by the caller's promise; moves of any alignment; every register that changes
    // is declared, and an xmm register as `out` stands for its upper half too.
    unsafe {
        asm!(
            "2:",
            "vmovdqu ymm0, [{from}]",
            "vmovdqu ymm1, [{from} + 32]",
            "vmovdqu ymm2, [{from} + 64]",
            "vmovdqu ymm3, [{from} + 96]",
            "vmovdqu [{to}], ymm0",
            "vmovdqu [{to} + 32], ymm1",
            "vmovdqu [{to} + 64], ymm2",
            "vmovdqu [{to} + 96], ymm3",
            "add {from}, 128",
            "add {to}, 128",
            "dec {blocks}",
            "jnz 2b",
            "vzeroupper",
            from = inout(reg) from => _, to = inout(reg) to => _, blocks = inout(reg) blocks => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack)
        );
    }
}

/// # Safety
///
/// As [`copy`] for `64 * blocks` bytes, `blocks` > 0.
unsafe fn copy_blocks_sse(from: *const u8, to: *mut u8, blocks: usize) {
    // SAFETY: `blocks` turns of 64 bytes by the caller's promise; moves of any alignment; every register that changes
    // is declared.
    unsafe {
        asm!(
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {blocks}",
            "jnz 2b",
            from = inout(reg) from => _, to = inout(reg) to => _, blocks = inout(reg) blocks => _,
            a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
            options(nostack)
        );
    }
}

/// One load and one store of `$size` bytes through `$register`, then on; or nothing where fewer are left.
macro_rules! step {
    ($from:ident, $to:ident, $left:ident, $size:literal, $mov:literal, $class:ident, $form:literal) => {
        if $left >= $size {
            // SAFETY: `$size` bytes are left of what the caller promised; the instruction takes any alignment.
            unsafe {
                asm!(
                    concat!($mov, " {value", $form, "}, [{from}]"),
                    concat!($mov, " [{to}], {value", $form, "}"),
                    value = out($class) _, from = in(reg) $from, to = in(reg) $to,
                    options(nostack, preserves_flags)
                );
            }
            $from = $from.wrapping_add($size);
            $to = $to.wrapping_add($size);
            $left -= $size;
        }
    };
}

/// # Safety
///
/// As [`copy`], `length` < 64.
unsafe fn copy_tail(mut from: *const u8, mut to: *mut u8, length: usize) {
    let mut left = length;
    while left >= 16 {
        step!(from, to, left, 16, "movups", xmm_reg, "");
    }
    step!(from, to, left, 8, "mov", reg, "");
    step!(from, to, left, 4, "mov", reg, ":e");
    step!(from, to, left, 2, "mov", reg, ":x");
    if left > 0 {
        // SAFETY: one byte is left of what the caller promised.
        unsafe {
            asm!("mov {value}, [{from}]", "mov [{to}], {value}", value = out(reg_byte) _, from = in(reg) from,
                to = in(reg) to, options(nostack, preserves_flags));
        }
    }
}
