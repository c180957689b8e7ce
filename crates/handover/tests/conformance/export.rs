//! C6 to C16 on the kernel's files, C40 to C49, C79 and what crosses objects (C101, C102), on every reservation there is.

use std::os::fd::OwnedFd;
use std::time::Duration;

use handover::{Access, Deadline, Device, ExportFlags, Region, acquire, export, import, try_acquire};
use handover_sys::drm::{self, syncobj};

use crate::reservation::{A, BOTH, busy, fences, listed, put};
use crate::subject::kernel::Kernel;
use crate::subject::software::Software;
use crate::subject::{NO_ACCESS, READ, Refusal, Subject, WRITE};
use crate::{each, soon};

#[test]
fn c40_flags_that_mean_no_access_are_invalid() {
    each(|subject| {
        fences(subject, 1);
        for flags in NO_ACCESS {
            assert_eq!(subject.import(A, flags, 0), Err(Refusal::Invalid));
            assert_eq!(subject.export(A, flags), Err(Refusal::Invalid));
        }
        assert_eq!(busy(subject, A), (false, false));
    });
}

#[test]
fn c41_the_export_of_an_idle_buffer_has_ended() {
    each(|subject| {
        for flags in [READ, WRITE, BOTH] {
            subject.export(A, flags).unwrap();
        }
        assert!((0..3).all(|file| !subject.held(file).pending));
    });
}

#[test]
fn c42_an_export_is_a_snapshot() {
    each(|subject| {
        fences(subject, 2);
        subject.export(A, BOTH).unwrap();
        put(subject, 0, WRITE);
        subject.export(A, BOTH).unwrap();
        put(subject, 1, WRITE);
        assert!(!subject.held(2).pending, "what comes later does not join");
        assert_eq!(subject.held(3).contexts, 1);
        subject.end(0);
        assert!(!subject.held(3).pending, "what ends is seen");
    });
}

#[test]
fn c43_a_writers_export_has_one_fence_a_reader() {
    each(|subject| {
        fences(subject, 3);
        (0..3).for_each(|file| put(subject, file, READ));
        subject.export(A, READ).unwrap();
        subject.export(A, WRITE).unwrap();
        assert!(!subject.held(3).pending);
        assert_eq!(subject.held(4).contexts, 3);
    });
}

#[test]
fn c45_readable_and_writable_are_what_the_exports_say() {
    each(|subject| {
        fences(subject, 2);
        let agree = |subject: &mut dyn Subject, wanted| {
            let (readers, writers) = busy(subject, A);
            assert_eq!(subject.poll(A), (!readers, !writers));
            assert_eq!((readers, writers), wanted, "{}", subject.name());
        };
        agree(subject, (false, false));
        put(subject, 0, READ);
        agree(subject, (false, true));
        put(subject, 1, WRITE);
        agree(subject, (true, true));
        subject.end(1);
        agree(subject, (false, true));
        subject.end(0);
        agree(subject, (false, false));
    });
}

#[test]
fn c48_access_by_the_cpu_waits_as_its_direction_says() {
    each(|subject| {
        fences(subject, 2);
        put(subject, 0, READ);
        assert_eq!((subject.access(A, READ), subject.access(A, WRITE)), (Ok(true), Ok(false)));
        put(subject, 1, WRITE);
        assert_eq!((subject.access(A, READ), subject.access(A, BOTH)), (Ok(false), Ok(false)));
        for flags in NO_ACCESS {
            assert_eq!(subject.access(A, flags), Err(Refusal::Invalid));
        }
    });
}

#[test]
fn c49_access_by_the_cpu_leaves_no_fence() {
    each(|subject| {
        fences(subject, 1);
        put(subject, 0, READ);
        assert_eq!(subject.access(A, READ), Ok(true));
        assert_eq!(listed(subject, A), (0, 1));
        subject.end(0);
        assert_eq!(subject.access(A, WRITE), Ok(true));
        assert_eq!(busy(subject, A), (false, false));
    });
}

/// The kernel's files only: the library has none yet.
#[test]
fn c12_c16_a_merged_file_pends_until_all_its_fences_end_and_has_each_once() {
    let Some(mut kernel) = crate::kernel() else { return };
    fences(&mut kernel, 3);
    kernel.merge(0, 1);
    kernel.merge(1, 2);
    kernel.merge(3, 4);
    kernel.merge(4, 3);
    for nested in [5, 6] {
        assert_eq!(handover_sys::sync_file::count(kernel.file(nested)).unwrap(), 3);
    }
    for (ended, left) in [(1, 2), (2, 1), (0, 0)] {
        for nested in [5, 6] {
            let before = kernel.held(nested);
            assert_eq!((before.pending, before.contexts), (true, left + 1));
        }
        kernel.end(ended);
    }
    assert!((0..7).all(|file| !kernel.held(file).pending));
}

#[test]
fn c6_a_sync_file_is_waited_for_without_time_and_with() {
    let Some(mut kernel) = crate::kernel() else { return };
    fences(&mut kernel, 1);
    let waited =
        |kernel: &Kernel, deadline: Deadline| handover_sys::poll::wait_readable(kernel.file(0), deadline.at()).unwrap();
    assert!(!waited(&kernel, Deadline::now()) && !waited(&kernel, Deadline::after(Duration::from_millis(20))));
    kernel.end(0);
    assert!(waited(&kernel, Deadline::now()) && waited(&kernel, soon()));
}

#[test]
fn c79_a_syncobj_with_nothing_in_it_exports_nothing() {
    let has_syncobj = |node: &OwnedFd| drm::capability(node, drm::Cap::SyncobjTimeline).is_ok_and(|value| value == 1);
    let nodes = drm::nodes().unwrap();
    let Some(node) = nodes.iter().filter_map(|node| drm::open(&node.path).ok()).find(has_syncobj) else {
        return crate::skip("syncobj", &format!("no node with timelines among {}", nodes.len()));
    };
    let empty = syncobj::create(&node, false).unwrap();
    assert_eq!(syncobj::export_sync_file(&node, empty).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    syncobj::signal(&node, &[empty]).unwrap();
    syncobj::export_sync_file(&node, empty).unwrap();
    syncobj::destroy(&node, empty).unwrap();
}

#[test]
fn c101_whoever_attached_it_everybody_sees_it() {
    let mut software = Software::new();
    let exported = export(software.surface(A), ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap();
    let theirs = import(exported.handle, Device::PLAIN).unwrap();
    // By a participant that is neither of the two.
    fences(&mut software, 1);
    put(&mut software, 0, READ);
    for side in [software.surface(A), &theirs] {
        assert_eq!(side.pending().len(), 1);
        assert!(try_acquire(&[(side, Access::Write, Region::WHOLE)]).unwrap().is_none());
        assert!(try_acquire(&[(side, Access::Read, Region::WHOLE)]).unwrap().is_some());
    }
}

/// S16: export, submit, import are three steps, and whoever comes between them is not seen.
#[test]
fn c102_export_submit_import_without_a_lock_orders_2_of_20() {
    each(|subject| {
        let mut unordered = 0;
        // Where the reader's three steps are among the six.
        for reader in (0_u32..64).filter(|steps| steps.count_ones() == 3) {
            subject.reset();
            // The jobs' fences are 0 and 1; what each exported comes behind them.
            fences(subject, 2);
            let (mut read, mut wrote, mut exports, mut saw) = (0, 0, 2, [0, 0]);
            for step in 0..6 {
                let (who, done) = if reader & 1 << step != 0 { (0, &mut read) } else { (1, &mut wrote) };
                let flags = [READ, WRITE][who];
                match *done {
                    0 => {
                        subject.export(A, flags).unwrap();
                        saw[who] = exports;
                        exports += 1;
                    }
                    1 => {}
                    _ => put(subject, who, flags),
                }
                *done += 1;
            }
            let ordered = saw.iter().any(|&file| subject.held(file).pending);
            unordered += usize::from(!ordered);
        }
        assert_eq!(unordered, 18, "{}", subject.name());
    });
}

/// Attach is one step: whoever comes second finds the first, whichever it is.
#[test]
fn c102_two_that_attach_are_never_unordered() {
    let software = Software::new();
    let set = |access| [(software.surface(A), access, Region::WHOLE)];
    for (first, second) in
        [(Access::Read, Access::Write), (Access::Write, Access::Read), (Access::Write, Access::Write)]
    {
        let mut one = acquire(&set(first), soon()).unwrap();
        let mut other = acquire(&set(second), soon()).unwrap();
        assert!(other.poll().unwrap().is_none());
        let lease = one.poll().unwrap();
        assert!(lease.is_some() && other.poll().unwrap().is_none());
        drop(lease);
        assert!(other.poll().unwrap().is_some());
    }
}

/// The descriptors of the library's own waits. Polls of dma-bufs are with `handover-sys`.
#[test]
fn c46_every_poller_of_either_direction_wakes() {
    let software = Software::new();
    let set = |access| [(software.surface(A), access, Region::WHOLE)];
    let held = acquire(&set(Access::Write), soon()).unwrap().wait().unwrap();
    let mut readers: Vec<_> = (0..3).map(|_| acquire(&set(Access::Read), soon()).unwrap()).collect();
    let mut writer = acquire(&set(Access::Write), soon()).unwrap();
    let is_ready = |place: &mut handover::Acquire, deadline: Deadline| {
        handover_sys::poll::wait_readable(place.descriptor().unwrap(), deadline.at()).unwrap()
    };
    assert!(readers.iter_mut().all(|reader| !is_ready(reader, Deadline::now())));
    held.release().unwrap();
    let leases: Vec<_> = readers
        .iter_mut()
        .map(|reader| {
            assert!(is_ready(reader, soon()));
            reader.poll().unwrap().unwrap()
        })
        .collect();
    assert!(!is_ready(&mut writer, Deadline::now()));
    drop(leases);
    assert!(is_ready(&mut writer, soon()) && writer.poll().unwrap().is_some());
}
