//! dma-bufs as the kernel has them: identity, names, the CPU bracket, and which fences stop whom.
#![allow(unsafe_code)]
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use std::os::fd::OwnedFd;
use std::time::Duration;

use common::{errno, fork, reap, soon};
use devices::{PAGE, Rig, fences, is_busy};
use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::{self, Direction, parse_fdinfo};
use handover_sys::drm::{prime, vgem};
use handover_sys::poll::{self, Entry, Interest, Ready};
use handover_sys::sync_file::{self, Status};
use handover_sys::{eventfd, file, memfd, socket, udmabuf};
use rustix::fd::{AsFd, BorrowedFd};

const READ: Direction = Direction::READ;
const WRITE: Direction = Direction::WRITE;
const BOTH: Direction = Direction::all();

fn strangers() -> Vec<OwnedFd> {
    let (one, other) = socket::pair().expect("socketpair");
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    vec![memfd::create("stranger", PAGE).expect("memfd"), eventfd::create().expect("eventfd"), one, other, null.into()]
}

#[test]
fn other_descriptors_are_told_apart_and_refused() {
    for fd in strangers() {
        let link = file::link_text(&fd).expect("link");
        assert!(!dma_buf::is_dma_buf(&fd).expect("asked"), "{link}");
        assert_eq!(errno(dma_buf::info(&fd)), Some(libc::EINVAL), "{link}");
        for result in [
            dma_buf::sync_start(&fd, READ),
            dma_buf::sync_end(&fd, READ),
            dma_buf::set_name(&fd, "name"),
            dma_buf::import_sync_file(&fd, READ, &fd),
            dma_buf::export_sync_file(&fd, READ).map(drop),
        ] {
            assert_eq!(errno(result), Some(libc::ENOTTY), "{link}");
        }
    }
}

#[test]
fn a_file_that_is_named_like_one_is_none() {
    let (ours, theirs) = socket::pair().expect("socketpair");
    let child = fork(|| send_forged(theirs.as_fd()));
    let status = reap(child);
    if status != 0 {
        return common::skip("mount namespaces", &format!("step {status} was refused"));
    }
    let (_, received) = common::hear(ours.as_fd());
    assert_eq!(file::link_text(&received[0]).expect("link"), "/dmabuf:forged");
    assert!(!dma_buf::is_dma_buf(&received[0]).expect("asked"));
}

/// In a child of one thread: sends a plain file whose path is `/dmabuf:forged` for every reader. Gives the step that failed.
fn send_forged(socket: BorrowedFd<'_>) -> i32 {
    // SAFETY: unshare(2) takes an integer.
    let unshared = |flags| unsafe { libc::unshare(flags) } == 0;
    // Root needs no user namespace, and cannot have one in a chroot.
    if !unshared(libc::CLONE_NEWNS) && !unshared(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) {
        return 1;
    }
    let (nothing, flags) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: mount(2) reads texts that end with a NUL; the others may be null for this flag.
    if unsafe { libc::mount(nothing, c"/".as_ptr(), nothing, flags, nothing.cast()) } != 0 {
        return 2;
    }
    // SAFETY: mount(2) reads texts that end with a NUL, and no data.
    if unsafe { libc::mount(c"t".as_ptr(), c"/tmp".as_ptr(), c"tmpfs".as_ptr(), 0, nothing.cast()) } != 0 {
        return 3;
    }
    let create = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::RDWR;
    let Ok(file) = rustix::fs::open(c"/tmp/dmabuf:forged", create, rustix::fs::Mode::RUSR) else { return 4 };
    // SAFETY: umount2(2) reads a text that ends with a NUL. Detached, the file's path begins at its own file system.
    if unsafe { libc::umount2(c"/tmp".as_ptr(), libc::MNT_DETACH) } != 0 {
        return 5;
    }
    if socket::send(socket, b"forged", &[file.as_fd()], false).is_ok() { 0 } else { 6 }
}

#[test]
fn c52_a_name_that_does_not_fit_never_reaches_the_kernel() {
    // A memfd would answer ENOTTY.
    let fd = memfd::create("stranger", PAGE).expect("memfd");
    assert_eq!(errno(dma_buf::set_name(&fd, &"x".repeat(32))), Some(libc::EINVAL));
    assert_eq!(errno(dma_buf::set_name(&fd, "a\0b")), Some(libc::EINVAL));
    assert_eq!(errno(dma_buf::set_name(&fd, &"x".repeat(31))), Some(libc::ENOTTY));
}

#[test]
fn fdinfo_cannot_be_forged_by_a_name() {
    const HEAD: &str = "pos:\t0\nflags:\t02000002\nmnt_id:\t12\nino:\t7\nsize:\t4096\ncount:\t4\nexp_name:\tudmabuf\n";
    let plain = parse_fdinfo(HEAD).expect("no name");
    assert_eq!((plain.inode, plain.size, plain.count, plain.name), (7, 4096, 4, None));
    assert_eq!(plain.exporter, "udmabuf");
    let forged = parse_fdinfo(&format!("{HEAD}name:\tx\nsize:\t1\nname:\ty\n")).expect("forged");
    assert_eq!((forged.size, forged.name.as_deref()), (4096, Some("x\nsize:\t1\nname:\ty")));
    // Locks on the description stand before what the exporter says.
    let locked = HEAD.replace("size:", "lock:\t1: FLOCK  ADVISORY  WRITE 9 00:0b:7 0 EOF\nsize:");
    assert_eq!(parse_fdinfo(&locked).map(|info| info.size), Some(4096));
    let whole = format!("{HEAD}name:\tcamera\n");
    for end in 0..HEAD.len() - 1 {
        let cut = parse_fdinfo(&whole[..end]);
        assert!(cut.is_none_or(|info| info.inode == 7 && "udmabuf".starts_with(&info.exporter)), "{end}");
    }
    for bad in ["ino:\t-1\n", "ino:\t99999999999999999999\n", "ino:\t\n", "ino:\n"] {
        assert_eq!(parse_fdinfo(&HEAD.replace("ino:\t7\n", bad)), None, "{bad:?}");
    }
}

#[test]
fn c50_identity_follows_the_buffer_and_not_the_descriptor() {
    let Some(rig) = Rig::open() else { return };
    let memory = memfd::create("pages", 2 * PAGE).expect("memfd");
    memfd::add_seals(&memory, memfd::Seals::SHRINK).expect("seal");
    let one = udmabuf::create(&rig.node, &memory, 0, PAGE).expect("one");
    let other = udmabuf::create(&rig.node, &memory, 0, PAGE).expect("other");
    let identity = file::identity(&one).expect("identity");
    assert_eq!(file::identity(file::duplicate(&one).expect("dup")).expect("identity"), identity);
    let gem = prime::import(&rig.vgem, &one).expect("import");
    assert_eq!(prime::import(&rig.vgem, &one).expect("import again"), gem);
    let back = prime::export(&rig.vgem, gem, prime::Access::ReadWrite).expect("export");
    assert_eq!(file::identity(&back).expect("identity"), identity);
    let (ours, theirs) = socket::pair().expect("socketpair");
    socket::send(&ours, b"x", &[one.as_fd()], false).expect("send");
    let (_, received) = common::hear(theirs.as_fd());
    assert_eq!(file::identity(&received[0]).expect("identity"), identity);
    assert_ne!(file::identity(&other).expect("identity"), identity);
    let fence = rig.attach(&one, WRITE);
    assert!(is_busy(&back, READ) && !is_busy(&other, READ), "a reservation of its own, over the same pages");
    rig.signal(fence);
}

#[test]
fn c51_c52_size_name_and_what_proc_says() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    assert!(dma_buf::is_dma_buf(&buffer).expect("asked"));
    assert_eq!(dma_buf::size(&buffer).expect("size"), PAGE);
    let info = dma_buf::info(&buffer).expect("info");
    assert_eq!(info.inode, file::identity(&buffer).expect("identity").inode);
    assert_eq!((info.size, info.exporter.as_str(), info.name), (PAGE, "udmabuf", None));
    for name in ["camera", "a\nsize:\t1", &"n".repeat(31)] {
        dma_buf::set_name(&buffer, name).expect("name");
        let info = dma_buf::info(&buffer).expect("info");
        assert_eq!((info.size, info.name.as_deref()), (PAGE, Some(name)));
        assert!(dma_buf::is_dma_buf(&buffer).expect("asked"));
    }
    assert!(rustix::io::fcntl_getfd(&buffer).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn c40_directions_are_read_write_or_both() {
    let Some(rig) = Rig::open() else { return };
    let (buffer, signalled) = (rig.buffer(), rig.buffer());
    let signalled = dma_buf::export_sync_file(&signalled, READ).expect("export");
    for bad in [0, 4, 7].map(Direction::from_bits_retain) {
        assert_eq!(errno(dma_buf::export_sync_file(&buffer, bad)), Some(libc::EINVAL), "{bad:?}");
        assert_eq!(errno(dma_buf::import_sync_file(&buffer, bad, &signalled)), Some(libc::EINVAL), "{bad:?}");
    }
    assert_eq!(errno(dma_buf::is_idle(&buffer, Direction::empty())), Some(libc::EINVAL));
    for stranger in strangers() {
        assert_eq!(errno(dma_buf::import_sync_file(&buffer, READ, &stranger)), Some(libc::EINVAL));
    }
}

#[test]
fn c41_c44_an_idle_buffer_exports_a_signalled_file() {
    let Some(rig) = Rig::open() else { return };
    let file = dma_buf::export_sync_file(rig.buffer(), BOTH).expect("export");
    assert_eq!(sync_file::status(&file).expect("status"), Status::Signalled);
    assert_eq!(sync_file::count(&file).expect("count"), 1);
    assert!(rustix::io::fcntl_getfd(&file).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn c42_export_is_a_snapshot() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    let before = dma_buf::export_sync_file(&buffer, BOTH).expect("export");
    let fence = rig.attach(&buffer, WRITE);
    assert_eq!(sync_file::status(&before).expect("status"), Status::Signalled, "a later fence does not join");
    let during = dma_buf::export_sync_file(&buffer, BOTH).expect("export");
    assert_eq!(sync_file::status(&during).expect("status"), Status::Pending);
    rig.signal(fence);
    assert_eq!(sync_file::status(&during).expect("status"), Status::Signalled, "completion is seen");
}

#[test]
fn c21_c43_c45_readers_stop_writers_and_writers_stop_all() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    let idle = |direction| {
        let idle = dma_buf::is_idle(&buffer, direction).expect("poll");
        assert_eq!(idle, !is_busy(&buffer, direction), "poll and export agree on {direction:?}");
        idle
    };
    assert!(idle(READ) && idle(WRITE));
    let (one, two) = (rig.attach(&buffer, READ), rig.attach(&buffer, READ));
    assert!(idle(READ) && !idle(WRITE) && is_busy(&buffer, BOTH));
    assert_eq!((fences(&buffer, READ), fences(&buffer, WRITE)), (1, 2), "one entry a reader");
    rig.signal(one);
    assert!(!idle(WRITE));
    rig.signal(two);
    common::until("the poll armed above to let go", || dma_buf::is_idle(&buffer, WRITE).expect("poll"));
    let writer = rig.attach(&buffer, WRITE);
    assert!(!idle(READ) && !idle(WRITE));
    rig.signal(writer);
    common::until("idle", || dma_buf::is_idle(&buffer, BOTH).expect("poll"));
}

#[test]
fn c24_c29_import_never_refuses_a_conflict_and_vgem_does() {
    let Some(rig) = Rig::open() else { return };
    let (buffer, reader, writer) = (rig.buffer(), rig.pending(), rig.pending());
    dma_buf::import_sync_file(&buffer, READ, &reader.sync_file).expect("import");
    assert!(!is_busy(&buffer, READ) && is_busy(&buffer, WRITE));
    dma_buf::import_sync_file(&buffer, BOTH, &writer.sync_file).expect("import");
    assert_eq!((fences(&buffer, READ), fences(&buffer, WRITE)), (1, 2));
    let gem = prime::import(&rig.vgem, &buffer).expect("import");
    assert_eq!(errno(vgem::attach(&rig.vgem, gem, READ)), Some(libc::EBUSY));
    rig.end(&writer);
    assert!(!is_busy(&buffer, READ) && is_busy(&buffer, WRITE));
    vgem::attach(&rig.vgem, gem, READ).expect("readers pile up");
    assert_eq!(errno(vgem::attach(&rig.vgem, gem, WRITE)), Some(libc::EBUSY));
    rig.end(&reader);
    assert_eq!(errno(vgem::signal(&rig.vgem, reader.fence)), Some(libc::ENOENT), "c2: once");
}

#[test]
fn c25_c26_many_readers_and_many_writers() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    for (direction, met) in [(READ, WRITE), (WRITE, READ)] {
        let others: Vec<_> = (0..32).map(|_| rig.pending()).collect();
        for other in &others {
            dma_buf::import_sync_file(&buffer, direction, &other.sync_file).expect("import");
        }
        assert_eq!(fences(&buffer, met), 32);
        for other in others.iter().rev() {
            assert!(is_busy(&buffer, met), "until the last");
            assert_eq!(is_busy(&buffer, READ), direction == WRITE, "readers wait for writers alone");
            rig.end(other);
        }
        assert!(!is_busy(&buffer, BOTH));
    }
}

#[test]
fn c27_c28_a_fence_is_raised_in_place_and_never_lowered() {
    let Some(rig) = Rig::open() else { return };
    let (buffer, pending) = (rig.buffer(), rig.pending());
    for (direction, readers, entries) in [(READ, false, 1), (WRITE, true, 1), (READ, true, 2)] {
        dma_buf::import_sync_file(&buffer, direction, &pending.sync_file).expect("import");
        assert_eq!((is_busy(&buffer, READ), fences(&buffer, WRITE)), (readers, entries));
    }
    rig.end(&pending);
    assert!(!is_busy(&buffer, BOTH));
}

#[test]
fn c30_c31_c32_merged_files_come_apart_and_ended_ones_add_nothing() {
    let Some(rig) = Rig::open() else { return };
    let (buffer, one, two) = (rig.buffer(), rig.pending(), rig.pending());
    let both = sync_file::merge(&one.sync_file, &two.sync_file, "both").expect("merge");
    dma_buf::import_sync_file(&buffer, READ, &both).expect("import");
    assert_eq!(fences(&buffer, WRITE), 2);
    rig.end(&one);
    assert_eq!(fences(&buffer, WRITE), 1);
    rig.end(&two);
    dma_buf::import_sync_file(&buffer, WRITE, &both).expect("import of what has ended");
    assert!(!is_busy(&buffer, BOTH));
    assert_eq!(sync_file::status(&both).expect("the file is still ours"), Status::Signalled);
    let own = dma_buf::export_sync_file(&buffer, BOTH).expect("export");
    dma_buf::import_sync_file(&buffer, BOTH, &own).expect("import of one's own export");
}

#[test]
fn c46_pollers_of_both_directions_wake() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    let fence = rig.attach(&buffer, WRITE);
    let waits = [Interest::READ, Interest::WRITE, Interest::READ, Interest::WRITE].map(|interest| {
        let buffer = file::duplicate(&buffer).expect("dup");
        std::thread::spawn(move || {
            let mut entries = [Entry::new(buffer.as_fd(), interest)];
            poll::poll(&mut entries, soon()).expect("poll");
            entries[0].ready
        })
    });
    std::thread::sleep(Duration::from_millis(50));
    rig.signal(fence);
    for (index, wait) in waits.into_iter().enumerate() {
        let ready = wait.join().expect("no panic");
        assert_eq!(ready, if index % 2 == 0 { Ready::READ } else { Ready::WRITE });
    }
}

#[test]
fn c48_c49_the_bracket_waits_as_its_direction_says() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    for bad in [0, 8, 9].map(Direction::from_bits_retain) {
        assert_eq!(errno(dma_buf::sync_start(&buffer, bad)), Some(libc::EINVAL), "{bad:?}");
    }
    assert_eq!(errno(dma_buf::sync_end(&buffer, BOTH)), Some(libc::EINVAL), "udmabuf: an end without a start");
    let reader = rig.attach(&buffer, READ);
    dma_buf::sync_start(&buffer, READ).expect("readers do not wait for readers");
    let child = fork(|| interrupted_start(&buffer));
    assert_eq!(reap(child), 0, "a writer waits, and a signal breaks it off with EINTR");
    dma_buf::sync_end(&buffer, READ).expect("no end waits");
    rig.signal(reader);
    dma_buf::sync_start(&buffer, WRITE).expect("nothing to wait for");
    assert!(!is_busy(&buffer, BOTH), "the bracket adds no fence");
    dma_buf::sync_end(&buffer, WRITE).expect("end");
}

/// In a child of one thread: 0 where the start was broken off by the signal, and not before.
fn interrupted_start(buffer: &OwnedFd) -> i32 {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all bytes zero is a valid sigaction: no flags, so that the call is not restarted.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: sigaction(2) reads the struct, which is borrowed for the call; the handler does nothing.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    // SAFETY: alarm(2) takes an integer.
    unsafe { libc::alarm(1) };
    let started = Monotonic::now();
    let found = errno(dma_buf::sync_start(buffer, WRITE));
    let waited = Monotonic::now().saturating_since(started);
    i32::from(found != Some(libc::EINTR) || waited < Duration::from_millis(500))
}

#[test]
fn c101_a_fence_is_seen_through_every_importer() {
    let Some(rig) = Rig::open() else { return };
    let Some(second) = Rig::open() else { return };
    let buffer = rig.buffer();
    let fence = rig.attach(&buffer, WRITE);
    let gem = prime::import(&second.vgem, &buffer).expect("import by the second file");
    let back = prime::export(&second.vgem, gem, prime::Access::ReadOnly).expect("export");
    assert!(is_busy(&back, READ));
    assert_eq!(errno(vgem::attach(&second.vgem, gem, READ)), Some(libc::EBUSY));
    rig.signal(fence);
    assert!(!is_busy(&back, READ));
}

#[test]
fn c11_closing_the_producer_ends_what_it_published() {
    let Some(rig) = Rig::open() else { return };
    let buffer = rig.buffer();
    rig.attach(&buffer, WRITE);
    let file = dma_buf::export_sync_file(&buffer, READ).expect("export");
    assert_eq!(sync_file::status(&file).expect("status"), Status::Pending);
    drop(rig);
    assert!(poll::wait_readable(&file, soon()).expect("poll"), "the fence outlived its producer");
    assert_eq!(sync_file::status(&file).expect("status"), Status::Signalled, "vgem ends them without an error");
    assert!(!is_busy(&buffer, BOTH));
}
