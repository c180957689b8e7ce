//! sync_files as the kernel has them: status, merging, names.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use std::time::Duration;

use common::{errno, soon};
use devices::{PAGE, Rig};
use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::vgem;
use handover_sys::poll::{self, Entry, Interest, Ready};
use handover_sys::sync_file::{self, Status};
use handover_sys::{eventfd, memfd};
use rustix::fd::AsFd;

#[test]
fn other_descriptors_are_told_apart_and_refused() {
    let (memory, event) =
        (memfd::create("anon_inode:sync_file", PAGE).expect("memfd"), eventfd::create().expect("event"));
    for fd in [&memory, &event] {
        assert!(!sync_file::is_sync_file(fd).expect("asked"));
        for found in [
            errno(sync_file::status(fd)),
            errno(sync_file::count(fd)),
            errno(sync_file::info(fd)),
            errno(sync_file::merge(fd, fd, "name")),
            errno(sync_file::set_deadline(fd, Monotonic::now())),
        ] {
            assert_eq!(found, Some(libc::ENOTTY));
        }
        assert_eq!(errno(sync_file::merge(fd, fd, &"x".repeat(32))), Some(libc::EINVAL), "c60: before the call");
        assert_eq!(errno(sync_file::merge(fd, fd, "a\0b")), Some(libc::EINVAL), "c60: before the call");
    }
}

#[test]
fn c1_c2_c65_a_fence_is_pending_and_then_ends_once() {
    let Some(rig) = Rig::open() else { return };
    let pending = rig.pending();
    let file = &pending.sync_file;
    assert!(sync_file::is_sync_file(file).expect("asked"));
    assert!(!dma_buf::is_dma_buf(file).expect("asked"));
    let before = sync_file::info(file).expect("info");
    assert_eq!((before.status, before.fences.len()), (Status::Pending, 1));
    assert_eq!((before.fences[0].status, before.fences[0].timestamp), (Status::Pending, None));
    let mut entries = [Entry::new(file.as_fd(), Interest::READ | Interest::WRITE)];
    assert_eq!(poll::poll(&mut entries, Some(Monotonic(0))).expect("poll"), 0);
    let started = Monotonic::now();
    rig.end(&pending);
    assert_eq!(poll::poll(&mut entries, soon()).expect("poll"), 1);
    assert_eq!(entries[0].ready, Ready::READ, "c65: never writable");
    let after = sync_file::info(file).expect("info");
    assert_eq!((after.status, after.fences[0].status), (Status::Signalled, Status::Signalled));
    let ended = after.fences[0].timestamp.expect("a time");
    assert!(ended >= started && ended <= Monotonic::now(), "of the clock of deadlines");
    assert_eq!(sync_file::info(file).expect("info"), after, "c2: nothing changes any more");
}

#[test]
fn a_fence_of_vgem_ends_by_itself() {
    let Some(rig) = Rig::open() else { return };
    let pending = rig.pending();
    let end = Monotonic::now().saturating_add(Duration::from_secs(100));
    assert!(poll::wait_readable(&pending.sync_file, Some(end)).expect("poll"), "ten seconds, says vgem");
    assert_eq!(errno(vgem::signal(&rig.vgem, pending.fence)), Some(libc::ETIMEDOUT));
}

#[test]
fn c8_the_stub_has_ended_from_birth() {
    let Some(rig) = Rig::open() else { return };
    let stub = dma_buf::export_sync_file(rig.buffer(), Direction::all()).expect("export");
    let info = sync_file::info(&stub).expect("info");
    assert_eq!((info.status, info.fences.len()), (Status::Signalled, 1));
    assert!(info.fences[0].timestamp.is_some());
}

#[test]
fn c17_c63_c64_merging_keeps_what_is_pending() {
    let Some(rig) = Rig::open() else { return };
    let (one, two) = (rig.pending(), rig.pending());
    let both = sync_file::merge(&one.sync_file, &two.sync_file, "both").expect("merge");
    assert!(rustix::io::fcntl_getfd(&both).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    let info = sync_file::info(&both).expect("info");
    assert_eq!(
        (info.name.as_str(), info.status, info.fences.len()),
        ("both", Status::Pending, 2),
        "c60: the name is kept"
    );
    for (left, right, leaves) in
        [(&both, &one.sync_file, 2), (&one.sync_file, &both, 2), (&two.sync_file, &two.sync_file, 1)]
    {
        let again = sync_file::merge(left, right, "again").expect("merge");
        assert_eq!(sync_file::count(&again).expect("count"), leaves, "duplicates are folded");
    }
    rig.end(&one);
    let half = sync_file::info(&both).expect("info");
    assert_eq!((half.status, half.fences.len()), (Status::Pending, 2));
    let mut leaves: Vec<_> = half.fences.iter().map(|fence| fence.status == Status::Signalled).collect();
    leaves.sort_unstable();
    assert_eq!(leaves, [false, true]);
    let rest = sync_file::merge(&both, &two.sync_file, "rest").expect("merge");
    assert_eq!(sync_file::count(&rest).expect("count"), 1, "what has ended is dropped");
    rig.end(&two);
    assert_eq!(sync_file::status(&both).expect("status"), Status::Signalled);
}

#[test]
fn c18_a_merge_of_nothing_pending_has_ended_with_the_last_time() {
    let Some(rig) = Rig::open() else { return };
    let (one, two) = (rig.pending(), rig.pending());
    rig.end(&one);
    rig.end(&two);
    let last = [&one, &two].map(|pending| sync_file::info(&pending.sync_file).expect("info").fences[0].timestamp);
    let merged = sync_file::merge(&one.sync_file, &two.sync_file, "ended").expect("merge");
    let merged = sync_file::info(&merged).expect("info");
    assert_eq!((merged.status, merged.fences.len()), (Status::Signalled, 1));
    assert_eq!(merged.fences[0].timestamp, last.into_iter().max().flatten());
}

#[test]
fn c60_the_other_file_must_be_one() {
    let Some(rig) = Rig::open() else { return };
    let pending = rig.pending();
    for other in [eventfd::create().expect("eventfd"), rig.buffer()] {
        assert_eq!(errno(sync_file::merge(&pending.sync_file, &other, "x")), Some(libc::ENOENT));
    }
    rig.end(&pending);
}

#[test]
fn c19_a_wish_for_a_time_changes_nothing() {
    let Some(rig) = Rig::open() else { return };
    let pending = rig.pending();
    match sync_file::set_deadline(&pending.sync_file, Monotonic::now().saturating_add(Duration::from_millis(1))) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
            return common::skip("sync_file deadlines", "a kernel before 6.4");
        }
        other => other.expect("deadline"),
    }
    assert_eq!(sync_file::status(&pending.sync_file).expect("status"), Status::Pending);
    rig.end(&pending);
    assert_eq!(sync_file::status(&pending.sync_file).expect("status"), Status::Signalled);
}

// Here because no test of this binary forks: a fork holds every open file once more.
#[test]
fn c47_asking_a_busy_buffer_pins_it_until_the_fence_ends() {
    let Some(rig) = Rig::open() else { return };
    let (buffer, pending) = (rig.buffer(), rig.pending());
    let count = || dma_buf::info(&buffer).expect("info").count;
    let idle = count();
    dma_buf::import_sync_file(&buffer, Direction::WRITE, &pending.sync_file).expect("import");
    assert!(devices::is_busy(&buffer, Direction::WRITE));
    assert_eq!(count(), idle, "an export pins nothing");
    assert!(!dma_buf::is_idle(&buffer, Direction::WRITE).expect("poll"));
    assert_eq!(count(), idle + 1);
    rig.end(&pending);
    common::until("the pin to go", || count() == idle);
}
