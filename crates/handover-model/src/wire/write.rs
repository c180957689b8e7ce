//! Appends fields to a message.

use alloc::vec::Vec;

use super::{HEADER, MAGIC, VERSION};

/// The fields of a message so far; the header is put in front at the end, when the length is known.
pub(super) struct Writer {
    fields: Vec<u8>,
}

impl Writer {
    pub(super) const fn new() -> Self {
        Self { fields: Vec::new() }
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.fields.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.fields.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.fields.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.fields.extend_from_slice(&value.to_le_bytes());
    }

    /// As much of the text as fits into `most` bytes without cutting a character.
    pub(super) fn text(&mut self, text: &str, most: usize) {
        let mut end = text.len().min(most);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let bytes = text.as_bytes().get(..end).unwrap_or_default();
        self.u16(bytes.len() as u16);
        self.fields.extend_from_slice(bytes);
    }

    pub(super) fn finish(self, kind: u16) -> Vec<u8> {
        let length = HEADER + self.fields.len();
        let mut message = Vec::with_capacity(length);
        message.extend_from_slice(&MAGIC);
        message.extend_from_slice(&VERSION.to_le_bytes());
        message.extend_from_slice(&kind.to_le_bytes());
        message.extend_from_slice(&(length as u32).to_le_bytes());
        message.extend_from_slice(&self.fields);
        message
    }
}
