//! Signals that end a run or a watch, heard in a poll loop.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Signals, as bytes in a socket: one of them can wake a poll.
///
/// One that comes when this is dropped is ignored, and does not end the process: the handler stays. So whoever has several things to
/// do registers once and lends it.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(i32, UnixStream, SigId)>);

impl Signals {
    /// All three, except those that whoever started us wants ignored: `nohup` means it.
    pub(crate) fn register() -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let one = |signal| {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let registered = signal_hook::low_level::pipe::register(signal, theirs)?;
            Ok((signal, ours, registered))
        };
        let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        heard.map(one).collect::<std::io::Result<_>>().map(Self)
    }

    /// Every signal since the last look.
    pub(crate) fn take(&mut self) -> Vec<i32> {
        let mut taken = Vec::new();
        for (signal, socket, _) in &mut self.0 {
            let mut bytes = [0; 16];
            while let Ok(count @ 1..) = socket.read(&mut bytes) {
                taken.extend(std::iter::repeat_n(*signal, count));
            }
        }
        taken
    }

    /// What becomes readable when one comes.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|(_, socket, _)| socket.as_fd())
    }

    /// Sleeps so long, or until one comes.
    pub(crate) fn sleep(&self, limit: Duration) {
        let mut waiting: Vec<PollFd<'_>> =
            self.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
        // Interrupted or refused, the caller looks earlier than planned.
        let _ = poll(&mut waiting, Some(&limit));
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (.., registered) in &self.0 {
            signal_hook::low_level::unregister(*registered);
        }
    }
}

/// The signals that a process ignores, from its `/proc/PID/status`: signal n is bit n - 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::ignored;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    #[test]
    fn nohup_is_read_from_the_mask_of_ignored_signals() {
        let mask = ignored("Name:\thandover\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n");
        let is_ignored = |signal: i32| mask >> (signal - 1) & 1 == 1;
        assert_eq!([SIGHUP, SIGINT, SIGTERM].map(is_ignored), [true, false, false]);
        assert_eq!(ignored("no such line"), 0);
    }
}
