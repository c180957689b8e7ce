//! Help for the tests of the reservation: other processes (this binary again, in a role), memory shared with them, patience.
// Each test binary uses a part of this.
#![allow(dead_code)]

pub(crate) mod schedule;
pub(crate) mod stepper;
pub(crate) mod witness;

use std::fmt::Display;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use handover::Stage;
use handover::backend::software::control::Control;
use handover::backend::software::reservation::platform::Platform;
use handover::backend::software::reservation::working_set::{self, Seat};
use handover::backend::software::reservation::{Attach, Dependency, Entry, Outcome, Reservation};
use handover_model::{Region, Usage};
use handover_sys::clock::Monotonic;
use handover_sys::map::{Mapping, Populate};
use handover_sys::memfd;
use handover_sys::process::{self, Pidfd, Signal};

const ROLE: &str = "HANDOVER_TEST_ROLE";

/// Long enough to mean "never": no test passes by waiting for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Ten times the promise for a death: 100 ms after the memory is torn down, and one slice.
pub(crate) const DEATH_NOTICED: Duration = Duration::from_millis(1200);

/// A process in a role. Dropping it kills and reaps.
pub(crate) struct Other(Child);

impl Other {
    /// Starts this binary again; its test `another_process` takes the role, with these arguments.
    pub(crate) fn start(role: &str, arguments: &[&dyn Display]) -> Self {
        let words: Vec<_> =
            std::iter::once(role.to_owned()).chain(arguments.iter().map(|word| word.to_string())).collect();
        let child = Command::new(std::env::current_exe().expect("path of this binary"))
            .args(["--exact", "another_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, words.join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("start this binary again"))
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // One that has ended by itself cannot be signalled any more.
        let _ = Pidfd::open(self.0.id()).and_then(|process| process::kill(&process, signal));
    }

    pub(crate) fn kill(mut self) {
        self.signal(Signal::Kill);
        self.wait();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("wait for the other process")
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("look after the other process")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Both fail harmlessly where the child has been reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The words given to [`Other::start`], where this process is one.
pub(crate) fn role() -> Option<Vec<String>> {
    std::env::var(ROLE).ok().map(|words| words.split(' ').map(str::to_owned).collect())
}

/// A path under which other processes of this user can open our descriptor, as long as we live.
pub(crate) fn path_of(fd: &impl AsRawFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd())
}

/// A description of one's own of the file at a path of [`path_of`].
pub(crate) fn open(path: &str) -> io::Result<OwnedFd> {
    Ok(std::fs::OpenOptions::new().read(true).write(true).open(path)?.into())
}

/// Words shared with other processes, all zero at first.
pub(crate) struct Board {
    map: Mapping,
    file: OwnedFd,
}

impl Board {
    pub(crate) fn new(words: usize) -> Self {
        Self::map(memfd::create("board", words as u64 * 8).expect("memfd"))
    }

    pub(crate) fn open(path: &str) -> Self {
        Self::map(open(path).expect("the board"))
    }

    fn map(file: OwnedFd) -> Self {
        let size = handover_sys::file::size(&file).expect("size of the board");
        let map = Mapping::new(&file, size as usize, Populate::Later).expect("map the board");
        Self { map, file }
    }

    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        &self.map.words64()[index]
    }

    pub(crate) fn path(&self) -> String {
        path_of(&self.file)
    }
}

/// A control file with nobody in it, and the path to it.
pub(crate) fn new_pool(surfaces: u32) -> (OwnedFd, String) {
    let control = Control::create(surfaces).expect("a control file");
    let file = control.platform().fresh_description().expect("a description of the control file");
    let path = path_of(&file);
    (file, path)
}

/// Joins the pool at a path as one more participant, with `N` entries a surface.
pub(crate) fn join<const N: usize>(path: &str) -> Reservation<Control, N> {
    let (control, owner) = Control::open(Stage::Import, open(path).expect("the control file"), None).expect("a place");
    let surfaces = control.surfaces();
    Reservation::join(control, owner, std::process::id(), surfaces)
}

/// CPU access to one surface.
pub(crate) fn wish(surface: u32, usage: Usage, region: Region) -> Attach {
    Attach { surface, usage, region, lease: true, context: 0, seq: 0 }
}

/// WRITE access to all of these surfaces, in this order.
pub(crate) fn writes<const K: usize>(surfaces: [u32; K]) -> [Attach; K] {
    surfaces.map(|surface| wish(surface, Usage::Write, Region::WHOLE))
}

/// Attaches to surfaces of one pool. Panics on trouble.
pub(crate) fn attach<P: Platform, const N: usize>(
    reservation: &Reservation<P, N>,
    wishes: &[Attach],
) -> (Vec<Entry>, Vec<Dependency>) {
    let wishes: Vec<_> = wishes.iter().map(|wish| (reservation, *wish)).collect();
    let attached = working_set::attach(&wishes).expect("room and an honest pool");
    (attached.entries, attached.dependencies.into_iter().map(|(_, dependency)| dependency).collect())
}

/// Waits for all of them, up to [`PATIENCE`].
pub(crate) fn wait_all<P: Platform, const N: usize>(reservation: &Reservation<P, N>, dependencies: Vec<Dependency>) {
    for mut dependency in dependencies {
        let outcome = reservation.wait(&mut dependency, Some(soon()));
        assert_ne!(outcome, Outcome::TimedOut, "{dependency:?}");
    }
}

fn held<'a, P: Platform, const N: usize>(reservation: &'a Reservation<P, N>, entries: &[Entry]) -> Vec<Seat<'a, P, N>> {
    let as_wished = |entry: &Entry| wish(entry.surface, entry.word.usage(), Region::WHOLE);
    entries.iter().map(|entry| Seat { reservation, wish: as_wished(entry), entry: *entry }).collect()
}

/// Ends them as one set, the way a lease does.
pub(crate) fn release_all<P: Platform, const N: usize>(reservation: &Reservation<P, N>, entries: &[Entry]) {
    working_set::release(&held(reservation, entries), None).expect("the entries are still ours");
}

/// Leaves the line with all of them, the way a dropped place does.
pub(crate) fn withdraw_all<P: Platform, const N: usize>(reservation: &Reservation<P, N>, entries: &[Entry]) {
    working_set::withdraw(&held(reservation, entries)).expect("the entries are still ours");
}

pub(crate) fn soon() -> Monotonic {
    Monotonic::now().saturating_add(PATIENCE)
}

/// Asks `condition` until it holds; a panic after [`PATIENCE`].
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = soon();
    while !condition() {
        assert!(Monotonic::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Small random numbers, the same for the same seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled".
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}
