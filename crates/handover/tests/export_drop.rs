//! Exports that change content: they wait for every user, time out cleanly, and a refused one changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Parts, image, lease, millis, refusal, soon, surface, try_image};
use handover::{
    Access, Device, ExportFlags, Kind, Queue, ReadOnly, Region, Resolve, Stage, Surface, Writers, acquire, export,
    flush, import, try_acquire,
};
use handover_model::export::Outcome;

const READ: ExportFlags = ExportFlags::READ;
const WRITE: ExportFlags = ExportFlags::WRITE;
const FLUSHED: ExportFlags = ExportFlags::EXPLICIT_FLUSH;

const SIZE: (u32, u32) = (64, 32);
const TILES: u32 = 8 * 4;

fn blocks(writers: Writers) -> Surface {
    surface(Device::BLOCKS, SIZE, writers)
}

fn clear(surface: &Surface, colour: u32) {
    let lease = lease(surface, Access::Write);
    lease.write(surface).unwrap().clear(colour).unwrap();
    lease.release().unwrap();
}

fn all_are(surface: &Surface, colour: u32) -> bool {
    image(surface).iter().all(|pixel| *pixel == colour)
}

/// How many tiles a flush still finds to do.
fn unresolved(surface: &Surface) -> u32 {
    let lease = lease(surface, Access::Write);
    flush(&lease, surface).unwrap()
}

#[test]
fn a_drop_waits_for_consumers_with_leases_and_then_they_import_again() {
    let ours = blocks(Writers::Open);
    let first = Parts::of(export(&ours, READ | FLUSHED, soon()).unwrap().handle);
    let theirs = import(first.handle(), Device::BLOCKS).unwrap();
    let held = lease(&theirs, Access::Read);
    let dropped = AtomicBool::new(false);
    let second = thread::scope(|scope| {
        let export = scope.spawn(|| {
            let exported = export(&ours, WRITE, soon()).unwrap();
            dropped.store(true, Ordering::SeqCst);
            exported
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!dropped.load(Ordering::SeqCst), "the content changed under a reader");
        // The reader reads on meanwhile.
        let mut row = [0; 64 * 4];
        held.read(&theirs).unwrap().read(0, handover::Elements(0), 0, &mut row).unwrap();
        held.release().unwrap();
        export.join().unwrap()
    });
    assert!(second.decision.changed);
    assert_eq!(*refusal("an old import", try_image(&theirs)).kind(), Kind::LayoutChanged);
    assert_eq!(
        *refusal("an old import", try_acquire(&[(&theirs, Access::Read, Region::WHOLE)])).kind(),
        Kind::LayoutChanged
    );
    clear(&ours, 0x12_3456);
    // The old handle serves: it carries nothing that changed.
    assert!(all_are(&import(first.handle(), Device::BLOCKS).unwrap(), 0x12_3456));
    // A consumer of the new one writes; the producer sees it, and so does the reader.
    let writer = import(second.handle, Device::BLOCKS).unwrap();
    clear(&writer, 0x65_4321);
    assert!(all_are(&ours, 0x65_4321));
    assert!(all_are(&import(first.handle(), Device::PLAIN.with_blocks_decoder()).unwrap(), 0x65_4321));
}

#[test]
fn a_reader_that_waited_behind_a_drop_is_told_at_its_turn() {
    let ours = blocks(Writers::Open);
    let theirs = import(export(&ours, READ, soon()).unwrap().handle, Device::BLOCKS).unwrap();
    let held = lease(&ours, Access::Read);
    thread::scope(|scope| {
        let export = scope.spawn(|| export(&ours, WRITE, soon()).map(|exported| exported.decision.changed));
        thread::sleep(Duration::from_millis(50));
        // Behind the drop in line, although the layout has not changed yet.
        let waiting = acquire(&[(&theirs, Access::Read, Region::WHOLE)], soon()).unwrap();
        held.release().unwrap();
        assert_eq!(*refusal("the turn", waiting.wait()).kind(), Kind::LayoutChanged);
        assert!(export.join().unwrap().unwrap());
    });
}

#[test]
fn a_drop_that_times_out_changes_nothing() {
    for (flags, colour) in [(WRITE, 0x0a_0b0c), (READ, 0x0d_0e0f)] {
        let ours = blocks(Writers::Open);
        let theirs = import(export(&ours, READ | FLUSHED, soon()).unwrap().handle, Device::BLOCKS).unwrap();
        clear(&ours, colour);
        let metadata = ours.metadata().unwrap();
        let held = lease(&theirs, Access::Read);
        let start = Instant::now();
        let error = refusal("a drop", export(&ours, flags, millis(60)));
        assert!(error.is_timeout() && error.stage() == Stage::Export, "{error}");
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(ours.metadata().unwrap(), metadata);
        held.release().unwrap();
        // The place in line was given back, the import is as good as before, and nothing was resolved or is tracked.
        drop(lease(&theirs, Access::Read));
        assert_eq!(unresolved(&ours), TILES);
        clear(&ours, colour);
        assert_eq!(unresolved(&ours), TILES, "tracked after a refused export");
        // EXPLICIT_FLUSH still holds, and the drop can be had later.
        let decision = export(&ours, READ | FLUSHED, soon()).unwrap().decision;
        assert_eq!((decision.compression, decision.resolve), (Outcome::Kept, Resolve::ByFlush));
        assert_eq!(export(&ours, flags, soon()).unwrap().decision.changed, flags == WRITE);
    }
}

/// A refusal by `Writers` comes before the content is touched: the surface stays compressed and imports stay good.
#[test]
fn an_export_refused_by_its_writers_changes_nothing() {
    for writers in [Writers::Me, Writers::Named(0)] {
        let ours = blocks(writers);
        let theirs = import(export(&ours, READ | FLUSHED, soon()).unwrap().handle, Device::BLOCKS).unwrap();
        clear(&ours, 0x10_2030);
        let metadata = ours.metadata().unwrap();
        assert_eq!(*refusal("WRITE", export(&ours, WRITE, soon())).kind(), Kind::Sealed);
        assert_eq!(ours.metadata().unwrap(), metadata, "the metadata of a refused export");
        drop(lease(&theirs, Access::Read));
        assert_eq!(unresolved(&ours), TILES, "the pixels of a refused export");
        let decision = export(&ours, READ | FLUSHED, soon()).unwrap().decision;
        assert_eq!((decision.compression, decision.resolve), (Outcome::Kept, Resolve::ByFlush));
    }
    // A READ export that is too early loses nothing either.
    let ours = blocks(Writers::Named(1));
    assert_eq!(*refusal("READ", export(&ours, READ, soon())).kind(), Kind::WritersPending);
    assert!(export(&ours, WRITE, soon()).unwrap().decision.changed);
}

#[test]
fn many_exports_at_once_drop_once() {
    for _ in 0..20 {
        let ours = blocks(Writers::Open);
        let parts = Parts::of(export(&ours, READ | FLUSHED, soon()).unwrap().handle);
        clear(&ours, 0x55_6677);
        let decisions: Vec<_> = thread::scope(|scope| {
            let ours = &ours;
            let threads = [WRITE, READ, WRITE | FLUSHED, READ | FLUSHED, READ | WRITE, READ]
                .map(|flags| scope.spawn(move || export(ours, flags, soon()).unwrap().decision));
            threads.map(|thread| thread.join().unwrap()).into()
        });
        assert_eq!(decisions.iter().filter(|decision| decision.changed).count(), 1, "{decisions:?}");
        assert!(all_are(&import(parts.handle(), Device::BLOCKS).unwrap(), 0x55_6677));
        let after = export(&ours, READ, soon()).unwrap().decision;
        assert_eq!((after.compression, after.resolve), (Outcome::Dropped, Resolve::Nothing));
    }
}

/// Content cleared while an export takes EXPLICIT_FLUSH away is either resolved by the export or by the tracking: never by
/// nobody.
#[test]
fn nothing_falls_between_flush_and_tracking() {
    for _ in 0..200 {
        let ours = blocks(Writers::Me);
        let theirs = import(export(&ours, READ | FLUSHED, soon()).unwrap().handle, Device::BLOCKS).unwrap();
        thread::scope(|scope| {
            let drawing = scope.spawn(|| (1..20).for_each(|colour| clear(&ours, colour)));
            export(&ours, READ, soon()).unwrap();
            drawing.join().unwrap();
        });
        assert!(all_are(&theirs, 19));
    }
}

#[test]
fn tracking_resolves_at_the_end_of_each_submission_and_not_before() {
    let ours = blocks(Writers::Me);
    let theirs = import(export(&ours, READ, soon()).unwrap().handle, Device::BLOCKS).unwrap();
    // A lease, released and dropped.
    for (colour, by_release) in [(1, true), (2, false)] {
        let lease = lease(&ours, Access::Write);
        lease.write(&ours).unwrap().clear(colour).unwrap();
        if by_release {
            lease.release().unwrap()
        } else {
            drop(lease)
        }
        assert!(all_are(&theirs, colour));
        assert_eq!(unresolved(&ours), 0);
    }
    // A job: its own submission, and a share of a lease that ends before it.
    let queue = Queue::new("producer").unwrap();
    let draw = |surface: Surface, colour| move |lease: &handover::Lease| lease.write(&surface)?.clear(colour);
    queue
        .submit(&[(&ours, Access::Write, Region::WHOLE)], &[], soon(), draw(ours.clone(), 3))
        .unwrap()
        .wait(soon())
        .unwrap();
    assert!(all_are(&theirs, 3));
    let (go, wait) = mpsc::channel::<()>();
    let held = lease(&ours, Access::Write);
    let job = draw(ours.clone(), 4);
    let fence = queue
        .submit_lease(&held, &[], soon(), move |lease| {
            let _ = wait.recv();
            job(lease)
        })
        .unwrap();
    held.release().unwrap();
    assert!(try_acquire(&[(&theirs, Access::Read, Region::WHOLE)]).unwrap().is_none());
    go.send(()).unwrap();
    fence.wait(soon()).unwrap();
    assert!(all_are(&theirs, 4));
    // Not before the end: inside the lease there is still all to do.
    let held = lease(&ours, Access::Write);
    held.write(&ours).unwrap().clear(5).unwrap();
    assert_eq!(flush(&held, &ours).unwrap(), TILES);
}

/// With EXPLICIT_FLUSH nothing is resolved by the end of a submission, of a lease or of a job.
#[test]
fn by_flush_resolves_in_flush_alone() {
    let ours = blocks(Writers::Me);
    let theirs = import(export(&ours, READ | FLUSHED, soon()).unwrap().handle, Device::BLOCKS).unwrap();
    clear(&ours, 7);
    assert!(!all_are(&theirs, 7));
    let queue = Queue::new("producer").unwrap();
    let surface = ours.clone();
    let job = move |lease: &handover::Lease| lease.write(&surface)?.clear(8);
    queue.submit(&[(&ours, Access::Write, Region::WHOLE)], &[], soon(), job).unwrap().wait(soon()).unwrap();
    assert!(!all_are(&theirs, 8));
    assert_eq!(unresolved(&ours), TILES);
    assert!(all_are(&theirs, 8));
}

/// An `Acquire` whose deadline passed leaves the line without doing what the end of a submission does: it never had one.
#[test]
fn a_place_in_line_that_was_given_up_resolves_nothing() {
    let ours = blocks(Writers::Me);
    drop(export(&ours, READ, soon()).unwrap());
    let held = lease(&ours, Access::Write);
    held.write(&ours).unwrap().clear(9).unwrap();
    let wish = [(&ours, Access::Write, Region::WHOLE)];
    let mut polled = acquire(&wish, millis(20)).unwrap();
    thread::sleep(Duration::from_millis(30));
    assert!(refusal("poll", polled.poll()).is_timeout());
    drop(polled);
    assert!(refusal("wait", acquire(&wish, millis(20)).unwrap().wait()).is_timeout());
    drop(acquire(&wish, soon()).unwrap());
    acquire(&wish, soon()).unwrap().cancel();
    assert_eq!(flush(&held, &ours).unwrap(), TILES, "somebody wrote the pixels of another's lease");
}

#[test]
fn a_job_that_still_reads_holds_a_drop_up_as_well() {
    let ours = blocks(Writers::Open);
    let theirs = import(export(&ours, READ, soon()).unwrap().handle, Device::BLOCKS).unwrap();
    let queue = Queue::new("consumer").unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let seen = Arc::new(AtomicBool::new(false));
    let (flag, surface) = (Arc::clone(&seen), theirs.clone());
    clear(&ours, 0x77);
    let fence = queue
        .submit(&[(&theirs, Access::Read, Region::WHOLE)], &[], soon(), move |lease| {
            let _ = wait.recv();
            let mut pixel = [0; 4];
            lease.read(&surface)?.read(0, handover::Elements(3), 3, &mut pixel)?;
            flag.store(pixel == 0x77_u32.to_le_bytes(), Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
    assert!(refusal("a drop", export(&ours, WRITE, millis(50))).is_timeout());
    go.send(()).unwrap();
    fence.wait(soon()).unwrap();
    assert!(seen.load(Ordering::SeqCst));
    let exported = export(&ours, WRITE, soon()).unwrap();
    assert_eq!((exported.decision.changed, exported.handle.read_only()), (true, ReadOnly::Unenforced));
}
