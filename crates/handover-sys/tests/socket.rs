//! Messages and descriptors over Unix sockets, including what a hostile sender may attach.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use common::{errno, soon};
use handover_sys::file;
use handover_sys::poll::wait_readable;
use handover_sys::socket::{self, RECEIVE_MAX, SEND_MAX, Shutdown};
use handover_sys::{eventfd, process};
use rustix::io::FdFlags;

fn pair() -> (OwnedFd, OwnedFd) {
    socket::pair().expect("socketpair")
}

#[test]
fn messages_keep_their_borders() {
    let (one, other) = pair();
    socket::send(&one, b"first", &[], false).expect("send");
    socket::send(&one, b"second", &[], false).expect("send");
    let mut buffer = [0; 64];
    for expected in ["first", "second"] {
        let message = socket::receive(&other, &mut buffer, 0).expect("receive");
        assert_eq!(&buffer[..message.len], expected.as_bytes());
        assert!(!message.truncated && !message.descriptors_truncated && message.descriptors.is_empty());
    }
}

#[test]
fn a_long_message_is_told_as_truncated() {
    let (one, other) = pair();
    socket::send(&one, b"0123456789", &[], false).expect("send");
    let mut buffer = [0; 4];
    let message = socket::receive(&other, &mut buffer, 0).expect("receive");
    assert_eq!((message.len, message.truncated, &buffer), (4, true, b"0123"));
}

#[test]
fn an_empty_message_cannot_be_sent_and_means_the_end() {
    let (one, other) = pair();
    assert_eq!(errno(socket::send(&one, b"", &[], false)), Some(libc::EINVAL));
    drop(one);
    let message = socket::receive(&other, &mut [0; 4], 4).expect("receive");
    assert!(message.len == 0 && message.descriptors.is_empty());
}

#[test]
fn a_closed_end_is_an_error_and_no_signal() {
    let (one, other) = pair();
    drop(other);
    assert_eq!(errno(socket::send(&one, b"x", &[], false)), Some(libc::EPIPE));
}

#[test]
fn a_full_queue_refuses_without_blocking() {
    let (one, other) = pair();
    let refused = (0..100_000).find_map(|_| errno(socket::send(&one, &[0; 1024], &[], true)));
    assert_eq!(refused, Some(libc::EAGAIN));
    let _ = socket::receive(&other, &mut [0; 1024], 0).expect("receive");
}

#[test]
fn descriptors_arrive_as_the_same_files_and_close_on_exec() {
    let (one, other) = pair();
    let files: Vec<OwnedFd> = (0..RECEIVE_MAX).map(|_| eventfd::create().expect("eventfd")).collect();
    let borrowed: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    socket::send(&one, b"x", &borrowed, false).expect("send");
    let message = socket::receive(&other, &mut [0; 4], RECEIVE_MAX).expect("receive");
    assert_eq!((message.descriptors.len(), message.descriptors_truncated), (RECEIVE_MAX, false));
    for (index, (sent, received)) in files.iter().zip(&message.descriptors).enumerate() {
        eventfd::signal(received).expect("signal");
        assert_eq!(eventfd::drain(sent).expect("drain"), 1, "descriptor {index} is the file that was sent");
        assert_eq!(rustix::io::fcntl_getfd(received).expect("F_GETFD"), FdFlags::CLOEXEC);
    }
}

/// Rows: sent, asked for. Whatever is above what was asked for is closed and told.
#[test]
fn surplus_descriptors_are_told_as_truncated() {
    let file = eventfd::create().expect("eventfd");
    for (sent, asked) in
        [(0, 0), (1, 0), (1, 1), (2, 1), (3, 1), (4, 3), (16, 16), (17, 16), (17, 99), (253, 16), (253, 1)]
    {
        let (one, other) = pair();
        socket::send(&one, b"x", &vec![file.as_fd(); sent], false).expect("send");
        let message = socket::receive(&other, &mut [0; 4], asked).expect("receive");
        let room = asked.min(RECEIVE_MAX);
        assert_eq!(message.descriptors.len(), sent.min(room), "{sent} sent, {asked} asked for");
        assert_eq!(message.descriptors_truncated, sent > room, "{sent} sent, {asked} asked for");
    }
    let (one, _other) = pair();
    assert_eq!(errno(socket::send(&one, b"x", &vec![file.as_fd(); SEND_MAX + 1], false)), Some(libc::EINVAL));
}

#[test]
fn a_listener_accepts_and_both_ends_know_their_peer() {
    let directory = std::env::temp_dir().join(format!("handover-sys-{}", process::own_pid()));
    std::fs::create_dir(&directory).expect("directory");
    let path = directory.join("socket");
    let listener = socket::listen(&path).expect("listen");
    assert_eq!(errno(socket::listen(&path)), Some(libc::EADDRINUSE));
    assert!(!wait_readable(&listener, Some(handover_sys::clock::Monotonic(0))).expect("poll"), "nobody came yet");
    let client = socket::connect(&path).expect("connect");
    assert!(wait_readable(&listener, soon()).expect("poll"));
    let server = socket::accept(&listener).expect("accept");
    for end in [&client, &server] {
        let peer = socket::peer(end).expect("peer");
        assert_eq!((peer.pid, peer.uid), (process::own_pid(), process::own_uid()));
        assert_eq!(rustix::io::fcntl_getfd(end).expect("F_GETFD"), FdFlags::CLOEXEC);
    }
    socket::send(&client, b"hello", &[], false).expect("send");
    assert_eq!(socket::receive(&server, &mut [0; 8], 0).expect("receive").len, 5);

    socket::shutdown(&client, Shutdown::Send).expect("shutdown");
    assert_eq!(socket::receive(&server, &mut [0; 8], 0).expect("receive").len, 0);
    socket::send(&server, b"still", &[], false).expect("the other direction goes on");

    drop(listener);
    assert_eq!(errno(socket::connect(&path)), Some(libc::ECONNREFUSED));
    std::fs::remove_dir_all(&directory).expect("clean up");
    assert_eq!(errno(socket::connect(&path)), Some(libc::ENOENT));
    assert_eq!(errno(socket::listen(&directory.join("x".repeat(200)))), Some(libc::ENAMETOOLONG));
}

#[test]
fn a_received_descriptor_shares_its_description() {
    let (one, other) = pair();
    let memory = handover_sys::memfd::create("sent", 4096).expect("memfd");
    socket::send(&one, b"x", &[memory.as_fd()], false).expect("send");
    let message = socket::receive(&other, &mut [0; 4], 1).expect("receive");
    let received = &message.descriptors[0];
    assert_eq!(file::identity(received).expect("identity"), file::identity(&memory).expect("identity"));
    assert!(file::link_text(received).expect("link").starts_with("/memfd:sent"));
}
