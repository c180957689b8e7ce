//! The participant `opengl`: draws into a texture for each compute, exports it, reads what came back, checks it, and shows it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use handover::interop::{self, Access, Target};
use handover::transport::Traffic;
use handover::{
    Bytes, Deadline, Extent, Fence, Lease, Options, Queue, Region, Stage, Surface, Writers, acquire, allocate,
};

use super::Links;
use super::texture;
use super::wire::{Link, Word};
use super::work::{SUMMARY, Summary, work};
use crate::draw::{self, Area, Canvas, Pixels, font};
use crate::media::colour::PIXEL;
use crate::participant::compose::place;
use crate::participant::desk::{Desk, timed};
use crate::participant::event::{Allocation, Event, Exports, ObjectExport, ReadBack, Without};
use crate::participant::job::{BadJob, Job, OutputJob, Scene};
use crate::participant::output::{Output, allocated, write};
use crate::participant::pixels::to_memory;
use crate::participant::{Failure, Result};

/// How often a wait for a compute is interrupted to see whether the run is to stop.
const SLICE: Duration = Duration::from_millis(100);

/// How long work on a frame may take that is in a queue already.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a compute whose work was torn may take to be gone.
const LAST: Duration = Duration::from_secs(5);

/// The version of `mesa_glinterop_flush_out` that is asked for.
const FLUSH: u32 = 1;

/// Frames for which the cleared part of the picture keeps its colour.
const CLEARED: u64 = 4;

const LIGHT: u32 = 0xfff0_f0f0;
const DARK: u32 = 0xff10_1010;

/// One compute, and what it imported.
pub(super) struct Importer {
    name: String,
    link: Link,
    access: Access,
    texture: Surface,
    buffer: Surface,
    /// Those of the two that it was promised a flush of.
    flushed: Vec<Surface>,
    read_back: u64,
}

impl Importer {
    pub(super) fn traffic(&self) -> Traffic {
        self.link.traffic()
    }

    pub(super) fn read_back(&self) -> ReadBack {
        ReadBack { importer: self.name.clone(), frames: self.read_back }
    }
}

/// "READ", "READ | WRITE" or "WRITE".
fn flags_of(access: Access) -> String {
    access.flags(1).to_string()
}

/// Makes a texture and a buffer for each compute, and exports them as it asks.
pub(super) fn export(
    job: &Job,
    scene: &Scene,
    sockets: Vec<(&OutputJob, OwnedFd)>,
    desk: &mut Desk,
) -> Result<Vec<Importer>> {
    let mut importers = Vec::new();
    for (reader, socket) in sockets {
        let link = Link::new(socket, &reader.reader)?;
        match importer(job, scene, &reader.reader, link, desk)? {
            Some(importer) => importers.push(importer),
            // Its death is its own to be told.
            None => desk.tally.without.push(Without { reader: reader.reader.clone(), why: "it is gone".into() }),
        }
    }
    Ok(importers)
}

fn importer(job: &Job, scene: &Scene, name: &str, link: Link, desk: &mut Desk) -> Result<Option<Importer>> {
    desk.stage(Stage::Allocate);
    let device = job.device()?;
    // Who imports it, and what for, is not known yet.
    let options = || -> Result<Options> {
        let own = || BadJob("source");
        Ok(Options { writers: Writers::Open, backend: scene.source.open()?.ok_or_else(own)?, ..Options::default() })
    };
    let none = || handover::Error::new(Stage::Allocate, handover::Kind::Unreachable).asked("one object").found("none");
    let one = |made: Vec<Surface>| made.into_iter().next().ok_or_else(none);
    let texture = one(allocate::implicit(device, scene.format()?, scene.tile()?, &options()?)?)?;
    let buffer = one(allocate::buffer(device, Bytes(SUMMARY), &options()?)?)?;
    let own = Allocation { importer: Some(name.into()), ..allocated(&texture, true) };
    desk.tell(&Event::Allocated(vec![own]))?;

    desk.stage(Stage::Export);
    let (mut access, mut flushed, mut objects) = (Access::ReadOnly, Vec::new(), Vec::new());
    for surface in [&texture, &buffer] {
        let Some(request) = link.asked()? else { return Ok(None) };
        let exported = link.answer(interop::export(surface, &request, Deadline::after(PATIENCE)))?;
        if request.target != Target::Buffer {
            access = request.access;
        }
        // From that version on, the other side counts on it.
        if exported.versions.export_out >= 2 {
            flushed.push(surface.clone());
        }
        objects.push(ObjectExport {
            object: if request.target == Target::Buffer { "buffer" } else { "texture" }.into(),
            access: flags_of(request.access),
            versions: (exported.versions.export_in, exported.versions.export_out),
            flags: exported.flags.to_string(),
            bytes: exported.bytes.get(),
            compression: exported.decision.compression.to_string(),
            reason: exported.decision.reason.to_string(),
            resolve: exported.decision.resolve.to_string(),
            steps: exported.steps.iter().map(ToString::to_string).collect(),
        });
    }
    desk.tell(&Event::Interop(Exports { importer: name.into(), access: flags_of(access), objects }))?;
    Ok(Some(Importer { name: name.into(), link, access, texture, buffer, flushed, read_back: 0 }))
}

/// Draws, hands over, takes back, checks and shows, frame by frame.
pub(in crate::participant) fn opengl(
    job: &Job,
    scene: &Scene,
    links: &mut Links,
    output: &mut Output,
    desk: &mut Desk,
) -> Result<()> {
    let queue = Queue::new("opengl")?;
    let mut drawn = Pixels::new(scene.tile()?);
    for frame in 1..=job.frames {
        let Some(room) = output.room(desk)? else { break };
        timed(&mut desk.tally.time.cpu, || paint(frame, &mut drawn));
        show(output.pixels(), scene, 0, &drawn, "DRAWN", None);
        for importer in links.importers() {
            importer.draw(&drawn, desk)?;
        }
        let Some(flushed) = hand_over(links.importers(), &queue, frame, desk)? else { break };
        desk.stage(Stage::Flush);
        // Computes wait for it in the reservations, where a failure is no more than content that may be torn. Why it failed is known here.
        timed(&mut desk.tally.time.flush, || flushed.wait(Deadline::after(PATIENCE)))?;
        let mut is_whole = true;
        for (index, importer) in (1..).zip(links.importers()) {
            let Some((picture, summary)) = importer.take_back(frame, desk)? else {
                is_whole = false;
                break;
            };
            let mut expected = drawn.clone();
            timed(&mut desk.tally.time.cpu, || work(importer.access, frame, &mut expected));
            importer.check(frame, &expected, &picture, &summary)?;
            importer.read_back += 1;
            show(output.pixels(), scene, index, &picture, &flags_of(importer.access), Some(&summary));
        }
        // A compute that is gone left a picture that nobody vouches for.
        if !is_whole {
            break;
        }
        output.submit(room, desk)?;
        desk.frame_done(frame);
    }
    for importer in links.importers() {
        importer.link.send(Word::End)?;
    }
    desk.frames_done();
    Ok(())
}

/// Flushes what was promised to be flushed, and names the frame to everybody. The fence of the flush; `None`: somebody is gone.
fn hand_over(importers: &[Importer], queue: &Queue, frame: u64, desk: &mut Desk) -> Result<Option<Fence>> {
    desk.stage(Stage::Flush);
    let promised: Vec<&Surface> = importers.iter().flat_map(|importer| &importer.flushed).collect();
    let flushed = interop::flush_objects(queue, &promised, FLUSH, Deadline::after(PATIENCE));
    // Whoever acquires from here on waits for it, without the fence.
    let flushed = flushed.map_err(handover::Error::from)?;
    desk.stage(Stage::Release);
    for importer in importers {
        if !importer.link.send(Word::Frame(frame))? {
            return Ok(None);
        }
    }
    Ok(Some(flushed))
}

impl Importer {
    fn draw(&self, drawn: &Pixels, desk: &mut Desk) -> Result<()> {
        desk.stage(Stage::Acquire);
        let wish = [(&self.texture, handover::Access::Write, Region::WHOLE)];
        let lease = timed(&mut desk.tally.time.fence, || acquire(&wish, Deadline::after(PATIENCE))?.wait())?;
        desk.stage(Stage::Access);
        timed(&mut desk.tally.time.cpu, || -> handover::Result<()> {
            let (format, _) = texture::image_of(&self.texture)?;
            write(&lease.write(&self.texture)?, &to_memory(format, drawn.bytes()), drawn.stride())
        })?;
        desk.tally.frame_bytes += drawn.bytes().len() as u64;
        Ok(lease.release()?)
    }

    /// Texture and buffer as the compute left them. `None`: it is gone, or the run is to stop.
    fn take_back(&self, frame: u64, desk: &mut Desk) -> Result<Option<(Pixels, Summary)>> {
        if !self.is_enqueued(frame, desk)? {
            return Ok(None);
        }
        desk.stage(Stage::Acquire);
        let wish = [&self.texture, &self.buffer].map(|surface| (surface, handover::Access::Read, Region::WHOLE));
        // Behind the fence of the work, which may not even have begun.
        let lease = timed(&mut desk.tally.time.fence, || acquire(&wish, Deadline::after(PATIENCE))?.wait())?;
        if lease.is_torn() {
            return self.torn(frame, lease.torn_by(), desk);
        }
        desk.stage(Stage::Access);
        let read = timed(&mut desk.tally.time.cpu, || self.read(&lease))?;
        lease.release()?;
        Ok(Some(read))
    }

    /// Waits until the work on the frame is in a queue. `false`: the compute is gone, or the run is to stop.
    fn is_enqueued(&self, frame: u64, desk: &mut Desk) -> Result<bool> {
        desk.stage(Stage::Acquire);
        loop {
            match timed(&mut desk.tally.time.peer, || self.link.receive(Deadline::after(SLICE))) {
                Err(error) if error.is_timeout() && !desk.is_stopping() => {}
                Err(error) if error.is_timeout() => return Ok(false),
                came => {
                    return match came? {
                        Some(Word::Enqueued(number)) if number == frame => Ok(true),
                        Some(other) => Err(Word::Enqueued(frame).instead(other).into()),
                        None => Ok(false),
                    };
                }
            }
        }
    }

    /// Work that is torn is that of a compute that died or failed, which is then gone, and what happened is its own to tell: `None`. If it
    /// lives on, nobody else tells.
    fn torn<T>(&self, frame: u64, by: Option<u32>, desk: &mut Desk) -> Result<Option<T>> {
        let left = timed(&mut desk.tally.time.peer, || self.link.receive(Deadline::after(LAST)));
        if desk.is_stopping() || matches!(left, Ok(None)) {
            return Ok(None);
        }
        let error = handover::Error::new(Stage::Acquire, handover::Kind::Malformed)
            .asked(format!("what {} made of frame {frame}", self.name))
            .found(format!("content that its last writer did not finish (errno {})", by.unwrap_or(0)))
            .why("a picture that may be torn is not checked, and its writer goes on as if nothing had happened");
        Err(error.into())
    }

    fn read(&self, lease: &Lease) -> handover::Result<(Pixels, Summary)> {
        let picture = texture::read(lease, &self.texture)?;
        let mut bytes = vec![0; SUMMARY as usize];
        let length = bytes.len();
        lease.read(&self.buffer)?.read_image(0, &mut bytes, length)?;
        Ok((picture, Summary::from_bytes(bytes)))
    }

    /// Is this what its work makes of what was drawn?
    fn check(&self, frame: u64, expected: &Pixels, seen: &Pixels, summary: &Summary) -> Result<()> {
        let (name, flags) = (&self.name, flags_of(self.access));
        let pixels = |picture: &Pixels| picture.bytes().as_chunks::<PIXEL>().0.to_vec();
        let (right, found) = (pixels(expected), pixels(seen));
        let wrong = |(right, found): &(&[u8; PIXEL], &[u8; PIXEL])| right != found;
        let mut differences = right.iter().zip(&found).enumerate().filter(|(_, pair)| wrong(pair));
        if let Some((at, (right, found))) = differences.next() {
            let width = seen.extent().width().get() as usize;
            let (x, y) = (at % width, at / width);
            let [right, found] = [right, found].map(|pixel| u32::from_le_bytes(*pixel));
            let count = differences.count() + 1;
            let all = seen.bytes().len() / PIXEL;
            return Err(Failure::new(format!(
                "{name}, a compute for {flags}, left another picture in its texture than it should: pixel ({x}, {y}) of frame {frame} is \
                 {found:#010x} and should be {right:#010x}; {count} of {all} pixels are wrong"
            )));
        }
        if *summary != Summary::of(expected) {
            return Err(Failure::new(format!(
                "{name}, a compute for {flags}, says in its buffer that it saw or wrote other pixels in frame {frame} than its texture holds"
            )));
        }
        Ok(())
    }
}

/// The upper part has one colour and is cleared, which chips that compress keep to themselves until a flush; the rest is the test card.
fn paint(frame: u64, picture: &mut Pixels) {
    let extent = picture.extent();
    let (width, height) = (extent.width().get(), extent.height().get());
    let top = height * 3 / 5;
    let area = Area { x: 0, y: 0, width, height: top };
    if let Ok(lower) = Extent::new(width, height - top) {
        let mut card = Pixels::new(lower);
        draw::pattern(frame, 0, &mut card);
        place(picture, (0, top as usize), &card);
    }
    picture.fill(area, draw::colour((frame / CLEARED) as u32));
}

/// Shows one picture, and what it is, in its place.
fn show(canvas: &mut Pixels, scene: &Scene, index: u32, picture: &Pixels, what: &str, summary: Option<&Summary>) {
    let extent = picture.extent();
    let (width, height) = (extent.width().get(), extent.height().get());
    let columns = scene.columns.max(1);
    let (x, y) = (index % columns * width, index / columns * height);
    place(canvas, (x as usize, y as usize), picture);
    if let Some(summary) = summary {
        summary.draw(canvas, Area { x, y: y + height - height / 4, width, height: height / 4 });
    }
    let dot = (height / 80).max(1);
    let what = what.replace(" | ", " ");
    let label = Area { x, y, width: font::width(&what, dot) + 4 * dot, height: (font::GLYPH_HEIGHT + 4) * dot };
    canvas.fill(label, DARK);
    font::text(canvas, x + 2 * dot, y + 2 * dot, dot, LIGHT, &what);
}
