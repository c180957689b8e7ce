//! Bytes as numbers, one after the other; past the end all of them are 0.

/// What is left of an input.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Little-endian.
    pub(super) fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Little-endian.
    pub(super) fn dword(&mut self) -> u32 {
        u32::from(self.half()) | u32::from(self.half()) << 16
    }

    /// Little-endian.
    pub(super) fn number(&mut self) -> u64 {
        u64::from(self.dword()) | u64::from(self.dword()) << 32
    }

    /// One of these, `None` if there are none.
    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let index = usize::from(self.byte()).checked_rem(all.len())?;
        all.get(index).copied()
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }
}
