//! Help for the tests on the kernel's own devices: sources of dma-bufs, and vgem, the one driver that makes a pending fence at
//! the word of a test. Where a node is missing a test says so and is left out; `HANDOVER_REQUIRE=all` forbids that.
#![allow(dead_code)]

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use handover::backend::linux::{Card, Dumb, Heap, KmsHandle, SyncFile, Udmabuf};
use handover::{Backend, Device, Extent, Format, Options, Surface, SurfaceUsages, Writers, allocate, negotiate};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::vgem;
use handover_sys::memfd::{self, Seals};
use handover_sys::udmabuf;

/// Shows that a check was left out and why. Fails instead where `HANDOVER_REQUIRE` names `need` or says `all`.
pub(crate) fn skip(need: &str, why: &str) {
    let required = std::env::var("HANDOVER_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == need || name == "all"), "{need} is required: {why}");
    // Not by eprintln: of a test that passes, the harness keeps that to itself.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: needs {need}: {why}\n"));
}

/// What was found, or a skip.
pub(crate) fn need<T>(need: &str, found: handover::Result<T>) -> Option<T> {
    found.map_err(|error| skip(need, &error.to_string())).ok()
}

pub(crate) fn udmabuf() -> Option<Arc<dyn Backend>> {
    need("udmabuf", Udmabuf::open()).map(|backend| Arc::new(backend) as Arc<dyn Backend>)
}

/// Every source of dma-bufs that the guest has. Empty after a skip.
pub(crate) fn backends() -> Vec<Arc<dyn Backend>> {
    let heap = need("dma-heap", Heap::open("system")).map(|backend| Arc::new(backend) as Arc<dyn Backend>);
    let dumb =
        |driver: &str| need(driver, Card::of_driver(driver)).map(|card| Arc::new(Dumb::of(card)) as Arc<dyn Backend>);
    [udmabuf(), heap, dumb("vgem"), dumb("virtio_gpu")].into_iter().flatten().collect()
}

/// Are all sources there? What is missing has been shown as a skip.
pub(crate) fn is_complete() -> bool {
    backends().len() == 4
}

/// How to allocate so many surfaces of this source.
pub(crate) fn options(backend: &Arc<dyn Backend>, surfaces: u32, writers: Writers) -> Options {
    Options { surfaces, writers, backend: Arc::clone(backend), ..Options::default() }
}

/// Linear surfaces of 64 by 48 pixels in one pool.
pub(crate) fn try_surfaces(options: &Options) -> handover::Result<Vec<Surface>> {
    let offer = |party, usages| Device::PLAIN.offer(party, &[Format::XRGB8888], usages);
    let offers = [offer("producer", SurfaceUsages::WRITE), offer("consumer", SurfaceUsages::READ)];
    let agreement = negotiate(Extent::new(64, 48)?, &offers)?;
    allocate(Device::PLAIN, &agreement, options)
}

pub(crate) fn surfaces(backend: &Arc<dyn Backend>, count: u32, writers: Writers) -> Vec<Surface> {
    try_surfaces(&options(backend, count, writers)).unwrap()
}

pub(crate) fn surface(backend: &Arc<dyn Backend>) -> Surface {
    surfaces(backend, 1, Writers::Open).remove(0)
}

/// A stand-in for a GPU: its jobs begin at once and end when the test says so, or after 10 s by themselves.
pub(crate) struct Gpu(pub(crate) Card);

/// A job of [`Gpu`] that pends.
pub(crate) struct Job<'a> {
    gpu: &'a Gpu,
    fence: vgem::Fence,
    /// Keeps the number valid.
    _buffer: KmsHandle,
}

impl Gpu {
    pub(crate) fn open() -> Option<Self> {
        need("vgem", Card::of_driver("vgem")).map(Self)
    }

    /// The open file, for calls of vgem.
    pub(crate) fn vgem(&self) -> vgem::File<'_> {
        vgem::File::of(&self.0).unwrap()
    }

    /// Submits as a driver does: it puts its fence into the reservation of the buffer, without asking us.
    pub(crate) fn submit(&self, dma_buf: impl AsFd, direction: Direction) -> Job<'_> {
        let buffer = self.0.import_dma_buf(dma_buf.as_fd()).unwrap();
        let fence = vgem::attach(&self.vgem(), self.0.gem(&buffer).unwrap(), direction).unwrap();
        Job { gpu: self, fence, _buffer: buffer }
    }

    /// A job on a buffer of its own, and its fence in a descriptor.
    pub(crate) fn job(&self, scratch: &Surface) -> (Job<'_>, SyncFile) {
        let job = self.submit(scratch.pixels_fd(), Direction::WRITE);
        (job, fence_of(scratch.pixels_fd(), Direction::READ))
    }
}

impl Job<'_> {
    pub(crate) fn end(self) {
        vgem::signal(&self.gpu.vgem(), self.fence).unwrap();
    }
}

pub(crate) fn fence_of(dma_buf: impl AsFd, direction: Direction) -> SyncFile {
    SyncFile::new(dma_buf::export_sync_file(dma_buf, direction).unwrap()).unwrap()
}

/// A stranger's buffer: a udmabuf of so many bytes that begins with `bytes`.
pub(crate) fn raw_udmabuf(size: u64, bytes: &[u8]) -> OwnedFd {
    let pages = memfd::create("stranger", size).unwrap();
    File::from(duplicate(&pages)).write_all(bytes).unwrap();
    memfd::add_seals(&pages, Seals::SHRINK).unwrap();
    udmabuf::create(udmabuf::open().unwrap(), &pages, 0, size).unwrap()
}

pub(crate) fn duplicate(fd: impl AsFd) -> OwnedFd {
    handover_sys::file::duplicate(fd).unwrap()
}
