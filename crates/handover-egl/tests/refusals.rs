//! What a display is refused, or refuses: each with an error that says why, and nothing is broken by it.
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

use common::{
    SIZE, alone, assert_same, display, draw, drawn, lease, pixels, rect, refusal, rgba, soon, surfaces, whole,
};
use handover::negotiate::OfferEntry;
use handover::{
    Access, Bytes, Device, Error, Extent, Format, Kind, Layout, Modifier, Offer, Options, PlaneLayout, Stage, Surface,
    SurfaceUsages, Writers, allocate, negotiate, try_acquire,
};
use handover_egl::{Display, Image};
use handover_sys::file;
use kernel::{raw_udmabuf, udmabuf};

/// `I915_FORMAT_MOD_X_TILED`: no driver but Intel's has it.
const X_TILED: Modifier = Modifier(0x0100_0000_0000_0001);
const ROUNDS: usize = 50;

fn is(error: &Error, stage: Stage, kind: &Kind, says: &[&str]) {
    let text = error.to_string();
    assert_eq!((error.stage(), error.kind()), (stage, kind), "{text}");
    assert!(says.iter().all(|words| text.contains(words)), "{text}");
}

/// A driver's buffer, as far as anybody can tell: so wide and high, its plane so far from the start, its rows so far apart.
fn adopted(modifier: Modifier, size: (u32, u32), (offset, stride): (u64, u64)) -> Surface {
    let plane = PlaneLayout { offset: Bytes(offset), stride: Bytes(stride), size: Bytes(stride * u64::from(size.1)) };
    let memory = plane.end().unwrap().get().next_multiple_of(4096);
    let extent = Extent::new(size.0, size.1).unwrap();
    let layout =
        Layout::from_allegation(Some(Format::XRGB8888), Some(extent), modifier, &[plane], Bytes(memory)).unwrap();
    let options = Options { writers: Writers::Open, ..Options::default() };
    let buffers: Vec<OwnedFd> = vec![raw_udmabuf(memory, &[])];
    allocate::adopt(Device::DRIVER, &layout, buffers, &options).unwrap().remove(0)
}

fn image(display: &Display, surface: &Surface) -> handover::Result<Image> {
    display.image(surface, SurfaceUsages::RENDER)
}

fn run(display: &Display, image: &Image) {
    display.run(&[(image, Access::Write)], soon(), |gl| draw(gl, image, 0x0033_6699)).unwrap().wait(soon()).unwrap();
}

#[test]
fn memory_that_only_cpus_reach_is_refused() {
    let _turn = alone();
    let Some(display) = display() else { return };
    let offer = |party, usages| Device::PLAIN.offer(party, &[Format::XRGB8888], usages);
    let offers = [offer("a", SurfaceUsages::WRITE), offer("b", SurfaceUsages::READ)];
    let agreement = negotiate(Extent::new(SIZE.0, SIZE.1).unwrap(), &offers).unwrap();
    let surface = allocate(Device::PLAIN, &agreement, &Options::default()).unwrap().remove(0);
    let error = refusal("a memfd", image(&display, &surface));
    is(&error, Stage::Import, &Kind::Unsupported, &["a memfd", "a backend of linux"]);
}

#[test]
fn a_modifier_that_the_driver_has_not_is_refused_and_those_it_has_are_named() {
    let _turn = alone();
    let (Some(display), Some(_)) = (display(), udmabuf()) else { return };
    let known = display.supports(Format::XRGB8888, SurfaceUsages::RENDER);
    assert!(!known.is_empty() && known.iter().all(|support| !support.external_only));
    if known.iter().any(|support| support.modifier == X_TILED) {
        return;
    }
    let error = refusal("a tiling", image(&display, &adopted(X_TILED, SIZE, (0, 512))));
    is(&error, Stage::Import, &Kind::Unsupported, &[&X_TILED.to_string(), &known[0].modifier.to_string()]);

    let tiled = OfferEntry::new(Some(Format::XRGB8888), X_TILED);
    let offers = [
        Offer { party: "tiler".to_owned(), entries: vec![tiled] },
        display.offer("opengl", &[Format::XRGB8888], SurfaceUsages::SAMPLE),
    ];
    let conflict = negotiate(Extent::new(SIZE.0, SIZE.1).unwrap(), &offers).unwrap_err().to_string();
    assert!(["tiler", "opengl"].iter().all(|party| conflict.contains(party)), "{conflict}");
}

/// Rows that are not where drivers want them: refused, or drawn to where the layout says. Drivers on the CPU do not look; they draw,
/// and the process ends.
#[test]
fn an_odd_pitch_is_refused_or_kept() {
    let _turn = alone();
    let (Some(display), Some(_)) = (display(), udmabuf()) else { return };
    for place in [(0, 516), (0, 520), (0, 528), (0, 544), (4, 512), (64, 576), (4096, 1024)] {
        let surface = adopted(Modifier::LINEAR, SIZE, place);
        match image(&display, &surface) {
            Err(error) => is(&error, Stage::Import, &Kind::Unsupported, &[]),
            Ok(image) => {
                run(&display, &image);
                assert_same(&pixels(&surface), |x, y| drawn(0x0033_6699, x, y), &format!("{place:?}"));
            }
        }
    }
    // The rows end with the memory, in the middle of a block.
    for (size, stride) in [((1024, 97), 4096), ((1021, 99), 4096), ((127, 97), 508)] {
        let surface = adopted(Modifier::LINEAR, size, (0, stride));
        match image(&display, &surface) {
            Err(error) => is(&error, Stage::Import, &Kind::Unsupported, &[]),
            Ok(image) => {
                let corner = rect(size.0 - 1, size.1 - 1, 1, 1);
                let job =
                    display.run(&[(&image, Access::Write)], soon(), |gl| gl.fill(&image, corner, rgba(0x00ff_ffff)));
                job.unwrap().wait(soon()).unwrap();
            }
        }
    }
    // A plane of more rows than the memory has is no layout, and never comes this far.
    let short = PlaneLayout { offset: Bytes(0), stride: Bytes(512), size: Bytes(512 * 96) };
    let extent = Extent::new(SIZE.0, SIZE.1).unwrap();
    let layout = |memory| {
        Layout::from_allegation(Some(Format::XRGB8888), Some(extent), Modifier::LINEAR, &[short], Bytes(memory))
    };
    is(&refusal("short memory", layout(512 * 95)), Stage::Import, &Kind::Malformed, &["beyond the memory"]);
}

#[test]
fn what_a_job_may_not_touch_is_refused_before_anything_is_drawn() {
    let _turn = alone();
    let (Some(display), Some(udmabuf)) = (display(), udmabuf()) else { return };
    let pair = surfaces(&display, &udmabuf, 2);
    let target = image(&display, &pair[0]).unwrap();
    let other = image(&display, &pair[1]).unwrap();
    let sampled = display.image(&pair[1], SurfaceUsages::SAMPLE).unwrap();
    assert_eq!(sampled.framebuffer(), None);
    run(&display, &target);
    let set = [(&target, Access::Write)];
    let error = refusal("not in the set", display.run(&set, soon(), |gl| gl.fill(&other, whole(), rgba(0))));
    is(&error, Stage::Access, &Kind::Invalid, &["did not acquire"]);
    let set = [(&target, Access::Write), (&sampled, Access::Write)];
    let error = refusal("not for drawing", display.run(&set, soon(), |gl| gl.fill(&sampled, whole(), rgba(0))));
    is(&error, Stage::Access, &Kind::Invalid, &["only sampled"]);
    let reads = [(&target, Access::Read)];
    let error = refusal("only read", display.run(&reads, soon(), |gl| gl.fill(&target, whole(), rgba(0))));
    is(&error, Stage::Access, &Kind::Invalid, &["did not acquire"]);
    let outside = rect(120, 90, 9, 6);
    let error = refusal("outside", display.run(&set, soon(), |gl| gl.fill(&target, outside, rgba(0))));
    is(&error, Stage::Access, &Kind::Invalid, &["ends before it"]);

    let second = common::display().unwrap();
    let theirs = image(&second, &pair[0]).unwrap();
    let error = refusal("another display's", display.run(&[(&theirs, Access::Write)], soon(), |_| Ok(())));
    is(&error, Stage::Access, &Kind::Invalid, &["another display"]);
    let texture = second.texture(Format::ABGR8888, Extent::new(8, 8).unwrap()).unwrap();
    let error = refusal("another display's texture", display.export(&texture, &Options::default()));
    is(&error, Stage::Allocate, &Kind::Invalid, &["another display"]);
    // Two contexts on one thread do not get into each other's way.
    run(&second, &theirs);
    run(&display, &target);
    assert_same(&pixels(&pair[0]), |x, y| drawn(0x0033_6699, x, y), "the drawing");
}

#[test]
fn a_job_that_fails_half_way_says_so_to_whoever_comes_next() {
    let _turn = alone();
    let (Some(display), Some(udmabuf)) = (display(), udmabuf()) else { return };
    let surface = surfaces(&display, &udmabuf, 1).remove(0);
    let target = image(&display, &surface).unwrap();
    let result = display.run(&[(&target, Access::Write)], soon(), |gl| {
        gl.fill(&target, whole(), rgba(0x00ff_0000))?;
        Err(Error::new(Stage::Access, Kind::Invalid).asked("the second half"))
    });
    is(&refusal("half a job", result), Stage::Access, &Kind::Invalid, &["the second half"]);
    assert!(lease(&surface, Access::Read).is_torn());
    run(&display, &target);
    let lease = try_acquire(&[(&surface, Access::Read, handover::Region::WHOLE)]).unwrap().unwrap();
    assert!(!lease.is_torn());
}

#[test]
fn a_texture_that_cannot_be_is_refused() {
    let _turn = alone();
    let Some(display) = display() else { return };
    let size = Extent::new(64, 64).unwrap();
    let error = refusal("a texture of NV12", display.texture(Format::NV12, size));
    is(&error, Stage::Allocate, &Kind::Unsupported, &["NV12"]);
    if display.report().exports() {
        let nothing = display.texture_of(4_000_000, size);
        is(
            &refusal("no texture", display.export(&nothing, &Options::default())),
            Stage::Allocate,
            &Kind::Os,
            &["EGL_"],
        );
    }
}

#[test]
fn a_display_that_is_not_there_is_refused() {
    let _turn = alone();
    let options = handover_egl::Options { name: Some("no such display".into()) };
    let error = refusal("a display", Display::open(&options));
    is(&error, Stage::Negotiate, &Kind::Unsupported, &[]);
}

/// A machine without a driver: the library has no vendor to ask.
#[test]
fn without_a_driver_it_says_what_helps() {
    const CHILD: &str = "HANDOVER_EGL_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let error = refusal("no driver", Display::open(&Default::default()));
        is(&error, Stage::Negotiate, &Kind::Unsupported, &["EGL"]);
        println!("{error}");
        return;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "without_a_driver_it_says_what_helps", "--nocapture"])
        .env(CHILD, "1")
        .env("__EGL_VENDOR_LIBRARY_DIRS", "/nonexistent")
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn fifty_rounds_leave_no_descriptor_behind() {
    let _turn = alone();
    let (Some(display), Some(udmabuf)) = (display(), udmabuf()) else { return };
    let surface = surfaces(&display, &udmabuf, 1).remove(0);
    let steady = |what: &str, round: &dyn Fn()| {
        (0..3).for_each(|_| round());
        let before = file::open_count().unwrap();
        (0..ROUNDS).for_each(|_| round());
        assert_eq!(file::open_count().unwrap(), before, "{what}");
    };
    steady("import, job, drop", &|| run(&display, &image(&display, &surface).unwrap()));
    let tiled = adopted(X_TILED, SIZE, (0, 512));
    let odd = adopted(Modifier::LINEAR, SIZE, (0, 516));
    steady("refused imports", &|| drop((image(&display, &tiled), image(&display, &odd))));
    let size = Extent::new(SIZE.0, SIZE.1).unwrap();
    steady("export, drop", &|| {
        let texture = display.texture(Format::ABGR8888, size).unwrap();
        drop(display.export(&texture, &Options::default()));
    });
    steady("a job that fails", &|| {
        let target = image(&display, &surface).unwrap();
        drop(display.run(&[(&target, Access::Write)], soon(), |gl| gl.fill(&target, rect(128, 0, 1, 1), rgba(0))));
    });
}
