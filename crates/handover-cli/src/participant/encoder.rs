//! The participant `encoder`: reads, converts, encodes, and writes a video that is whole after every frame.

use std::path::PathBuf;

use super::Result;
use super::desk::{Desk, timed};
use super::input::{Input, Taken};
use super::job::{FilePath, Job};
use crate::draw::{Canvas, Pixels};
use crate::media::I420;
use crate::media::colour::from_xrgb_rows;
use crate::media::h264::Encoder;
use crate::media::mp4::Writer;

/// Encodes every frame of the one input.
pub(super) fn encode(job: &Job, bitrate: u32, file: FilePath, inputs: &mut [Input], desk: &mut Desk) -> Result<()> {
    let [input] = inputs else { return Ok(()) };
    let (extent, rate) = (input.extent(), job.rate()?);
    let mut encoder = Encoder::new(extent, rate, bitrate)?;
    let mut writer = Writer::create(&PathBuf::from(file), encoder.coded_extent(), rate)?;
    let mut picture = I420::new(extent);
    while input.next(desk)? == Taken::Frame {
        timed(&mut desk.tally.time.cpu, || convert(input.pixels(), &mut picture));
        timed(&mut desk.tally.time.encoder, || encoder.encode(&picture).and_then(|unit| writer.push(&unit)))?;
        desk.tally.shown += 1;
        desk.frame_done(desk.tally.shown);
    }
    desk.frames_done();
    writer.finish();
    Ok(())
}

fn convert(pixels: &Pixels, picture: &mut I420) {
    let mut rows = pixels.bytes().chunks_exact(pixels.stride());
    for pair in 0..(pixels.extent().height().get() as usize).div_ceil(2) {
        let Some(top) = rows.next() else { return };
        // The last row of an odd height counts twice.
        from_xrgb_rows(picture, pair, top, rows.next().unwrap_or(top));
    }
}
