//! Processes: a handle that cannot be recycled, signals through it, and what a process has read and written.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

/// A process, held by descriptor: the number may be recycled, this cannot. Readable (`POLLIN`) once the process ended.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

/// The signals that this project sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`
    Interrupt,
    /// `SIGTERM`
    Terminate,
    /// `SIGKILL`
    Kill,
    /// `SIGSTOP`
    Stop,
    /// `SIGCONT`
    Continue,
}

/// Bytes through system calls since the start of a process, from `/proc/PID/io` (`Documentation/filesystems/proc.rst`).
/// Counted at the call, whether or not a disk was touched; sockets count only for `read` and `write`, not for
/// `recvmsg` and `sendmsg`, and mapped memory not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// Bytes read.
    pub rchar: u64,
    /// Bytes written.
    pub wchar: u64,
}

impl Pidfd {
    /// A handle of the process `pid`. Sure to be the right one for a child that has not been waited for; for anyone
    /// else compare what is known of it after opening.
    ///
    /// Call: `pidfd_open`. Permission: none. May block: no. Since: Linux 5.3. Retries: none.
    /// Errors: `ESRCH` (no such process), `EINVAL` (0, or above `i32::MAX`).
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
        Ok(Self(rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends `signal` to the process.
///
/// Call: `pidfd_send_signal`. Permission: same user, or CAP_KILL. May block: no. Since: Linux 5.1. Retries: none.
/// Errors: `ESRCH` (ended and waited for), `EPERM`.
pub fn kill(process: &Pidfd, signal: Signal) -> io::Result<()> {
    let signal = match signal {
        Signal::Interrupt => rustix::process::Signal::INT,
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Continue => rustix::process::Signal::CONT,
    };
    Ok(rustix::process::pidfd_send_signal(&process.0, signal)?)
}

/// The number of this process.
///
/// Call: `getpid`. Permission: none. May block: no. Retries: none.
#[must_use]
pub fn own_pid() -> u32 {
    std::process::id()
}

/// The effective user of this process: the one that [`peer`](crate::socket::peer) shows to others.
///
/// Call: `geteuid`. Permission: none. May block: no. Retries: none.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What this process has read and written so far.
///
/// Call: a read of `/proc/self/io`. Permission: none. May block: no. Retries: none.
/// Errors: `ENOENT` (no /proc), `InvalidData` (a file of another form).
pub fn io_counters() -> io::Result<IoCounters> {
    read_io_counters("/proc/self/io")
}

/// What the process `pid` has read and written so far.
///
/// Call: a read of `/proc/PID/io`. Permission: that of ptrace, so a child of the same user. May block: no.
/// Retries: none. Errors: `ENOENT` (no such process), `EACCES`, `ESRCH` (it ended meanwhile).
pub fn io_counters_of(pid: u32) -> io::Result<IoCounters> {
    read_io_counters(&format!("/proc/{pid}/io"))
}

fn read_io_counters(path: &str) -> io::Result<IoCounters> {
    let text = std::fs::read_to_string(path)?;
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.trim().parse::<u64>().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path} has no number {name}")))
    };
    Ok(IoCounters { rchar: field("rchar")?, wchar: field("wchar")? })
}
