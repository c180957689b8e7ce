//! Nothing is left open: not by images, not by jobs, not by what was refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;
#[path = "../../handover/tests/common/kernel.rs"]
mod kernel;

use common::{SIZE, agree, on_gpu, refusal, soon, surfaces};
use handover::{
    Access, Bytes, Device, Error, ExportFlags, Extent, Format, Kind, Layout, Modifier, Options, PlaneLayout, Stage,
    SurfaceUsages, allocate, export,
};
use handover_sys::file;
use handover_vulkan::Gpu;
use handover_vulkan::paint::Painter;
use kernel::{raw_udmabuf, udmabuf};

const ROUNDS: usize = 100;

/// Does `work` again and again; after the first few, in which drivers fill their caches, no descriptor stays.
fn keeps_descriptors(what: &str, mut work: impl FnMut(usize)) {
    (0..3).for_each(&mut work);
    let before = file::open_count().unwrap();
    (0..ROUNDS).for_each(work);
    assert_eq!(file::open_count().unwrap(), before, "descriptors after {ROUNDS} rounds of {what}");
}

#[test]
fn images_and_jobs_leave_no_descriptor() {
    on_gpu(|gpu| {
        let (Some(memory), Some(stranger)) = (udmabuf(), kernel::Gpu::open()) else { return };
        let painter = Painter::new(gpu).unwrap();
        let surface = surfaces(gpu, &memory, Format::XRGB8888, 1).remove(0);
        let scratch = kernel::surface(&memory);
        keeps_descriptors("import, job and drop", |round| {
            let handle = export(&surface, ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap().handle;
            let image = gpu.import(handle, SurfaceUsages::RENDER).unwrap();
            let set = [(&image, Access::Write)];
            // Every other one with a fence to wait for, which is over when the job is submitted.
            let (hold, fence) = stranger.job(&scratch);
            hold.end();
            let waits = if round % 2 == 0 { vec![fence] } else { Vec::new() };
            let job = gpu.submit(&set, &waits, |recorder| painter.scene(recorder, &image, round as u32, 0)).unwrap();
            job.wait(soon()).unwrap();
        });
    });
}

#[test]
fn what_is_allocated_and_dropped_leaves_no_descriptor() {
    on_gpu(|gpu| {
        let reader = Device::PLAIN.offer("reader", &[Format::XRGB8888], SurfaceUsages::READ);
        let agreement = agree(&[gpu.offer("vulkan", &[Format::XRGB8888], SurfaceUsages::RENDER), reader]);
        keeps_descriptors("allocate and drop", |_| {
            let images = gpu.allocate(&agreement, &Options { surfaces: 2, ..Options::default() }).unwrap();
            assert_eq!(images.len(), 2);
        });
        let none = Options { surfaces: 0, ..Options::default() };
        assert_eq!(*refusal("none", gpu.allocate(&agreement, &none)).kind(), Kind::Invalid);
    });
}

#[test]
fn what_is_refused_leaves_no_descriptor() {
    on_gpu(|gpu| {
        let Some(memory) = udmabuf() else { return };
        let painter = Painter::new(gpu).unwrap();
        let surface = surfaces(gpu, &memory, Format::XRGB8888, 1).remove(0);
        let image = gpu.image(&surface, SurfaceUsages::RENDER).unwrap();
        // A layout that is nobody's: the vendor of no driver.
        let plane = PlaneLayout { offset: Bytes(0), stride: Bytes(512), size: Bytes(512 * 96) };
        let (extent, modifier) = (Extent::new(SIZE.0, SIZE.1).unwrap(), Modifier(0x7f00_0000_0000_0001));
        let layout =
            Layout::from_allegation(Some(Format::XRGB8888), Some(extent), modifier, &[plane], Bytes(512 * 96)).unwrap();
        keeps_descriptors("refusals", |_| {
            let buffers = vec![raw_udmabuf(512 * 96, &[])];
            let foreign = allocate::adopt(Device::DRIVER, &layout, buffers, &Options::default()).unwrap().remove(0);
            refusal("a modifier", gpu.image(&foreign, SurfaceUsages::SAMPLE));
            let handle = export(&foreign, ExportFlags::READ, soon()).unwrap().handle;
            refusal("a modifier in a handle", gpu.import(handle, SurfaceUsages::SAMPLE));
            let failed = gpu.run(&[(&image, Access::Write)], soon(), |recorder| {
                painter.scene(recorder, &image, 1, 1)?;
                Err(Error::new(Stage::Access, Kind::Invalid).asked("what cannot be"))
            });
            refusal("a recording", failed);
        });
    });
}

#[test]
fn a_device_leaves_no_descriptor() {
    on_gpu(|_| {
        let open = || drop(Gpu::open(&handover_vulkan::Options::default()).unwrap());
        open();
        let before = file::open_count().unwrap();
        (0..3).for_each(|_| open());
        assert_eq!(file::open_count().unwrap(), before);
    });
}
