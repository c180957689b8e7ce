//! A control file that a peer scribbles over: errors or contained, never a panic, never a wait beyond its deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Noise, Other, Parts, alone, hear, hear_parts, image, keeps_descriptors, lease, millis, parent, refusal, role, say,
    soon, surfaces,
};
use handover::backend::software::reservation::layout::{Block, ENTRIES, PARTICIPANTS, file_size, header};
use handover::backend::software::reservation::{Phase, TICKET_NS, Word};
use handover::{
    Access, Deadline, Device, Error, ExportFlags, Format, Kind, Metadata, Queue, Region, Surface, Usage, Writers,
    acquire, export, flush, import, try_acquire,
};
use handover_sys::clock::Monotonic;
use handover_sys::file;
use handover_sys::map::{Mapping, Populate};

const READ: ExportFlags = ExportFlags::READ;
/// Deadline of each operation under attack, and how late it may at most come back.
const DEADLINE: u64 = 20;
const LATE: Duration = Duration::from_secs(2);

/// A pool of two surfaces, its handles, and the control file as any holder of a handle can map it.
struct Victim {
    surfaces: Vec<Surface>,
    parts: Vec<Parts>,
    words: Mapping,
}

fn map_control(parts: &Parts) -> Mapping {
    let size = file::size(&parts.control).unwrap() as usize;
    Mapping::new(&parts.control, size, Populate::Now).unwrap()
}

impl Victim {
    fn new(device: Device) -> Self {
        let surfaces = surfaces(device, Format::XRGB8888, (50, 20), 2, Writers::Open);
        let export = |surface| Parts::of(export(surface, READ | ExportFlags::EXPLICIT_FLUSH, soon()).unwrap().handle);
        let parts: Vec<Parts> = surfaces.iter().map(export).collect();
        let words = map_control(&parts[0]);
        Self { surfaces, parts, words }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.words.words64()[at / 8]
    }

    fn import(&self, index: usize) -> Surface {
        import(self.parts[index].handle(), Device::BLOCKS).unwrap()
    }
}

fn now_ticket() -> u64 {
    Monotonic::now().0 / TICKET_NS
}

/// What a scribbled pool may answer. Anything else, above all `Unreachable`, is a bug.
fn contained(error: &Error) {
    let kind = error.kind();
    let known = matches!(
        kind,
        Kind::Timeout(_)
            | Kind::Spoiled
            | Kind::Contended
            | Kind::Full
            | Kind::LayoutChanged
            | Kind::Cancelled
            | Kind::Malformed
            | Kind::Unsupported
    );
    assert!(known, "{error}");
}

fn check<T>(what: &str, work: impl FnOnce() -> handover::Result<T>) -> Option<T> {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < LATE, "{what}: {:?} for a deadline of {DEADLINE} ms", start.elapsed());
    result.inspect_err(contained).ok()
}

/// Everything a process does with a surface of a pool, once, each with a deadline.
fn exercise(surface: &Surface, other: &Surface, handle: &Parts, queue: &Queue) {
    for access in [Access::Read, Access::Write] {
        if surface.is_producer() || access == Access::Read {
            let set = [(surface, access, Region::WHOLE), (other, Access::Read, Region::WHOLE)];
            if let Some(Some(lease)) = check("try_acquire", || try_acquire(&set)) {
                check("release", || lease.release());
            }
            if let Some(lease) = check("acquire", || acquire(&set, millis(DEADLINE))?.wait()) {
                let mut row = [0; 200];
                check("read", || lease.read(surface)?.read(0, handover::Elements(0), 3, &mut row));
                if access == Access::Write {
                    check("flush", || flush(&lease, surface));
                }
                check("release_failed", || lease.release_failed(5));
            }
            if let Some(mut place) = check("acquire to poll", || acquire(&set, millis(DEADLINE))) {
                check("descriptor", || place.owned_descriptor());
                check("poll", || place.poll());
            }
        }
    }
    let job =
        check("submit", || queue.submit(&[(surface, Access::Read, Region::WHOLE)], &[], millis(DEADLINE), |_| Ok(())));
    if let Some(fence) = job {
        check("the end of a job", || fence.wait(Deadline::after(LATE)));
    }
    let metadata = check("metadata", || surface.metadata());
    check("set_metadata", || surface.set_metadata(&metadata.unwrap_or_default()));
    if surface.is_producer() {
        check("export", || export(surface, READ, millis(DEADLINE)));
        check("export that rewrites", || export(other, ExportFlags::WRITE, millis(DEADLINE)));
    }
    check("import", || import(handle.handle(), Device::BLOCKS));
}

#[test]
fn a_clock_far_ahead_is_spoiled_and_pushes_nobody() {
    let _turn = alone();
    let (victim, bystander) = (Victim::new(Device::BLOCKS), Victim::new(Device::PLAIN));
    let queue = Queue::new("victim").unwrap();
    let theirs = victim.import(0);
    for ahead in [now_ticket() + 2_000_000_000 / TICKET_NS, (1 << 52) - 1, 1 << 52, u64::MAX - 1, u64::MAX] {
        victim.word(Block::of(0).clock()).store(ahead, SeqCst);
        let set = [(&theirs, Access::Read, Region::WHOLE), (&bystander.surfaces[0], Access::Read, Region::WHOLE)];
        let spoiled = |what, error: Error| assert_eq!(*error.kind(), Kind::Spoiled, "{what}: {error}");
        spoiled("acquire", refusal("acquire", acquire(&set, soon())));
        spoiled("try_acquire", refusal("try_acquire", try_acquire(&set)));
        spoiled("submit", refusal("submit", queue.submit(&set, &[], soon(), |_| Ok(()))));
        spoiled("export", refusal("export", export(&victim.surfaces[0], ExportFlags::WRITE, soon())));
        // What needs no ticket goes on; so does the other surface of the pool, and the pool beside it.
        assert!(theirs.metadata().is_ok() && image(&victim.surfaces[1]).len() == 1000);
        assert!(bystander.word(Block::of(0).clock()).load(SeqCst) <= now_ticket() + 1_000_000);
    }
    drop(lease(&bystander.surfaces[0], Access::Write));
}

#[test]
fn a_clock_a_little_ahead_is_followed() {
    let _turn = alone();
    let victim = Victim::new(Device::PLAIN);
    victim.word(Block::of(0).clock()).store(now_ticket() + 500_000_000 / TICKET_NS, SeqCst);
    for _ in 0..100 {
        drop(lease(&victim.surfaces[0], Access::Write));
    }
}

#[test]
fn entries_nobody_made_delay_to_the_deadline_and_no_further() {
    let _turn = alone();
    let victim = Victim::new(Device::PLAIN);
    let queue = Queue::new("victim").unwrap();
    let block = Block::of(0);
    for (phase, owner) in [(Phase::Pending, 0), (Phase::Choosing, 0), (Phase::Pending, 63), (Phase::Claimed, 63)] {
        for entry in 0..ENTRIES as u8 {
            let word = Word::new(1, owner, Usage::Kernel, true, phase);
            victim.word(block.word(entry)).store(word.0, SeqCst);
        }
        for high in [u64::MAX, 64, 0] {
            victim.word(block.high()).store(high, SeqCst);
            exercise(&victim.surfaces[0], &victim.surfaces[1], &victim.parts[0], &queue);
        }
    }
    for entry in 0..ENTRIES as u8 {
        victim.word(block.word(entry)).store(0, SeqCst);
    }
    drop(lease(&victim.surfaces[0], Access::Write));
}

#[test]
fn a_lease_whose_entry_was_written_over_says_so_at_release() {
    let _turn = alone();
    let victim = Victim::new(Device::PLAIN);
    for word in [0, u64::MAX, Word::new(7, 0, Usage::Read, false, Phase::Done).0] {
        let lease = lease(&victim.surfaces[0], Access::Write);
        for entry in 0..ENTRIES as u8 {
            victim.word(Block::of(0).word(entry)).store(word, SeqCst);
        }
        assert_eq!(*refusal("release", lease.release()).kind(), Kind::Spoiled);
        for entry in 0..ENTRIES as u8 {
            victim.word(Block::of(0).word(entry)).store(0, SeqCst);
        }
    }
    drop(lease(&victim.surfaces[0], Access::Write));
}

#[test]
fn armed_bits_and_event_counts_may_hold_anything() {
    let _turn = alone();
    let victim = Victim::new(Device::PLAIN);
    let theirs = victim.import(0);
    for value in [u64::MAX, 0, 0x5555_5555_5555_5555] {
        victim.word(Block::of(0).armed()).store(value, SeqCst);
        victim.word(Block::of(0).event()).store(value, SeqCst);
        let held = lease(&victim.surfaces[0], Access::Write);
        assert!(try_acquire(&[(&theirs, Access::Read, Region::WHOLE)]).unwrap().is_none());
        held.release().unwrap();
        drop(lease(&theirs, Access::Read));
    }
}

#[test]
fn metadata_that_points_nowhere_is_spoiled_or_somebody_elses_bytes() {
    let _turn = alone();
    let victim = Victim::new(Device::BLOCKS);
    let surface = &victim.surfaces[0];
    let mut noise = Noise::new(3);
    for current in [u64::MAX, 1, 0xff, 0x100, 1 << 63].into_iter().chain((0..200).map(|_| noise.next())) {
        victim.word(Block::of(0).meta_current()).store(current, SeqCst);
        let _ = check("metadata", || surface.metadata());
        let _ = check("import", || import(victim.parts[0].handle(), Device::BLOCKS));
    }
    for slot in 0..4 {
        victim.word(Block::of(0).slot(slot) + 24).store(257, SeqCst);
    }
    assert_eq!(*refusal("a length of 257", surface.metadata()).kind(), Kind::Spoiled);
    refusal("a length of 257", import(victim.parts[0].handle(), Device::BLOCKS));
    // Every slot claimed by somebody who does not exist.
    for slot in 0..4 {
        victim.word(Block::of(0).slot(slot)).store(u64::MAX, SeqCst);
    }
    check("set_metadata", || surface.set_metadata(&Metadata::default()));
    assert_eq!(surface.metadata().unwrap(), Metadata::default());
}

#[test]
fn a_content_generation_nobody_bumped_costs_consumers_an_import_and_the_producer_nothing() {
    let _turn = alone();
    let victim = Victim::new(Device::BLOCKS);
    let theirs = victim.import(0);
    victim.word(Block::of(0).content_generation()).store(u64::MAX, SeqCst);
    let error = refusal("acquire", acquire(&[(&theirs, Access::Read, Region::WHOLE)], soon()));
    assert_eq!(*error.kind(), Kind::LayoutChanged, "{error}");
    drop(lease(&victim.import(0), Access::Read));
    // It changes the layout itself, and knows what it did.
    drop(lease(&victim.surfaces[0], Access::Write));
}

#[test]
fn participants_written_over_end_no_wait_early_for_those_who_check() {
    let _turn = alone();
    let victim = Victim::new(Device::PLAIN);
    let queue = Queue::new("victim").unwrap();
    let mut noise = Noise::new(4);
    for _ in 0..20 {
        for owner in 0..PARTICIPANTS as u8 {
            victim.word(header::generation(owner)).store(noise.next(), SeqCst);
            victim.word(header::pid(owner)).store(noise.next(), SeqCst);
        }
        // The words that import checks, too.
        for field in [header::MAGIC, header::ABI, header::FEATURES, header::SURFACES] {
            victim.word(field).store(noise.next(), SeqCst);
        }
        exercise(&victim.surfaces[0], &victim.surfaces[1], &victim.parts[0], &queue);
    }
}

/// Scribbles over a control file until `rounds` are over: whole pages of noise, single words, and plausible words.
fn scribble(words: &[AtomicU64], noise: &mut Noise, rounds: usize) {
    for _ in 0..rounds {
        let at = noise.below(words.len());
        let value = match noise.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => now_ticket() + (noise.next() % 100_000_000),
            3..=5 => {
                Word::new(now_ticket(), noise.next() as u8, Usage::Write, true, Phase::Pending).0 ^ (noise.next() % 64)
            }
            6 => words[noise.below(words.len())].load(SeqCst),
            _ => noise.next(),
        };
        // Most of it where it hurts: clocks, events, metadata pointers and entries of both blocks.
        let block = 512 * (1 + noise.below(2));
        let target = if noise.below(4) == 0 { at } else { block + noise.below(104) };
        words[target].store(value, SeqCst);
    }
}

#[test]
fn noise_between_operations_is_contained() {
    let _turn = alone();
    let queue = Queue::new("victim").unwrap();
    for seed in 0..12 {
        let victim = Victim::new(if seed % 2 == 0 { Device::PLAIN } else { Device::BLOCKS });
        let theirs = victim.import(0);
        let mut noise = Noise::new(seed);
        for rounds in [1, 10, 1000] {
            scribble(victim.words.words64(), &mut noise, rounds);
            keeps_descriptors("noise", || {
                exercise(&victim.surfaces[0], &victim.surfaces[1], &victim.parts[0], &queue);
                exercise(&theirs, &victim.surfaces[1], &victim.parts[0], &queue);
            });
        }
    }
}

/// Three seconds of honest traffic on three threads while another process, which holds a READ handle and no more, writes
/// over the control file as fast as it can. Seeded, so that a failure comes again.
#[test]
fn a_scribbling_process_stops_nobody_beyond_a_deadline() {
    let _turn = alone();
    let victim = Victim::new(Device::BLOCKS);
    let bystander = Victim::new(Device::BLOCKS);
    let other = Other::start("scribbler");
    victim.parts[0].send(&other.socket);
    assert_eq!(other.hear(), "mapped");
    let imported = Mutex::new(victim.import(0));
    other.tell("go");

    let end = Instant::now() + Duration::from_secs(3);
    let rounds = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..2 {
            let (victim, imported, rounds) = (&victim, &imported, Arc::clone(&rounds));
            scope.spawn(move || {
                let queue = Queue::new("traffic").unwrap();
                while Instant::now() < end {
                    let theirs = imported.lock().unwrap().clone();
                    let surface = if thread == 0 { &victim.surfaces[0] } else { &theirs };
                    exercise(surface, &victim.surfaces[1], &victim.parts[0], &queue);
                    if let Ok(again) = import(victim.parts[0].handle(), Device::BLOCKS) {
                        *imported.lock().unwrap() = again;
                    }
                    rounds.fetch_add(1, SeqCst);
                }
            });
        }
        // Whoever shares no pool with the liar notices nothing.
        scope.spawn(|| {
            while Instant::now() < end {
                let (ours, theirs) = (&bystander.surfaces[0], bystander.import(1));
                drop(lease(ours, Access::Write));
                drop(lease(&theirs, Access::Read));
                assert!(ours.metadata().is_ok());
            }
        });
    });
    assert!(rounds.load(SeqCst) >= 2, "the traffic stood still");
    other.tell("stop");
    assert_eq!(other.hear(), "stopped");
}

/// Not a test: the other process.
#[test]
fn child_process() {
    if role().as_deref() != Some("scribbler") {
        return;
    }
    let socket = parent();
    let parts = hear_parts(socket.as_fd());
    assert_eq!(file::size(&parts.control).unwrap(), file_size(2));
    let map = map_control(&parts);
    say(&socket, "mapped");
    hear(socket.as_fd());
    let mut noise = Noise::new(5);
    while !handover_sys::poll::wait_readable(&socket, Some(Monotonic(0))).unwrap() {
        let rounds = 1 + noise.below(64);
        scribble(map.words64(), &mut noise, rounds);
        if noise.below(4) == 0 {
            // Breath for the others, so that operations also get half-way.
            thread::sleep(Duration::from_micros(200));
        }
    }
    // Unread, it would reset the connection when we leave, and take the answer along.
    hear(socket.as_fd());
    say(&socket, "stopped");
}
