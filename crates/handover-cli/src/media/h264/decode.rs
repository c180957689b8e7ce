//! Decoding H.264.

use std::collections::VecDeque;

use handover::Extent;
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use crate::media::mp4::Clip;
use crate::media::{Error, I420, Kind, Result};

/// A decoder of one stream.
pub struct Decoder(openh264::decoder::Decoder);

impl Decoder {
    /// A decoder that has seen nothing.
    ///
    /// # Errors
    /// `Codec` if the codec cannot start.
    pub fn new() -> Result<Self> {
        // Flushing after each access unit would tear pictures out of streams that reorder them.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        openh264::decoder::Decoder::with_api_config(OpenH264API::from_source(), config).map(Self).map_err(failed)
    }

    /// Decodes one access unit (Annex B). `None` while the decoder holds pictures back to put them in order.
    ///
    /// # Errors
    /// `Codec` if the stream is broken.
    pub fn decode(&mut self, access_unit: &[u8]) -> Result<Option<I420>> {
        match self.0.decode(access_unit).map_err(failed)? {
            Some(picture) => copy(&picture).map(Some),
            None => Ok(None),
        }
    }

    /// The pictures held back, after the last access unit.
    ///
    /// # Errors
    /// `Codec` if the stream is broken.
    pub fn finish(&mut self) -> Result<Vec<I420>> {
        self.0.flush_remaining().map_err(failed)?.iter().map(copy).collect()
    }
}

/// The pictures of a clip in the order they are shown.
///
/// Every picture has the extent of the clip; one that has not is an error, since the surfaces are allocated before.
pub struct Frames<'a> {
    clip: &'a Clip,
    decoder: Decoder,
    next: usize,
    ready: VecDeque<I420>,
    done: bool,
}

impl<'a> Frames<'a> {
    /// From the first picture on.
    ///
    /// # Errors
    /// `Codec` if the codec cannot start.
    pub fn new(clip: &'a Clip) -> Result<Self> {
        Ok(Self { clip, decoder: Decoder::new()?, next: 0, ready: VecDeque::new(), done: false })
    }

    fn step(&mut self) -> Result<()> {
        if self.next < self.clip.frames() {
            let unit = self.clip.access_unit(self.next)?;
            let index = self.next;
            self.next += 1;
            let picture = self.decoder.decode(&unit.bytes).map_err(|error| self.broken(index, &error))?;
            self.ready.extend(picture);
        } else {
            self.done = true;
            let rest = self.decoder.finish().map_err(|error| self.broken(self.next, &error))?;
            self.ready.extend(rest);
        }
        let extent = self.clip.extent();
        match self.ready.iter().find(|picture| picture.extent() != extent) {
            Some(picture) => Err(self.odd(picture.extent())),
            None => Ok(()),
        }
    }

    fn broken(&self, index: usize, error: &Error) -> Error {
        Error::new(Kind::Malformed, self.clip.name(), format!("frame {index} does not decode ({error})"))
    }

    fn odd(&self, found: Extent) -> Error {
        let asked = self.clip.extent();
        Error::new(Kind::Unsupported, self.clip.name(), format!("a frame of {found} in a track of {asked}"))
            .help("a clip whose frames all have the extent that its track announces")
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<I420>;

    fn next(&mut self) -> Option<Result<I420>> {
        loop {
            if let Some(picture) = self.ready.pop_front() {
                return Some(Ok(picture));
            }
            if self.done {
                return None;
            }
            if let Err(error) = self.step() {
                // A stream that broke once gives no picture worth showing.
                self.done = true;
                self.ready.clear();
                return Some(Err(error));
            }
        }
    }
}

fn copy(picture: &DecodedYUV<'_>) -> Result<I420> {
    let (width, height) = picture.dimensions_i32();
    let edge = |edge: i32| u32::try_from(edge).unwrap_or(0);
    let extent = Extent::new(edge(width), edge(height))
        .map_err(|error| Error::new(Kind::Codec, "the decoder", error.to_string()))?;
    let (y, u, v) = picture.strides();
    I420::from_planes(extent, [picture.y(), picture.u(), picture.v()], [y, u, v])
}

/// The codec's own words say nothing ("Native:16. Decoding State:0"), but the number helps to look it up.
fn failed(error: openh264::Error) -> Error {
    Error::new(Kind::Codec, "the H.264 decoder", format!("openh264 says {}", error.native_code()))
}
