//! The target `layout`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| handover_fuzz::try_one("layout", bytes));
