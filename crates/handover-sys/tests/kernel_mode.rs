//! Dumb buffers and mode setting: a picture on the screen of a card, with fences in and out; and what is refused.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{errno, skip, soon};
use devices::Rig;
use handover_sys::clock::Monotonic;
use handover_sys::drm::dumb::{self, Dumb};
use handover_sys::drm::mode::{
    self, AtomicRequest, Connection, EventKind, Flags, Framebuffer, FramebufferPlane, ModeInfo, ObjectType, Probe,
    Property,
};
use handover_sys::drm::{self, ClientCap, Gem, Kind, prime};
use handover_sys::map::Mapping;
use handover_sys::sync_file::{self, Status};
use handover_sys::{eventfd, memfd, poll};

const XR24: u32 = u32::from_le_bytes(*b"XR24");

/// The first open file of a card is its master: one test at a time.
static CARD: Mutex<()> = Mutex::new(());

struct Card {
    fd: OwnedFd,
    _alone: MutexGuard<'static, ()>,
}

fn card(driver: &str) -> Option<Card> {
    let alone = CARD.lock().unwrap_or_else(PoisonError::into_inner);
    let nodes = drm::nodes().expect("list the nodes");
    for node in nodes.iter().filter(|node| node.kind == Kind::Card) {
        let Ok(fd) = drm::open(&node.path) else { continue };
        if drm::version(&fd).expect("version").name == driver {
            return Some(Card { fd, _alone: alone });
        }
    }
    skip(driver, &format!("no card of that driver among {} nodes", nodes.len()));
    None
}

#[test]
fn a_dumb_buffer_is_mapped_exported_and_given_back() {
    for driver in ["vgem", "virtio_gpu"] {
        let Some(card) = card(driver) else { continue };
        let Dumb { gem, pitch, size } = dumb::create(&card.fd, 100, 50, 32).expect("create");
        assert!(pitch >= 400 && size >= u64::from(pitch) * 50);
        let offset = dumb::map_offset(&card.fd, gem).expect("offset");
        let length = usize::try_from(size).expect("fits");
        let mapping = Mapping::new_at(&card.fd, offset, length).expect("map");
        mapping.words32()[0].store(0x1234_5678, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(errno(Mapping::new_at(&card.fd, offset, length + 4096)), Some(libc::EINVAL), "past its end");
        assert_eq!(errno(Mapping::new_at(&card.fd, offset + 1, length)), Some(libc::EINVAL), "between pages");

        let dma_buf = prime::export(&card.fd, gem, prime::Access::ReadWrite).expect("export");
        let other = Mapping::new(&dma_buf, length, handover_sys::map::Populate::Later).expect("map the dma-buf");
        assert_eq!(other.words32()[0].load(std::sync::atomic::Ordering::Relaxed), 0x1234_5678);

        dumb::destroy(&card.fd, gem).expect("destroy");
        assert_eq!(errno(dumb::map_offset(&card.fd, gem)), Some(libc::ENOENT));
        assert_eq!(errno(dumb::destroy(&card.fd, gem)), Some(libc::EINVAL));
        assert_eq!(mapping.words32()[0].load(std::sync::atomic::Ordering::Relaxed), 0x1234_5678, "the memory stays");
        assert_eq!(errno(dumb::create(&card.fd, 0, 50, 32)), Some(libc::EINVAL));
    }
}

#[test]
fn a_render_node_makes_no_dumb_buffers_and_is_no_master() {
    let Some(node) = devices::render_node("vgem", |name, _| name == "vgem") else { return };
    assert_eq!(errno(dumb::create(&node, 16, 16, 32)), Some(libc::EACCES));
    assert!(!mode::is_master(&node).expect("asks"));
}

#[test]
fn the_first_to_open_a_card_is_its_master() {
    let Some(card) = card("virtio_gpu") else { return };
    let path = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&card.fd)));
    let second = drm::open(path.expect("a path")).expect("open again");
    assert!(mode::is_master(&card.fd).expect("asks"));
    assert!(!mode::is_master(&second).expect("asks"));
    assert_eq!(errno(mode::set_master(&second)), Some(libc::EBUSY));
    mode::drop_master(&card.fd).expect("drop");
    mode::set_master(&second).expect("root may");
    assert!(!mode::is_master(&card.fd).expect("asks"));
    mode::drop_master(&second).expect("drop");
    assert_eq!(errno(mode::drop_master(&second)), Some(libc::EINVAL));
}

/// What a commit needs to know.
struct Pipe {
    connector: u32,
    crtc: u32,
    plane: u32,
    mode: ModeInfo,
    of_connector: Vec<Property>,
    of_crtc: Vec<Property>,
    of_plane: Vec<Property>,
}

fn id(properties: &[Property], name: &str) -> u32 {
    properties.iter().find(|property| property.name == name).unwrap_or_else(|| panic!("no property {name}")).id
}

fn pipe(card: &OwnedFd) -> Pipe {
    drm::set_client_capability(card, ClientCap::UniversalPlanes, 1).expect("planes");
    drm::set_client_capability(card, ClientCap::Atomic, 1).expect("atomic");
    let resources = mode::resources(card).expect("resources");
    let connectors =
        resources.connectors.iter().map(|id| (*id, mode::connector(card, *id, Probe::Now).expect("connector")));
    let (connector, found) =
        connectors.into_iter().find(|(_, found)| found.connection == Connection::Connected).expect("a screen");
    let cached = mode::connector(card, connector, Probe::Cached).expect("connector");
    assert_eq!(cached.modes, found.modes);
    let encoder = mode::encoder(card, found.encoders[0]).expect("encoder");
    let at = encoder.possible_crtcs.trailing_zeros();
    let crtc = resources.crtcs[at as usize];
    let plane = mode::planes(card).expect("planes").into_iter().find(|id| {
        let kinds = mode::properties(card, *id, ObjectType::Plane).expect("properties");
        let kind = kinds.iter().find(|property| property.name == "type").expect("a type");
        let primary = kind.value_of("Primary") == Some(kind.value);
        primary && mode::plane(card, *id).expect("plane").possible_crtcs & (1 << at) != 0
    });
    let plane = plane.expect("a primary plane");
    assert!(mode::plane(card, plane).expect("plane").formats.contains(&XR24));
    Pipe {
        connector,
        crtc,
        plane,
        mode: found.modes[0],
        of_connector: mode::properties(card, connector, ObjectType::Connector).expect("properties"),
        of_crtc: mode::properties(card, crtc, ObjectType::Crtc).expect("properties"),
        of_plane: mode::properties(card, plane, ObjectType::Any).expect("properties"),
    }
}

/// A framebuffer of one colour, as large as the mode.
fn picture(card: &OwnedFd, mode: &ModeInfo, colour: u32) -> u32 {
    let (width, height) = (u32::from(mode.hdisplay), u32::from(mode.vdisplay));
    let buffer = dumb::create(card, width, height, 32).expect("dumb buffer");
    let offset = dumb::map_offset(card, buffer.gem).expect("offset");
    let mapping = Mapping::new_at(card, offset, usize::try_from(buffer.size).expect("fits")).expect("map");
    for word in mapping.words32() {
        word.store(colour, std::sync::atomic::Ordering::Relaxed);
    }
    let planes = [FramebufferPlane { gem: buffer.gem, pitch: buffer.pitch, offset: 0 }];
    let framebuffer = Framebuffer { width, height, format: XR24, modifier: None, planes: &planes };
    let id = mode::add_framebuffer2(card, &framebuffer).expect("framebuffer");
    dumb::destroy(card, buffer.gem).expect("the framebuffer keeps it");
    id
}

fn show(request: &mut AtomicRequest, pipe: &Pipe, framebuffer: u32) {
    let (width, height) = (u64::from(pipe.mode.hdisplay), u64::from(pipe.mode.vdisplay));
    let values = [
        ("FB_ID", u64::from(framebuffer)),
        ("CRTC_ID", u64::from(pipe.crtc)),
        ("SRC_X", 0),
        ("SRC_Y", 0),
        ("SRC_W", width << 16),
        ("SRC_H", height << 16),
        ("CRTC_X", 0),
        ("CRTC_Y", 0),
        ("CRTC_W", width),
        ("CRTC_H", height),
    ];
    for (name, value) in values {
        request.set(pipe.plane, id(&pipe.of_plane, name), value).expect(name);
    }
}

/// The commit waits for the in-fence and the out-fence tells when it is shown.
#[test]
fn a_picture_is_shown_with_fences_in_and_out() {
    let (Some(rig), Some(card)) = (Rig::open(), card("virtio_gpu")) else { return };
    let card = &card.fd;
    let pipe = pipe(card);
    let (first, second) = (picture(card, &pipe.mode, 0x0020_4060), picture(card, &pipe.mode, 0x00c0_8040));
    let blob = mode::create_mode_blob(card, &pipe.mode).expect("mode blob");
    assert_eq!(mode::blob(card, blob).expect("blob").len(), size_of::<ModeInfo>());
    let fence_out = id(&pipe.of_crtc, "OUT_FENCE_PTR");

    let mut request = AtomicRequest::new(card).expect("request");
    request.set(pipe.connector, id(&pipe.of_connector, "CRTC_ID"), pipe.crtc.into()).expect("connector");
    request.set(pipe.crtc, id(&pipe.of_crtc, "MODE_ID"), blob.into()).expect("mode");
    request.set(pipe.crtc, id(&pipe.of_crtc, "ACTIVE"), 1).expect("active");
    request.out_fence(pipe.crtc, fence_out).expect("out-fence");
    show(&mut request, &pipe, first);

    let tested = request.commit(Flags::TEST_ONLY | Flags::ALLOW_MODESET, 0).expect("test");
    assert!(tested.out_fences.is_empty());
    assert_eq!(errno(request.commit(Flags::TEST_ONLY | Flags::PAGE_FLIP_EVENT, 0)), Some(libc::EINVAL));

    let done = request.commit(Flags::ALLOW_MODESET | Flags::PAGE_FLIP_EVENT, 77).expect("commit");
    let [(object, fence)] = &done.out_fences[..] else { panic!("{done:?}") };
    assert_eq!(*object, pipe.crtc);
    assert!(poll::wait_readable(fence, soon()).expect("poll"), "the picture is shown");
    assert!(matches!(sync_file::status(fence).expect("status"), Status::Signalled));
    assert!(poll::wait_readable(card, soon()).expect("poll"), "an event");
    let events = mode::read_events(card).expect("events");
    assert_eq!((events.len(), events[0].kind, events[0].user_data), (1, EventKind::FlipComplete, 77));
    assert!(events[0].at <= Monotonic::now() && events[0].crtc == pipe.crtc);
    assert_eq!(mode::plane(card, pipe.plane).expect("plane").framebuffer, Some(first));
    mode::destroy_blob(card, blob).expect("the state keeps it");

    // The next picture waits for its producer.
    let producer = rig.pending();
    request.clear();
    show(&mut request, &pipe, second);
    request.out_fence(pipe.crtc, fence_out).expect("out-fence");
    let fence_in = id(&pipe.of_plane, "IN_FENCE_FD");
    request.in_fence(pipe.plane, fence_in, producer.sync_file.try_clone().expect("duplicate")).expect("in-fence");
    let done = request.commit(Flags::NONBLOCK, 0).expect("commit");
    let fence = &done.out_fences[0].1;
    let a_while = Monotonic::now().checked_add(Duration::from_millis(300));
    assert!(!poll::wait_readable(fence, a_while).expect("poll"), "shown before its producer was done");
    assert_eq!(errno(request.commit(Flags::NONBLOCK, 0)), Some(libc::EBUSY), "one commit under way");
    rig.end(&producer);
    assert!(poll::wait_readable(fence, soon()).expect("poll"), "the picture is shown");
    assert_eq!(mode::plane(card, pipe.plane).expect("plane").framebuffer, Some(second));
    assert_eq!(sync_file::status(&producer.sync_file).expect("ours still"), Status::Signalled);

    // What was not asked for does not come.
    request.clear();
    show(&mut request, &pipe, first);
    assert!(request.commit(Flags::empty(), 0).expect("commit").out_fences.is_empty());
    mode::remove_framebuffer(card, second).expect("remove");
    assert_eq!(errno(mode::remove_framebuffer(card, second)), Some(libc::ENOENT));
}

#[test]
fn what_a_card_refuses() {
    let Some(card) = card("virtio_gpu") else { return };
    let card = &card.fd;
    assert_eq!(errno(mode::blob(card, 0xffff)), Some(libc::ENOENT));
    assert_eq!(errno(mode::destroy_blob(card, 0xffff)), Some(libc::ENOENT));
    assert_eq!(errno(mode::create_blob(card, &[])), Some(libc::EINVAL));
    assert_eq!(errno(mode::connector(card, 0xffff, Probe::Cached)), Some(libc::ENOENT));
    assert_eq!(errno(mode::encoder(card, 0xffff)), Some(libc::ENOENT));
    assert_eq!(errno(mode::plane(card, 0xffff)), Some(libc::ENOENT));
    assert_eq!(errno(mode::properties(card, 0xffff, ObjectType::Any)), Some(libc::ENOENT));

    let pipe = pipe(card);
    let planes = [FramebufferPlane { gem: Gem(0xffff), pitch: 256, offset: 0 }];
    let unknown = Framebuffer { width: 64, height: 64, format: XR24, modifier: None, planes: &planes };
    let refused = errno(mode::add_framebuffer2(card, &unknown));
    assert!(matches!(refused, Some(libc::ENOENT | libc::EINVAL)), "no such buffer: {refused:?}");
    assert_eq!(errno(mode::add_framebuffer2(card, &Framebuffer { format: 0, ..unknown })), Some(libc::EINVAL));
    assert_eq!(errno(mode::add_framebuffer2(card, &Framebuffer { planes: &[], ..unknown })), Some(libc::EINVAL));
    let five = [planes[0]; 5];
    assert_eq!(errno(mode::add_framebuffer2(card, &Framebuffer { planes: &five, ..unknown })), Some(libc::EINVAL));
    let buffer = dumb::create(card, 64, 64, 32).expect("dumb buffer");
    let planes = [FramebufferPlane { gem: buffer.gem, pitch: buffer.pitch, offset: 0 }];
    let tiled = Framebuffer { modifier: Some(0x0123_4567_89ab_cdef), planes: &planes, ..unknown };
    assert_eq!(errno(mode::add_framebuffer2(card, &tiled)), Some(libc::EINVAL), "a modifier of nobody");

    let mut request = AtomicRequest::new(card).expect("request");
    let (fence_out, fence_in) = (id(&pipe.of_crtc, "OUT_FENCE_PTR"), id(&pipe.of_plane, "IN_FENCE_FD"));
    let active = id(&pipe.of_crtc, "ACTIVE");
    assert_eq!(errno(request.set(pipe.crtc, fence_out, 0x1000)), Some(libc::EINVAL), "an address as a number");
    assert_eq!(errno(request.set(pipe.plane, fence_in, 0)), Some(libc::EINVAL), "a descriptor as a number");
    assert_eq!(errno(request.out_fence(pipe.crtc, active)), Some(libc::EINVAL));
    assert_eq!(errno(request.set(pipe.crtc, 0xffff, 0)), Some(libc::ENOENT));
    let no_fence = eventfd::create().expect("eventfd");
    request.in_fence(pipe.plane, fence_in, no_fence).expect("told by the commit");
    assert_eq!(errno(request.commit(Flags::TEST_ONLY, 0)), Some(libc::EINVAL), "no sync_file");
    request.clear();
    request.set(0xffff, active, 1).expect("told by the commit");
    assert_eq!(errno(request.commit(Flags::TEST_ONLY, 0)), Some(libc::ENOENT), "no such object");
}

#[test]
fn a_descriptor_that_is_no_card_is_refused() {
    let file = memfd::create("no card", 4096).expect("memfd");
    assert_eq!(errno(dumb::create(&file, 16, 16, 32)), Some(libc::ENOTTY));
    assert_eq!(errno(dumb::map_offset(&file, Gem(1))), Some(libc::ENOTTY));
    assert_eq!(errno(dumb::destroy(&file, Gem(1))), Some(libc::ENOTTY));
    assert_eq!(errno(mode::resources(&file)), Some(libc::ENOTTY));
    assert_eq!(errno(mode::planes(&file)), Some(libc::ENOTTY));
    assert_eq!(errno(mode::is_master(&file)), Some(libc::ENOTTY));
    let mut request = AtomicRequest::new(&file).expect("request");
    assert_eq!(errno(request.set(1, 1, 1)), Some(libc::ENOTTY));
    assert_eq!(errno(request.commit(Flags::empty(), 0)), Some(libc::ENOTTY));
}

/// Numbers without a pattern (xorshift64).
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Neither parser may panic or hang, whatever the bytes; half of them begin as the real thing does.
#[test]
fn parsers_survive_any_bytes() {
    let (mut state, mut good) = (0x9e37_79b9_7f4a_7c15, 0);
    for round in 0..20_000 {
        let length = usize::try_from(noise(&mut state) % 160).expect("small");
        let mut bytes: Vec<u8> = (0..length).map(|_| noise(&mut state).to_ne_bytes()[3]).collect();
        if round % 2 == 0 && length >= 32 {
            let few = |state: &mut u64| u32::try_from(noise(state) % 40).expect("small").to_ne_bytes();
            for (at, word) in bytes.chunks_exact_mut(4).take(6).enumerate() {
                word.copy_from_slice(&if at == 0 { 1u32.to_ne_bytes() } else { few(&mut state) });
            }
        }
        if let Ok(pairs) = mode::parse_in_formats(&bytes) {
            good += 1;
            assert!(pairs.len() <= bytes.len() * 64);
        }
        if let Ok(events) = mode::parse_events(&bytes) {
            assert!(events.len() <= bytes.len() / 8);
        }
    }
    assert!(good > 0, "some of them were lists");
}

#[test]
fn in_formats_lists_every_pair() {
    let (first, second, third) =
        (u32::from_le_bytes(*b"XR24"), u32::from_le_bytes(*b"AR24"), u32::from_le_bytes(*b"NV12"));
    let mut blob = Vec::new();
    for word in [1, 0, 3, 24, 2, 40, first, second, third, 0] {
        blob.extend(u32::to_ne_bytes(word));
    }
    // Linear goes with all three, 7 with what is at 1 + 1.
    for (mask, offset, modifier) in [(0b111u64, 0u32, 0u64), (0b10, 1, 7)] {
        blob.extend(mask.to_ne_bytes());
        blob.extend(offset.to_ne_bytes());
        blob.extend([0; 4]);
        blob.extend(modifier.to_ne_bytes());
    }
    let pairs = mode::parse_in_formats(&blob).expect("a blob");
    assert_eq!(pairs, [(first, 0), (second, 0), (third, 0), (third, 7)]);
    blob[0] = 2;
    assert!(mode::parse_in_formats(&blob).is_err(), "a version of the future");
    blob[0] = 1;
    blob[64] = 0b100;
    assert!(mode::parse_in_formats(&blob).is_err(), "a bit for a format that is not there");
}

#[test]
fn events_are_read_one_after_the_other() {
    let event = |kind: u32, length: u32| {
        let mut bytes = [kind.to_ne_bytes(), length.to_ne_bytes()].concat();
        bytes.extend(42u64.to_ne_bytes());
        bytes.extend([1u32, 500_000, 9, 35].iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    };
    let bytes = [event(2, 32), event(0x8000_0000, 32), event(1, 32)].concat();
    let events = mode::parse_events(&bytes).expect("events");
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::FlipComplete, EventKind::Vblank]);
    let event_at = (events[0].at, events[0].user_data, events[0].sequence, events[0].crtc);
    assert_eq!(event_at, (Monotonic(1_500_000_000), 42, 9, 35));
    assert!(mode::parse_events(&event(2, 31)).is_err(), "shorter than its kind");
    assert!(mode::parse_events(&event(2, 0)).is_err(), "no end");
    assert!(mode::parse_events(&event(2, 33)).is_err(), "past the end");
}
