//! OpenGL to OpenCL between two processes: OpenGL always exports, OpenCL always imports, and each reads what the other wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::os::fd::{AsFd, OwnedFd};

use common::{Other, Parts, hear, lease, parent, role, say, soon};
use handover::interop::{self, Access, DeviceInfo, Interop, Refusal, Request, Status, Target, Versions};
use handover::{
    Bytes, Compression, Device, Error, ExportFlags, Extent, Format, Handle, Kind, Modifier, Options, Queue, Surface,
    SurfaceUsages, Writers, allocate, import, negotiate,
};
use handover_model::export::Outcome;

const SIZE: (u32, u32) = (300, 200);
const FORMAT: Format = Format::XRGB8888;
const LATEST: Versions = Versions { export_in: 2, export_out: 2 };
const FIRST: Versions = Versions { export_in: 1, export_out: 1 };
/// What the metadata of every simulated device says a cleared block looks like.
const PUBLIC: &str = "ff000000";

fn open() -> Options {
    Options { writers: Writers::Open, ..Options::default() }
}

fn extent() -> Extent {
    Extent::new(SIZE.0, SIZE.1).unwrap()
}

fn buffer(device: Device) -> Surface {
    allocate::buffer(device, Bytes(10_007), &open()).unwrap().remove(0)
}

fn implicit(device: Device) -> Surface {
    allocate::implicit(device, FORMAT, extent(), &open()).unwrap().remove(0)
}

fn with_modifier(device: Device, modifier: Modifier) -> Surface {
    let mut offer = device.offer("gl", &[FORMAT], SurfaceUsages::RENDER);
    offer.entries.retain(|entry| entry.modifier == modifier);
    allocate(device, &negotiate(extent(), &[offer]).unwrap(), &open()).unwrap().remove(0)
}

/// Every byte another, but for a corner of one colour, so that something compresses.
fn content(surface: &Surface, seed: u32) -> Vec<u8> {
    let (row, rows) = shape(surface);
    let one = |at: usize| at / row < 100 && at % row < 400;
    let noise = |at: usize| (at as u32 ^ seed << 20).wrapping_mul(0x9e37_79b9).to_be_bytes()[0];
    (0..row * rows).map(|at| if one(at) { seed as u8 } else { noise(at) }).collect()
}

/// Bytes of a row, and rows. A buffer is one row.
fn shape(surface: &Surface) -> (usize, usize) {
    match surface.format() {
        Some(_) => (SIZE.0 as usize * 4, SIZE.1 as usize),
        None => (surface.layout().size().get() as usize, 1),
    }
}

fn draw(surface: &Surface, seed: u32) {
    let held = lease(surface, handover::Access::Write);
    held.write(surface).unwrap().write_image(0, &content(surface, seed), shape(surface).0).unwrap();
    held.release().unwrap();
}

fn clear(surface: &Surface, colour: u32) {
    let held = lease(surface, handover::Access::Write);
    held.write(surface).unwrap().clear(colour).unwrap();
    held.release().unwrap();
}

fn seen(surface: &Surface) -> Vec<u8> {
    let held = lease(surface, handover::Access::Read);
    let (row, rows) = shape(surface);
    let mut bytes = vec![0; row * rows];
    held.read(surface).unwrap().read_image(0, &mut bytes, row).unwrap();
    held.release().unwrap();
    bytes
}

fn request(surface: &Surface, access: Access, versions: Versions) -> Request {
    let target = if surface.format().is_some() { Target::Texture } else { Target::Buffer };
    Request { versions, target, access, level: 0 }
}

fn exported(surface: &Surface, access: Access, versions: Versions) -> Interop {
    interop::export(surface, &request(surface, access, versions), soon()).unwrap()
}

fn refused(surface: &Surface, request: &Request) -> Refusal {
    interop::export(surface, request, soon()).expect_err("let through")
}

fn opencl(device: Device) -> Other {
    Other::start(&device.name())
}

/// Hands it over. OpenCL answers from then on for this object.
fn give(opencl: &Other, handle: Handle) {
    Parts::of(handle).send(&opencl.socket);
    assert_eq!(opencl.hear(), "imported");
}

fn ask(opencl: &Other, command: &str) -> String {
    opencl.tell(command);
    opencl.hear()
}

/// What a device can be asked for, and whether an export may drop its compression.
fn objects(device: Device) -> Vec<(String, Surface, Compression)> {
    let mut objects = vec![("a buffer".into(), buffer(device), Compression::None)];
    if device != Device::PLAIN {
        objects.push(("a texture without a modifier".into(), implicit(device), Compression::Possible));
    }
    for modifier in device.modifiers(FORMAT) {
        let is_compressed = modifier.parse().unwrap().is_compressed();
        let compression = if is_compressed { Compression::Promised } else { Compression::None };
        objects.push((format!("a texture with {modifier}"), with_modifier(device, modifier), compression));
    }
    objects
}

#[test]
fn what_a_writing_consumer_wrote_is_read_back_right_and_a_reading_one_keeps_the_compression() {
    let gl = Queue::new("gl").unwrap();
    for device in [Device::NAVI21, Device::VEGA10, Device::PLAIN] {
        let cl = opencl(device);
        for access in [Access::ReadOnly, Access::WriteOnly, Access::ReadWrite] {
            for (what, ours, compression) in objects(device) {
                let what = format!("{what} of {device}, {access:?}");
                let writes = access != Access::ReadOnly;
                draw(&ours, 1);
                let interop = exported(&ours, access, LATEST);
                let flags = interop.handle.flags();
                assert!(flags.contains(ExportFlags::EXPLICIT_FLUSH), "{what}: {flags}");
                assert_eq!(flags.contains(ExportFlags::READ), access != Access::WriteOnly, "{what}: {flags}");
                assert_eq!(flags.contains(ExportFlags::WRITE), writes, "{what}: {flags}");

                let outcome = match compression {
                    Compression::None => Outcome::NeverHad,
                    Compression::Possible if writes => Outcome::Dropped,
                    _ => Outcome::Kept,
                };
                assert_eq!(interop.decision.compression, outcome, "{what}: {}", interop.decision);
                let steps: Vec<String> = interop.steps.iter().map(ToString::to_string).collect();
                let drops = steps.iter().any(|step| step.contains("drop DCC: a consumer writes from shaders"));
                assert_eq!(drops, outcome == Outcome::Dropped, "{what}: {steps:?}");

                let _ = interop::flush_objects(&gl, &[&ours], 1, soon()).unwrap();
                give(&cl, interop.handle);
                if access != Access::WriteOnly {
                    assert_eq!(ask(&cl, "read 1"), "right", "{what}");
                }
                let answer = ask(&cl, "write 2");
                assert_eq!(answer == "written", writes, "{what}: {answer}");
                assert!(writes || answer.contains("exported for READ"), "{what}: {answer}");
                assert!(seen(&ours) == content(&ours, if writes { 2 } else { 1 }), "{what}: not what was written");
            }
        }
        cl.tell("end");
    }
}

/// From version 2 of the answer on OpenCL promises the flush. Who leaves it out sees what the metadata says of a cleared block.
#[test]
fn a_flush_left_out_shows_the_stale_clear_colour() {
    let gl = Queue::new("gl").unwrap();
    for device in [Device::NAVI21, Device::VEGA10] {
        let cl = opencl(device);
        let promised = || with_modifier(device, device.modifiers(FORMAT)[0]);
        let cases = [
            ("kept for a reader", implicit(device), Access::ReadOnly, true),
            ("dropped for a writer", implicit(device), Access::ReadWrite, false),
            ("promised, to a reader", promised(), Access::ReadOnly, true),
            ("promised, to a writer", promised(), Access::ReadWrite, true),
        ];
        for (what, ours, access, is_stale) in cases {
            give(&cl, exported(&ours, access, LATEST).handle);
            clear(&ours, 0x0033_6699);
            let without = ask(&cl, "colour");
            assert_eq!(without, if is_stale { PUBLIC } else { "00336699" }, "{device}, {what}: no flush");
            // Whoever acquires from here on waits for it: nobody has to look at the fence.
            let fence = interop::flush_objects(&gl, &[&ours], 1, soon()).unwrap();
            assert_eq!(ask(&cl, "colour"), "00336699", "{device}, {what}: flushed");
            fence.wait(soon()).unwrap();

            // Nothing promised from here on: the producer sees to it at the end of each submission.
            give(&cl, exported(&ours, access, FIRST).handle);
            clear(&ours, 0x0099_6633);
            assert_eq!(ask(&cl, "colour"), "00996633", "{device}, {what}: version 1");
        }
        cl.tell("end");
    }
}

#[test]
fn versions_are_the_smaller_ones_and_fields_of_later_ones_stay_out() {
    let (texture, bytes) = (implicit(Device::NAVI21), buffer(Device::NAVI21));
    for (asked, answered) in [((1, 1), (1, 1)), ((2, 1), (2, 1)), ((1, 2), (1, 2)), ((9, 7), (2, 2))] {
        let versions = |(export_in, export_out)| Versions { export_in, export_out };
        let of_texture = exported(&texture, Access::ReadOnly, versions(asked));
        assert_eq!(of_texture.versions, versions(answered));
        assert_eq!(of_texture.handle.flags().contains(ExportFlags::EXPLICIT_FLUSH), answered.1 == 2, "{asked:?}");
        assert_eq!(of_texture.image.is_some(), answered.1 == 2, "{asked:?}");
        if let Some(image) = of_texture.image {
            assert_eq!((image.width, image.height, image.modifier), (SIZE.0, SIZE.1, Modifier::INVALID));
            assert_eq!(image.stride, texture.layout().plane(0).unwrap().stride);
        }
        assert_eq!((of_texture.buffer_offset, of_texture.buffer_size), (Bytes::ZERO, texture.layout().size()));
        let of_bytes = exported(&bytes, Access::ReadOnly, versions(asked));
        assert_eq!((of_bytes.image, of_bytes.buffer_size), (None, Bytes(10_007)), "{asked:?}");
    }
    let info = |version| interop::device_info(Device::VEGA10, version).unwrap();
    let has = |DeviceInfo { version, pci, driver_data, uuid, .. }| {
        (version, pci.is_some(), driver_data.is_some(), uuid.is_some())
    };
    for (asked, answered) in [
        (1, (1, true, false, false)),
        (2, (2, true, true, false)),
        (3, (3, true, true, true)),
        (4, (4, false, true, true)),
        (9, (4, false, true, true)),
    ] {
        assert_eq!(has(info(asked)), answered, "device info {asked}");
        assert_eq!((info(asked).vendor_id, info(asked).device_id), (0x1002, 0x687f));
    }
    // By this OpenCL finds the device that OpenGL exports from, and no other.
    let cl = opencl(Device::VEGA10);
    assert_eq!(ask(&cl, "device"), format!("{:?}", info(3)));
    cl.tell("end");
    assert_ne!(interop::device_info(Device::NAVI21, 3).unwrap().uuid, info(3).uuid);
    let gl = Queue::new("gl").unwrap();
    for version in [1, 2] {
        interop::flush_objects(&gl, &[&texture, &bytes], version, soon()).unwrap().wait(soon()).unwrap();
    }
    assert!(interop::flush_objects(&gl, &[], 1, soon()).unwrap().has_ended());
}

#[test]
fn every_refusal_has_its_status_and_changes_nothing() {
    let (texture, bytes) = (implicit(Device::NAVI21), buffer(Device::NAVI21));
    let asked = |versions: (u32, u32), target, level| Request {
        versions: Versions { export_in: versions.0, export_out: versions.1 },
        target,
        access: Access::WriteOnly,
        level,
    };
    let of_texture = [
        (asked((0, 2), Target::Texture, 0), Status::InvalidVersion, "versions 0 and 2"),
        (asked((2, 0), Target::Texture, 0), Status::InvalidVersion, "versions 2 and 0"),
        (asked((0, 2), Target::Other(1), 0), Status::InvalidVersion, "versions from 1 on"),
        (asked((2, 2), Target::from(0x806f), 0), Status::InvalidTarget, "target Other(32879)"),
        (asked((2, 2), Target::Buffer, 0), Status::InvalidObject, "texture or renderbuffer for an image"),
        (asked((2, 2), Target::Texture, 1), Status::InvalidMipLevel, "level 1"),
        (asked((2, 2), Target::Renderbuffer, 1), Status::InvalidMipLevel, "level 1"),
    ];
    for (request, status, says) in of_texture {
        let refusal = refused(&texture, &request);
        assert_eq!((refusal.status, refusal.error.stage()), (status, handover::Stage::Export), "{refusal}");
        assert!(refusal.to_string().contains(says) && refusal.error.to_string().contains(&status.to_string()));
        assert!(refusal.to_string().ends_with(&format!("interop status {}, {status}", status.code())), "{refusal}");
    }
    for (target, level, status) in [
        (Target::Texture, 0, Status::InvalidObject),
        (Target::Renderbuffer, 0, Status::InvalidObject),
        (Target::Buffer, 1, Status::InvalidMipLevel),
    ] {
        assert_eq!(refused(&bytes, &asked((2, 2), target, level)).status, status);
    }
    // All of them asked for WRITE, which would have dropped it.
    let kept = exported(&texture, Access::ReadOnly, LATEST);
    assert_eq!((kept.decision.compression, kept.decision.changed), (Outcome::Kept, false));

    // OpenCL exports nothing and flushes nothing.
    let theirs = import(kept.handle, Device::NAVI21).unwrap();
    let gl = Queue::new("gl").unwrap();
    let foreign = refused(&theirs, &asked((2, 2), Target::Texture, 0));
    assert_eq!((foreign.status, foreign.error.kind()), (Status::InvalidObject, &Kind::Invalid), "{foreign}");
    let flush = |objects: &[&Surface], version| interop::flush_objects(&gl, objects, version, soon()).unwrap_err();
    assert_eq!(flush(&[&texture, &theirs], 1).status, Status::InvalidObject);
    assert_eq!(flush(&[&texture], 0).status, Status::InvalidVersion);
    assert_eq!(interop::device_info(Device::NAVI21, 0).unwrap_err().status, Status::InvalidVersion);
    assert_eq!(interop::device_info(Device::DRIVER, 1).unwrap_err().status, Status::Unsupported);

    // A drop waits for who reads, and says whom it waited for.
    let held = lease(&theirs, handover::Access::Read);
    let late = interop::export(&texture, &asked((2, 2), Target::Texture, 0), common::millis(60)).unwrap_err();
    assert_eq!((late.status, late.error.is_temporary()), (Status::OutOfHostMemory, true), "{late}");
    held.release().unwrap();
    assert!(exported(&texture, Access::WriteOnly, LATEST).decision.changed);

    // Sealed for its readers: nobody else will write it.
    let sealed = allocate::buffer(Device::NAVI21, Bytes(64), &Options::default()).unwrap().remove(0);
    exported(&sealed, Access::ReadOnly, LATEST);
    let refusal = refused(&sealed, &request(&sealed, Access::ReadWrite, LATEST));
    assert_eq!((refusal.status, refusal.error.kind()), (Status::OutOfHostMemory, &Kind::Sealed), "{refusal}");
    assert_eq!(*Error::from(refusal).kind(), Kind::Sealed);

    let starved = Other::start_through(&["sh", "-c", "ulimit -n 64 && exec \"$0\" \"$@\""], "starved");
    assert_eq!(starved.hear(), Status::OutOfResources.to_string());
}

/// Not a test: the side of OpenCL, or one of OpenGL without descriptors.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let socket = parent();
    if role == "starved" {
        return starved(&socket);
    }
    let device = Device::from_name(&role).unwrap();
    let mut object = None;
    loop {
        let (bytes, descriptors) = hear(socket.as_fd());
        if !descriptors.is_empty() {
            let handle = Handle::from_parts(&bytes, descriptors).unwrap();
            object = Some(import(handle, device).unwrap());
            say(&socket, "imported");
            continue;
        }
        let command = String::from_utf8(bytes).unwrap();
        let seed = || command.rsplit(' ').next().unwrap().parse().unwrap();
        let answer = match (command.split(' ').next().unwrap(), &object) {
            ("end", _) => return,
            ("device", _) => format!("{:?}", interop::device_info(device, 3).unwrap()),
            ("read", Some(theirs)) => differs(&seen(theirs), &content(theirs, seed())),
            ("write", Some(theirs)) => write(theirs, seed()),
            ("colour", Some(theirs)) => colour(&seen(theirs)),
            (command, _) => panic!("{command}"),
        };
        say(&socket, &answer);
    }
}

fn differs(seen: &[u8], right: &[u8]) -> String {
    match seen.iter().zip(right).position(|(seen, right)| seen != right) {
        None if seen.len() == right.len() => "right".into(),
        at => format!("wrong from {at:?} on"),
    }
}

fn write(theirs: &Surface, seed: u32) -> String {
    let wish = [(theirs, handover::Access::Write, handover::Region::WHOLE)];
    if let Err(error) = handover::acquire(&wish, soon()) {
        return error.to_string();
    }
    draw(theirs, seed);
    "written".into()
}

/// The one colour of an image.
fn colour(bytes: &[u8]) -> String {
    let (pixels, _) = bytes.as_chunks::<4>();
    match pixels.iter().all(|pixel| *pixel == pixels[0]) {
        true => format!("{:08x}", u32::from_le_bytes(pixels[0])),
        false => "several".into(),
    }
}

fn starved(socket: &OwnedFd) {
    let ours = buffer(Device::NAVI21);
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    say(socket, &refused(&ours, &request(&ours, Access::ReadOnly, LATEST)).status.to_string());
}
