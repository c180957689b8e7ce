//! V4L2 queues on vivid, the kernel's test device: capture and output, into memory of the device and into dma-bufs.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{errno, skip, soon};
use devices::PAGE;
use handover_sys::clock::Monotonic;
use handover_sys::drm::{self, Kind, dumb, prime};
use handover_sys::map::{Mapping, Populate};
use handover_sys::memfd::{self, Seals};
use handover_sys::poll::{self, Entry, Interest};
use handover_sys::v4l2::{
    self, BufferFlags, BufferType, Caps, Dequeued, DmaBufPlane, Format, Interval, Memory, PlaneFormat, QueueCaps,
};
use handover_sys::{dma_buf, udmabuf};

const YUYV: u32 = u32::from_le_bytes(*b"YUYV");

/// A queue belongs to who asked for its buffers: one test at a time.
static DEVICE: Mutex<()> = Mutex::new(());

struct Video {
    fd: OwnedFd,
    kind: BufferType,
    format: Format,
    _alone: MutexGuard<'static, ()>,
}

/// vivid's node of that kind, with small pictures.
fn vivid(kind: BufferType) -> Option<Video> {
    let alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = if kind == BufferType::Capture { Caps::CAPTURE } else { Caps::OUTPUT };
    let nodes = v4l2::nodes().expect("list the nodes");
    for path in &nodes {
        let Ok(fd) = v4l2::open(path) else { continue };
        let is = v4l2::query_capability(&fd).expect("capability");
        if is.driver != "vivid" || !is.caps.contains(wanted | Caps::STREAMING) {
            continue;
        }
        assert!(is.card.contains("vivid") && is.bus.starts_with("platform:"), "{is:?}");
        let asked = Format {
            width: 640,
            height: 360,
            pixel_format: YUYV,
            field: 1,
            ..v4l2::format(&fd, kind).expect("format")
        };
        let planes = vec![PlaneFormat::default()];
        let format = v4l2::set_format(&fd, kind, &Format { planes, ..asked }).expect("set the format");
        assert_eq!(format, v4l2::format(&fd, kind).expect("format"));
        assert_eq!(format.pixel_format, YUYV);
        let [plane] = format.planes[..] else { panic!("{format:?}") };
        assert!(plane.pitch >= format.width * 2 && plane.size >= plane.pitch * format.height);
        return Some(Video { fd, kind, format, _alone: alone });
    }
    skip("vivid", &format!("no such node of vivid among {}", nodes.len()));
    None
}

impl Video {
    fn size(&self) -> u32 {
        self.format.planes[0].size
    }

    fn wait(&self) {
        let interest = if self.kind == BufferType::Capture { Interest::READ } else { Interest::WRITE };
        let fd = std::os::fd::AsFd::as_fd(&self.fd);
        assert_eq!(poll::poll(&mut [Entry::new(fd, interest)], soon()).expect("poll"), 1, "the device does nothing");
    }

    fn next(&self, memory: Memory) -> Dequeued {
        self.wait();
        let done = v4l2::dequeue(&self.fd, self.kind, memory).expect("dequeue").expect("one is done");
        assert!(!done.flags.contains(BufferFlags::ERROR));
        let at = done.at.expect("a time stamp of our clock");
        // vivid stamps a picture with the end of its frame, which may be to come.
        let (now, tolerance) = (Monotonic::now(), Duration::from_secs(60));
        let away = now.saturating_since(at).max(at.saturating_since(now));
        assert!(away < tolerance, "{at:?} is not close to {now:?}");
        done
    }
}

fn bytes(mapping: &Mapping, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    assert!(mapping.pixels(0..length).expect("inside").read(0, &mut bytes));
    bytes
}

#[test]
fn vivid_captures_into_its_own_memory() {
    let Some(video) = vivid(BufferType::Capture) else { return };
    let (fd, kind) = (&video.fd, video.kind);
    assert_eq!(errno(v4l2::dequeue(fd, kind, Memory::Mmap)), Some(libc::EINVAL), "no buffers yet");
    let got = v4l2::request_buffers(fd, kind, Memory::Mmap, 3).expect("buffers");
    assert!(got.count >= 3 && got.caps.contains(QueueCaps::MMAP | QueueCaps::DMA_BUF));
    let other = Format { width: 320, height: 180, ..video.format.clone() };
    assert_eq!(errno(v4l2::set_format(fd, kind, &other)), Some(libc::EBUSY), "buffers are there");

    let mut mappings = Vec::new();
    for index in 0..got.count {
        let buffer = v4l2::query_buffer(fd, kind, Memory::Mmap, index).expect("query");
        assert!(buffer.planes == 1 && buffer.lengths[0] >= video.size() && !buffer.flags.contains(BufferFlags::QUEUED));
        let length = usize::try_from(buffer.lengths[0]).expect("fits");
        mappings.push(Mapping::new_at(fd, buffer.offsets[0].into(), length).expect("map"));
        v4l2::queue_mmap(fd, kind, index, 0).expect("queue");
    }
    assert_eq!(errno(v4l2::query_buffer(fd, kind, Memory::Mmap, got.count)), Some(libc::EINVAL));
    assert_eq!(errno(v4l2::queue_mmap(fd, kind, 0, 0)), Some(libc::EINVAL), "queued already");
    v4l2::stream_on(fd, kind).expect("on");
    let (first, second) = (video.next(Memory::Mmap), video.next(Memory::Mmap));
    assert!(second.sequence > first.sequence && first.index != second.index);
    // Each offset leads to its own buffer.
    for done in [first, second] {
        let (index, length) = (done.index, usize::try_from(done.bytes_used[0]).expect("fits"));
        let mapped = &mappings[index as usize];
        let picture = bytes(mapped, length);
        assert!(length > 0 && picture.iter().any(|byte| *byte != 0), "a picture");
        let exported = v4l2::export_buffer(fd, kind, index, 0).expect("export");
        assert!(dma_buf::is_dma_buf(&exported).expect("link"));
        assert!(dma_buf::size(&exported).expect("size") >= video.size().into());
        let other = Mapping::new(&exported, mapped.len(), Populate::Later).expect("map the dma-buf");
        other.words32()[0].store(index + 1, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(mapped.words32()[0].load(std::sync::atomic::Ordering::Relaxed), index + 1);
    }
    assert_eq!(errno(v4l2::export_buffer(fd, kind, 99, 0)), Some(libc::EINVAL));
    v4l2::stream_off(fd, kind).expect("off");
    assert_eq!(errno(v4l2::dequeue(fd, kind, Memory::Mmap)), Some(libc::EINVAL), "not streaming");
    // Mapped and exported still: vivid lets go of its side all the same.
    v4l2::request_buffers(fd, kind, Memory::Mmap, 0).expect("give back");
}

/// V4L2 takes a dma-buf of vgem and a udmabuf, and the producer's pixels arrive in both.
#[test]
fn vivid_captures_into_dma_bufs() {
    let Some(video) = vivid(BufferType::Capture) else { return };
    let (fd, kind) = (&video.fd, video.kind);
    let size = u64::from(video.size()).next_multiple_of(PAGE);
    let memory = memfd::create("camera", size).expect("memfd");
    memfd::add_seals(&memory, Seals::SHRINK).expect("seal");
    let node = match udmabuf::open() {
        Ok(node) => node,
        Err(error) => return skip("udmabuf", &error.to_string()),
    };
    let ours = udmabuf::create(&node, &memory, 0, size).expect("udmabuf");
    let Some(vgem) = vgem() else { return };
    let lines = u32::try_from(size / PAGE).expect("small");
    let buffer = dumb::create(&vgem, 1024, lines, 32).expect("dumb buffer");
    let theirs = prime::export(&vgem, buffer.gem, prime::Access::ReadWrite).expect("export");

    assert_eq!(v4l2::request_buffers(fd, kind, Memory::DmaBuf, 2).expect("buffers").count, 2);
    let all = u32::try_from(size).expect("small");
    assert_eq!(errno(v4l2::queue_mmap(fd, kind, 0, 0)), Some(libc::EINVAL), "memory of another kind");
    assert_eq!(errno(v4l2::queue_dma_buf(fd, kind, 0, &memory, all, 0)), Some(libc::EINVAL), "no dma-buf");
    assert_eq!(errno(v4l2::queue_dma_buf(fd, kind, 9, &ours, all, 0)), Some(libc::EINVAL), "no such index");
    assert_eq!(errno(v4l2::export_buffer(fd, kind, 0, 0)), Some(libc::EINVAL), "not the device's memory");
    v4l2::queue_dma_buf(fd, kind, 0, &ours, all, 0).expect("queue the udmabuf");
    v4l2::queue_dma_buf(fd, kind, 1, &theirs, all, 0).expect("queue vgem's");
    v4l2::stream_on(fd, kind).expect("on");
    let length = usize::try_from(video.size()).expect("fits");
    for _ in 0..2 {
        let done = video.next(Memory::DmaBuf);
        let mapping = match done.index {
            0 => Mapping::new(&memory, length, Populate::Later),
            _ => Mapping::new(&theirs, length, Populate::Later),
        };
        let used = usize::try_from(done.bytes_used[0]).expect("fits");
        let picture = bytes(&mapping.expect("map"), used);
        assert!(picture.iter().any(|byte| *byte != 0), "index {}: a picture", done.index);
    }
    assert!(v4l2::dequeue(fd, kind, Memory::DmaBuf).expect("nothing is wrong").is_none(), "none is queued");
    v4l2::stream_off(fd, kind).expect("off");
    v4l2::request_buffers(fd, kind, Memory::DmaBuf, 0).expect("give back");
}

#[test]
fn vivid_shows_what_it_is_given() {
    let Some(video) = vivid(BufferType::Output) else { return };
    let (fd, kind) = (&video.fd, video.kind);
    let got = v4l2::request_buffers(fd, kind, Memory::Mmap, 2).expect("buffers");
    for index in 0..got.count {
        let buffer = v4l2::query_buffer(fd, kind, Memory::Mmap, index).expect("query");
        let length = usize::try_from(buffer.lengths[0]).expect("fits");
        let mapping = Mapping::new_at(fd, buffer.offsets[0].into(), length).expect("map");
        mapping.words32().iter().for_each(|word| word.store(0x8080_8080, std::sync::atomic::Ordering::Relaxed));
        v4l2::queue_mmap(fd, kind, index, video.size()).expect("queue");
    }
    v4l2::stream_on(fd, kind).expect("on");
    let first = video.next(Memory::Mmap);
    v4l2::queue_mmap(fd, kind, first.index, video.size()).expect("again");
    assert!(video.next(Memory::Mmap).sequence > first.sequence);
    v4l2::stream_off(fd, kind).expect("off");
    v4l2::request_buffers(fd, kind, Memory::Mmap, 0).expect("give back");

    // And from a dma-buf of somebody else.
    let Some(vgem) = vgem() else { return };
    let lines = video.size().div_ceil(4096);
    let got = v4l2::request_buffers(fd, kind, Memory::DmaBuf, 2).expect("buffers");
    for index in 0..got.count {
        let buffer = dumb::create(&vgem, 1024, lines, 32).expect("dumb buffer");
        let theirs = prime::export(&vgem, buffer.gem, prime::Access::ReadWrite).expect("export");
        v4l2::queue_dma_buf(fd, kind, index, &theirs, 0, video.size()).expect("queue");
    }
    v4l2::stream_on(fd, kind).expect("on");
    assert_eq!(video.next(Memory::DmaBuf).index, 0);
    v4l2::stream_off(fd, kind).expect("off");
    v4l2::request_buffers(fd, kind, Memory::DmaBuf, 0).expect("give back");
}

/// Two buffers a picture. vivid has such a node where it is loaded with `n_devs=2 multiplanar=1,2`.
#[test]
fn vivid_captures_pictures_of_two_buffers() {
    let _alone = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let kind = BufferType::CaptureMplane;
    let nodes = v4l2::nodes().expect("list the nodes").into_iter().filter_map(|path| v4l2::open(path).ok());
    let has_it = |fd: &OwnedFd| v4l2::query_capability(fd).expect("capability").caps.contains(Caps::CAPTURE_MPLANE);
    let Some(fd) = nodes.into_iter().find(has_it) else {
        return skip("multiplanar", "no capture node of several planes");
    };
    let pixel_format = u32::from_le_bytes(*b"NM16");
    let planes = vec![PlaneFormat::default(); 2];
    let asked = Format { width: 640, height: 360, pixel_format, field: 1, planes, ..Format::default() };
    let format = v4l2::set_format(&fd, kind, &asked).expect("set the format");
    assert_eq!((format.pixel_format, format.planes.len()), (pixel_format, 2));
    assert!(format.planes.iter().all(|plane| plane.size >= 640 * 360));

    let got = v4l2::request_buffers(&fd, kind, Memory::Mmap, 2).expect("buffers");
    for index in 0..got.count {
        let buffer = v4l2::query_buffer(&fd, kind, Memory::Mmap, index).expect("query");
        assert!(buffer.planes == 2 && buffer.offsets[0] != buffer.offsets[1]);
        assert!(buffer.lengths[0] >= format.planes[0].size && buffer.lengths[1] >= format.planes[1].size);
        v4l2::queue_mmap_planes(&fd, kind, index, &[0, 0]).expect("queue");
    }
    capture_two_planes(&fd, Memory::Mmap);
    v4l2::export_buffer(&fd, kind, 0, 1).expect("export the second plane");
    v4l2::request_buffers(&fd, kind, Memory::Mmap, 0).expect("give back");

    let node = match udmabuf::open() {
        Ok(node) => node,
        Err(error) => return skip("udmabuf", &error.to_string()),
    };
    let sizes: Vec<u64> = format.planes.iter().map(|plane| u64::from(plane.size).next_multiple_of(PAGE)).collect();
    let got = v4l2::request_buffers(&fd, kind, Memory::DmaBuf, 2).expect("buffers");
    for index in 0..got.count {
        let buffer = |size: &u64| {
            let memory = memfd::create("plane", *size).expect("memfd");
            memfd::add_seals(&memory, Seals::SHRINK).expect("seal");
            udmabuf::create(&node, &memory, 0, *size).expect("udmabuf")
        };
        let buffers: Vec<OwnedFd> = sizes.iter().map(buffer).collect();
        let planes: Vec<DmaBufPlane<'_>> = buffers
            .iter()
            .map(|fd| DmaBufPlane { fd: std::os::fd::AsFd::as_fd(fd), length: 0, bytes_used: 0, data_offset: 0 })
            .collect();
        v4l2::queue_dma_buf_planes(&fd, kind, index, &planes).expect("queue");
    }
    capture_two_planes(&fd, Memory::DmaBuf);
    v4l2::request_buffers(&fd, kind, Memory::DmaBuf, 0).expect("give back");
}

fn capture_two_planes(fd: &OwnedFd, memory: Memory) {
    let kind = BufferType::CaptureMplane;
    v4l2::stream_on(fd, kind).expect("on");
    assert!(poll::wait_readable(fd, soon()).expect("poll"), "the device does nothing");
    let done = v4l2::dequeue(fd, kind, memory).expect("dequeue").expect("one is done");
    assert!(done.bytes_used[0] >= 640 * 360 && done.bytes_used[1] >= 640 * 360 && done.bytes_used[2] == 0, "{done:?}");
    v4l2::stream_off(fd, kind).expect("off");
}

#[test]
fn vivid_is_asked_and_set() {
    let Some(video) = vivid(BufferType::Capture) else { return };
    let (fd, kind) = (&video.fd, video.kind);
    let formats = v4l2::formats(fd, kind).expect("formats");
    assert!(formats.iter().any(|format| format.pixel_format == YUYV && !format.description.is_empty()));
    assert!(v4l2::formats(fd, BufferType::OutputMplane).expect("none is an empty list").is_empty());
    assert_eq!(errno(v4l2::format(fd, BufferType::CaptureMplane)), Some(libc::ENOTTY), "no such queue");
    let five = Format { planes: vec![PlaneFormat::default(); 5], ..video.format.clone() };
    assert_eq!(errno(v4l2::set_format(fd, kind, &five)), Some(libc::EINVAL));
    assert_eq!(errno(v4l2::request_buffers(fd, BufferType::Output, Memory::Mmap, 1)), Some(libc::EINVAL));

    let set = v4l2::set_interval(fd, kind, Interval { numerator: 1, denominator: 15 }).expect("interval");
    assert_eq!(set, v4l2::interval(fd, kind).expect("interval"));
    assert!(set.is_some_and(|interval| interval.numerator > 0 && interval.denominator > 0), "{set:?}");

    let (inputs, now) = (v4l2::inputs(fd).expect("inputs"), v4l2::current_input(fd).expect("input"));
    assert!(inputs.iter().any(|input| input.index == now && !input.name.is_empty()));
    v4l2::set_input(fd, now).expect("the same");
    assert_eq!(errno(v4l2::set_input(fd, 999)), Some(libc::EINVAL));
    assert_eq!(errno(v4l2::outputs(fd)), Some(libc::ENOTTY), "a camera has none");

    let controls = v4l2::controls(fd).expect("controls");
    let pattern = controls.iter().find(|control| control.name == "Test Pattern").expect("a pattern");
    let other = if pattern.default == pattern.range.1 { pattern.range.0 } else { pattern.range.1 };
    v4l2::set_control(fd, pattern.id, other).expect("set");
    assert_eq!(v4l2::control(fd, pattern.id).expect("get"), other);
    v4l2::set_control(fd, pattern.id, pattern.default).expect("set back");
    assert_eq!(errno(v4l2::set_control(fd, pattern.id, pattern.range.1 + 1)), Some(libc::ERANGE), "no such choice");
    assert_eq!(errno(v4l2::control(fd, 1)), Some(libc::EINVAL), "no such control");
}

#[test]
fn a_queue_belongs_to_one_open_file() {
    let Some(video) = vivid(BufferType::Capture) else { return };
    let path = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&video.fd)));
    let second = v4l2::open(path.expect("a path")).expect("open again");
    v4l2::request_buffers(&video.fd, video.kind, Memory::Mmap, 1).expect("buffers");
    assert_eq!(errno(v4l2::request_buffers(&second, video.kind, Memory::Mmap, 1)), Some(libc::EBUSY));
    v4l2::request_buffers(&video.fd, video.kind, Memory::Mmap, 0).expect("give back");
}

#[test]
fn a_descriptor_that_is_no_video_node_is_refused() {
    let file = memfd::create("no video", 4096).expect("memfd");
    assert_eq!(errno(v4l2::query_capability(&file)), Some(libc::ENOTTY));
    assert_eq!(errno(v4l2::formats(&file, BufferType::Capture)), Some(libc::ENOTTY));
    assert_eq!(errno(v4l2::format(&file, BufferType::CaptureMplane)), Some(libc::ENOTTY));
    assert_eq!(errno(v4l2::request_buffers(&file, BufferType::Capture, Memory::Mmap, 1)), Some(libc::ENOTTY));
    assert_eq!(errno(v4l2::dequeue(&file, BufferType::CaptureMplane, Memory::DmaBuf)), Some(libc::ENOTTY));
    assert_eq!(
        errno(v4l2::queue_mmap_planes(&file, BufferType::Capture, 0, &[0, 0])),
        Some(libc::EINVAL),
        "two planes"
    );
    assert_eq!(errno(v4l2::queue_mmap_planes(&file, BufferType::CaptureMplane, 0, &[0; 9])), Some(libc::EINVAL));
    assert_eq!(errno(v4l2::stream_on(&file, BufferType::Output)), Some(libc::ENOTTY));
}

fn vgem() -> Option<OwnedFd> {
    let nodes = drm::nodes().expect("list the nodes");
    for node in nodes.iter().filter(|node| node.kind == Kind::Card) {
        let Ok(fd) = drm::open(&node.path) else { continue };
        if drm::version(&fd).expect("version").name == "vgem" {
            return Some(fd);
        }
    }
    skip("vgem", "no card of that driver");
    None
}
