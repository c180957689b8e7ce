//! Help for the tests of refusals: surfaces, forged handles, noise, and a second process (this test binary, in a role).
// Each test binary uses a part of this.
#![allow(dead_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handover::{
    Access, Cell, Cells, Deadline, Device, Error, Extent, Format, Handle, Kind, Layout, Lease, Options, Region, Result,
    Stage, Surface, SurfaceUsages, Writers, acquire, allocate, negotiate,
};
use handover_model::layout::Constraints;
use handover_sys::process::{self, Pidfd, Signal};
use handover_sys::{file, poll, socket};

/// Long enough to mean "never": no test passes by waiting for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

pub(crate) fn millis(count: u64) -> Deadline {
    Deadline::after(Duration::from_millis(count))
}

/// Descriptors are counted for the whole process, so tests that count them take turns with those that open some.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` and makes sure that it left as many descriptors as it found.
pub(crate) fn keeps_descriptors<T>(what: &str, work: impl FnOnce() -> T) -> T {
    // A thread that ends may have glibc open /proc/sys/vm/overcommit_memory for a moment (`arena.c:heap_trim`): nobody's leak.
    let count = || (0..5).map(|_| file::open_count().unwrap()).min();
    let before = count();
    let result = work();
    assert_eq!(count(), before, "descriptors after {what}");
    result
}

/// Surfaces of `device`, in its own layout (tiled for `blocks`, linear for `plain`), with two views for cells.
pub(crate) fn surfaces(device: Device, format: Format, size: (u32, u32), count: u32, writers: Writers) -> Vec<Surface> {
    let producer = device.offer("producer", &[format], SurfaceUsages::WRITE);
    let consumer = device.offer("consumer", &[format], SurfaceUsages::READ);
    let agreement = negotiate(Extent::new(size.0, size.1).unwrap(), &[producer, consumer]).unwrap();
    let linear = Layout::linear(format, agreement.extent, Constraints::NONE).unwrap();
    let cells = Cells::new(&linear, vec![Cell::View(0), Cell::View(1)]).unwrap();
    let options = Options { surfaces: count, writers, cells, ..Options::default() };
    allocate(device, &agreement, &options).unwrap()
}

pub(crate) fn surface(device: Device, size: (u32, u32), writers: Writers) -> Surface {
    surfaces(device, Format::XRGB8888, size, 1, writers).remove(0)
}

pub(crate) fn lease(surface: &Surface, access: Access) -> Lease {
    acquire(&[(surface, access, Region::WHOLE)], soon()).unwrap().wait().unwrap()
}

/// The first plane of a surface of four bytes a pixel, as this side reads it.
pub(crate) fn try_image(surface: &Surface) -> Result<Vec<u32>> {
    let extent = surface.layout().extent().unwrap();
    let stride = extent.width().get() as usize * 4;
    let mut image = vec![0; stride * extent.height().get() as usize];
    let lease = acquire(&[(surface, Access::Read, Region::WHOLE)], soon())?.wait()?;
    lease.read(surface)?.read_image(0, &mut image, stride)?;
    Ok(image.as_chunks::<4>().0.iter().map(|pixel| u32::from_le_bytes(*pixel)).collect())
}

pub(crate) fn image(surface: &Surface) -> Vec<u32> {
    try_image(surface).unwrap()
}

pub(crate) fn bytes_of(pixels: &[u32]) -> Vec<u8> {
    pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect()
}

/// What travels, taken apart, so that it can be forged and sent more than once.
pub(crate) struct Parts {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pixels: OwnedFd,
    pub(crate) control: OwnedFd,
}

impl Parts {
    pub(crate) fn of(handle: Handle) -> Self {
        let (bytes, [pixels, control]) = handle.into_parts();
        Self { bytes, pixels, control }
    }

    /// A handle of these bytes with duplicates of the descriptors.
    pub(crate) fn forge(&self, bytes: &[u8]) -> Result<Handle> {
        Handle::from_parts(bytes, vec![copy(&self.pixels), copy(&self.control)])
    }

    pub(crate) fn handle(&self) -> Handle {
        self.forge(&self.bytes).unwrap()
    }

    /// The message with some bytes replaced from `at` on.
    pub(crate) fn patched(&self, at: usize, with: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    }

    pub(crate) fn send(&self, socket: impl AsFd) {
        socket::send(socket, &self.bytes, &[self.pixels.as_fd(), self.control.as_fd()], false).unwrap();
    }
}

pub(crate) fn copy(fd: impl AsFd) -> OwnedFd {
    file::duplicate(fd).unwrap()
}

/// Where the fields of a surface message lie (`handover_model::wire`).
pub(crate) mod at {
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const POOL: usize = 12;
    pub(crate) const INDEX: usize = 20;
    pub(crate) const SURFACES: usize = 24;
    pub(crate) const ACCESS: usize = 28;
    pub(crate) const READ_ONLY: usize = 29;
    pub(crate) const FORMAT: usize = 30;
    pub(crate) const WIDTH: usize = 34;
    pub(crate) const HEIGHT: usize = 38;
    pub(crate) const MODIFIER: usize = 42;
    pub(crate) const MEMORY: usize = 50;
    pub(crate) const PLANES: usize = 58;
    pub(crate) const OFFSET: usize = 59;
    pub(crate) const STRIDE: usize = 67;
    pub(crate) const SIZE: usize = 75;
    /// Bytes of one plane.
    pub(crate) const PLANE: usize = 24;
}

/// Numbers from a seed (xorshift64*, Vigna 2016): the same noise in every run.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// The refusal, or a panic that says what was let through.
pub(crate) fn refusal<T>(what: &str, result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("{what}: let through"),
        Err(error) => error,
    }
}

/// Must be refused, so, with these words in the error, and without a descriptor left open.
#[track_caller]
pub(crate) fn refused<T>(
    what: &str,
    stage: Stage,
    kind: &Kind,
    errno: Option<i32>,
    says: &[&str],
    run: impl Fn() -> Result<T>,
) {
    // Twice: the first refusal must not change the second.
    for _ in 0..2 {
        let error: Error = keeps_descriptors(what, || refusal(what, run()));
        assert_eq!((error.stage(), error.kind(), error.errno()), (stage, kind, errno), "{what}: {error}");
        let text = error.to_string();
        assert!(says.iter().all(|words| text.contains(words)), "{what}: {text}");
        assert!(errno.is_none_or(|errno| text.contains(&format!("errno {errno}"))), "{what}: {text}");
    }
}

const ROLE: &str = "HANDOVER_TEST_ROLE";

/// A process in a role, and our end of the socket to it. Dropping it kills and reaps.
pub(crate) struct Other {
    pub(crate) socket: OwnedFd,
    child: Child,
}

impl Other {
    /// Starts this binary again; its test `child_process` takes the role.
    pub(crate) fn start(role: &str) -> Self {
        Self::start_through(&[], role)
    }

    /// As [`start`](Self::start), by a program that changes what it must and then becomes what its last arguments say.
    pub(crate) fn start_through(words: &[&str], role: &str) -> Self {
        let (socket, theirs) = socket::pair().unwrap();
        let program = std::env::current_exe().unwrap();
        let mut command = match words {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(["--exact", "child_process", "--nocapture"]).env(ROLE, role);
        let child = command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn().unwrap();
        Self { socket, child }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // One that has ended by itself cannot be signalled any more.
        let _ = Pidfd::open(self.child.id()).and_then(|process| process::kill(&process, signal));
    }

    /// Stops it, and comes back when each of its threads is: until then some may still run.
    pub(crate) fn stop(&self) {
        self.signal(Signal::Stop);
        let threads = format!("/proc/{}/task", self.child.id());
        let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
        };
        let end = soon();
        while !std::fs::read_dir(&threads).unwrap().all(is_stopped) {
            assert!(!end.has_passed(), "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn tell(&self, text: &str) {
        socket::send(&self.socket, text.as_bytes(), &[], false).unwrap();
    }

    pub(crate) fn hear(&self) -> String {
        String::from_utf8(hear(self.socket.as_fd()).0).unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Both fail harmlessly where the child has ended and been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role of this process, where it is a child.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The socket of a child to its parent: its standard input.
pub(crate) fn parent() -> OwnedFd {
    copy(std::io::stdin())
}

/// One message and its descriptors, or a panic after [`PATIENCE`].
pub(crate) fn hear(socket: BorrowedFd<'_>) -> (Vec<u8>, Vec<OwnedFd>) {
    assert!(poll::wait_readable(socket, soon().at()).unwrap(), "no message in {PATIENCE:?}");
    let mut buffer = vec![0; 8192];
    let message = socket::receive(socket, &mut buffer, 2).unwrap();
    assert!(message.len > 0, "the other process ended early");
    assert!(!message.truncated && !message.descriptors_truncated);
    buffer.truncate(message.len);
    (buffer, message.descriptors)
}

/// A handle from the other process.
pub(crate) fn hear_parts(socket: BorrowedFd<'_>) -> Parts {
    let (bytes, descriptors) = hear(socket);
    let [pixels, control] = <[OwnedFd; 2]>::try_from(descriptors).unwrap();
    Parts { bytes, pixels, control }
}

pub(crate) fn say(socket: impl AsFd, text: &str) {
    socket::send(socket, text.as_bytes(), &[], false).unwrap();
}
