//! Takes fields off the front of a message, and says which one was missing.

use alloc::format;
use alloc::string::String;

use super::{malformed, truncated};
use crate::Result;

/// What is left of a message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(truncated(field, format!("{} bytes of {N}", self.rest.len())));
        };
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8> {
        self.array::<1>(field).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A length of 16 bits, then that many bytes of UTF-8.
    pub(super) fn text(&mut self, field: &'static str, most: usize) -> Result<String> {
        let length = usize::from(self.u16(field)?);
        if length > most {
            return Err(malformed(field, format!("{length} bytes; it has at most {most}")));
        }
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            return Err(truncated(field, format!("{} bytes of {length}", self.rest.len())));
        };
        self.rest = rest;
        match core::str::from_utf8(head) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(malformed(field, format!("no UTF-8 from byte {} on", error.valid_up_to()))),
        }
    }

    /// Nothing may be left: bytes that one side ignores are bytes that the two sides disagree on.
    pub(super) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(malformed("end", format!("{} bytes behind the last field", self.rest.len())))
    }
}
