//! What the kernel counted: bytes that this thread has read, descriptors open in the process, and the time.

use std::fs::{self, File};
use std::io::Read;

use super::event::Reads;

/// `CLOCK_MONOTONIC` in nanoseconds: the same clock in every process.
pub fn now() -> u64 {
    handover::Monotonic::now().0
}

/// How many descriptors are open, not counting the one that looks.
pub fn descriptors() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.count().saturating_sub(1) as u64)
}

/// Bytes that this thread has read since it was made. Not those of the process: the threads of a driver read programs that it has
/// built before at any time after a job was given to them.
#[derive(Debug)]
pub struct ReadAccount {
    start: u64,
    /// The first look is itself a read, and counted by the second.
    looked: u64,
}

impl ReadAccount {
    /// From now on. `None` where the kernel does not count (`CONFIG_TASK_IO_ACCOUNTING`).
    pub fn open() -> Option<Self> {
        let (start, looked) = rchar()?;
        Some(Self { start, looked })
    }

    /// Until now; `files` bytes were read from files of our own.
    pub fn close(&self, files: u64) -> Option<Reads> {
        let (end, _) = rchar()?;
        Some(Reads { all: end.saturating_sub(self.start), own: self.looked.saturating_add(files) })
    }
}

/// Does `work`. With its result, the bytes that were read meanwhile, what it takes to find out among them.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = rchar();
    let result = work();
    let bytes =
        before.zip(rchar()).map(|((before, _), (after, look))| after.saturating_sub(before).saturating_add(look));
    (result, bytes.unwrap_or(0))
}

/// The kernel's `rchar` as it was before this look, and the bytes the look took.
fn rchar() -> Option<(u64, u64)> {
    let mut text = [0; 512];
    // One call: a second, at the end of the file, would be counted nowhere but cost as much.
    let length = File::open("/proc/thread-self/io").ok()?.read(&mut text).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("rchar:"))?;
    Some((value.trim().parse().ok()?, length as u64))
}

#[cfg(test)]
mod tests {
    use super::ReadAccount;
    use std::io::{Read, Write};

    #[test]
    fn bytes_through_a_pipe_are_counted_and_the_look_itself_is_ours() {
        let Some(account) = ReadAccount::open() else { return };
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&[7; 4000]).unwrap();
        drop(writer);
        reader.read_to_end(&mut Vec::new()).unwrap();
        let reads = account.close(0).unwrap();
        assert_eq!(reads.all, 4000 + reads.own, "{reads:?}");
    }

    #[test]
    fn what_other_threads_read_is_not_counted() {
        let Some(account) = ReadAccount::open() else { return };
        let read = || std::fs::read("/proc/self/status").unwrap().len();
        assert!(std::thread::spawn(read).join().unwrap() > 0);
        let reads = account.close(0).unwrap();
        assert_eq!(reads.all, reads.own);
    }
}
