//! The `wl_buffer`s of a window: one a surface, and what is held while the compositor has it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handover::backend::linux::sync_file::Status;
use handover::backend::linux::{Held, Registration, SyncFile};
use handover::negotiate::Conflict;
use handover::{Deadline, Error, Kind, MemoryKind, Result, Stage, Surface, SurfaceId};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::epoll;
use handover_sys::poll::Interest;
use wayland_client::Proxy;
use wayland_client::protocol::wl_buffer::WlBuffer;
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_protocols::wp::linux_dmabuf::zv1::client::zwp_linux_buffer_params_v1::Flags;

use super::explicit::{ReleaseLine, ReleasePoint, Sync};
use super::feedback::Feedback;
use super::inbox::Tag;
use super::{Client, late};
use crate::fences;

#[derive(Debug)]
pub(super) struct Buffers<H> {
    known: HashMap<SurfaceId, Buffer<H>>,
    last: u64,
    /// The descriptor of a window's event loop.
    epoll: OwnedFd,
}

#[derive(Debug)]
struct Buffer<H> {
    number: u64,
    object: WlBuffer,
    /// Keeps the identity: an inode is unique only while somebody has the file.
    surface: Surface,
    line: Option<ReleaseLine>,
    out: Option<Out<H>>,
    /// Goes when it comes back.
    is_retired: bool,
}

/// With the compositor.
#[derive(Debug)]
struct Out<H> {
    held: H,
    release: Option<ReleasePoint>,
    /// The fence behind the point could not be passed on, so its end is waited for.
    waits_for_end: bool,
}

impl<H> Drop for Buffer<H> {
    fn drop(&mut self) {
        self.object.destroy();
    }
}

impl<H: Held> Buffers<H> {
    pub(super) fn new(connection: BorrowedFd<'_>) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Stage::Access, Kind::Os).asked("a descriptor to wait with").found(error.to_string())
        };
        let epoll = epoll::create().map_err(failed)?;
        epoll::add(&epoll, connection, Interest::READ).map_err(failed)?;
        Ok(Self { known: HashMap::new(), last: 0, epoll })
    }

    pub(super) fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Makes the buffer of a surface if there is none yet, and refuses one that the compositor has.
    pub(super) fn prepare(
        &mut self,
        surface: &Surface,
        client: &mut Client,
        feedback: &Feedback,
        sync: &Sync,
        deadline: Deadline,
    ) -> Result<()> {
        match self.known.get(&surface.id()) {
            Some(buffer) if buffer.out.is_some() => Err(Error::new(Stage::Access, Kind::Invalid)
                .asked(format!("surface {} in a window", surface.index()))
                .found("that the compositor has it already")
                .help("wait for it to be returned, or show another")),
            Some(_) => Ok(()),
            None => {
                let object = create(surface, client, feedback, deadline)?;
                let line = sync.release_line(&client.handle()).inspect_err(|_| object.destroy())?;
                self.last += 1;
                // It has just been made, so nobody has given it a number.
                let _ = object.data::<Tag>().map(|tag| tag.0.set(self.last));
                let (number, surface) = (self.last, surface.clone());
                let buffer = Buffer { number, object, surface, line, out: None, is_retired: false };
                self.known.insert(buffer.surface.id(), buffer);
                Ok(())
            }
        }
    }

    /// Attaches the buffer of a surface to the next commit. The compositor has it from then on.
    pub(super) fn attach(
        &mut self,
        surface: &Surface,
        held: H,
        fence: Option<&SyncFile>,
        window: &WlSurface,
        sync: &mut Sync,
    ) -> Result<()> {
        let unreachable = || Error::new(Stage::Access, Kind::Unreachable);
        let buffer = self.known.get_mut(&surface.id()).ok_or_else(unreachable)?;
        let watch = |event: &Registration| watch(&self.epoll, event);
        let release = sync.attach(window, &buffer.object, buffer.line.as_mut(), fence, watch)?;
        buffer.out = Some(Out { held, release, waits_for_end: false });
        Ok(())
    }

    /// The compositor sent `wl_buffer.release`. With points that means nothing.
    pub(super) fn released(&mut self, number: u64) -> Option<H> {
        let buffer = self.known.values_mut().find(|buffer| buffer.number == number)?;
        let is_over = buffer.out.as_ref().is_some_and(|out| out.release.is_none());
        let held = is_over.then(|| buffer.out.take()).flatten().map(|out| out.held);
        self.sweep();
        held
    }

    /// What was held for a buffer whose release point has come.
    pub(super) fn next_released(&mut self) -> Result<Option<H>> {
        for buffer in self.known.values_mut() {
            if buffer.is_over(&self.epoll)? {
                let held = buffer.out.take().map(|out| out.held);
                self.sweep();
                return Ok(held);
            }
        }
        Ok(None)
    }

    /// How many the compositor has.
    pub(super) fn out(&self) -> usize {
        self.known.values().filter(|buffer| buffer.out.is_some()).count()
    }

    /// Buffers that were made so far are used no more: those that are here go now, the others when they come back.
    pub(super) fn retire(&mut self) {
        self.known.values_mut().for_each(|buffer| buffer.is_retired = true);
        self.sweep();
    }

    /// The buffer of this surface is used no more.
    pub(super) fn forget(&mut self, surface: &Surface) {
        if let Some(buffer) = self.known.get_mut(&surface.id()) {
            buffer.is_retired = true;
        }
        self.sweep();
    }

    fn sweep(&mut self) {
        self.known.retain(|_, buffer| buffer.out.is_some() || !buffer.is_retired);
    }

    /// Everything that is held.
    pub(super) fn take_all(&mut self) -> Vec<H> {
        let held = self.known.values_mut().filter_map(|buffer| buffer.out.take()).map(|out| out.held).collect();
        self.sweep();
        held
    }
}

impl<H> Buffer<H> {
    /// Has the release point come, and does the surface's reservation know whom to wait for?
    fn is_over(&mut self, epoll: &OwnedFd) -> Result<bool> {
        let (Some(line), Some(out)) = (&self.line, &mut self.out) else { return Ok(false) };
        let Some(release) = &mut out.release else { return Ok(false) };
        if out.waits_for_end {
            return line.is_complete(release);
        }
        let Some(fence) = line.fence(release)? else { return Ok(false) };
        // Unread, it would wake the loop for as long as the buffer's lease is on its way.
        let _ = handover_sys::eventfd::drain(&release.event);
        if fence.status()? != Status::Pending || fences::attach(&self.surface, &fence, Direction::READ)? {
            return Ok(true);
        }
        out.waits_for_end = true;
        line.wait_for_end(release)?;
        watch(epoll, &release.event)?;
        line.is_complete(release)
    }
}

fn watch(epoll: &OwnedFd, event: &Registration) -> Result<()> {
    epoll::add(epoll, event, Interest::READ).map_err(|error| {
        Error::new(Stage::Access, Kind::Os).asked("to wait for a release point").found(error.to_string())
    })
}

/// Asks the compositor to take a surface.
fn create(surface: &Surface, client: &mut Client, feedback: &Feedback, deadline: Deadline) -> Result<WlBuffer> {
    let stage = Stage::Import;
    let layout = surface.layout();
    let (Some(format), Some(extent)) = (layout.format(), layout.extent()) else {
        return Err(Error::new(stage, Kind::Invalid)
            .asked(format!("surface {} in a window", surface.index()))
            .found("a byte buffer"));
    };
    if surface.memory_kind() != MemoryKind::DmaBuf {
        return Err(Error::new(stage, Kind::Unsupported)
            .asked(format!("surface {} in a window", surface.index()))
            .found("a surface in a memfd")
            .why("linux-dmabuf carries dma-bufs only")
            .help("allocate it from a backend of linux"));
    }
    let exporter = dma_buf::info(surface.pixels_fd()).map_or("an unknown exporter".into(), |info| info.exporter);
    let what = format!("{format} {} {extent} from {exporter}", layout.modifier());
    let conflict = |field, has: String| {
        let left = (format!("the compositor on {}", feedback.device()), has);
        let conflict = Conflict { field, left, right: (format!("surface {}", surface.index()), what.clone()) };
        Error::new(stage, Kind::Conflict(conflict)).asked(format!("the compositor to take {what}"))
    };
    // From version 4 on the next request would end the connection.
    if !feedback.takes(format.fourcc(), layout.modifier()) {
        let modifiers: Vec<_> = feedback.modifiers(format.fourcc()).iter().map(ToString::to_string).collect();
        let has =
            if modifiers.is_empty() { format!("no {format}") } else { format!("{format} {}", modifiers.join(", ")) };
        return Err(conflict("modifier", has).help("negotiate with the offer of its feedback"));
    }
    let narrow = |bytes: u64| {
        u32::try_from(bytes).map_err(|_| {
            Error::new(stage, Kind::Unsupported).asked(what.clone()).why("linux-dmabuf counts bytes in 32 bits")
        })
    };
    let planes = layout.planes().iter().map(|plane| Ok((narrow(plane.offset.get())?, narrow(plane.stride.get())?)));
    let planes = planes.collect::<Result<Vec<_>>>()?;
    let params = client.globals.dmabuf.create_params(&client.handle(), ());
    let modifier = layout.modifier().0;
    for (index, (offset, stride)) in (0..).zip(planes) {
        params.add(surface.pixels_fd(), index, offset, stride, (modifier >> 32) as u32, modifier as u32);
    }
    // An edge has at most 16384 pixels.
    let edge = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    let (width, height) = (edge(extent.width().get()), edge(extent.height().get()));
    params.create(width, height, format.fourcc().0, Flags::empty());
    let id = params.id();
    let answer = loop {
        if let Some(answer) = client.inbox.take_created(&id) {
            break Ok(answer);
        }
        match client.wait(deadline) {
            Ok(true) => {}
            Ok(false) => break Err(late("a buffer that the compositor makes", "silence")),
            Err(error) => break Err(error),
        }
    };
    params.destroy();
    answer?.ok_or_else(|| {
        conflict("import", "refused".into())
            .why("its device cannot use this memory, or not with this layout; it does not say which")
            .help("another source of memory: one of the device that its feedback names (DeviceId::open, then Dumb)")
    })
}
