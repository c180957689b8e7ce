//! The carrier: messages keep their bounds, descriptors their count, strangers their distance.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handover::transport::{Channel, Listener, MAX_PAYLOAD, Trust};
use handover::{Deadline, Kind};
use handover_model::wire::{MAX_MESSAGE, Message};
use handover_sys::{file, socket};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// One test counts the descriptors of this process, so the others open none meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A channel, and the bare socket of a peer that keeps no rules.
fn hostile() -> (Channel, OwnedFd) {
    let (ours, theirs) = socket::pair().unwrap();
    (Channel::from_fd(ours, Trust::SameUser).unwrap(), theirs)
}

#[test]
fn a_listener_lives_in_a_directory_of_our_own_and_takes_it_along() {
    let _turn = alone();
    let listener = Listener::new(Trust::SameUser).unwrap();
    let path = listener.path().to_owned();
    let directory = path.parent().unwrap().to_owned();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let client = Channel::connect(&path, Trust::SameUser, soon()).unwrap();
    let server = listener.accept(soon()).unwrap();
    assert_eq!(server.peer().pid, std::process::id());
    client.send(&Message::End, &[], soon()).unwrap();
    assert_eq!(server.receive(soon()).unwrap().unwrap().0, Message::End);
    assert!(listener.accept(Deadline::after(Duration::from_millis(20))).unwrap_err().is_timeout());
    drop(listener);
    assert!(!directory.exists());
    let error = Channel::connect(&path, Trust::SameUser, soon()).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (&Kind::Os, Some(2)), "{error}");
}

#[test]
fn a_connect_to_a_listener_that_is_behind_ends_at_its_deadline() {
    let _turn = alone();
    let listener = Listener::new(Trust::SameUser).unwrap();
    let deadline = Deadline::after(Duration::from_millis(200));
    let mut waiting = Vec::new();
    let error = loop {
        match Channel::connect(listener.path(), Trust::SameUser, deadline) {
            Ok(channel) => waiting.push(channel),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10_000, "the backlog has no end");
    };
    assert_eq!(error.errno(), Some(11), "{error}");
    listener.accept(soon()).unwrap();
    Channel::connect(listener.path(), Trust::SameUser, soon()).unwrap();
}

#[test]
fn what_is_no_channel_is_refused() {
    let _turn = alone();
    let (stream, _other) = UnixStream::pair().unwrap();
    let error = Channel::from_fd(stream.into(), Trust::SameUser).unwrap_err();
    assert_eq!(*error.kind(), Kind::Invalid, "{error}");
    let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    assert_eq!(Channel::from_fd(file, Trust::SameUser).unwrap_err().errno(), Some(88), "ENOTSOCK");
}

#[test]
fn bytes_without_end_and_descriptors_without_number_are_truncated_and_leave_nothing() {
    let _turn = alone();
    let (channel, peer) = hostile();
    let before = file::open_count().unwrap();
    socket::send(&peer, &vec![1; MAX_MESSAGE + 1], &[], false).unwrap();
    assert_eq!(*channel.receive(soon()).unwrap_err().kind(), Kind::Truncated);
    let null = std::fs::File::open("/dev/null").unwrap();
    let many = vec![null.as_fd(); 253];
    socket::send(&peer, &Message::End.encode(), &many, false).unwrap();
    assert_eq!(*channel.receive(soon()).unwrap_err().kind(), Kind::Truncated);
    socket::send(&peer, &Message::End.encode(), &many[..3], false).unwrap();
    assert_eq!(*channel.receive(soon()).unwrap_err().kind(), Kind::Malformed, "three more than the message has");
    socket::send(&peer, b"nothing that anybody knows", &[], false).unwrap();
    assert_eq!(*channel.receive(soon()).unwrap_err().kind(), Kind::Malformed);
    drop(null);
    assert_eq!(file::open_count().unwrap(), before);
    socket::send(&peer, &Message::End.encode(), &[], false).unwrap();
    assert_eq!(channel.receive(soon()).unwrap().unwrap().0, Message::End, "what comes after is not harmed");
}

#[test]
fn a_payload_has_bounds_and_a_message_its_count_of_descriptors() {
    let _turn = alone();
    let (one, other) = Channel::pair().unwrap();
    for bytes in [&[][..], &vec![0; MAX_PAYLOAD + 1]] {
        assert_eq!(*one.send_bytes(bytes, &[], soon()).unwrap_err().kind(), Kind::Invalid);
    }
    assert_eq!(*one.send(&Message::End, &[other.as_fd()], soon()).unwrap_err().kind(), Kind::Invalid);
    one.send_bytes(&vec![7; MAX_PAYLOAD], &[], soon()).unwrap();
    assert_eq!(other.receive_bytes(0, soon()).unwrap().unwrap().0.len(), MAX_PAYLOAD);
    assert_eq!((one.traffic().sent_messages, other.traffic().received_bytes), (1, MAX_PAYLOAD as u64));
    one.send(&Message::End, &[], soon()).unwrap();
    other.receive(soon()).unwrap();
    let payload = (one.traffic().sent_payload_bytes, other.traffic().received_payload_bytes);
    assert_eq!(payload, (MAX_PAYLOAD as u64, MAX_PAYLOAD as u64), "messages are no payload");
}

#[test]
fn a_peer_that_does_not_read_and_one_that_is_gone_are_told_apart_and_by_name() {
    let _turn = alone();
    let (one, other) = Channel::pair().unwrap();
    let one = one.with_peer_name("the encoder");
    let stuck = loop {
        if let Err(error) = one.send(&Message::End, &[], Deadline::after(Duration::from_millis(20))) {
            break error;
        }
    };
    assert!(stuck.is_timeout() && stuck.to_string().contains("the encoder"), "{stuck}");
    assert!(one.receive(Deadline::after(Duration::from_millis(20))).unwrap_err().is_timeout());
    drop(other);
    let gone = one.send(&Message::End, &[], soon()).unwrap_err();
    assert!(*gone.kind() == Kind::PeerGone && gone.to_string().contains("the encoder"), "{gone}");
    assert!(one.receive(soon()).unwrap().is_none());
}
