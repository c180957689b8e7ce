//! Synchronisation objects as the kernel has them: waits, timelines, transfers, eventfds.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use std::os::fd::OwnedFd;
use std::time::Duration;

use common::{errno, soon};
use devices::{PAGE, Pending, Rig, is_busy, syncobj_node};
use handover_sys::clock::Monotonic;
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::Syncobj;
use handover_sys::drm::syncobj::{self, Wait};
use handover_sys::sync_file::{self, Status};
use handover_sys::{eventfd, memfd, poll};

const NONE: Wait = Wait::empty();
/// Look once.
const NOW: Option<Monotonic> = Some(Monotonic(0));
const ETIME: Option<i32> = Some(libc::ETIME);
const EINVAL: Option<i32> = Some(libc::EINVAL);
const ENOENT: Option<i32> = Some(libc::ENOENT);

/// Fences of vgem and a file with objects.
struct Both {
    rig: Rig,
    node: OwnedFd,
}

impl Both {
    fn open() -> Option<Self> {
        Some(Self { rig: Rig::open()?, node: syncobj_node()? })
    }

    fn empty(&self) -> Syncobj {
        syncobj::create(&self.node, false).expect("create")
    }

    fn with(&self, pending: &Pending) -> Syncobj {
        let made = self.empty();
        syncobj::import_sync_file(&self.node, made, &pending.sync_file).expect("import");
        made
    }

    /// Adds `pending` as `point`, in the way that every kernel has.
    fn add(&self, timeline: Syncobj, point: u64, pending: &Pending) {
        let binary = self.with(pending);
        syncobj::transfer(&self.node, (binary, 0), (timeline, point), NONE).expect("transfer");
        syncobj::destroy(&self.node, binary).expect("destroy");
    }

    fn wait(&self, syncobjs: &[Syncobj], flags: Wait) -> Option<i32> {
        errno(syncobj::wait(&self.node, syncobjs, flags, NOW))
    }

    fn wait_point(&self, timeline: Syncobj, point: u64, flags: Wait) -> Option<i32> {
        errno(syncobj::timeline_wait(&self.node, &[timeline], &[point], flags, NOW))
    }

    fn signal(&self, timeline: Syncobj, point: u64) {
        syncobj::timeline_signal(&self.node, &[timeline], &[point]).expect("signal");
    }

    /// What is complete, and what was submitted.
    fn progress(&self, timeline: Syncobj) -> (u64, u64) {
        let (mut complete, mut submitted) = ([u64::MAX], [u64::MAX]);
        syncobj::query(&self.node, &[timeline], &mut complete, false).expect("query");
        syncobj::query(&self.node, &[timeline], &mut submitted, true).expect("query");
        (complete[0], submitted[0])
    }
}

#[test]
fn slices_of_different_length_never_reach_the_kernel() {
    // A memfd would answer ENOTTY.
    let fd = memfd::create("stranger", PAGE).expect("memfd");
    let one = [Syncobj(1)];
    assert_eq!(errno(syncobj::timeline_wait(&fd, &one, &[], NONE, NOW)), EINVAL);
    assert_eq!(errno(syncobj::timeline_signal(&fd, &one, &[1, 2])), EINVAL);
    assert_eq!(errno(syncobj::query(&fd, &one, &mut [], false)), EINVAL);
    assert_eq!(errno(syncobj::wait(&fd, &one, Wait::DEADLINE, None)), EINVAL);
    for found in [
        errno(syncobj::create(&fd, false)),
        errno(syncobj::destroy(&fd, one[0])),
        errno(syncobj::to_fd(&fd, one[0])),
        errno(syncobj::from_fd(&fd, &fd)),
        errno(syncobj::wait(&fd, &one, NONE, NOW)),
        errno(syncobj::timeline_wait(&fd, &one, &[1], NONE, NOW)),
        errno(syncobj::reset(&fd, &one)),
        errno(syncobj::signal(&fd, &one)),
        errno(syncobj::timeline_signal(&fd, &one, &[1])),
        errno(syncobj::query(&fd, &one, &mut [0], false)),
        errno(syncobj::transfer(&fd, (one[0], 0), (one[0], 0), NONE)),
        errno(syncobj::eventfd(&fd, one[0], 0, NONE, &fd)),
    ] {
        assert_eq!(found, Some(libc::ENOTTY));
    }
    assert!(!syncobj::is_syncobj(&fd).expect("asked"));
}

#[test]
fn c70_waits_as_the_truth_table_says() {
    let Some(both) = Both::open() else { return };
    let pending = both.rig.pending();
    let states = [both.empty(), both.with(&pending), syncobj::create(&both.node, true).expect("signalled")];
    // Each set of states (bit 0: empty, bit 1: pending, bit 2: signalled) under each flag.
    for set in 1u32..8 {
        let members: Vec<Syncobj> =
            states.iter().enumerate().filter(|(bit, _)| set & 1 << bit != 0).map(|(_, syncobj)| *syncobj).collect();
        let (has_empty, has_pending, has_signalled) = (set & 1 != 0, set & 2 != 0, set & 4 != 0);
        for flags in [NONE, Wait::ALL, Wait::FOR_SUBMIT, Wait::ALL | Wait::FOR_SUBMIT] {
            let done = if flags.contains(Wait::ALL) { !has_empty && !has_pending } else { has_signalled };
            let expected = match () {
                () if has_empty && !flags.contains(Wait::FOR_SUBMIT) => EINVAL,
                () if done => None,
                () => ETIME,
            };
            assert_eq!(both.wait(&members, flags), expected, "set {set:#05b}, {flags:?}");
        }
        let points = vec![0; members.len()];
        for all in [NONE, Wait::ALL] {
            let available = if all.is_empty() { has_pending || has_signalled } else { !has_empty };
            let found = errno(syncobj::timeline_wait(&both.node, &members, &points, all | Wait::AVAILABLE, NOW));
            assert_eq!(found, if available { None } else { ETIME }, "set {set:#05b}, available, {all:?}");
        }
    }
    both.rig.end(&pending);
    assert_eq!(both.wait(&states[1..], Wait::ALL), None);
}

#[test]
fn c71_c72_c92_what_is_refused() {
    let Some(both) = Both::open() else { return };
    assert_eq!(errno(syncobj::create(&both.rig.vgem, false)), Some(libc::EOPNOTSUPP), "vgem has none");
    let (node, made, bad) = (&both.node, both.empty(), Syncobj(0xdead_beef));
    let event = eventfd::create().expect("eventfd");
    for (name, found, expected) in [
        ("wait bad", both.wait(&[bad], NONE), ENOENT),
        ("timeline wait bad", both.wait_point(bad, 1, NONE), ENOENT),
        ("reset bad", errno(syncobj::reset(node, &[bad])), ENOENT),
        ("signal bad", errno(syncobj::signal(node, &[bad])), ENOENT),
        ("timeline signal bad", errno(syncobj::timeline_signal(node, &[bad], &[1])), ENOENT),
        ("transfer from bad", errno(syncobj::transfer(node, (bad, 0), (made, 1), NONE)), ENOENT),
        ("transfer to bad", errno(syncobj::transfer(node, (made, 0), (bad, 1), NONE)), ENOENT),
        ("eventfd bad", errno(syncobj::eventfd(node, bad, 1, NONE, &event)), ENOENT),
        ("destroy bad", errno(syncobj::destroy(node, bad)), EINVAL),
        ("to_fd bad", errno(syncobj::to_fd(node, bad)), EINVAL),
        ("wait for none", both.wait(&[], NONE), None),
        ("reset none", errno(syncobj::reset(node, &[])), EINVAL),
        ("signal none", errno(syncobj::signal(node, &[])), EINVAL),
        ("timeline signal none", errno(syncobj::timeline_signal(node, &[], &[])), EINVAL),
        ("query none", errno(syncobj::query(node, &[], &mut [], false)), EINVAL),
        ("AVAILABLE on binary", both.wait(&[made], Wait::AVAILABLE), EINVAL),
        ("unknown wait flag", both.wait(&[made], Wait::from_bits_retain(0x100)), EINVAL),
        ("unknown transfer flag", errno(syncobj::transfer(node, (made, 0), (made, 1), Wait::ALL)), EINVAL),
        ("unknown eventfd flag", errno(syncobj::eventfd(node, made, 1, Wait::FOR_SUBMIT, &event)), EINVAL),
        ("not an eventfd", errno(syncobj::eventfd(node, made, 1, NONE, both.rig.buffer())), EINVAL),
        ("not a syncobj", errno(syncobj::from_fd(node, &event)), EINVAL),
        ("not a sync_file", errno(syncobj::import_sync_file(node, made, &event)), EINVAL),
        ("c79: export of nothing", errno(syncobj::export_sync_file(node, made)), EINVAL),
    ] {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn c73_one_illegal_member_and_none_is_changed() {
    let Some(both) = Both::open() else { return };
    let (made, bad) = (both.empty(), Syncobj(0xdead_beef));
    assert_eq!(errno(syncobj::signal(&both.node, &[made, bad])), ENOENT);
    assert_eq!(errno(syncobj::timeline_signal(&both.node, &[made, bad], &[5, 5])), ENOENT);
    assert_eq!(both.wait(&[made], NONE), EINVAL, "still empty");
    both.signal(made, 5);
    assert_eq!(errno(syncobj::reset(&both.node, &[made, bad])), ENOENT);
    assert_eq!(both.progress(made), (5, 5));
}

#[test]
fn c74_c77_a_wait_ends_at_its_instant_or_with_the_first() {
    let Some(both) = Both::open() else { return };
    let (one, two) = (both.rig.pending(), both.rig.pending());
    let pair = [both.with(&one), both.with(&two)];
    // Left to itself, the kernel gives up before the instant about once in a hundred waits.
    for wait in 0..40 {
        let instant = Monotonic::now().saturating_add(Duration::from_millis(10 + wait));
        assert_eq!(errno(syncobj::wait(&both.node, &pair, NONE, Some(instant))), ETIME);
        assert!(Monotonic::now() >= instant);
    }
    assert_eq!(errno(syncobj::wait(&both.node, &pair, NONE, Some(Monotonic(1)))), ETIME);
    let found = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| syncobj::wait(&both.node, &pair, NONE, soon()));
        std::thread::sleep(Duration::from_millis(50));
        both.rig.end(&two);
        waiter.join().expect("no panic")
    });
    assert_eq!(found.expect("wait"), 1);
    assert_eq!(both.wait(&pair, Wait::ALL), ETIME);
    both.rig.end(&one);
    syncobj::wait(&both.node, &pair, Wait::ALL, None).expect("both have ended");
    match errno(syncobj::wait(&both.node, &pair, Wait::ALL | Wait::DEADLINE, NOW)) {
        Some(libc::EINVAL) => common::skip("syncobj deadlines", "a kernel that does not know the flag"),
        other => assert_eq!(other, None),
    }
}

#[test]
fn c75_c76_c78_a_reset_does_not_reach_what_is_under_way() {
    let Some(both) = Both::open() else { return };
    let pending = both.rig.pending();
    let made = both.with(&pending);
    let exported = syncobj::export_sync_file(&both.node, made).expect("export");
    let found = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| syncobj::wait(&both.node, &[made], NONE, soon()));
        std::thread::sleep(Duration::from_millis(100));
        syncobj::reset(&both.node, &[made]).expect("reset");
        assert_eq!(both.wait(&[made], NONE), EINVAL, "empty for everybody else");
        assert_eq!(sync_file::status(&exported).expect("status"), Status::Pending);
        both.rig.end(&pending);
        waiter.join().expect("no panic")
    });
    found.expect("the waiter kept its fence");
    assert_eq!(sync_file::status(&exported).expect("status"), Status::Signalled);
    let found = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| syncobj::wait(&both.node, &[made], Wait::FOR_SUBMIT, soon()));
        std::thread::sleep(Duration::from_millis(50));
        syncobj::reset(&both.node, &[made]).expect("reset");
        std::thread::sleep(Duration::from_millis(50));
        syncobj::signal(&both.node, &[made]).expect("signal");
        waiter.join().expect("no panic")
    });
    found.expect("submitted");
}

#[test]
fn c80_c81_c82_a_point_needs_all_below_it() {
    let Some(both) = Both::open() else { return };
    let (one, two, three) = (both.rig.pending(), both.rig.pending(), both.rig.pending());
    let timeline = both.empty();
    assert_eq!(both.progress(timeline), (0, 0));
    both.add(timeline, 1, &one);
    both.add(timeline, 2, &two);
    assert_eq!(both.progress(timeline), (0, 2));
    both.rig.end(&two);
    assert_eq!((both.progress(timeline), both.wait_point(timeline, 2, NONE)), ((0, 2), ETIME));
    assert_eq!(both.wait_point(timeline, 2, Wait::AVAILABLE), None);
    for (flags, expected) in [(NONE, EINVAL), (Wait::AVAILABLE, ETIME), (Wait::FOR_SUBMIT, ETIME)] {
        assert_eq!(both.wait_point(timeline, 3, flags), expected, "the future, {flags:?}");
    }
    both.rig.end(&one);
    assert_eq!((both.progress(timeline), both.wait_point(timeline, 2, NONE)), ((2, 2), None));
    both.add(timeline, 5, &three);
    both.signal(timeline, 8);
    assert_eq!(both.progress(timeline), (2, 8));
    for gap in [3, 5, 7, 8] {
        assert_eq!(both.wait_point(timeline, gap, NONE), ETIME, "{gap}");
    }
    both.rig.end(&three);
    assert_eq!((both.progress(timeline), both.wait_point(timeline, 4, NONE)), ((8, 8), None));
}

#[test]
fn c83_c84_c85_c91_order_zero_and_large_values() {
    let Some(both) = Both::open() else { return };
    let timeline = both.empty();
    both.signal(timeline, 10);
    both.signal(timeline, 5);
    assert_eq!(both.progress(timeline).0, 10, "c83: a lower point is accepted and lowers nothing");
    syncobj::signal(&both.node, &[timeline]).expect("signal");
    assert_eq!(both.progress(timeline).0, 0, "c85: a binary write throws the timeline away");
    let binary = both.empty();
    both.signal(binary, 0);
    assert_eq!((both.wait_point(binary, 0, NONE), both.wait(&[binary], NONE)), (None, None), "c84");
    let large = both.empty();
    for point in [5, (1 << 31) + 10, (1 << 63) + 5, u64::MAX] {
        both.signal(large, point);
        assert_eq!(both.progress(large), (point, point), "c91");
    }
}

#[test]
fn c86_c87_transfer_copies_what_a_point_stands_for() {
    let Some(both) = Both::open() else { return };
    let (one, two) = (both.rig.pending(), both.rig.pending());
    let (timeline, binary) = (both.empty(), both.empty());
    let take = |flags| errno(syncobj::transfer(&both.node, (timeline, 2), (binary, 0), flags));
    both.add(timeline, 1, &one);
    assert_eq!(take(NONE), EINVAL, "nothing there yet");
    let found = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| take(Wait::FOR_SUBMIT));
        std::thread::sleep(Duration::from_millis(100));
        both.add(timeline, 2, &two);
        waiter.join().expect("no panic")
    });
    assert_eq!(found, None);
    let file = syncobj::export_sync_file(&both.node, binary).expect("export");
    assert_eq!(sync_file::count(&file).expect("count"), 2, "c87: with the earlier one");
    both.rig.end(&two);
    assert_eq!(sync_file::status(&file).expect("status"), Status::Pending);
    both.rig.end(&one);
    assert_eq!(sync_file::status(&file).expect("status"), Status::Signalled);
    let started = Monotonic::now();
    assert_eq!(errno(syncobj::transfer(&both.node, (timeline, 3), (binary, 0), Wait::FOR_SUBMIT)), ETIME);
    assert!(Monotonic::now().saturating_since(started) >= Duration::from_secs(4), "five seconds, says the kernel");
}

#[test]
fn points_by_sync_file_where_the_kernel_has_them() {
    let Some(both) = Both::open() else { return };
    let pending = both.rig.pending();
    let timeline = both.empty();
    match syncobj::import_point_sync_file(&both.node, timeline, 3, &pending.sync_file) {
        // On an older kernel both are refused, and neither does something else instead.
        Err(error) => {
            assert_eq!(error.raw_os_error(), EINVAL);
            both.signal(timeline, 3);
            assert_eq!(errno(syncobj::export_point_sync_file(&both.node, timeline, 3)), EINVAL);
        }
        Ok(()) => {
            assert_eq!(both.progress(timeline), (0, 3));
            let file = syncobj::export_point_sync_file(&both.node, timeline, 3).expect("export");
            assert_eq!(sync_file::status(&file).expect("status"), Status::Pending);
        }
    }
    both.rig.end(&pending);
}

#[test]
fn c88_c89_an_eventfd_fires_once() {
    let Some(both) = Both::open() else { return };
    let (timeline, pending) = (both.empty(), both.rig.pending());
    let (complete, available) = (eventfd::create().expect("eventfd"), eventfd::create().expect("eventfd"));
    match syncobj::eventfd(&both.node, timeline, 1, NONE, &complete) {
        Err(error) if error.raw_os_error() != ENOENT => {
            return common::skip("syncobj eventfds", &error.to_string());
        }
        other => other.expect("before anything was submitted"),
    }
    syncobj::eventfd(&both.node, timeline, 1, Wait::AVAILABLE, &available).expect("register");
    let fired = || (eventfd::drain(&complete).expect("drain"), eventfd::drain(&available).expect("drain"));
    assert_eq!(fired(), (0, 0));
    both.add(timeline, 1, &pending);
    assert!(poll::wait_readable(&available, soon()).expect("poll"));
    assert_eq!(fired(), (0, 1));
    both.rig.end(&pending);
    assert!(poll::wait_readable(&complete, soon()).expect("poll"));
    assert_eq!(fired(), (1, 0));
    both.signal(timeline, 2);
    assert_eq!(fired(), (0, 0), "once");
    syncobj::eventfd(&both.node, timeline, 1, NONE, &complete).expect("register");
    assert_eq!(fired(), (1, 0), "at once where it is so already");
    let never = both.empty();
    syncobj::eventfd(&both.node, never, 1, NONE, &complete).expect("register");
    syncobj::destroy(&both.node, never).expect("destroy");
    let shortly = Monotonic::now().saturating_add(Duration::from_millis(200));
    assert!(!poll::wait_readable(&complete, Some(shortly)).expect("poll"), "c89: the kernel says nothing");
}

#[test]
fn c90_a_descriptor_carries_the_object() {
    let Some(both) = Both::open() else { return };
    let Some(second) = syncobj_node() else { return };
    let timeline = both.empty();
    let carried = syncobj::to_fd(&both.node, timeline).expect("to_fd");
    assert!(syncobj::is_syncobj(&carried).expect("asked"));
    assert!(!sync_file::is_sync_file(&carried).expect("asked"));
    assert!(rustix::io::fcntl_getfd(&carried).expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    let again = syncobj::from_fd(&both.node, &carried).expect("from_fd");
    assert_ne!(again, timeline, "another handle each time");
    let elsewhere = syncobj::from_fd(&second, &carried).expect("from_fd");
    both.signal(timeline, 20);
    assert_eq!(both.progress(again).0, 20);
    let mut seen = [0];
    syncobj::query(&second, &[elsewhere], &mut seen, false).expect("query");
    assert_eq!(seen, [20]);
    for handle in [timeline, again] {
        syncobj::destroy(&both.node, handle).expect("destroy");
    }
    syncobj::query(&second, &[elsewhere], &mut seen, true).expect("the object lives");
}

#[test]
fn c100_a_point_keeps_a_buffer_busy_until_its_producer_ends() {
    let Some(both) = Both::open() else { return };
    let (timeline, binary, pending) = (both.empty(), both.empty(), both.rig.pending());
    both.add(timeline, 1, &pending);
    syncobj::transfer(&both.node, (timeline, 1), (binary, 0), NONE).expect("transfer");
    let file = syncobj::export_sync_file(&both.node, binary).expect("export");
    let buffer = both.rig.buffer();
    dma_buf::import_sync_file(&buffer, Direction::WRITE, &file).expect("import");
    assert!(is_busy(&buffer, Direction::READ));
    both.rig.end(&pending);
    assert!(!is_busy(&buffer, Direction::all()));
}
