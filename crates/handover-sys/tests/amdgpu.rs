//! What the amdgpu driver does with buffers and their metadata, by our own calls. On a stand-in device: these are the rules as the
//! kernel's source has them (`amdgpu_gem.c`, `amdgpu_object.c`, `amdgpu_dma_buf.c` of Linux 6.12), not as a card was seen to keep them.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/standin.rs"]
mod standin;

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use common::{errno, skip};
use handover_sys::drm::amdgpu::{self, BLOCK_MAX, CreateFlags, Domains, Metadata};
use handover_sys::drm::prime::Access;
use handover_sys::drm::{self, Gem, prime};
use handover_sys::kfd;
use standin::{Standin, with_devices};

const SIZE: u64 = 65536;

fn node(devices: &Standin, name: &str) -> amdgpu::File<'static> {
    let node = drm::open(devices.node(name)).expect("the node");
    amdgpu::File::shared(Arc::new(node)).expect("of amdgpu")
}

fn buffer(node: &amdgpu::File<'_>) -> Gem {
    amdgpu::gem_create(node, SIZE, 4096, Domains::GTT, CreateFlags::empty()).expect("a buffer")
}

fn some(tiling: u64, length: usize) -> Metadata {
    let block: Vec<u8> = (0..length).map(|i| (i as u64 ^ tiling) as u8 | 1).collect();
    Metadata::new(0, tiling, &block).expect("a block that is not too long")
}

fn stored(node: &amdgpu::File<'_>, gem: Gem) -> (u64, Vec<u8>) {
    let metadata = amdgpu::metadata(node, gem).expect("metadata");
    (metadata.tiling, metadata.block().to_vec())
}

#[test]
fn a_new_buffer_has_no_metadata_and_is_what_was_asked_for() {
    with_devices("a_new_buffer_has_no_metadata_and_is_what_was_asked_for", |devices| {
        let node = node(devices, "navi21");
        assert_eq!(drm::version(&node).expect("version").name, "amdgpu");
        let flags = CreateFlags::CPU_ACCESS_REQUIRED;
        let gem = amdgpu::gem_create(&node, SIZE + 1, 256, Domains::VRAM, flags).expect("a buffer");
        let made = amdgpu::create_info(&node, gem).expect("what it is");
        assert_eq!((made.size, made.domains), (SIZE + 4096, Domains::VRAM));
        assert!(made.flags.contains(flags | CreateFlags::VRAM_CLEARED), "the kernel clears in any case");
        let metadata = amdgpu::metadata(&node, gem).expect("metadata");
        assert_eq!((metadata.flags, metadata.tiling, metadata.block()), (0, 0, &[][..]));
    });
}

#[test]
fn what_the_driver_does_not_take_is_refused() {
    with_devices("what_the_driver_does_not_take_is_refused", |devices| {
        let node = node(devices, "navi21");
        let make = |domains, flags| errno(amdgpu::gem_create(&node, SIZE, 0, domains, flags));
        assert_eq!(make(Domains::GTT, CreateFlags::ENCRYPTED), Some(libc::EINVAL), "no trusted zone");
        assert_eq!(make(Domains::GTT, CreateFlags::VRAM_CONTIGUOUS), Some(libc::EINVAL), "the kernel's own");
        assert_eq!(make(Domains::from_bits_retain(0x40), CreateFlags::empty()), Some(libc::EINVAL), "doorbells");
        let local = amdgpu::gem_create(&node, SIZE, 0, Domains::GTT, CreateFlags::VM_ALWAYS_VALID).expect("a buffer");
        assert_eq!(errno(prime::export(&node, local, Access::ReadWrite)), Some(libc::EPERM));
    });
}

#[test]
fn a_number_that_is_no_handle_is_refused_by_every_call() {
    with_devices("a_number_that_is_no_handle_is_refused_by_every_call", |devices| {
        let node = node(devices, "navi21");
        let closed = buffer(&node);
        prime::close(&node, closed).expect("close");
        for gem in [closed, Gem(0), Gem(200), Gem(u32::MAX)] {
            assert_eq!(errno(amdgpu::metadata(&node, gem)), Some(libc::ENOENT));
            assert_eq!(errno(amdgpu::set_metadata(&node, gem, &some(1, 8))), Some(libc::ENOENT));
            assert_eq!(errno(amdgpu::create_info(&node, gem)), Some(libc::ENOENT));
            assert_eq!(errno(prime::export(&node, gem, Access::ReadWrite)), Some(libc::ENOENT));
            assert_eq!(errno(prime::close(&node, gem)), Some(libc::EINVAL));
        }
    });
}

#[test]
fn set_replaces_word_and_block_as_a_whole() {
    with_devices("set_replaces_word_and_block_as_a_whole", |devices| {
        let node = node(devices, "navi21");
        let gem = buffer(&node);
        for (tiling, length) in [(7, 256), (u64::MAX, 3), (0, 40), (9, 1), (1, 255)] {
            let metadata = some(tiling, length);
            amdgpu::set_metadata(&node, gem, &metadata).expect("set");
            assert_eq!(amdgpu::metadata(&node, gem).expect("get"), metadata, "{length} bytes");
        }
    });
}

/// The kernel leaves the bytes behind the block as they came (the stream of `amdgpu_stream.rs` shows that zeros go in); what
/// comes out is zero whatever it left.
#[test]
fn get_gives_zeros_behind_the_block() {
    with_devices("get_gives_zeros_behind_the_block", |devices| {
        let node = node(devices, "navi21");
        let gem = buffer(&node);
        amdgpu::set_metadata(&node, gem, &some(1, 256)).expect("a long one");
        amdgpu::metadata(&node, gem).expect("which fills the stack with it");
        let short = Metadata::new(0, 2, &[0xff; 5]).expect("five bytes");
        amdgpu::set_metadata(&node, gem, &short).expect("a short one");
        // Equality goes over all 256 bytes.
        assert_eq!(amdgpu::metadata(&node, gem).expect("get"), short);
    });
}

#[test]
fn more_than_256_bytes_are_refused_before_any_call() {
    let devices = standin::record("more_than_256_bytes_are_refused_before_any_call", |devices| {
        let node = node(devices, "navi21");
        let gem = buffer(&node);
        amdgpu::set_metadata(&node, gem, &some(3, BLOCK_MAX)).expect("256");
        assert!(Metadata::new(0, 4, &[1; BLOCK_MAX + 1]).is_none());
        let mut too_many = [0; amdgpu::REGISTERS_MAX + 1];
        assert_eq!(errno(amdgpu::read_registers(&node, 0x263e, 0, &mut too_many)), Some(libc::EINVAL));
    });
    let Some(devices) = devices else { return };
    let calls = fs::read_to_string(devices.recorded()).expect("the record");
    assert_eq!(calls.lines().count(), 3, "which driver, make and set:\n{calls}");
}

#[test]
fn an_empty_block_clears_the_block_and_leaves_the_flags() {
    with_devices("an_empty_block_clears_the_block_and_leaves_the_flags", |devices| {
        let node = node(devices, "navi21");
        let gem = buffer(&node);
        amdgpu::set_metadata(&node, gem, &Metadata::new(6, 5, &[1; 40]).expect("40")).expect("set");
        amdgpu::set_metadata(&node, gem, &Metadata::new(0, 8, &[]).expect("none")).expect("clear");
        let left = amdgpu::metadata(&node, gem).expect("get");
        assert_eq!((left.flags, left.tiling, left.block()), (6, 8, &[][..]));
    });
}

#[test]
fn a_word_that_an_old_device_cannot_have_changes_nothing() {
    with_devices("a_word_that_an_old_device_cannot_have_changes_nothing", |devices| {
        let (old, new) = (node(devices, "polaris10"), node(devices, "navi21"));
        let (on_old, on_new) = (buffer(&old), buffer(&new));
        let split_seven = some(7 << 9, 8);
        amdgpu::set_metadata(&old, on_old, &some(6 << 9, 4)).expect("a split of six");
        assert_eq!(errno(amdgpu::set_metadata(&old, on_old, &split_seven)), Some(libc::EINVAL));
        assert_eq!(stored(&old, on_old).0, 6 << 9);
        assert_eq!(stored(&old, on_old).1.len(), 4);
        amdgpu::set_metadata(&new, on_new, &split_seven).expect("other fields there");
    });
}

#[test]
fn an_import_on_the_same_device_is_the_same_buffer() {
    with_devices("an_import_on_the_same_device_is_the_same_buffer", |devices| {
        let (ours, theirs) = (node(devices, "navi21"), node(devices, "navi21"));
        let gem = buffer(&ours);
        amdgpu::set_metadata(&ours, gem, &some(11, 40)).expect("set");
        let dma_buf = prime::export(&ours, gem, Access::ReadWrite).expect("export");
        assert_eq!(prime::import(&ours, &dma_buf).expect("import"), gem, "one number in one open file");
        // A number of its own in another one, which lives on without the first.
        for _ in 0..3 {
            buffer(&theirs);
        }
        let imported = prime::import(&theirs, &dma_buf).expect("import");
        assert_ne!(imported, gem);
        assert_eq!(stored(&theirs, imported), stored(&ours, gem));
        amdgpu::set_metadata(&theirs, imported, &some(12, 3)).expect("set by the importer");
        assert_eq!(stored(&ours, gem), stored(&theirs, imported), "the last one to set wins");
        prime::close(&ours, gem).expect("close");
        assert_eq!(stored(&theirs, imported).0, 12);
        let again = prime::export(&theirs, imported, Access::ReadWrite).expect("export of an import");
        let identity = |fd: &OwnedFd| handover_sys::file::identity(fd).expect("identity");
        assert_eq!(identity(&again), identity(&dma_buf), "the original dma-buf");
    });
}

#[test]
fn an_import_on_another_device_knows_nothing() {
    with_devices("an_import_on_another_device_knows_nothing", |devices| {
        let (ours, theirs) = (node(devices, "navi21"), node(devices, "navi22"));
        let flags = CreateFlags::CPU_GTT_USWC | CreateFlags::CPU_ACCESS_REQUIRED;
        let gem = amdgpu::gem_create(&ours, SIZE, 0, Domains::VRAM, flags).expect("a buffer");
        amdgpu::set_metadata(&ours, gem, &some(13, 40)).expect("set");
        let dma_buf = prime::export(&ours, gem, Access::ReadWrite).expect("export");
        let imported = prime::import(&theirs, &dma_buf).expect("import");
        assert_eq!(stored(&theirs, imported), (0, vec![]));
        let made = amdgpu::create_info(&theirs, imported).expect("what it is");
        assert_eq!((made.domains, made.flags), (Domains::GTT, CreateFlags::CPU_GTT_USWC));
        amdgpu::set_metadata(&theirs, imported, &some(14, 8)).expect("set, for this device alone");
        assert_eq!(stored(&ours, gem).0, 13);
        let plain = fs::File::open(devices.kfd()).expect("any file");
        assert_eq!(errno(prime::import(&theirs, &plain)), Some(libc::EINVAL), "not a dma-buf");
    });
}

#[test]
fn kfd_tells_the_block_of_any_device_and_no_word() {
    with_devices("kfd_tells_the_block_of_any_device_and_no_word", |devices| {
        let kfd = fs::File::options().read(true).write(true).open(devices.kfd()).expect("the node");
        for (name, domain, flags) in [("navi21", Domains::VRAM, 1), ("polaris10", Domains::GTT, 2)] {
            let node = node(devices, name);
            let gem = amdgpu::gem_create(&node, SIZE, 0, domain, CreateFlags::empty()).expect("a buffer");
            let dma_buf = prime::export(&node, gem, Access::ReadWrite).expect("export");
            for length in [0, 5, BLOCK_MAX] {
                amdgpu::set_metadata(&node, gem, &some(15, length)).expect("set");
                let told = kfd::dma_buf_info(&kfd, &dma_buf).expect("an amdgpu buffer");
                assert_eq!((told.size, told.flags, &*told.metadata), (SIZE, flags, some(15, length).block()));
            }
        }
        let stranger = handover_sys::memfd::create("stranger", 4096).expect("a memfd");
        assert_eq!(errno(kfd::dma_buf_info(&kfd, &stranger)), Some(libc::EINVAL));
    });
}

#[test]
fn the_device_says_what_it_is() {
    with_devices("the_device_says_what_it_is", |devices| {
        let node = node(devices, "navi21");
        let device = amdgpu::device(&node).expect("device");
        assert_eq!((device.device_id, device.family), (0x73bf, 143));
        assert_eq!(amdgpu::engine_version(&node, 0, 0).expect("graphics"), (10, 3));
        assert_eq!(errno(amdgpu::engine_version(&node, 99, 0)), Some(libc::EINVAL));
        let mut register = [0];
        amdgpu::read_registers(&node, 0x263e, u32::MAX, &mut register).expect("GB_ADDR_CONFIG");
        assert_eq!(register, [0x444]);
        assert_eq!(errno(amdgpu::read_registers(&node, 1, u32::MAX, &mut register)), Some(libc::EFAULT));
    });
}
