//! What a device of Vulkan is refused, or refuses: each with an error that says why, and nothing is broken by it.
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

use std::os::fd::OwnedFd;
use std::process::Command;

use common::{SIZE, agree, alone, assert_same, lease, on_gpu, pixels, raw_pixels, refusal, soon, surfaces};
use handover::negotiate::OfferEntry;
use handover::{
    Access, Bytes, Device, Error, Extent, Format, Kind, Layout, Modifier, Offer, Options, PlaneLayout, Region, Stage,
    Surface, SurfaceUsages, Writers, acquire, allocate, negotiate, try_acquire,
};
use handover_sys::dma_buf::Direction;
use handover_sys::file;
use handover_vulkan::paint::{Painter, scene};
use handover_vulkan::{Gpu, list};
use kernel::{raw_udmabuf, udmabuf};

/// `I915_FORMAT_MOD_X_TILED`: no driver but Intel's has it.
const X_TILED: Modifier = Modifier(0x0100_0000_0000_0001);
const GROUND: u32 = 0x0065_4321;
const EMFILE: i32 = 24;

fn is(error: &Error, stage: Stage, kind: &Kind, says: &[&str]) {
    let text = error.to_string();
    assert_eq!((error.stage(), error.kind()), (stage, kind), "{text}");
    assert!(says.iter().all(|words| text.contains(words)), "{text}");
}

fn layout(modifier: Modifier, size: (u32, u32), plane: (u64, u64), memory: u64) -> Layout {
    let (extent, (offset, stride)) = (Extent::new(size.0, size.1).unwrap(), plane);
    let plane = PlaneLayout { offset: Bytes(offset), stride: Bytes(stride), size: Bytes(stride * u64::from(size.1)) };
    Layout::from_allegation(Some(Format::XRGB8888), Some(extent), modifier, &[plane], Bytes(memory)).unwrap()
}

/// A driver's buffer, as far as anybody can tell.
fn adopted(layout: &Layout, memory: u64) -> Surface {
    let options = Options { writers: Writers::Open, ..Options::default() };
    let buffers: Vec<OwnedFd> = vec![raw_udmabuf(memory, &[])];
    allocate::adopt(Device::DRIVER, layout, buffers, &options).unwrap().remove(0)
}

fn draw(gpu: &Gpu, painter: &Painter, image: &handover_vulkan::Image) -> handover::Result<()> {
    gpu.run(&[(image, Access::Write)], soon(), |recorder| painter.scene(recorder, image, 9, 1))?.wait(soon())
}

fn assert_drawn(surface: &Surface) {
    assert_same(&pixels(surface), |x, y| scene::pixel(SIZE, 9, 1, (x, y)), "the scene");
}

#[test]
fn a_surface_in_a_memfd_is_no_image() {
    on_gpu(|gpu| {
        let offer = |party, usages| Device::PLAIN.offer(party, &[Format::XRGB8888], usages);
        let agreement = agree(&[offer("producer", SurfaceUsages::WRITE), offer("reader", SurfaceUsages::READ)]);
        let surface = allocate(Device::PLAIN, &agreement, &Options::default()).unwrap().remove(0);
        let error = refusal("a memfd", gpu.image(&surface, SurfaceUsages::SAMPLE));
        is(&error, Stage::Import, &Kind::Unsupported, &["memfd", "backend of linux", &gpu.report().device]);
        let bytes = allocate::buffer(Device::PLAIN, Bytes(4096), &Options::default()).unwrap().remove(0);
        refusal("a byte buffer", gpu.image(&bytes, SurfaceUsages::SAMPLE));
    });
}

#[test]
fn modifiers_with_nothing_in_common_are_a_conflict_that_names_them() {
    on_gpu(|gpu| {
        let format = Format::XRGB8888;
        let tiled = OfferEntry { usages: SurfaceUsages::RENDER, ..OfferEntry::new(Some(format), X_TILED) };
        let other = Offer { party: "another GPU".into(), entries: vec![tiled] };
        let ours = gpu.offer("vulkan", &[format], SurfaceUsages::SAMPLE);
        assert!(!ours.entries.is_empty() && ours.entries.iter().all(|entry| entry.modifier != X_TILED), "{ours:?}");
        let conflict = negotiate(Extent::new(SIZE.0, SIZE.1).unwrap(), &[other, ours]).unwrap_err().to_string();
        for says in ["another GPU", "vulkan", "INTEL"] {
            assert!(conflict.contains(says), "{conflict}");
        }
    });
}

#[test]
fn a_modifier_that_the_driver_has_not_is_refused_with_those_it_has() {
    on_gpu(|gpu| {
        if udmabuf().is_none()
            || gpu.supports(Format::XRGB8888, SurfaceUsages::SAMPLE).iter().any(|support| support.modifier == X_TILED)
        {
            return;
        }
        let memory = 512 * 96;
        let surface = adopted(&layout(X_TILED, SIZE, (0, 512), memory), memory);
        let error = refusal("a foreign layout", gpu.image(&surface, SurfaceUsages::SAMPLE));
        is(&error, Stage::Import, &Kind::Unsupported, &["INTEL", "LINEAR", "Gpu::offer"]);
    });
}

/// Whatever a driver says to a layout: no, or what it draws lies as the layout says.
#[test]
fn a_plane_that_the_driver_would_lay_elsewhere_is_refused() {
    on_gpu(|gpu| {
        if udmabuf().is_none() {
            return;
        }
        let painter = Painter::new(gpu).unwrap();
        let mut refused = 0;
        for (offset, stride) in [(0, 512), (0, 516), (0, 576), (4, 512), (64, 512), (4096, 512), (0, 1024), (4, 516)] {
            let memory = 128 * 1024;
            let surface = adopted(&layout(Modifier::LINEAR, SIZE, (offset, stride), memory), memory);
            match gpu.image(&surface, SurfaceUsages::RENDER) {
                Ok(image) => {
                    draw(gpu, &painter, &image).unwrap();
                    assert_drawn(&surface);
                    eprintln!("offset {offset}, stride {stride}: taken");
                }
                Err(error) => {
                    is(&error, Stage::Import, &Kind::Unsupported, &["let the driver allocate"]);
                    eprintln!("offset {offset}, stride {stride}: {error}");
                    refused += 1;
                }
            }
        }

        assert!(refused < 8, "all of them");
    });
}

#[test]
fn a_buffer_that_is_too_small_for_the_driver_is_refused() {
    on_gpu(|gpu| {
        if udmabuf().is_none() {
            return;
        }
        // Drivers round up as they like, so it may be large enough; then it must work.
        let painter = Painter::new(gpu).unwrap();
        let surface = adopted(&layout(Modifier::LINEAR, SIZE, (0, 512), 512 * 96), 512 * 96);
        match gpu.image(&surface, SurfaceUsages::RENDER) {
            Ok(image) => {
                draw(gpu, &painter, &image).unwrap();
                assert_drawn(&surface);
            }
            Err(error) => is(&error, Stage::Import, &Kind::Unsupported, &["the driver wants", "a buffer of"]),
        }
    });
}

#[test]
fn more_pixels_than_the_driver_does_are_refused() {
    on_gpu(|gpu| {
        let linear = |support: &handover_vulkan::Support| support.modifier == Modifier::LINEAR;
        let supports = gpu.supports(Format::XRGB8888, SurfaceUsages::SAMPLE);
        let most = supports.into_iter().find(linear).unwrap().max_extent;
        if udmabuf().is_none() || most == Extent::LARGEST {
            // No surface is larger.
            return;
        }
        let wide = most.width().get() + 1;
        let stride = u64::from(wide) * 4;
        let memory = stride.next_multiple_of(4096);
        let surface = adopted(&layout(Modifier::LINEAR, (wide, 1), (0, stride), memory), memory);
        let error = refusal("too wide", gpu.image(&surface, SurfaceUsages::SAMPLE));
        is(&error, Stage::Import, &Kind::Unsupported, &["at most", &most.to_string()]);
    });
}

#[test]
fn images_belong_to_one_device_and_one_use() {
    on_gpu(|gpu| {
        let Some(memory) = udmabuf() else { return };
        let painter = Painter::new(gpu).unwrap();
        let surface = surfaces(gpu, &memory, Format::XRGB8888, 1).remove(0);
        let image = gpu.image(&surface, SurfaceUsages::RENDER).unwrap();
        let other = Gpu::open(&handover_vulkan::Options::default()).unwrap();
        let elsewhere = other.image(&surface, SurfaceUsages::RENDER).unwrap();
        let set = [(&elsewhere, Access::Write)];
        let error = refusal("another device's", gpu.run(&set, soon(), |_| panic!("recorded")));
        is(&error, Stage::Access, &Kind::Invalid, &["an image of", "on this device"]);
        let set = [(&image, Access::Write)];
        let paint = gpu.run(&set, soon(), |recorder| painter.scene(recorder, &elsewhere, 0, 0));
        is(&refusal("a target of another device", paint), Stage::Access, &Kind::Invalid, &["not have it in its set"]);
        // What is not in the set is neither taken from the outside nor kept until the job has ended.
        let second = gpu.image(&surface, SurfaceUsages::RENDER).unwrap();
        let paint = gpu.run(&set, soon(), |recorder| painter.scene(recorder, &second, 0, 0));
        is(&refusal("a target beside the set", paint), Stage::Access, &Kind::Invalid, &["not have it in its set"]);
        let read = [(&image, Access::Read)];
        let paint = gpu.run(&read, soon(), |recorder| painter.scene(recorder, &image, 0, 0));
        is(&refusal("a target that is read", paint), Stage::Access, &Kind::Invalid, &["write access"]);
        // Two devices may have the same surface, one after the other.
        let theirs = Painter::new(&other).unwrap();
        let paint = gpu.run(&set, soon(), |recorder| theirs.scene(recorder, &image, 0, 0));
        is(&refusal("another's painter", paint), Stage::Access, &Kind::Invalid, &["painter of another device"]);
        draw(gpu, &painter, &image).unwrap();
        draw(&other, &theirs, &elsewhere).unwrap();
        assert_drawn(&surface);

        // An image with planes of chroma has no view, so nobody draws to it.
        let video = gpu.supports(Format::NV12, SurfaceUsages::SAMPLE);
        if video.iter().any(|support| support.modifier == Modifier::LINEAR && support.imports) {
            let offer = |party, usages| Device::PLAIN.offer(party, &[Format::NV12], usages);
            let agreement = agree(&[
                offer("producer", SurfaceUsages::WRITE),
                gpu.offer("vulkan", &[Format::NV12], SurfaceUsages::SAMPLE),
            ]);
            let options = Options { backend: memory, ..Options::default() };
            let surface = allocate(Device::PLAIN, &agreement, &options).unwrap().remove(0);
            match gpu.image(&surface, SurfaceUsages::SAMPLE) {
                Ok(image) => {
                    let draws = gpu.run(&[(&image, Access::Write)], soon(), |to| painter.scene(to, &image, 0, 0));
                    is(
                        &refusal("planes of chroma", draws),
                        Stage::Access,
                        &Kind::Invalid,
                        &["draw to", "planes of chroma"],
                    );
                }
                Err(error) => is(&error, Stage::Import, &Kind::Unsupported, &["NV12"]),
            }
        }
    });
}

#[test]
fn a_device_that_is_not_there_is_refused_with_those_that_are() {
    let _turn = alone();
    let Some(gpu) = common::gpu() else { return };
    let named = handover_vulkan::Options { name: Some("no such GPU".into()), ..Default::default() };
    let error = refusal("a name", Gpu::open(&named));
    is(&error, Stage::Negotiate, &Kind::Unsupported, &["\"no such GPU\"", &gpu.report().device, "vulkaninfo"]);
    let named = handover_vulkan::Options { name: Some(gpu.report().device[1..].to_uppercase()), ..Default::default() };
    assert_eq!(Gpu::open(&named).unwrap().report().device, gpu.report().device, "a part, in any case");
    assert!(list().unwrap().iter().any(|report| report == gpu.report()));
}

const ROLE: &str = "HANDOVER_TEST_VULKAN";

/// Not a test: a process in which Vulkan is not what it should be.
#[test]
fn child_process() {
    if std::env::var_os(ROLE).is_some() {
        let error = refusal("opened", Gpu::open(&handover_vulkan::Options::default()));
        println!("said: {:?}: {error}", error.kind());
        println!("said: {}", refusal("listed", list()));
    }
}

#[test]
fn without_a_loader_or_a_driver_it_says_what_helps() {
    let _turn = alone();
    let said = |name: &str, value: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "child_process", "--nocapture"]).env(ROLE, "1").env(name, value);
        // The older name of the variable, too.
        child.env("VK_ICD_FILENAMES", if name == "VK_DRIVER_FILES" { value } else { "" });
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.matches("said: ").count() == 2, "{text}");
        text
    };
    // Whether there is a loader or not: nothing here finds a driver.
    let text = said("VK_DRIVER_FILES", "/nonexistent/icd.json");
    assert!(text.contains("Unsupported") && text.contains("mesa-vulkan-drivers"), "{text}");
    // A loader that is none hides the real one.
    let folder = std::env::temp_dir().join(format!("handover-no-loader-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["libvulkan.so.1", "libvulkan.so"] {
        std::fs::write(folder.join(name), "no library").unwrap();
    }
    let text = said("LD_LIBRARY_PATH", folder.to_str().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(text.contains("Unsupported") && text.contains("libvulkan1"), "{text}");
}

#[test]
fn an_error_while_recording_submits_nothing_and_leaves_the_surface_usable() {
    on_gpu(|gpu| {
        let Some(memory) = udmabuf() else { return };
        let painter = Painter::new(gpu).unwrap();
        let surface = surfaces(gpu, &memory, Format::XRGB8888, 1).remove(0);
        lease(&surface, Access::Write).write(&surface).unwrap().clear(GROUND).unwrap();
        let image = gpu.image(&surface, SurfaceUsages::RENDER).unwrap();
        let failed = gpu.run(&[(&image, Access::Write)], soon(), |recorder| {
            painter.scene(recorder, &image, 9, 1)?;
            Err(Error::new(Stage::Access, Kind::Invalid).asked("what cannot be"))
        });
        assert!(refusal("an error of the caller's", failed).to_string().contains("what cannot be"));
        assert_same(&raw_pixels(&surface), |_, _| GROUND, "nothing was submitted");
        assert!(try_acquire(&[(&surface, Access::Write, Region::WHOLE)]).unwrap().is_some(), "the lease was released");
        draw(gpu, &painter, &image).unwrap();
        assert_drawn(&surface);
    });
}

/// Takes every descriptor that this process may have. `None` after a skip.
fn all_descriptors() -> Option<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    while let Ok(descriptor) = file::duplicate(std::io::stdin()) {
        taken.push(descriptor);
        if taken.len() > 200_000 {
            kernel::skip("rlimit", "more descriptors than this test likes to open");
            return None;
        }
    }
    Some(taken)
}

#[test]
fn a_submission_that_fails_behind_an_import_releases_the_surface() {
    on_gpu(|gpu| {
        let (Some(memory), Some(stranger)) = (udmabuf(), kernel::Gpu::open()) else { return };
        let painter = Painter::new(gpu).unwrap();
        let surface = surfaces(gpu, &memory, Format::XRGB8888, 1).remove(0);
        lease(&surface, Access::Write).write(&surface).unwrap().clear(GROUND).unwrap();
        let image = gpu.image(&surface, SurfaceUsages::RENDER).unwrap();
        let scratch = kernel::surface(&memory);
        let (job, fence) = stranger.job(&scratch);
        let fences = [fence];
        let submit = || gpu.submit(&[(&image, Access::Write)], &fences, |to| painter.scene(to, &image, 9, 1));
        let write = stranger.submit(surface.pixels_fd(), Direction::WRITE);
        let Some(taken) = all_descriptors() else { return };
        // With a fence in hand the driver gets none for itself; with one in the surface it is the look at the reservation.
        let (explicit, implicit) = (submit(), draw(gpu, &painter, &image));
        drop(taken);
        for (what, error) in [("explicit", refusal("explicit", explicit)), ("implicit", refusal("implicit", implicit))]
        {
            assert_eq!(error.errno(), Some(EMFILE), "{what}: {error}");
        }
        assert_same(&raw_pixels(&surface), |_, _| GROUND, "nothing was submitted");
        write.end();
        let released = acquire(&[(&surface, Access::Write, Region::WHOLE)], soon()).unwrap().wait();
        drop(released.unwrap());
        job.end();
        submit().unwrap().wait(soon()).unwrap();
        draw(gpu, &painter, &image).unwrap();
        assert_drawn(&surface);
    });
}
