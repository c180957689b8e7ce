//! Content that a failed or dead writer left: whoever reads it is told, until somebody writes it anew (R19, S22).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::time::Duration;

use handover::{
    Access, Cell, Cells, Deadline, Device, Extent, Format, Kind, Lease, Options, Queue, Rect, Region, Surface,
    SurfaceUsages, acquire, allocate, flush, negotiate,
};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// A surface of two halves, left and right.
fn surface() -> Surface {
    let offer = Device::BLOCKS.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(32, 16).unwrap(), &[offer]).unwrap();
    let whole = allocate(Device::BLOCKS, &agreement, &Options::default()).unwrap().remove(0);
    let half = |x| Cell::Rect(Rect::new(x, 0, Extent::new(16, 16).unwrap()).unwrap());
    let cells = Cells::new(whole.layout(), vec![half(0), half(16)]).unwrap();
    allocate(Device::BLOCKS, &agreement, &Options { cells, ..Options::default() }).unwrap().remove(0)
}

fn lease(surface: &Surface, access: Access, region: Region) -> Lease {
    acquire(&[(surface, access, region)], soon()).unwrap().wait().unwrap()
}

#[test]
fn s22_a_reader_that_comes_later_is_told_why_until_somebody_writes_anew() {
    let surface = surface();
    lease(&surface, Access::Write, Region::WHOLE).release_failed(28).unwrap();
    for _ in 0..3 {
        let reader = lease(&surface, Access::Read, Region::WHOLE);
        assert_eq!((reader.is_torn(), reader.torn_by()), (true, Some(28)));
    }
    let writer = lease(&surface, Access::Write, Region::WHOLE);
    assert!(writer.is_torn());
    writer.release().unwrap();
    assert!(!lease(&surface, Access::Read, Region::WHOLE).is_torn());
}

#[test]
fn s9_a_failure_in_one_region_is_not_the_others() {
    let surface = surface();
    let (left, right) = (surface.cells().region(&[0]).unwrap(), surface.cells().region(&[1]).unwrap());
    lease(&surface, Access::Write, left).release_failed(5).unwrap();
    assert!(!lease(&surface, Access::Read, right).is_torn());
    assert!(lease(&surface, Access::Read, Region::WHOLE).is_torn());
    lease(&surface, Access::Write, right).release().unwrap();
    assert!(lease(&surface, Access::Read, left).is_torn(), "the other half was written, not this one");
    lease(&surface, Access::Write, left).release().unwrap();
    assert!(!lease(&surface, Access::Read, Region::WHOLE).is_torn());
}

#[test]
fn a_reader_that_failed_tears_nothing_and_a_job_that_never_ran_neither() {
    let surface = surface();
    lease(&surface, Access::Read, Region::WHOLE).release_failed(5).unwrap();
    assert!(!lease(&surface, Access::Read, Region::WHOLE).is_torn());

    let (queue, after) = (Queue::new("fails").unwrap(), Queue::new("waits").unwrap());
    let other = self::surface();
    let set = [(&other, Access::Write, Region::WHOLE)];
    let broken = handover::Error::new(handover::Stage::Access, Kind::Cancelled);
    let failed = queue.submit(&set, &[], soon(), move |_| Err(broken)).unwrap();
    let set = [(&surface, Access::Write, Region::WHOLE)];
    let never = after.submit(&set, &[failed], soon(), |_| panic!("its turn must not come")).unwrap();
    assert!(never.wait(soon()).is_err());
    assert!(!lease(&surface, Access::Read, Region::WHOLE).is_torn());
    assert!(lease(&other, Access::Read, Region::WHOLE).is_torn());
}

#[test]
fn a_job_whose_turn_does_not_come_in_time_is_cancelled_and_leaves_the_line() {
    let surface = surface();
    let queue = Queue::new("late").unwrap();
    let held = lease(&surface, Access::Write, Region::WHOLE);
    let set = [(&surface, Access::Write, Region::WHOLE)];
    let deadline = Deadline::after(Duration::from_millis(30));
    let fence = queue.submit(&set, &[], deadline, |_| panic!("its turn must not come")).unwrap();
    let error = fence.wait(soon()).unwrap_err();
    assert_eq!(*error.kind(), Kind::Cancelled, "{error}");
    held.release().unwrap();
    assert!(!lease(&surface, Access::Read, Region::WHOLE).is_torn());
}

#[test]
fn a_lease_of_some_cells_neither_clears_nor_flushes_the_others() {
    let surface = surface();
    let left = surface.cells().region(&[0]).unwrap();
    let lease = lease(&surface, Access::Write, left);
    assert_eq!(*lease.write(&surface).unwrap().clear(0).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(*flush(&lease, &surface).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn regions_are_made_of_cells_that_the_surface_has() {
    let surface = surface();
    for (bits, known) in [(0b1, true), (0b10, true), (0b11, true), (0b100, false), (u64::MAX, true)] {
        let set = [(&surface, Access::Read, Region::from_bits(bits))];
        assert_eq!(acquire(&set, soon()).is_ok(), known, "{bits:#b}");
    }
}
