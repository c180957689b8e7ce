//! `wl_shm`: buffers in memory that the client shares. They are copied out when they are committed, and go back at once.
//!
//! Pixels are read by `read`, not by a mapping: a client that shortens its file gets an error instead of giving one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use handover::negotiate::{Offer, OfferEntry};
use handover::{
    Access, Agreement, Backend, Device, Elements, Error, Extent, Format, Kind, Lease, Modifier, Options, Region,
    Result, Stage, Surface, SurfaceUsages, allocate, negotiate, try_acquire,
};
use handover_sys::memfd;
use wayland_server::backend::ClientId;
use wayland_server::protocol::wl_buffer::WlBuffer;
use wayland_server::protocol::wl_shm::{self, WlShm};
use wayland_server::protocol::wl_shm_pool::{self, WlShmPool};
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource, WEnum};

use super::limit::{self, Place};
use super::state::State;
use super::surface::BufferData;
use super::{WindowId, lock};

/// Copies of one window that may be in use at a time. A caller that keeps more misses frames.
const COPIES: usize = 4;

/// Bytes of all copies of one client: three frames of 8192 by 4320, or some dozens of an ordinary screen. Its file may have holes and
/// cost it nothing, but a copy costs us memory.
const MOST_BYTES: u64 = 512 << 20;

/// Bytes of a pixel, in each format that there is.
const PIXEL: u64 = 4;

/// Where copies are made.
#[derive(Debug)]
pub(super) struct Copies {
    backend: Arc<dyn Backend>,
    made: Vec<Copy>,
}

#[derive(Debug)]
struct Copy {
    client: ClientId,
    window: WindowId,
    bytes: u64,
    surface: Surface,
    /// Whoever uses the copy has another.
    token: Arc<Place>,
}

/// Memory of a client's.
#[derive(Debug)]
pub(super) struct Pool {
    memory: Arc<Memory>,
    size: Mutex<u64>,
}

/// Its descriptor, which buffers keep when the pool is gone.
#[derive(Debug)]
struct Memory {
    file: File,
    _place: Place,
}

/// A buffer in it.
#[derive(Debug)]
pub(super) struct Shared {
    memory: Arc<Memory>,
    offset: u64,
    stride: u64,
    extent: Extent,
    format: Format,
    _place: Place,
}

impl Copies {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, made: Vec::new() }
    }

    /// A surface with the pixels of a buffer, and a token to keep while it is in use.
    pub(super) fn copy(&mut self, shared: &Shared, window: WindowId, client: &Client) -> Result<(Surface, Arc<Place>)> {
        let is_like = |surface: &Surface| {
            surface.format() == Some(shared.format) && surface.layout().extent() == Some(shared.extent)
        };
        self.made.retain(|copy| copy.window != window || is_like(&copy.surface));
        let mut own = self.made.iter().filter(|copy| copy.window == window && Arc::strong_count(&copy.token) == 1);
        let lease = own.find_map(|copy| {
            let lease = try_acquire(&[(&copy.surface, Access::Write, Region::WHOLE)]).ok().flatten()?;
            Some((lease, copy.surface.clone(), Arc::clone(&copy.token)))
        });
        let (lease, surface, token) = match lease {
            Some(found) => found,
            None => self.make(shared, window, client)?,
        };
        let written = shared.write_to(&lease, &surface);
        lease.release()?;
        written?;
        Ok((surface, token))
    }

    fn make(&mut self, shared: &Shared, window: WindowId, client: &Client) -> Result<(Lease, Surface, Arc<Place>)> {
        let full = || {
            Error::new(Stage::Allocate, Kind::Full)
                .asked("another copy of a window's frame")
                .found(format!("{COPIES} that are in use"))
                .help("drop commits that are no longer looked at")
        };
        if self.made.iter().filter(|copy| copy.window == window).count() >= COPIES {
            return Err(full());
        }
        let own = self.made.iter().filter(|copy| copy.client == client.id());
        let bytes = own.fold(shared.bytes(), |sum, copy| sum.saturating_add(copy.bytes));
        if bytes > MOST_BYTES {
            return Err(Error::new(Stage::Allocate, Kind::Full)
                .asked(format!("a copy of a frame of {} {}", shared.format, shared.extent))
                .found(format!("{bytes} bytes of copies for one client, with it"))
                .why(format!("a client gets {MOST_BYTES}")));
        }
        let Some(place) = limit::take(client, limit::OF_SURFACE) else { return Err(full()) };
        let place =
            place.map_err(|found| Error::new(Stage::Allocate, Kind::Full).asked("a copy of a frame").found(found))?;
        let agreement = agreement(shared)?;
        let options = Options { backend: Arc::clone(&self.backend), ..Options::default() };
        let surface = allocate(Device::PLAIN, &agreement, &options)?.pop();
        let surface = surface.ok_or_else(|| Error::new(Stage::Allocate, Kind::Unreachable))?;
        let lease = try_acquire(&[(&surface, Access::Write, Region::WHOLE)])?.ok_or_else(full)?;
        let token = Arc::new(place);
        self.made.push(Copy {
            client: client.id(),
            window,
            bytes: shared.bytes(),
            surface: surface.clone(),
            token: Arc::clone(&token),
        });
        Ok((lease, surface, token))
    }

    /// The window is gone.
    pub(super) fn forget(&mut self, window: WindowId) {
        self.made.retain(|copy| copy.window != window);
    }
}

impl Shared {
    /// Bytes of pixels, without what the client has between its rows.
    fn bytes(&self) -> u64 {
        let (width, height) = (self.extent.width().get(), self.extent.height().get());
        u64::from(width).saturating_mul(u64::from(height)).saturating_mul(PIXEL)
    }

    /// Copies the pixels, a row at a time: a stride may be as large as the client likes.
    fn write_to(&self, lease: &Lease, surface: &Surface) -> Result<()> {
        let pixels = lease.write(surface)?;
        let mut row = vec![0; self.extent.width().get() as usize * PIXEL as usize];
        for y in 0..self.extent.height().get() {
            let start = u64::from(y).saturating_mul(self.stride).saturating_add(self.offset);
            self.memory.file.read_exact_at(&mut row, start).map_err(|error| {
                Error::new(Stage::Import, Kind::Truncated)
                    .asked(format!("row {y} of a frame of {} {}", self.format, self.extent))
                    .found(error.to_string())
                    .why("the client made its file shorter than it had said")
            })?;
            pixels.write(0, Elements(0), y, &row)?;
        }
        Ok(())
    }
}

/// What a copy is: linear, and with rows that the sources of memory can make.
fn agreement(shared: &Shared) -> Result<Agreement> {
    let offer = |usages| {
        let mut offer = Device::PLAIN.offer("copy", &[shared.format], usages);
        offer.entries.retain(|entry: &OfferEntry| entry.modifier == Modifier::LINEAR);
        offer
    };
    let offers: [Offer; 2] = [offer(SurfaceUsages::WRITE), offer(SurfaceUsages::READ)];
    negotiate(shared.extent, &offers)
}

/// The formats that every compositor has.
fn format(format: WEnum<wl_shm::Format>) -> Option<Format> {
    match format {
        WEnum::Value(wl_shm::Format::Argb8888) => Some(Format::ARGB8888),
        WEnum::Value(wl_shm::Format::Xrgb8888) => Some(Format::XRGB8888),
        _ => None,
    }
}

impl GlobalDispatch<WlShm, ()> for State {
    fn bind(_: &mut Self, _: &DisplayHandle, _: &Client, resource: New<WlShm>, (): &(), init: &mut DataInit<'_, Self>) {
        let shm = init.init(resource, ());
        shm.format(wl_shm::Format::Argb8888);
        shm.format(wl_shm::Format::Xrgb8888);
    }
}

impl Dispatch<WlShm, ()> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        shm: &WlShm,
        request: wl_shm::Request,
        (): &(),
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wl_shm::Request::CreatePool { id, fd, size } = request {
            let Some(place) = limit::descriptors(client, shm, 1) else { return };
            let size = u64::try_from(size).ok().filter(|size| *size > 0);
            match (size, memfd::seals(&fd)) {
                (None, _) => shm.post_error(wl_shm::Error::InvalidStride, "a pool of no size"),
                // Anything else might be read for as long as its owner likes.
                (_, Err(_)) => shm.post_error(wl_shm::Error::InvalidFd, "no memory (a memfd, or a file of a tmpfs)"),
                (Some(size), Ok(_)) => {
                    let memory = Arc::new(Memory { file: File::from(fd), _place: place });
                    init.init(id, Pool { memory, size: Mutex::new(size) });
                }
            }
        }
    }
}

impl Dispatch<WlShmPool, Pool> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        pool: &WlShmPool,
        request: wl_shm_pool::Request,
        data: &Pool,
        _: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        match request {
            wl_shm_pool::Request::CreateBuffer { id, offset, width, height, stride, format } => {
                let Some(place) = limit::place(client, pool) else { return };
                match shared(data, place, [offset, width, height, stride], format) {
                    Ok(shared) => {
                        let _: WlBuffer = init.init(id, BufferData::Shared(shared));
                    }
                    Err((code, text)) => pool.post_error(code, text),
                }
            }
            wl_shm_pool::Request::Resize { size } => {
                let mut known = lock(&data.size);
                match u64::try_from(size).ok().filter(|size| size >= &known) {
                    Some(size) => *known = size,
                    None => pool.post_error(wl_shm::Error::InvalidFd, "a pool that would be smaller"),
                }
            }
            _ => {}
        }
    }
}

fn shared(
    pool: &Pool,
    place: Place,
    numbers: [i32; 4],
    code: WEnum<wl_shm::Format>,
) -> Result<Shared, (wl_shm::Error, String)> {
    let Some(format) = format(code) else {
        return Err((wl_shm::Error::InvalidFormat, "only ARGB8888 and XRGB8888".into()));
    };
    let refused = || (wl_shm::Error::InvalidStride, format!("offset, width, height, stride {numbers:?} in that pool"));
    let [Ok(offset), Ok(width), Ok(height), Ok(stride)] = numbers.map(u32::try_from) else { return Err(refused()) };
    let extent = Extent::new(width, height).map_err(|_| refused())?;
    let end = u64::from(stride).checked_mul(u64::from(height)).and_then(|size| size.checked_add(u64::from(offset)));
    let fits = end.is_some_and(|end| end <= *lock(&pool.size)) && u64::from(stride) >= u64::from(width) * PIXEL;
    if !fits {
        return Err(refused());
    }
    let (memory, offset, stride) = (Arc::clone(&pool.memory), u64::from(offset), u64::from(stride));
    Ok(Shared { memory, offset, stride, extent, format, _place: place })
}
