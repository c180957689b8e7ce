//! Who is alive: locks of an open file description across processes, kills, forks and stops. The facts that *Join* of
//! the protocol stands on.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use common::{Other, fork, hear, parent, reap, role, stay, until};
use handover_sys::file::{self, Reopen};
use handover_sys::map::{Mapping, Populate};
use handover_sys::process::{self, Signal};
use handover_sys::{memfd, ofd, socket};

const SIZE: usize = 65536;

fn control_file() -> OwnedFd {
    memfd::create("control", SIZE as u64).expect("memfd")
}

/// A child in `role` that has received `fd` and done its part.
fn start(role: &str, fd: &OwnedFd) -> Other {
    let child = Other::start(role, None).expect("child");
    child.tell("here", &[fd.as_fd()]);
    assert_eq!(child.hear(), "done");
    child
}

fn locked(fd: &OwnedFd, byte: u32) -> bool {
    ofd::is_locked(fd, byte).expect("GETLK")
}

/// "Still alive" cannot be proved by looking once: the lock must stand while a dead process would long be gone.
fn stays_locked(fd: &OwnedFd, byte: u32) {
    for _ in 0..10 {
        assert!(locked(fd, byte));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_lock_excludes_other_descriptions_and_not_its_own() {
    let fd = control_file();
    let other = file::reopen(&fd, Reopen::ReadWrite).expect("reopen");
    assert!(ofd::try_lock(&fd, 3).expect("SETLK"));
    assert!(ofd::try_lock(&fd, 3).expect("SETLK"), "the same description may take it again");
    assert!(!locked(&fd, 3), "a lock of its own does not show");
    assert!(locked(&other, 3));
    assert!(!ofd::try_lock(&other, 3).expect("SETLK"));
    assert!(ofd::try_lock(&other, 4).expect("SETLK"), "the next byte is another lock");
    ofd::unlock(&fd, 3).expect("unlock");
    assert!(!locked(&other, 3));
    assert!(ofd::try_lock(&other, u32::MAX).expect("SETLK"), "the last index is in range");
}

#[test]
fn a_duplicate_is_the_same_description() {
    let fd = control_file();
    let duplicate = file::duplicate(&fd).expect("dup");
    assert!(ofd::try_lock(&fd, 0).expect("SETLK"));
    assert!(ofd::try_lock(&duplicate, 0).expect("SETLK"));
}

#[test]
fn a_read_only_descriptor_can_look_and_not_lock() {
    let fd = control_file();
    let readable = file::reopen(&fd, Reopen::ReadOnly).expect("reopen");
    assert_eq!(common::errno(ofd::try_lock(&readable, 0)), Some(libc::EBADF));
    assert!(ofd::try_lock(&fd, 0).expect("SETLK"));
    assert!(locked(&readable, 0));
}

/// Why nobody locks through a description that is sent: sender and receiver both own the lock, and the receiver's death
/// is never seen.
#[test]
fn a_lock_through_a_received_description_outlives_the_receiver() {
    let fd = control_file();
    let observer = file::reopen(&fd, Reopen::ReadWrite).expect("reopen");
    let mut child = start("lock-received", &fd);
    assert!(!locked(&fd, 0), "the sender shares the description and sees no conflict");
    assert!(ofd::try_lock(&fd, 0).expect("SETLK"), "and may lock the byte too");
    assert!(locked(&observer, 0));
    child.kill_and_reap();
    stays_locked(&observer, 0);
}

/// *Join*: open, lock, map, close. The mapping alone keeps the lock, and the lock goes with the process.
#[test]
fn a_lock_kept_by_a_mapping_goes_with_its_process() {
    let fd = control_file();
    let mut child = start("join", &fd);
    stays_locked(&fd, 0);
    child.kill_and_reap();
    until("the lock is gone", || !locked(&fd, 0));
}

#[test]
fn a_lock_kept_by_a_mapping_goes_with_the_mapping() {
    let fd = control_file();
    let own = file::reopen(&fd, Reopen::ReadWrite).expect("reopen");
    assert!(ofd::try_lock(&own, 9).expect("SETLK"));
    let mapping = Mapping::new(&own, SIZE, Populate::Now).expect("map");
    drop(own);
    assert!(locked(&fd, 9));
    drop(mapping);
    assert!(!locked(&fd, 9));
}

/// A stopped process looks alive to every detector, which is why waits come in slices.
#[test]
fn a_stopped_process_looks_alive() {
    let fd = control_file();
    let mut child = start("join", &fd);
    process::kill(&child.pidfd(), Signal::Stop).expect("SIGSTOP");
    stays_locked(&fd, 0);
    child.kill_and_reap();
    until("the lock is gone", || !locked(&fd, 0));
}

/// What a forked child inherits keeps its dead parent alive, unless the descriptor is closed and the mapping stays
/// behind.
#[test]
fn what_a_fork_inherits() {
    // The grandchild becomes ours when its parent is killed, so that it can be reaped.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("subreaper");
    for (role, survives) in [("fork-descriptor", true), ("fork-mapping", true), ("fork-neither", false)] {
        let fd = control_file();
        let mut child = start(role, &fd);
        let grandchild: i32 = child.hear().parse().expect("a process number");
        assert!(locked(&fd, 0), "{role}");
        child.kill_and_reap();
        if survives {
            stays_locked(&fd, 0);
        } else {
            until(role, || !locked(&fd, 0));
        }
        // The grandchild ends with our socket, and everything it kept with it.
        child.socket = None;
        assert_eq!(reap(grandchild), 0, "{role}");
        until(role, || !locked(&fd, 0));
    }
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let parent = parent();
    let (_, mut descriptors) = hear(parent.as_fd());
    let received = descriptors.pop().expect("the control file");
    let done = || socket::send(&parent, b"done", &[], false).expect("answer");
    if role == "lock-received" {
        assert!(ofd::try_lock(&received, 0).expect("SETLK"));
        done();
        return stay(parent.as_fd());
    }
    let own = file::reopen(&received, Reopen::ReadWrite).expect("reopen");
    // The description that was received is shared with the parent and kept by nobody here.
    drop(received);
    assert!(ofd::try_lock(&own, 0).expect("SETLK"));
    let mapping = Mapping::new(&own, SIZE, Populate::Now).expect("map");
    // Closed here in every role but one.
    let kept = (role == "fork-descriptor").then_some(own);
    if role == "join" || role == "fork-neither" {
        mapping.dont_fork().expect("DONTFORK");
    }
    done();
    if role.starts_with("fork") {
        let grandchild = fork(|| {
            stay(parent.as_fd());
            0
        });
        socket::send(&parent, grandchild.to_string().as_bytes(), &[], false).expect("answer");
    }
    stay(parent.as_fd());
    drop((mapping, kept));
}
