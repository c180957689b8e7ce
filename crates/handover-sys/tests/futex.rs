//! Sleeping and waking: within a process, across processes, and from a mapping that can only be read.
#![allow(unsafe_code)]
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Other, hear, parent, role, soon, until};
use handover_sys::clock::Monotonic;
use handover_sys::file::{self, Reopen};
use handover_sys::futex::{self, Wait, Word};
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::memfd::{self, Seals};
use handover_sys::socket;

const SIZE: usize = 4096;
const EVEN: NonZeroU32 = NonZeroU32::new(0x5555_5555).unwrap();
const ODD: NonZeroU32 = NonZeroU32::new(0xAAAA_AAAA).unwrap();
const ALL: NonZeroU32 = NonZeroU32::MAX;

fn shortly() -> Option<Monotonic> {
    Monotonic::now().checked_add(Duration::from_millis(5))
}

/// A file that only this process can write, its mapping, and a read-only description to send.
fn event_file() -> (OwnedFd, Mapping) {
    let fd = memfd::create("events", SIZE as u64).expect("memfd");
    let mapping = Mapping::new(&fd, SIZE, Populate::Now).expect("map");
    memfd::add_seals(&fd, Seals::SHRINK | Seals::GROW | Seals::FUTURE_WRITE | Seals::SEAL).expect("seal");
    (file::reopen(&fd, Reopen::ReadOnly).expect("reopen"), mapping)
}

fn start(role: &str, fd: &OwnedFd) -> Other {
    let child = Other::start(role, None).expect("child");
    child.tell("here", &[fd.as_fd()]);
    assert_eq!(child.hear(), "ready");
    child
}

#[test]
fn a_wait_does_not_sleep_on_another_value_and_ends_at_its_deadline() {
    let word = AtomicU32::new(5);
    assert_eq!(futex::wait_bitset(&word, 4, ALL, None).expect("wait"), Wait::Changed);
    assert_eq!(futex::wait_bitset(&word, 5, ALL, shortly()).expect("wait"), Wait::TimedOut);
    assert_eq!(futex::wait_bitset(&word, 5, ALL, Some(Monotonic(0))).expect("wait"), Wait::TimedOut);
    assert_eq!(futex::waitv(&[(&word, 4)], None).expect("waitv"), Wait::Changed);
    assert_eq!(futex::waitv(&[(&word, 5)], shortly()).expect("waitv"), Wait::TimedOut);
}

#[test]
fn a_wake_reaches_its_bits_only() {
    let word = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| futex::wait_bitset(&word, 0, EVEN, soon()));
        for _ in 0..20 {
            assert_eq!(futex::wake_bitset(&word, ODD, u32::MAX).expect("wake"), 0);
            std::thread::sleep(Duration::from_millis(1));
        }
        until("one sleeper of these bits", || futex::wake_bitset(&word, EVEN, u32::MAX).expect("wake") == 1);
        assert_eq!(sleeper.join().expect("sleeper").expect("wait"), Wait::Woken);
    });
}

#[test]
fn waitv_is_bounded() {
    let words: Vec<AtomicU32> = (0..=futex::WAITV_MAX).map(|_| AtomicU32::new(0)).collect();
    let table: Vec<(&AtomicU32, u32)> = words.iter().map(|word| (word, 0)).collect();
    assert_eq!(futex::waitv(&table[..futex::WAITV_MAX], shortly()).expect("waitv"), Wait::TimedOut);
    assert_eq!(common::errno(futex::waitv(&table, shortly())), Some(libc::EINVAL));
    assert_eq!(common::errno(futex::waitv::<Word<'_>>(&[], shortly())), Some(libc::EINVAL));
}

/// A reader sleeps in another process, on a read-only mapping of a file it cannot write, and is woken from here.
#[test]
fn a_sleeper_on_a_read_only_mapping_is_woken_across_processes() {
    for role in ["wait", "waitv"] {
        let (fd, mapping) = event_file();
        let child = start(role, &fd);
        let word = &mapping.words32()[16];
        until("the child sleeps and is woken", || futex::wake_bitset(word, ALL, u32::MAX).expect("wake") == 1);
        assert_eq!(child.hear(), "Woken 0", "{role}");
    }
}

/// The value is part of the word that both see: a store here is `Changed` there, without any wake.
#[test]
fn a_store_is_seen_through_a_read_only_mapping() {
    let (fd, mapping) = event_file();
    mapping.words32()[16].store(7, Ordering::Release);
    let child = start("wait", &fd);
    assert_eq!(child.hear(), "Changed 7");
}

#[test]
fn a_read_only_mapping_can_wake() {
    let (fd, mapping) = event_file();
    let _child = start("wake", &fd);
    assert_eq!(futex::wait_bitset(&mapping.words32()[16], 0, ALL, soon()).expect("wait"), Wait::Woken);
}

/// A signal is no answer and no error: the sleeper looks again.
#[test]
fn a_signal_counts_as_woken() {
    handle_signal();
    let sleeps: [fn(&AtomicU32) -> Wait; 2] = [
        |word| futex::wait_bitset(word, 0, ALL, soon()).expect("wait"),
        |word| futex::waitv(&[(word, 0)], soon()).expect("waitv"),
    ];
    for sleep in sleeps {
        let sleeper = std::thread::spawn(move || sleep(&AtomicU32::new(0)));
        until("the sleeper looks again", || {
            // SAFETY: pthread_kill(3): the thread has not been joined, so its handle is valid; the handler is ours.
            unsafe { libc::pthread_kill(sleeper.as_pthread_t(), libc::SIGUSR1) };
            sleeper.is_finished()
        });
        assert_eq!(sleeper.join().expect("sleeper"), Wait::Woken);
    }
}

extern "C" fn ignore(_signal: libc::c_int) {}

fn handle_signal() {
    // SAFETY: sigaction is plain data for which all zeros is a value: no flags, so no SA_RESTART, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: sigaction(2): reads one `struct sigaction`; the handler does nothing, so it is async-signal-safe.
    let result = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let parent = parent();
    let (_, descriptors) = hear(parent.as_fd());
    let mapping = ReadMapping::new(&descriptors[0], SIZE, Populate::Now).expect("map");
    let word = mapping.word32(64).expect("word 16");
    socket::send(&parent, b"ready", &[], false).expect("ready");
    let outcome = match role.as_str() {
        "wake" => {
            until("the parent sleeps", || futex::wake_bitset(word, ALL, 1).expect("wake") == 1);
            return;
        }
        "waitv" => futex::waitv(&[(word, 0)], soon()),
        _ => futex::wait_bitset(word, 0, ALL, soon()),
    };
    let answer = format!("{:?} {}", outcome.expect("wait"), word.load_relaxed());
    socket::send(&parent, answer.as_bytes(), &[], false).expect("answer");
}
