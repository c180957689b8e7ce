//! The frames a participant makes: drawn in memory of its own, then written into a surface that its readers share, and
//! into the sockets of those that want copies.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use handover::negotiate::SurfaceUsages;
use handover::stream::{ConsumerId, Delivery, Draft, Producer, Published, Undrawn};
use handover::transport::{Channel, Traffic};
use handover::{
    Deadline, Device, Elements, ExportFlags, Extent, Format, Kind, Layout, Modifier, Options, ReadOnly, Stage, Surface,
    ViewMut, Writers, allocate, flush,
};
use handover_vulkan::Submitted;

use super::account::now;
use super::content::Content;
use super::desk::{Desk, micros, timed};
use super::event::{Allocation, Drawn, Event, Exported, Without};
use super::job::{Job, OutputJob};
use super::pixels::to_memory;
use super::private::Private;
use super::vulkan::Studio;
use super::{Failure, Result};
use crate::draw::Pixels;
use crate::media::colour::PIXEL;

/// How often a producer that waits for a surface looks whether it shall stop.
const SLICE: Duration = Duration::from_millis(100);

/// How long a job may take whose fence the kernel does not take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The side of a participant that others read.
pub(super) struct Output {
    producer: Option<Producer>,
    format: Option<Format>,
    copies: Vec<File>,
    /// Was every reader promised that we flush? Otherwise the device tracks what it left unresolved.
    flushes: bool,
    /// Had it readers? Without any it draws for itself alone.
    had_readers: bool,
    pixels: Pixels,
    /// Where it draws, if what it shares is a copy.
    private: Option<Private>,
    content: Content,
    /// When each draft that is out was asked for, and when it came; by the number of its frame.
    begun: HashMap<u64, (u64, u64)>,
    /// What the producer had waited and sent when it was let go.
    past: Past,
}

#[derive(Default)]
struct Past {
    pool_empty: Duration,
    fence: Duration,
    traffic: Traffic,
}

/// Room for one frame.
pub(super) struct Room(Option<Draft>);

impl Output {
    /// Allocates what the job says, exports it to every reader, and waits until they have imported it.
    pub(super) fn new(
        job: &Job,
        readers: Vec<(&OutputJob, OwnedFd)>,
        studio: Option<&mut Studio>,
        desk: &mut Desk,
    ) -> Result<Self> {
        let extent = job.extent()?;
        let mut this = Self {
            producer: None,
            format: None,
            copies: Vec::new(),
            flushes: readers
                .iter()
                .all(|(reader, _)| reader.flags().is_ok_and(|flags| flags.contains(ExportFlags::EXPLICIT_FLUSH))),
            had_readers: !readers.is_empty(),
            pixels: Pixels::new(extent),
            private: None,
            content: Content::new(job.hashes),
            begun: HashMap::new(),
            past: Past::default(),
        };
        if let Some(surfaces) = allocate_for(job, extent, studio, desk)? {
            this.private = Private::new(job)?;
            let own = this.private.iter().map(|private| allocated(private.surface(), false));
            let all = own.chain(surfaces.iter().map(|surface| allocated(surface, true))).collect();
            desk.tell(&Event::Allocated(all))?;
            this.format = surfaces.first().and_then(Surface::format);
            this.producer = Some(Producer::new(surfaces)?);
        }
        desk.stage(Stage::Export);
        for (reader, socket) in readers {
            this.add(reader, socket, desk)?;
        }
        Ok(this)
    }

    fn add(&mut self, reader: &OutputJob, socket: OwnedFd, desk: &mut Desk) -> Result<()> {
        if reader.copies {
            self.copies.push(File::from(socket));
            return Ok(());
        }
        let Some(producer) = &mut self.producer else { return Err(Failure::new("a reader, and no surfaces")) };
        let channel = Channel::from_fd(socket, Default::default())?.with_peer_name(&reader.reader);
        let delivery = if reader.mailbox { Delivery::Mailbox } else { Delivery::Fifo };
        match producer.add(channel, reader.flags()?, delivery, Deadline::Never) {
            Ok((ConsumerId { .. }, decision)) => {
                let surface = producer.surfaces().next().ok_or_else(|| Failure::new("a stream without surfaces"))?;
                desk.tell(&Event::Exported(exported(reader, surface, decision)?))
            }
            // It is gone, or said why it cannot take part: the others go on, and the report says who is missing.
            Err(error) if matches!(error.kind(), Kind::PeerGone | Kind::Unsupported) => {
                desk.tally.without.push(Without { reader: reader.reader.clone(), why: error.to_string() });
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where the next frame is drawn: XRGB8888 or ARGB8888, and what the frame before left there.
    pub(super) fn pixels(&mut self) -> &mut Pixels {
        &mut self.pixels
    }

    /// Room for a frame, waiting for a surface that nobody uses. `None`: nobody reads any more, or the run is to stop.
    /// Whoever has room draws, which is access to pixels.
    pub(super) fn room(&mut self, desk: &mut Desk) -> Result<Option<Room>> {
        desk.stage(Stage::Acquire);
        let room = self.wait(desk)?;
        if room.is_some() {
            desk.stage(Stage::Access);
        }
        Ok(room)
    }

    fn wait(&mut self, desk: &Desk) -> Result<Option<Room>> {
        let asked = now();
        while let Some(producer) = &mut self.producer {
            if desk.is_stopping() {
                return Ok(None);
            }
            match producer.next(Deadline::after(SLICE)) {
                Ok(Some(draft)) => return Ok(Some(Room(Some(self.begin(draft, asked))))),
                Ok(None) => self.let_go(),
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let alone = !self.had_readers || !self.copies.is_empty();
        Ok((alone && !desk.is_stopping()).then_some(Room(None)))
    }

    /// The layout of the surfaces, and how many there are. `None`: nobody shares them.
    pub(super) fn layout(&self) -> Option<(Layout, u32)> {
        let mut surfaces = self.producer.as_ref()?.surfaces();
        let layout = *surfaces.next()?.layout();
        Some((layout, u32::try_from(surfaces.count().saturating_add(1)).ok()?))
    }

    /// A free surface for a device to fill. Waits for one if it must; else `None` if there is none now. `None` too if nobody reads any
    /// more, or the run is to stop.
    pub(super) fn draft(&mut self, waits: bool, desk: &Desk) -> Result<Option<Draft>> {
        if waits {
            desk.stage(Stage::Acquire);
            return Ok(self.wait(desk)?.and_then(|Room(draft)| draft));
        }
        match &mut self.producer {
            Some(producer) if !desk.is_stopping() => {
                let asked = now();
                let draft = producer.try_next()?;
                Ok(draft.map(|draft| self.begin(draft, asked)))
            }
            _ => Ok(None),
        }
    }

    /// Hands over what a device has filled.
    pub(super) fn publish(&mut self, draft: Draft, desk: &mut Desk) -> Result<()> {
        let Some(producer) = &mut self.producer else { return Ok(()) };
        desk.stage(Stage::Release);
        let to = now();
        let published = producer.publish(draft)?;
        self.published(published, to, desk)
    }

    /// Hands over what a job of a device draws, which need not have ended.
    pub(super) fn publish_after(&mut self, draft: Draft, job: &Submitted, desk: &mut Desk) -> Result<()> {
        let (Some(producer), Some(fence)) = (&mut self.producer, job.fence()) else { return self.publish(draft, desk) };
        desk.stage(Stage::Release);
        let to = now();
        let published = match producer.publish_after(draft, fence) {
            Ok(published) => published,
            // A kernel before 6.0 takes no fence.
            Err(Undrawn { draft, .. }) => {
                job.wait(Deadline::after(PATIENCE))?;
                producer.publish(draft)?
            }
        };
        self.published(published, to, desk)
    }

    fn published(&mut self, published: Published, to: u64, desk: &mut Desk) -> Result<()> {
        desk.tally.dropped += u64::from(published.dropped);
        let frame = published.frame;
        let (asked, from) = self.begun.remove(&frame).unwrap_or((to, to));
        desk.submitted(Drawn { frame, asked, from, to })
    }

    /// Notes when a draft was asked for, and that it came now.
    fn begin(&mut self, draft: Draft, asked: u64) -> Draft {
        self.begun.insert(draft.frame(), (asked, now()));
        draft
    }

    /// Hands the drawn pixels over.
    pub(super) fn submit(&mut self, Room(draft): Room, desk: &mut Desk) -> Result<()> {
        if let (Some(draft), Some(format)) = (draft, self.format.filter(|_| self.producer.is_some())) {
            desk.stage(Stage::Access);
            let (surface, pixels, private) = (draft.surface(), &self.pixels, &mut self.private);
            let copied = timed(&mut desk.tally.time.cpu, || {
                let bytes = to_memory(format, pixels.bytes());
                let view = draft.lease().write(surface)?;
                match private {
                    Some(private) => private.draw(&bytes, pixels.stride(), &view),
                    None => write(&view, &bytes, pixels.stride()).map(|()| 0),
                }
            })?;
            desk.tally.frame_bytes += pixels.bytes().len() as u64;
            desk.tally.linear_copy_bytes += copied;
            if self.flushes {
                desk.stage(Stage::Flush);
                let blocks = timed(&mut desk.tally.time.flush, || flush(draft.lease(), surface))?;
                desk.tally.flushed_blocks += u64::from(blocks);
            }
            self.publish(draft, desk)?;
            // Readers need not wait for it.
            self.content.add_drawn(format, self.pixels.bytes());
            desk.tally.content_sha256 = self.content.text();
        } else {
            desk.tally.submitted += 1;
        }
        desk.stage(Stage::Release);
        // A reader that went away needs no more copies.
        let bytes = self.pixels.bytes();
        timed(&mut desk.tally.time.peer, || self.copies.retain_mut(|socket| socket.write_all(bytes).is_ok()));
        Ok(())
    }

    /// Says that no frame will follow, and waits until the readers have given back what they hold.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.copies.clear();
        if let Some(producer) = &mut self.producer {
            producer.finish(Deadline::Never)?;
        }
        Ok(())
    }

    /// Every reader of the surfaces is gone.
    fn let_go(&mut self) {
        if let Some(producer) = self.producer.take() {
            let waited = producer.waited();
            self.past = Past { pool_empty: waited.pool_empty, fence: waited.fence, traffic: producer.traffic() };
        }
    }

    /// What went over the sockets of its streams so far.
    pub(super) fn traffic(&self) -> Traffic {
        self.past.traffic + self.producer.as_ref().map(Producer::traffic).unwrap_or_default()
    }

    /// How long it has waited for a free surface and for fences, in microseconds.
    pub(super) fn waited(&self) -> (u64, u64) {
        let now = self.producer.as_ref().map(Producer::waited).unwrap_or_default();
        (micros(self.past.pool_empty + now.pool_empty), micros(self.past.fence + now.fence))
    }
}

/// Writes a whole picture the way a renderer would: if at least half of its rows, from the top, are of one colour (an
/// overlay that is empty above), it clears all and writes the others. A device that compresses has its fast path for this.
pub(super) fn write(view: &ViewMut<'_>, bytes: &[u8], stride: usize) -> handover::Result<()> {
    let Some(colour) = bytes.first_chunk::<PIXEL>() else { return Ok(()) };
    let one_colour = |row: &&[u8]| row.as_chunks::<PIXEL>().0.iter().all(|pixel| pixel == colour);
    let rows = bytes.chunks_exact(stride);
    let cleared = rows.clone().take_while(one_colour).count();
    if cleared * 2 < rows.len() {
        return view.write_image(0, bytes, stride);
    }
    view.clear(u32::from_le_bytes(*colour))?;
    for (y, row) in (0..).zip(rows).skip(cleared) {
        view.write(0, Elements(0), y, row)?;
    }
    Ok(())
}

fn allocate_for(
    job: &Job,
    extent: Extent,
    mut studio: Option<&mut Studio>,
    desk: &Desk,
) -> Result<Option<Vec<Surface>>> {
    let Some(surfaces) = &job.surfaces else { return Ok(None) };
    desk.stage(Stage::Allocate);
    let device: Device = job.device()?;
    let writes = job.outputs.iter().map(OutputJob::flags).collect::<Result<Vec<_>, _>>()?;
    let writes = writes.iter().any(|flags| flags.contains(ExportFlags::WRITE));
    let writers = if writes || surfaces.open { Writers::Open } else { Writers::Me };
    let options = Options { surfaces: surfaces.count, writers, ..Options::default() };
    let agreement = surfaces.agreement(extent)?;
    let made = match (surfaces.source.open()?, &mut studio) {
        (Some(backend), _) => allocate(device, &agreement, &Options { backend, ..options })?,
        (None, Some(studio)) => studio.allocate(&agreement, &options)?,
        (None, None) => return Err(Failure::new("surfaces of a device's own memory, and no device")),
    };
    if let Some(studio) = studio {
        studio.meet(&job.name, &made, SurfaceUsages::RENDER)?;
        studio.rehearse(&made)?;
    }
    Ok(Some(made))
}

pub(super) fn allocated(surface: &Surface, shared: bool) -> Allocation {
    let layout = surface.layout();
    let modifier = layout.modifier();
    let extent = layout.extent().map_or((0, 0), |extent| (extent.width().get(), extent.height().get()));
    Allocation {
        index: surface.index(),
        importer: None,
        shared,
        format: layout.format().map_or("", Format::name).into(),
        extent,
        modifier: modifier.to_string(),
        modifier_code: format!("{:#018x}", modifier.0),
        linear: modifier == Modifier::LINEAR,
        compressed: layout.has_compression(),
        bytes: layout.size().get(),
    }
}

fn exported(reader: &OutputJob, surface: &Surface, decision: handover::Decision) -> Result<Exported> {
    let layout = surface.layout();
    Ok(Exported {
        reader: reader.reader.clone(),
        flags: reader.flags()?.to_string(),
        compression: decision.compression.to_string(),
        reason: decision.reason.to_string(),
        resolve: decision.resolve.to_string(),
        changed: decision.changed,
        read_only: match surface.read_only() {
            ReadOnly::Sealed => "sealed",
            ReadOnly::Descriptor => "descriptor",
            ReadOnly::Unenforced => "unenforced",
        }
        .into(),
        stride: layout.plane(0).map_or(0, |plane| plane.stride.get()),
        offsets: layout.planes().iter().map(|plane| plane.offset.get()).collect(),
        size: layout.size().get(),
    })
}
