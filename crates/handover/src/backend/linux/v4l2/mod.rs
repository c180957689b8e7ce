//! V4L2 queues on surfaces: a camera fills them, a video output reads them, no pixel is copied.
//!
//! # Contract: the bracket of a device that knows no fences (S19)
//!
//! V4L2 neither waits for fences nor adds any, and a buffer that it owns looks idle to everybody who asks the kernel. So
//! [`VideoQueue::queue`] takes a lease that was granted after every fence had ended, and refuses one that was collected with a fence
//! which only other devices could wait for. [`VideoQueue::next`] gives it back when the device is done. Between the two the
//! reservation says who has the buffer, and nobody else gets it. A queue that is dropped stops the device first and ends its
//! leases then.
//!
//! A surface has one index in a queue for as long as both live, found by its identity and never by a descriptor's number: the driver
//! keeps its attachment, and a steady stream maps nothing. When everybody else has dropped the surface its index is free. The
//! driver keeps the memory until another surface gets that index, or another layout is set.
//!
//! V4L2 has no modifiers, so surfaces are `LINEAR`. Formats are those whose bytes lie the same way in both worlds:
//!
//! | here, as in `drm_fourcc.h` (a little-endian word) | V4L2, as in `videodev2.h` (bytes in memory) |
//! |---|---|
//! | `XRGB8888` | `XBGR32` `XR24`: blue, green, red, unused |
//! | `ARGB8888` | `ABGR32` `AR24`: blue, green, red, alpha |
//! | `XBGR8888` | `RGBX32` `XB24`: red, green, blue, unused |
//! | `ABGR8888` | `RGBA32` `AB24`: red, green, blue, alpha |

mod format;
mod node;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use handover_model::{Blocked, Layout, Stage};
use handover_sys::poll::{self, Entry, Ready};
use handover_sys::v4l2::{self, BufferFlags, BufferType, Memory};

use super::held::{Held, surface_of};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result, os};
use crate::surface::{self, Surface, SurfaceId};
use format::wanted;
pub use node::{Direction, nodes};
use node::{open, queue_kind};

/// A queue of a V4L2 node, with what is held for each surface in it.
#[derive(Debug)]
pub struct VideoQueue<H: Held> {
    file: OwnedFd,
    path: PathBuf,
    driver: String,
    card: String,
    direction: Direction,
    kind: BufferType,
    /// Bytes of a picture. `None`: no layout yet.
    size: Option<u32>,
    slots: Vec<Slot<H>>,
    is_streaming: bool,
}

#[derive(Debug)]
struct Slot<H> {
    surface: Option<Registered>,
    /// Held by the device.
    held: Option<H>,
}

/// A surface that has an index.
#[derive(Debug)]
struct Registered {
    id: SurfaceId,
    /// Says whether anybody still has the surface.
    alive: Weak<surface::Inner>,
}

impl Registered {
    fn new(surface: &Surface) -> Self {
        Self { id: surface.id(), alive: Arc::downgrade(&surface.0) }
    }

    fn is_alive(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

/// A buffer that the device is done with.
#[derive(Debug)]
pub struct Done<H> {
    /// What was held for it.
    pub held: H,
    /// Counts the pictures of the device, those that found no buffer too.
    pub sequence: u32,
    /// The device says that the picture is damaged.
    pub is_damaged: bool,
}

impl<H: Held> VideoQueue<H> {
    /// Opens a node.
    ///
    /// # Errors
    /// [`Kind::Os`]: there is none, or this user may not open it. [`Kind::Unsupported`]: it does not go this way.
    pub fn open(path: impl AsRef<Path>, direction: Direction) -> Result<Self> {
        let path = path.as_ref();
        let (file, capability) = open(path)?;
        let kind = queue_kind(&file, path, direction)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            driver: capability.driver,
            card: capability.card,
            direction,
            kind,
            size: None,
            slots: Vec::new(),
            is_streaming: false,
        })
    }

    /// Name of the driver: `vivid`, `uvcvideo`.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Name of the device, for people.
    pub fn card(&self) -> &str {
        &self.card
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the queue to surfaces of this layout, so many of them, and tries every input (or output) of the device for one that
    /// takes it as it is. Surfaces that were registered are forgotten.
    ///
    /// # Errors
    /// [`Kind::Conflict`]: the device wants another format, extent, stride or size. [`Kind::Unsupported`]: the layout is not
    /// linear or has a format that V4L2 has no word for, or there is no room for so many surfaces. [`Kind::Os`]: the queue takes no
    /// dma-bufs, or is another program's. [`Kind::Invalid`]: it is streaming.
    pub fn set_layout(&mut self, layout: &Layout, surfaces: u32) -> Result<()> {
        let stage = Stage::Negotiate;
        if self.is_streaming {
            return Err(Error::new(stage, Kind::Invalid).asked("another layout").found("a queue that is streaming"));
        }
        let wanted = wanted(layout)?;
        v4l2::request_buffers(&self.file, self.kind, Memory::DmaBuf, 0)
            .map_err(os(stage, self.at("free the queue of")))?;
        // Not before: until then the device has what was queued.
        self.size = None;
        self.slots.clear();
        self.choose(&wanted)?;
        let requested = v4l2::request_buffers(&self.file, self.kind, Memory::DmaBuf, surfaces).map_err(|error| {
            os(stage, self.at(&format!("make a queue of {surfaces} dma-bufs at")))(error)
                .why("not every driver takes dma-bufs, and a queue belongs to one program at a time")
        })?;
        if requested.count < surfaces {
            return Err(Error::new(stage, Kind::Unsupported)
                .asked(format!("a queue of {surfaces} surfaces at {}", self.path.display()))
                .found(format!("room for {}", requested.count))
                .help("fewer surfaces"));
        }
        self.slots.resize_with(requested.count as usize, || Slot { surface: None, held: None });
        self.size = wanted.planes.first().map(|plane| plane.size);
        Ok(())
    }

    /// Sets the format on the input or output in use, else on the first that takes it. If none does, the one in use stays, and its
    /// refusal is told, not those of the others. That it could not be made the one in use again is told instead.
    fn choose(&self, wanted: &v4l2::Format) -> Result<()> {
        let device = format!("{} ({})", self.path.display(), self.driver);
        let set = || format::set(&self.file, self.kind, wanted, &device);
        let Err(refused) = set() else { return Ok(()) };
        // A node without inputs (a codec's) has its one format.
        let Ok((current, ends)) = self.ends() else { return Err(refused) };
        for end in ends {
            if self.set_end(end).is_ok() && set().is_ok() {
                return Ok(());
            }
        }
        // Left on another input, the device would give the next program an empty picture.
        self.set_end(current).map_err(os(Stage::Negotiate, self.at("go back to the input of")))?;
        Err(refused)
    }

    /// The number of the input or output in use, and those of the others.
    fn ends(&self) -> std::io::Result<(u32, Vec<u32>)> {
        let (current, all) = match self.direction {
            Direction::Capture => (v4l2::current_input(&self.file)?, v4l2::inputs(&self.file)?),
            Direction::Output => (v4l2::current_output(&self.file)?, v4l2::outputs(&self.file)?),
        };
        Ok((current, all.iter().map(|end| end.index).filter(|index| *index != current).collect()))
    }

    fn set_end(&self, index: u32) -> std::io::Result<()> {
        match self.direction {
            Direction::Capture => v4l2::set_input(&self.file, index),
            Direction::Output => v4l2::set_output(&self.file, index),
        }
    }

    /// Asks for so many pictures a second, as a fraction. What the device made of it; `None` if it cannot tell.
    ///
    /// # Errors
    /// [`Kind::Os`].
    pub fn set_rate(&mut self, pictures: u32, seconds: u32) -> Result<Option<(u32, u32)>> {
        let asked = v4l2::Interval { numerator: seconds, denominator: pictures };
        match v4l2::set_interval(&self.file, self.kind, asked) {
            Ok(set) => Ok(set.map(|set| (set.denominator, set.numerator))),
            // "No such thing here": the device has one rate, and keeps it to itself.
            Err(error) if matches!(error.raw_os_error(), Some(ENOTTY | EINVAL)) => Ok(None),
            Err(error) => Err(os(Stage::Negotiate, self.at("set the rate of"))(error)),
        }
    }

    /// Hands the surface to the device, which has it until [`next`](Self::next) gives `held` back.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: not one whole surface with the access that the device needs, one that it has already, or a lease that was
    /// [collected](crate::Acquire::collect) while a fence was pending, and not [waited](crate::Lease::wait) for.
    /// [`Kind::Full`]: every index belongs to another surface that somebody has. [`Kind::Os`]: the device refuses this memory, or is
    /// gone. On an error `held` is dropped: the device has not got it.
    pub fn queue(&mut self, held: H) -> Result<()> {
        let stage = Stage::Access;
        let surface = surface_of(&held, self.direction.access(), self.direction.words())?;
        held.lease().check_waited()?;
        let Some(size) = self.size else {
            return Err(Error::new(stage, Kind::Invalid)
                .asked("a surface in a queue")
                .found("no layout")
                .help("set_layout"));
        };
        let index = self.index_of(surface.id())?;
        let Some(slot) = self.slots.get_mut(index) else { return Err(Error::new(stage, Kind::Unreachable)) };
        if slot.held.is_some() {
            return Err(Error::new(stage, Kind::Invalid)
                .asked(format!("surface {} in a queue", surface.index()))
                .found("that the device has it already"));
        }
        let layout = surface.layout();
        let fits =
            layout.plane(0).is_some_and(|plane| plane.offset.get() == 0) && layout.size().get() >= u64::from(size);
        if !fits || !surface.0.memory.is_dma_buf() {
            return Err(Error::new(stage, Kind::Invalid)
                .asked(format!("a picture of {size} B in surface {}", surface.index()))
                .found(format!("{} in a {:?}", layout.size(), surface.memory_kind()))
                .help("a surface of the layout that the queue was set to, from a backend of linux"));
        }
        let used = if self.direction == Direction::Output { size } else { 0 };
        let number = u32::try_from(index).map_err(|_| Error::new(stage, Kind::Unreachable))?;
        v4l2::queue_dma_buf(&self.file, self.kind, number, surface.pixels_fd(), size, used).map_err(|error| {
            os(stage, format!("queue surface {} at {}", surface.index(), self.path.display()))(error)
                .why("the device cannot use this memory, or is gone")
        })?;
        (slot.surface, slot.held) = (Some(Registered::new(&surface)), Some(held));
        Ok(())
    }

    /// Always the same index for a surface. A new one gets an index that was never used, else that of a surface nobody has any more.
    fn index_of(&self, id: SurfaceId) -> Result<usize> {
        let find =
            |fits: &dyn Fn(Option<&Registered>) -> bool| self.slots.iter().position(|slot| fits(slot.surface.as_ref()));
        let known = find(&|known| known.is_some_and(|known| known.id == id));
        let unused = || find(&|known| known.is_none());
        let abandoned = || find(&|known| known.is_some_and(|known| !known.is_alive()));
        known.or_else(unused).or_else(abandoned).ok_or_else(|| {
            Error::new(Stage::Access, Kind::Full)
                .asked("another surface in a queue")
                .found(format!("{} surfaces in it", self.slots.len()))
                .help("drop one of them, or set_layout with more surfaces")
        })
    }

    /// Lets the device begin. Some want surfaces queued before.
    ///
    /// # Errors
    /// [`Kind::Os`].
    pub fn start(&mut self) -> Result<()> {
        v4l2::stream_on(&self.file, self.kind).map_err(os(Stage::Access, self.at("start")))?;
        self.is_streaming = true;
        Ok(())
    }

    /// The next buffer that the device is done with. Surfaces that it still has stay its own.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the device has no surface, or was not started, so none would ever come. [`Kind::Timeout`].
    /// [`Kind::Os`]: the device failed or is gone (`EIO`, `ENODEV`).
    pub fn next(&mut self, deadline: Deadline) -> Result<Done<H>> {
        let stage = Stage::Access;
        let none = |found: &'static str, help: &'static str| {
            Err(Error::new(stage, Kind::Invalid).asked(self.at("a buffer of")).found(found).help(help))
        };
        if !self.is_streaming {
            return none("a queue that is not streaming", "VideoQueue::start");
        }
        if self.queued() == 0 {
            return none("no surface that the device has", "queue one first");
        }
        let mut is_in_error = false;
        loop {
            let done = v4l2::dequeue(&self.file, self.kind, Memory::DmaBuf).map_err(|error| {
                os(stage, self.at("take a buffer back from"))(error).why("the device failed, or is gone")
            })?;
            if let Some(done) = done {
                let slot = self.slots.get_mut(done.index as usize);
                let held =
                    slot.and_then(|slot| slot.held.take()).ok_or_else(|| Error::new(stage, Kind::Unreachable))?;
                let is_damaged = done.flags.contains(BufferFlags::ERROR);
                return Ok(Done { held, sequence: done.sequence, is_damaged });
            }
            if is_in_error {
                return Err(Error::new(stage, Kind::Os)
                    .asked(self.at("a buffer of"))
                    .found("a poll that reports an error, and no buffer")
                    .why("the device failed, or is gone"));
            }
            let mut entry = [Entry::new(self.file.as_fd(), self.direction.interest())];
            if poll::poll(&mut entry, deadline.at()).map_err(os(stage, self.at("wait for")))? == 0 {
                return Err(Error::new(stage, Kind::Timeout(Blocked::default()))
                    .asked(format!("a buffer of {}", self.path.display()))
                    .found(format!("{} that the device still has at the deadline", self.queued())));
            }
            // Said at once and for ever, so a second wait would spin. One more look hears the errno, if there is one.
            let [entry] = entry;
            is_in_error = !entry.ready.intersects(Ready::READ | Ready::WRITE);
        }
    }

    /// How many surfaces the device has.
    pub fn queued(&self) -> usize {
        self.slots.iter().filter(|slot| slot.held.is_some()).count()
    }

    /// Stops the device and gives back what was held for the surfaces it still had, undone.
    ///
    /// # Errors
    /// [`Kind::Os`]: it could not be stopped. A device that is gone has stopped.
    pub fn stop(&mut self) -> Result<Vec<H>> {
        if self.is_streaming || self.queued() > 0 {
            match v4l2::stream_off(&self.file, self.kind) {
                Err(error) if error.raw_os_error() != Some(ENODEV) => {
                    return Err(os(Stage::Access, self.at("stop"))(error));
                }
                _ => {}
            }
        }
        // Not before: a device that could not be stopped still has its surfaces.
        self.is_streaming = false;
        Ok(self.slots.iter_mut().filter_map(|slot| slot.held.take()).collect())
    }

    fn at(&self, what: &str) -> String {
        format!("{what} {} ({})", self.path.display(), self.driver)
    }
}

impl<H: Held> Drop for VideoQueue<H> {
    fn drop(&mut self) {
        // The leases end after this, with the fields: a device that still wrote would write into somebody else's frame.
        let _ = self.stop();
    }
}

const EINVAL: i32 = 22;
const ENODEV: i32 = 19;
const ENOTTY: i32 = 25;
