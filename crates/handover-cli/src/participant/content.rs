//! A hash over the pixels of all frames that went by, so that two ends of a stream, and two runs, can be compared.

use std::fmt::Write;

use handover::Format;
use sha2::{Digest, Sha256};

use super::pixels::{from_memory, to_memory};

/// What was seen so far. Nothing is computed where nobody asked.
#[derive(Debug, Default)]
pub(super) struct Content(Option<Sha256>);

impl Content {
    pub(super) fn new(wanted: bool) -> Self {
        Self(wanted.then(Sha256::new))
    }

    /// Adds a frame as a reader has it: made fit for drawing.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.0 {
            hash.update(bytes);
        }
    }

    /// Adds a frame as it was drawn, the way readers of surfaces of `format` will have it.
    pub(super) fn add_drawn(&mut self, format: Format, bytes: &[u8]) {
        if let Some(hash) = &mut self.0 {
            let mut seen = to_memory(format, bytes).into_owned();
            from_memory(format, &mut seen);
            hash.update(&seen);
        }
    }

    /// The hash so far, as 64 digits.
    pub(super) fn text(&self) -> Option<String> {
        let digest = self.0.clone()?.finalize();
        let mut text = String::new();
        for byte in digest {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Content;
    use handover::Format;

    #[test]
    fn what_was_drawn_and_what_is_read_have_one_hash() {
        let drawn = [1, 2, 3, 4, 5, 6, 7, 8];
        for (format, seen) in
            [(Format::ARGB8888, drawn), (Format::ABGR8888, drawn), (Format::XRGB8888, [1, 2, 3, 255, 5, 6, 7, 255])]
        {
            let (mut ours, mut theirs) = (Content::new(true), Content::new(true));
            ours.add_drawn(format, &drawn);
            theirs.add(&seen);
            assert_eq!(ours.text(), theirs.text(), "{format}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_standard() {
        let mut content = Content::new(true);
        content.add(b"abc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(content.text().as_deref(), Some(expected));
        assert_eq!(Content::new(false).text(), None);
    }
}
