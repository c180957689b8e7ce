//! `wl_shm`: buffers in memory that the client shares. They are copied out when they are committed, and go back at once.
//!
//! Pixels are read by `read`, not by a mapping: a client that shortens its file gets an error instead of giving one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use handover::negotiate::{Offer, OfferEntry};
use handover::{
    Access, Agreement, Backend, Device, Error, Extent, Format, Kind, Modifier, Options, Region, Result, Stage, Surface,
    SurfaceUsages, allocate, negotiate, try_acquire,
};
use handover_sys::memfd;
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

/// Where copies are made.
#[derive(Debug)]
pub(super) struct Copies {
    backend: Arc<dyn Backend>,
    made: Vec<Copy>,
}

#[derive(Debug)]
struct Copy {
    window: WindowId,
    surface: Surface,
    /// Whoever uses the copy has another.
    token: Arc<()>,
}

/// Memory of a client's.
#[derive(Debug)]
pub(super) struct Pool {
    file: Arc<File>,
    size: Mutex<u64>,
    _place: Place,
}

/// A buffer in it.
#[derive(Debug)]
pub(super) struct Shared {
    file: Arc<File>,
    offset: u64,
    stride: usize,
    extent: Extent,
    format: Format,
    _place: Place,
}

impl Copies {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, made: Vec::new() }
    }

    /// A surface with the pixels of a buffer, and a token to keep while it is in use.
    pub(super) fn copy(&mut self, shared: &Shared, window: WindowId) -> Result<(Surface, Arc<()>)> {
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
            None => self.make(shared, window)?,
        };
        let mut pixels = vec![0; shared.stride.saturating_mul(shared.extent.height().get() as usize)];
        shared.file.read_exact_at(&mut pixels, shared.offset).map_err(|error| {
            Error::new(Stage::Import, Kind::Truncated)
                .asked(format!("a frame of {} {}", shared.format, shared.extent))
                .found(error.to_string())
                .why("the client made its file shorter than it had said")
        })?;
        lease.write(&surface)?.write_image(0, &pixels, shared.stride)?;
        lease.release()?;
        Ok((surface, token))
    }

    fn make(&mut self, shared: &Shared, window: WindowId) -> Result<(handover::Lease, Surface, Arc<()>)> {
        let full = || {
            Error::new(Stage::Allocate, Kind::Full)
                .asked("another copy of a window's frame")
                .found(format!("{COPIES} that are in use"))
                .help("drop commits that are no longer looked at")
        };
        if self.made.iter().filter(|copy| copy.window == window).count() >= COPIES {
            return Err(full());
        }
        let agreement = agreement(shared)?;
        let options = Options { backend: Arc::clone(&self.backend), ..Options::default() };
        let surface = allocate(Device::PLAIN, &agreement, &options)?.pop();
        let surface = surface.ok_or_else(|| Error::new(Stage::Allocate, Kind::Unreachable))?;
        let lease = try_acquire(&[(&surface, Access::Write, Region::WHOLE)])?.ok_or_else(full)?;
        let token = Arc::new(());
        self.made.push(Copy { window, surface: surface.clone(), token: Arc::clone(&token) });
        Ok((lease, surface, token))
    }

    /// The window is gone.
    pub(super) fn forget(&mut self, window: WindowId) {
        self.made.retain(|copy| copy.window != window);
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
            let Some(place) = limit::place(client, shm) else { return };
            let size = u64::try_from(size).ok().filter(|size| *size > 0);
            match (size, memfd::seals(&fd)) {
                (None, _) => shm.post_error(wl_shm::Error::InvalidStride, "a pool of no size"),
                // Anything else might be read for as long as its owner likes.
                (_, Err(_)) => shm.post_error(wl_shm::Error::InvalidFd, "no memory (a memfd, or a file of a tmpfs)"),
                (Some(size), Ok(_)) => {
                    let file = Arc::new(File::from(fd));
                    init.init(id, Pool { file, size: Mutex::new(size), _place: place });
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
    let fits = end.is_some_and(|end| end <= *lock(&pool.size)) && u64::from(stride) >= u64::from(width) * 4;
    if !fits {
        return Err(refused());
    }
    let (file, offset, stride) = (Arc::clone(&pool.file), u64::from(offset), stride as usize);
    Ok(Shared { file, offset, stride, extent, format, _place: place })
}
