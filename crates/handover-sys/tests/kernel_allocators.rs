//! Where buffers come from and go: udmabuf, heaps, PRIME, and what the DRM nodes say of themselves.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use std::sync::Arc;

use common::{errno, skip};
use devices::{PAGE, Rig, is_busy, render_node};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::prime::{self, Access};
use handover_sys::drm::vgem::{self, Fence};
use handover_sys::drm::{self, Cap, ClientCap, Gem, Kind, amdgpu};
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};
use handover_sys::udmabuf::Item;
use handover_sys::{dma_heap, eventfd, file, udmabuf};
use rustix::fd::AsFd;

const EINVAL: Option<i32> = Some(libc::EINVAL);
const ENOTTY: Option<i32> = Some(libc::ENOTTY);

#[test]
fn a_stranger_is_neither_node_nor_heap() {
    let fd = memfd::create("stranger", PAGE).expect("memfd");
    for found in [
        errno(udmabuf::create(&fd, &fd, 0, PAGE)),
        errno(udmabuf::create_list(&fd, &[Item { memfd: fd.as_fd(), offset: 0, size: PAGE }])),
        errno(dma_heap::allocate(&fd, PAGE)),
        errno(drm::version(&fd)),
        errno(drm::capability(&fd, Cap::Prime)),
        errno(drm::set_client_capability(&fd, ClientCap::Atomic, 1)),
        errno(prime::export(&fd, Gem(1), Access::ReadOnly)),
        errno(prime::import(&fd, &fd)),
        errno(prime::close(&fd, Gem(1))),
        errno(vgem::File::of(&fd)),
        errno(amdgpu::File::of(&fd)),
    ] {
        assert_eq!(found, ENOTTY);
    }
    assert_eq!(errno(udmabuf::create_list(&fd, &[])), EINVAL, "before the call");
    let item = Item { memfd: fd.as_fd(), offset: 0, size: PAGE };
    assert_eq!(errno(udmabuf::create_list(&fd, &vec![item; 1025])), EINVAL, "before the call");
    for path in ["", ".", "..", "../udmabuf", "a/b", "/dev/null"] {
        assert_eq!(errno(dma_heap::open(path)), EINVAL, "{path:?}");
    }
    assert_eq!(errno(dma_heap::open("no such heap")), Some(libc::ENOENT));
    assert_eq!(errno(drm::open("/dev/dri/no-such-node")), Some(libc::ENOENT));
}

#[test]
fn one_open_is_one_description() {
    let (one, other) = (eventfd::create().expect("eventfd"), eventfd::create().expect("eventfd"));
    let same = file::duplicate(&one).expect("dup");
    match file::is_same_description(&one, &same) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            return skip("kcmp", &error.to_string());
        }
        found => assert!(found.expect("kcmp")),
    }
    assert!(!drm::is_same_file(&one, &other).expect("kcmp"));
    let memory = memfd::create("memory", PAGE).expect("memfd");
    let again = file::reopen(&memory, file::Reopen::ReadWrite).expect("reopen");
    assert_eq!(file::identity(&memory).expect("identity"), file::identity(&again).expect("identity"));
    assert!(!drm::is_same_file(&memory, &again).expect("kcmp"), "one file, two opens");
}

#[test]
fn udmabuf_wants_shrink_whole_pages_and_a_memfd() {
    let Some(rig) = Rig::open() else { return };
    let node = &rig.node;
    let memory = memfd::create("memory", 16 * PAGE).expect("memfd");
    assert_eq!(errno(udmabuf::create(node, &memory, 0, PAGE)), EINVAL, "no seal");
    memfd::add_seals(&memory, Seals::SHRINK).expect("seal");
    for (offset, size) in
        [(0, 0), (0, 100), (100, PAGE), (16 * PAGE, PAGE), (15 * PAGE, 2 * PAGE), (u64::MAX - 4095, PAGE)]
    {
        assert_eq!(errno(udmabuf::create(node, &memory, offset, size)), EINVAL, "{size} from {offset}");
    }
    let event = eventfd::create().expect("eventfd");
    assert_eq!(errno(udmabuf::create(node, &event, 0, PAGE)), Some(libc::EBADFD));
    for seal in [Seals::WRITE, Seals::FUTURE_WRITE] {
        let sealed = memfd::create("sealed", PAGE).expect("memfd");
        memfd::add_seals(&sealed, Seals::SHRINK | seal).expect("seal");
        assert_eq!(errno(udmabuf::create(node, &sealed, 0, PAGE)), EINVAL, "{seal:?}");
    }
    let item = |page: u64| Item { memfd: memory.as_fd(), offset: page * PAGE, size: PAGE };
    let list = udmabuf::create_list(node, &[item(9), item(0)]).expect("list");
    assert_eq!(dma_buf::size(&list).expect("size"), 2 * PAGE);
    assert!(rustix::io::fcntl_getfd(&list).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    let pages = Mapping::new(&memory, 16 * 4096, Populate::Later).expect("map the memfd");
    assert!(pages.pixels_mut(0..16 * 4096).expect("whole").set_u8(9 * 4096 + 5, 0xA5));
    let seen = ReadMapping::new(&list, 2 * 4096, Populate::Later).expect("map the dma-buf");
    assert_eq!(seen.pixels(0..2 * 4096).expect("whole").get_u8(5), Some(0xA5), "the same pages, in the list's order");
}

#[test]
fn heaps_round_up_and_take_fences() {
    let names = dma_heap::names().expect("names");
    if !names.iter().any(|name| name == "system") {
        return skip("dma-heap", &format!("no system heap among {names:?}"));
    }
    let heap = dma_heap::open("system").expect("open");
    assert_eq!(errno(dma_heap::allocate(&heap, 0)), EINVAL);
    let buffer = dma_heap::allocate(&heap, 5000).expect("allocate");
    assert_eq!(dma_buf::size(&buffer).expect("size"), 2 * PAGE);
    assert_eq!(dma_buf::info(&buffer).expect("info").exporter, "system");
    assert!(rustix::io::fcntl_getfd(&buffer).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    assert!(file::is_writable(&buffer).expect("mode"));
    let Some(rig) = Rig::open() else { return };
    let fence = rig.attach(&buffer, Direction::WRITE);
    assert!(is_busy(&buffer, Direction::READ));
    rig.signal(fence);
    assert!(!is_busy(&buffer, Direction::READ));
}

#[test]
fn prime_carries_buffers_both_ways() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    let gem = prime::import(&rig.vgem, &buffer).expect("import");
    assert_eq!(errno(vgem::attach(&rig.vgem, gem, Direction::empty())), EINVAL, "before the call");
    assert_eq!(errno(prime::import(&rig.vgem, eventfd::create().expect("eventfd"))), EINVAL);
    assert_eq!(errno(prime::export(&rig.vgem, Gem(0xdead), Access::ReadOnly)), Some(libc::ENOENT));
    let back = prime::export(&rig.vgem, gem, Access::ReadOnly).expect("export");
    assert!(rustix::io::fcntl_getfd(&back).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    prime::close(&rig.vgem, gem).expect("close");
    assert_eq!(errno(prime::close(&rig.vgem, gem)), EINVAL);
    assert_eq!(errno(vgem::attach(&rig.vgem, gem, Direction::READ)), Some(libc::ENOENT));
    assert_eq!(errno(vgem::signal(&rig.vgem, Fence(77))), Some(libc::ENOENT));
}

#[test]
fn virtio_gpu_refuses_a_udmabuf() {
    let Some(rig) = Rig::open() else { return };
    let Some(node) = render_node("virtio-gpu", |name, _| name == "virtio_gpu") else { return };
    assert_eq!(errno(prime::import(&node, rig.buffer())), Some(libc::ENODEV));
}

/// The numbers of a driver's own calls mean other structs elsewhere, some with addresses that the kernel writes to.
#[test]
fn a_file_of_another_driver_cannot_be_taken_for_one_of_this() {
    let Some(rig) = Rig::open() else { return };
    assert_eq!(errno(amdgpu::File::of(&rig.vgem)), Some(libc::ENODEV));
    let mut seen = 0;
    for node in drm::nodes().expect("nodes") {
        let Ok(open) = drm::open(&node.path) else { continue };
        let name = drm::version(&open).expect("version").name;
        seen += usize::from(name != "vgem");
        let open = Arc::new(open);
        for found in [errno(vgem::File::of(&open)), errno(vgem::File::shared(Arc::clone(&open)))] {
            assert_eq!(found, (name != "vgem").then_some(libc::ENODEV), "{name}");
        }
        assert_eq!(errno(amdgpu::File::of(&open)), (name != "amdgpu").then_some(libc::ENODEV), "{name}");
    }
    if seen == 0 {
        skip("virtio-gpu", "no node but those of vgem");
    }
}

#[test]
fn nodes_say_what_they_are() {
    let Some(rig) = Rig::open() else { return };
    let nodes = drm::nodes().expect("nodes");
    assert!(nodes.is_sorted_by_key(|node| (node.kind, node.minor)));
    for node in &nodes {
        let name = node.path.file_name().and_then(|name| name.to_str()).expect("a name");
        let prefix = if node.kind == Kind::Card { "card" } else { "renderD" };
        assert_eq!(name, format!("{prefix}{}", node.minor));
    }
    let version = drm::version(&rig.vgem).expect("version");
    assert_eq!((version.name.as_str(), version.description.is_empty()), ("vgem", false));
    assert_eq!(drm::capability(&rig.vgem, Cap::Prime).expect("capability"), 3);
    assert_eq!(drm::capability(&rig.vgem, Cap::Syncobj).expect("capability"), 0);
    let same = file::duplicate(&rig.vgem).expect("dup");
    assert!(drm::is_same_file(&rig.vgem, &same).expect("kcmp"));
    let Some(second) = Rig::open() else { return };
    assert!(!drm::is_same_file(&rig.vgem, &second.vgem).expect("kcmp"));
}
