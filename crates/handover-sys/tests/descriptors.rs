//! No descriptor is left behind, whatever is received. Alone in its binary: the count is that of the process.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

use std::os::fd::AsFd;

use handover_sys::{eventfd, file, socket};

#[test]
fn all_that_a_hostile_sender_attaches_is_closed() {
    let (one, other) = socket::pair().expect("socketpair");
    let sent = eventfd::create().expect("eventfd");
    let before = file::open_count().expect("count");
    for asked in [0, 1, 3, 16] {
        for count in [1, 2, 16, 17, 253] {
            socket::send(&one, b"x", &vec![sent.as_fd(); count], false).expect("send");
            let message = socket::receive(&other, &mut [0; 4], asked).expect("receive");
            let kept = file::open_count().expect("count") - before;
            assert_eq!(kept, message.descriptors.len(), "{count} sent, {asked} asked for");
            drop(message);
            assert_eq!(file::open_count().expect("count"), before, "{count} sent, {asked} asked for");
        }
    }
    // A message that nobody receives goes with its socket.
    socket::send(&one, b"x", &[sent.as_fd(); 16], false).expect("send");
    drop((one, other));
    assert_eq!(file::open_count().expect("count"), before - 2);
}
