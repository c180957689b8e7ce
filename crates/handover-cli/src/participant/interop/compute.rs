//! The participant `compute`: the side of OpenCL, which imports a texture and a buffer and works on them in a queue of its own.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use handover::interop::Access;
use handover::transport::Traffic;
use handover::{Deadline, Fence, Lease, Queue, Region, Stage, Surface, import as import_handle};

use super::texture;
use super::wire::{Link, Word};
use super::work::{Summary, work};
use crate::draw::Pixels;
use crate::participant::Result;
use crate::participant::account::now;
use crate::participant::desk::{Desk, micros};
use crate::participant::event::{Held, InputTally};
use crate::participant::job::{BadJob, InputJob, Job, Work};

/// How long the work on a frame may wait for its turn: the frame was handed over, so what it waits for is short.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was imported, and from whom.
pub(in crate::participant) struct Imported {
    link: Link,
    queue: Queue,
    access: Access,
    texture: Surface,
    buffer: Surface,
    tally: InputTally,
}

impl Imported {
    pub(super) fn traffic(&self) -> Traffic {
        self.link.traffic()
    }

    pub(super) fn tally(&self) -> InputTally {
        self.tally.clone()
    }
}

/// Asks for a texture and a buffer, and imports them. `None`: the other side was gone before that.
pub(super) fn import(job: &Job, input: &InputJob, socket: OwnedFd, desk: &Desk) -> Result<Option<Imported>> {
    let Work::Compute { access, version } = job.work else { return Err(BadJob("interop input").into()) };
    let access = Access::of(access).ok_or(BadJob("access"))?;
    desk.stage(Stage::Import);
    let link = Link::new(socket, &input.producer)?;
    let device = job.device()?;
    let Some(texture) = link.ask(true, access, version)? else { return Ok(None) };
    let texture = import_handle(texture, device)?;
    texture::image_of(&texture)?;
    // What it says goes there, whatever it does with the texture.
    let Some(buffer) = link.ask(false, Access::WriteOnly, version)? else { return Ok(None) };
    let buffer = import_handle(buffer, device)?;
    let tally = InputTally { producer: input.producer.clone(), ..InputTally::default() };
    Ok(Some(Imported { link, queue: Queue::new("compute")?, access, texture, buffer, tally }))
}

/// Works on every frame until there are no more.
pub(in crate::participant) fn compute(imported: Option<&mut Imported>, desk: &mut Desk) -> Result<()> {
    let Some(imported) = imported else { return Ok(()) };
    loop {
        desk.stage(Stage::Acquire);
        let asked = now();
        let came = imported.link.receive(Deadline::Never)?;
        desk.tally.time.peer += micros(Duration::from_nanos(now().saturating_sub(asked)));
        let next = imported.tally.taken.saturating_add(1);
        let frame = match came {
            Some(Word::Frame(frame)) if frame == next => frame,
            Some(Word::End) => break,
            Some(came) => return Err(Word::Frame(next).instead(came).into()),
            None => {
                imported.tally.gone = true;
                break;
            }
        };
        let times = Arc::new(Times::default());
        let submitted = now();
        let fence = imported.submit(frame, &times)?;
        // Sent before the work has begun: whoever comes next finds its fence in the reservations.
        imported.link.send(Word::Enqueued(frame))?;
        desk.stage(Stage::Access);
        fence.wait(Deadline::Never)?;
        let (from, to) = (times.from.load(Ordering::Relaxed), times.to.load(Ordering::Relaxed));
        desk.tally.time.fence += micros(Duration::from_nanos(from.saturating_sub(submitted)));
        desk.tally.time.cpu += micros(Duration::from_nanos(to.saturating_sub(from)));
        desk.held(Held { input: 0, frame, asked, from, to })?;
        desk.tally.frame_bytes += times.written.load(Ordering::Relaxed);
        imported.tally.taken += 1;
        desk.tally.shown += 1;
        desk.frame_done(desk.tally.shown);
    }
    desk.frames_done();
    Ok(())
}

/// When a job had its turn and when it was done, on the clock of all processes; and how many bytes of pixels it wrote.
#[derive(Default)]
struct Times {
    from: AtomicU64,
    to: AtomicU64,
    written: AtomicU64,
}

impl Imported {
    /// Puts the work on a frame in the queue.
    fn submit(&self, frame: u64, times: &Arc<Times>) -> Result<Fence> {
        let (texture, buffer, access) = (self.texture.clone(), self.buffer.clone(), self.access);
        let touches = match access {
            Access::ReadOnly => handover::Access::Read,
            Access::ReadWrite | Access::WriteOnly => handover::Access::Write,
        };
        let set = [(&self.texture, touches, Region::WHOLE), (&self.buffer, handover::Access::Write, Region::WHOLE)];
        let times = Arc::clone(times);
        let job = move |lease: &Lease| {
            times.from.store(now(), Ordering::Relaxed);
            let (summary, written) = on_texture(lease, &texture, access, frame)?;
            lease.write(&buffer)?.write_image(0, summary.bytes(), summary.bytes().len())?;
            times.written.store(written, Ordering::Relaxed);
            times.to.store(now(), Ordering::Relaxed);
            Ok(())
        };
        Ok(self.queue.submit(&set, &[], Deadline::after(PATIENCE), job)?)
    }
}

/// Does the work. What is to be said of the picture as it is then, and how many bytes were written.
fn on_texture(lease: &Lease, texture: &Surface, access: Access, frame: u64) -> handover::Result<(Summary, u64)> {
    let (_, extent) = texture::image_of(texture)?;
    let mut picture = match access {
        Access::WriteOnly => Pixels::new(extent),
        Access::ReadOnly | Access::ReadWrite => texture::read(lease, texture)?,
    };
    work(access, frame, &mut picture);
    if access == Access::ReadOnly {
        return Ok((Summary::of(&picture), 0));
    }
    texture::write(lease, texture, &picture)?;
    Ok((Summary::of(&picture), picture.bytes().len() as u64))
}
