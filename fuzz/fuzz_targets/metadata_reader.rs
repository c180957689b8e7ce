//! The target `metadata-reader`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| handover_fuzz::try_one("metadata-reader", bytes));
