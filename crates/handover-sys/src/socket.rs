//! Unix sockets that keep message borders (`SOCK_SEQPACKET`) and carry descriptors.
//!
//! A received descriptor is owned from the first moment: whatever a hostile sender attaches is closed when the
//! [`Received`] it came in is dropped.
#![allow(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// The most descriptors [`receive`] takes with one message.
pub const RECEIVE_MAX: usize = 16;

/// The most descriptors the kernel sends with one message (`SCM_MAX_FD` of `include/net/scm.h`).
pub const SEND_MAX: usize = 253;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// One message.
#[derive(Debug)]
#[must_use]
pub struct Received {
    /// Bytes written to the buffer. 0 with no descriptors: the other end is closed.
    pub len: usize,
    /// The message was longer than the buffer and the rest is lost (`MSG_TRUNC`).
    pub truncated: bool,
    /// More descriptors were sent than asked for and the rest is closed (`MSG_CTRUNC`).
    pub descriptors_truncated: bool,
    /// The descriptors that came along, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Who is at the other end, as the kernel saw it when the connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process, in our PID namespace; 0 where it has no number there.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// Which directions [`shutdown`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// No more receiving.
    Receive,
    /// No more sending: the other end receives what is on its way, then the end.
    Send,
    /// Neither.
    Both,
}

/// Two connected sockets.
///
/// Call: `socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)`. Permission: none. May block: no. Retries: none.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// A socket that accepts connections at `path` (at most 107 bytes, must not exist; the caller removes it).
///
/// Who may connect is decided by the mode of the directory, so that directory should be private.
///
/// Call: `socket`, `bind`, `listen`. Permission: to write the directory. May block: no. Retries: none.
/// Errors: `EADDRINUSE` (something is there), `ENAMETOOLONG`, `ENOENT`, `EACCES`.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let socket = new_socket()?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Takes the next connection.
///
/// Call: `accept4(SOCK_CLOEXEC)`. Permission: none further. May block: until someone connects; poll for reading first
/// where there is a deadline. Retries: none. Errors: `ECONNABORTED` (gone again), `EMFILE`.
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    let listener = listener.as_fd();
    Ok(rustix::io::retry_on_intr(|| rustix::net::accept_with(listener, SocketFlags::CLOEXEC))?)
}

/// Connects to the listener at `path`.
///
/// Call: `socket`, `connect`. Permission: to write the socket file. May block: no. Retries: after `EAGAIN` (the listener's
/// backlog is full; nothing tells when it is not). Errors: `ECONNREFUSED` (nobody listens), `ENOENT`, `EACCES`,
/// `EPROTOTYPE` (another socket type).
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let socket = new_socket()?;
    // A blocking connect would wait for room in the backlog without a deadline.
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))?;
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok(socket)
}

/// Sends one message, whole or not at all. It must have bytes: the receiver could not tell an empty one from the end.
///
/// Call: `sendmsg(MSG_NOSIGNAL)`, with `MSG_DONTWAIT` where `nonblocking`. Permission: none further. May block: while
/// the receiver's queue is full, unless `nonblocking`. Retries: after `EAGAIN`, once `fd` can be written.
/// Errors: `EAGAIN`, `EPIPE` (the other end is closed), `EMSGSIZE`, `EINVAL` (no bytes, or more than [`SEND_MAX`]
/// descriptors), `ETOOMANYREFS` (too many descriptors on their way).
pub fn send(fd: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>], nonblocking: bool) -> io::Result<()> {
    if bytes.is_empty() || descriptors.len() > SEND_MAX {
        return Err(Errno::INVAL.into());
    }
    let fd = fd.as_fd();
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::DONTWAIT, nonblocking);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SEND_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL.into());
    }
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(fd, &[IoSlice::new(bytes)], &mut control, flags))?;
    Ok(())
}

/// Receives one message into `into`, with at most `max_descriptors` descriptors (and at most [`RECEIVE_MAX`]).
///
/// Truncation is told, not hidden: what it means is the caller's decision, and the only safe one is to refuse.
///
/// Call: `recvmsg(MSG_CMSG_CLOEXEC)`. Permission: none further. May block: until a message or the end; poll for
/// reading first where there is a deadline. Retries: none. Errors: `ECONNRESET` (the other end closed with messages
/// of ours unread).
pub fn receive(fd: impl AsFd, into: &mut [u8], max_descriptors: usize) -> io::Result<Received> {
    receive_with(fd.as_fd(), into, max_descriptors, RecvFlags::CMSG_CLOEXEC)
}

/// As [`receive`], but never waits.
///
/// Call: `recvmsg(MSG_CMSG_CLOEXEC | MSG_DONTWAIT)`. Permission: none further. May block: no. Retries: after `EAGAIN`, once
/// `fd` can be read. Errors: `EAGAIN`, `ECONNRESET`.
pub fn try_receive(fd: impl AsFd, into: &mut [u8], max_descriptors: usize) -> io::Result<Received> {
    receive_with(fd.as_fd(), into, max_descriptors, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
}

fn receive_with(fd: BorrowedFd<'_>, into: &mut [u8], max_descriptors: usize, flags: RecvFlags) -> io::Result<Received> {
    let allowed = max_descriptors.min(RECEIVE_MAX);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RECEIVE_MAX))];
    // With no room at all the kernel closes what was sent and says so.
    let room = if allowed == 0 { &mut [][..] } else { &mut space[..] };
    let mut control = RecvAncillaryBuffer::new(room);
    let message =
        rustix::io::retry_on_intr(|| rustix::net::recvmsg(fd, &mut [IoSliceMut::new(into)], &mut control, flags))?;
    let mut descriptors = Vec::new();
    for attached in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = attached {
            descriptors.extend(rights);
        }
    }
    // The control buffer is rounded up, so the kernel may hand over a few more than were asked for.
    let surplus = descriptors.len() > allowed;
    descriptors.truncate(allowed);
    Ok(Received {
        // MSG_TRUNC is not asked for, so `bytes` cannot pass the buffer; the clamp keeps that local.
        len: message.bytes.min(into.len()),
        truncated: message.flags.contains(ReturnFlags::TRUNC),
        descriptors_truncated: surplus || message.flags.contains(ReturnFlags::CTRUNC),
        descriptors,
    })
}

/// Ends one or both directions of a connection, for every holder of it.
///
/// Call: `shutdown`. Permission: none further. May block: no. Retries: none. Errors: `ENOTCONN`.
pub fn shutdown(fd: impl AsFd, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Receive => rustix::net::Shutdown::Read,
        Shutdown::Send => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    Ok(rustix::net::shutdown(fd, how)?)
}

/// Is this a Unix socket that keeps message borders?
///
/// Call: `getsockopt(SO_DOMAIN, SO_TYPE)`. Permission: none further. May block: no. Retries: none. Errors: `ENOTSOCK`.
pub fn is_seqpacket(fd: impl AsFd) -> io::Result<bool> {
    let fd = fd.as_fd();
    let domain = rustix::net::sockopt::socket_domain(fd)?;
    Ok(domain == AddressFamily::UNIX && rustix::net::sockopt::socket_type(fd)? == SocketType::SEQPACKET)
}

/// Who is at the other end of a connection.
///
/// Call: `getsockopt(SO_PEERCRED)`. Permission: none further. May block: no. Retries: none.
/// Errors: `EINVAL` (the kernel answered with another size).
pub fn peer(fd: impl AsFd) -> io::Result<Credentials> {
    // Not rustix's: its PID is a NonZero, and a peer of another PID namespace is 0 here.
    let mut found = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let (value, fd) = (std::ptr::from_mut(&mut found), fd.as_fd().as_raw_fd());
    // SAFETY: getsockopt(2): writes at most `length` bytes to `value`, which points at one `struct ucred` of that size
    // in which every bit pattern is a value; both are borrowed exclusively for the call and `fd` is open.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, value.cast(), &raw mut length) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    if length as usize != size_of::<libc::ucred>() {
        return Err(Errno::INVAL.into());
    }
    Ok(Credentials { pid: u32::try_from(found.pid).unwrap_or(0), uid: found.uid, gid: found.gid })
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}
