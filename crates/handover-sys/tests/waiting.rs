//! Clocks, event descriptors, poll, process handles, and what a file says of itself.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use common::{errno, soon};
use handover_sys::clock::Monotonic;
use handover_sys::file::{self, Reopen};
use handover_sys::poll::{self, Entry, Interest, Ready};
use handover_sys::process::{self, Pidfd, Signal};
use handover_sys::{eventfd, memfd, socket};

#[test]
fn the_clock_goes_forward_and_coarse_lags_behind() {
    let (coarse, first) = (Monotonic::coarse(), Monotonic::now());
    let second = Monotonic::now();
    assert!(coarse <= first && first <= second);
    assert_eq!(first.saturating_since(second), Duration::ZERO);
    assert_eq!(Monotonic(5).saturating_since(Monotonic(2)), Duration::from_nanos(3));
    assert_eq!(Monotonic(1).checked_add(Duration::MAX), None);
}

#[test]
fn an_eventfd_counts_and_never_blocks() {
    let fd = eventfd::create().expect("eventfd");
    assert_eq!(eventfd::drain(&fd).expect("drain"), 0);
    eventfd::signal(&fd).expect("signal");
    eventfd::signal(&fd).expect("signal");
    assert!(poll::wait_readable(&fd, soon()).expect("poll"));
    assert_eq!(eventfd::drain(&fd).expect("drain"), 2);
    rustix::io::write(&fd, &(u64::MAX - 1).to_ne_bytes()).expect("fill the counter");
    eventfd::signal(&fd).expect("a full counter is signalled already");
    assert_eq!(eventfd::drain(&fd).expect("drain"), u64::MAX - 1);
}

#[test]
fn poll_reports_each_entry() {
    let (quiet, loud) = (eventfd::create().expect("eventfd"), eventfd::create().expect("eventfd"));
    let (ours, theirs) = socket::pair().expect("pair");
    eventfd::signal(&loud).expect("signal");
    drop(theirs);
    let mut entries = [
        Entry::new(quiet.as_fd(), Interest::READ),
        Entry::new(loud.as_fd(), Interest::READ | Interest::WRITE),
        Entry::new(ours.as_fd(), Interest::empty()),
    ];
    assert_eq!(poll::poll(&mut entries, soon()).expect("poll"), 2);
    assert_eq!(entries[0].ready, Ready::empty());
    assert_eq!(entries[1].ready, Ready::READ | Ready::WRITE);
    assert_eq!(entries[2].ready, Ready::HANGUP);
}

#[test]
fn poll_takes_sets_of_any_size() {
    let files: Vec<OwnedFd> = (0..70).map(|_| eventfd::create().expect("eventfd")).collect();
    for count in [0, 1, 31, 32, 33, 70] {
        let mut entries: Vec<Entry<'_>> =
            files[..count].iter().map(|fd| Entry::new(fd.as_fd(), Interest::READ)).collect();
        let deadline = Monotonic::now().checked_add(Duration::from_millis(2));
        assert_eq!(poll::poll(&mut entries, deadline).expect("poll"), 0, "{count} quiet entries");
        assert!(Some(Monotonic::now()) >= deadline);
        if let Some(last) = entries.last() {
            eventfd::signal(last.fd).expect("signal");
            assert_eq!(poll::poll(&mut entries, None).expect("poll"), 1, "the last of {count}");
            assert_eq!(entries.last().map(|entry| entry.ready), Some(Ready::READ));
            eventfd::drain(&files[count - 1]).expect("drain");
        }
    }
}

#[test]
fn a_process_handle_becomes_readable_at_the_end() {
    let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
    let handle = Pidfd::open(child.id()).expect("pidfd");
    assert!(!poll::wait_readable(&handle, Some(Monotonic(0))).expect("poll"));
    for signal in [Signal::Stop, Signal::Continue, Signal::Terminate] {
        process::kill(&handle, signal).expect("kill");
    }
    assert!(poll::wait_readable(&handle, soon()).expect("poll"));
    child.wait().expect("reap");
    assert_eq!(errno(process::kill(&handle, Signal::Kill)), Some(libc::ESRCH));
    assert_eq!(errno(Pidfd::open(0)), Some(libc::EINVAL));
    assert_eq!(errno(Pidfd::open(u32::MAX)), Some(libc::EINVAL));
}

#[test]
fn io_counters_see_pipes_and_not_memory() {
    let before = process::io_counters().expect("counters");
    let (mut reader, mut writer) = std::io::pipe().expect("pipe");
    let mut buffer = vec![1; 50_000];
    std::io::Write::write_all(&mut writer, &buffer).expect("write");
    std::io::Read::read_exact(&mut reader, &mut buffer).expect("read");
    let after = process::io_counters_of(process::own_pid()).expect("counters");
    assert!(after.rchar - before.rchar >= 50_000 && after.wchar - before.wchar >= 50_000);
    assert_eq!(errno(process::io_counters_of(u32::MAX)), Some(libc::ENOENT));
}

#[test]
fn a_file_says_what_it_is() {
    let fd = memfd::create("what", 12_345).expect("memfd");
    let (other, stranger) =
        (file::reopen(&fd, Reopen::ReadOnly).expect("reopen"), memfd::create("what", 0).expect("memfd"));
    let identity = file::identity(&fd).expect("identity");
    assert_eq!(identity, file::identity(&other).expect("identity"));
    assert_eq!(identity, file::identity(file::duplicate(&fd).expect("dup")).expect("identity"));
    assert_ne!(identity, file::identity(&stranger).expect("identity"));
    assert_eq!((file::size(&fd).expect("size"), file::regular_size(&other).expect("size")), (12_345, Some(12_345)));
    assert!(file::is_writable(&fd).expect("mode") && !file::is_writable(&other).expect("mode"));
    assert_eq!(file::link_text(&other).expect("link"), "/memfd:what (deleted)");

    let (pipe, _writer) = std::io::pipe().expect("pipe");
    assert_eq!(file::regular_size(&pipe).expect("size"), None);
    assert!(file::link_text(&pipe).expect("link").starts_with("pipe:["));
    let (socket, _other) = socket::pair().expect("pair");
    assert_eq!(errno(file::reopen(&socket, Reopen::ReadWrite)), Some(libc::ENXIO));
}

/// A FIFO that poses as a surface must not stop its importer: opening one for reading waits for a writer, unless told
/// otherwise.
#[test]
fn reopening_a_fifo_does_not_block() {
    let (pipe, writer) = std::io::pipe().expect("pipe");
    drop(writer);
    file::reopen(&pipe, Reopen::ReadOnly).expect("reopen without a writer");
}
