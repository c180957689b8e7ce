//! Moves for every processor: volatile accesses of aligned words of the shared side.
#![allow(unsafe_code)]

const WORD: usize = size_of::<u64>();

/// # Safety
///
/// `from` is readable and `to` writable for `length` bytes; they do not overlap; `from` is the shared side.
pub(super) unsafe fn out_of(from: *const u8, to: *mut u8, length: usize) {
    let mut at = 0;
    while at < length {
        let source = from.wrapping_add(at);
        let target = to.wrapping_add(at);
        if length - at >= WORD && source.cast::<u64>().is_aligned() {
            // SAFETY: WORD bytes are left, aligned as just tested, readable by the caller's promise.
            let word = unsafe { source.cast::<u64>().read_volatile() };
            // SAFETY: WORD bytes are left in the private side, writable by the caller's promise.
            unsafe { target.cast::<u64>().write_unaligned(word) }
            at += WORD;
        } else {
            // SAFETY: at < length, readable by the caller's promise.
            let byte = unsafe { source.read_volatile() };
            // SAFETY: at < length, writable by the caller's promise.
            unsafe { target.write(byte) }
            at += 1;
        }
    }
}

/// # Safety
///
/// `from` is readable and `to` writable for `length` bytes; they do not overlap; `to` is the shared side.
pub(super) unsafe fn into(from: *const u8, to: *mut u8, length: usize) {
    let mut at = 0;
    while at < length {
        let source = from.wrapping_add(at);
        let target = to.wrapping_add(at);
        if length - at >= WORD && target.cast::<u64>().is_aligned() {
            // SAFETY: WORD bytes are left in the private side, readable by the caller's promise.
            let word = unsafe { source.cast::<u64>().read_unaligned() };
            // SAFETY: WORD bytes are left, aligned as just tested, writable by the caller's promise.
            unsafe { target.cast::<u64>().write_volatile(word) }
            at += WORD;
        } else {
            // SAFETY: at < length, readable by the caller's promise.
            let byte = unsafe { source.read() };
            // SAFETY: at < length, writable by the caller's promise.
            unsafe { target.write_volatile(byte) }
            at += 1;
        }
    }
}

/// # Safety
///
/// `to` is writable for `length` bytes.
pub(super) unsafe fn fill(to: *mut u8, byte: u8, length: usize) {
    let pattern = u64::from_ne_bytes([byte; WORD]);
    let mut at = 0;
    while at < length {
        let target = to.wrapping_add(at);
        if length - at >= WORD && target.cast::<u64>().is_aligned() {
            // SAFETY: WORD bytes are left, aligned as just tested, writable by the caller's promise.
            unsafe { target.cast::<u64>().write_volatile(pattern) }
            at += WORD;
        } else {
            // SAFETY: at < length, writable by the caller's promise.
            unsafe { target.write_volatile(byte) }
            at += 1;
        }
    }
}
