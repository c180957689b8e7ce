//! C30 to C32, C41 and C42 through the library's own words: a fence out of a surface's reservation, and one into it. On memory of
//! the library's and, where there is a driver, on a dma-buf.

use handover::{Access, Fence, Region, Status, Surface, acquire, try_acquire};

use crate::devices::{surface, udmabuf};
use crate::soon;
use crate::sources::{Source, driver};

const WHOLE: Region = Region::WHOLE;

/// One check on each kind of memory, with fences of each kind.
fn each(check: impl Fn(&dyn Fn() -> Surface, Source)) {
    check(&crate::fences::surface, Source::Queue);
    check(&crate::fences::surface, Source::Point);
    if let (Some(memory), Some(source)) = (udmabuf(), driver()) {
        check(&crate::fences::surface, source);
        for source in [Source::Queue, source] {
            check(&|| surface(&memory), source);
        }
    }
}

fn export(surface: &Surface, access: Access) -> Fence {
    surface.export_fence(access, WHOLE).unwrap()
}

fn import(surface: &Surface, fence: &Fence, access: Access) {
    surface.import_fence(fence, access, WHOLE, soon()).unwrap();
}

/// Who would have to wait: (readers, writers).
fn busy(surface: &Surface) -> (bool, bool) {
    let is_busy = |access| {
        let waits = try_acquire(&[(surface, access, WHOLE)]).unwrap().is_none();
        assert_eq!(waits, !export(surface, access).has_ended(), "an export is what an access waits for");
        waits
    };
    (is_busy(Access::Read), is_busy(Access::Write))
}

/// Waits as a writer, which is until all is over.
fn until_idle(surface: &Surface) {
    acquire(&[(surface, Access::Write, WHOLE)], soon()).unwrap().wait().unwrap().release().unwrap();
    assert_eq!(busy(surface), (false, false));
}

/// C30: the kernel takes a merged file apart, the library gives it one entry, since entries are few. Nobody can tell by waiting.
#[test]
fn c30_a_union_is_imported_as_one_and_ends_with_its_last_leaf() {
    each(|new, source| {
        for order in [[0, 1, 2], [2, 0, 1]] {
            let (surface, pending) = (new(), source.many::<3>());
            let union = Fence::union(&pending.each_ref().map(|pending| pending.fence.clone()));
            import(&surface, &union, Access::Read);
            drop(union);
            let mut pending = pending.map(Some);
            for index in order {
                assert_eq!(busy(&surface), (false, true), "{source:?}");
                let _ended: Fence = pending[index].take().unwrap().end();
            }
            until_idle(&surface);
        }
    });
}

#[test]
fn c31_c32_an_import_leaves_the_fence_to_its_owner() {
    each(|new, source| {
        let (one, other, pending) = (new(), new(), source.pending());
        for surface in [&one, &other, &one] {
            import(surface, &pending.fence, Access::Write);
            assert_eq!((busy(surface), pending.fence.status()), ((true, true), Status::Pending));
        }
        let ended = pending.end();
        until_idle(&one);
        until_idle(&other);
        for access in [Access::Read, Access::Write] {
            import(&one, &ended, access);
            assert_eq!(busy(&one), (false, false), "C31: what has ended adds nothing");
        }
    });
}

#[test]
fn c41_the_export_of_an_idle_surface_has_ended() {
    each(|new, _| {
        for access in [Access::Read, Access::Write] {
            let fence = export(&new(), access);
            assert!(fence.has_ended() && fence.leaves().len() == 1);
            fence.wait(crate::sources::now()).unwrap();
        }
    });
}

/// C42: who comes later does not join, who ends is seen; also where an exported fence went into another surface.
#[test]
fn c42_an_export_is_a_snapshot() {
    each(|new, source| {
        let (surface, other, [first, second]) = (new(), new(), source.many());
        let idle = export(&surface, Access::Write);
        import(&surface, &first.fence, Access::Write);
        let one = export(&surface, Access::Read);
        import(&surface, &second.fence, Access::Write);
        let both = export(&surface, Access::Read);
        import(&other, &one, Access::Write);
        assert!(idle.has_ended() && !one.has_ended() && !both.has_ended());
        let _ended: Fence = first.end();
        one.wait(soon()).unwrap();
        until_idle(&other);
        assert!(!both.has_ended() && busy(&surface) == (true, true), "{source:?}");
        let _ended: Fence = second.end();
        both.wait(soon()).unwrap();
        until_idle(&surface);
    });
}

/// C24, C27, C28: for reading it stops writers, for writing all; raised where it stands, and never lowered.
#[test]
fn c24_c27_c28_what_a_fence_is_imported_for_says_whom_it_stops() {
    each(|new, source| {
        let (surface, pending) = (new(), source.pending());
        import(&surface, &pending.fence, Access::Read);
        assert_eq!(busy(&surface), (false, true));
        import(&surface, &pending.fence, Access::Write);
        assert_eq!(busy(&surface), (true, true));
        import(&surface, &pending.fence, Access::Read);
        assert_eq!(busy(&surface), (true, true));
        let _ended: Fence = pending.end();
        until_idle(&surface);
    });
}

/// R19: whoever comes next is told of the error, and not kept waiting by it.
#[test]
fn r19_the_error_of_an_imported_fence_is_told_to_who_comes_next() {
    for source in [Source::Queue, Source::Point] {
        let (surface, pending) = (crate::fences::surface(), source.pending());
        import(&surface, &pending.fence, Access::Write);
        let mut next = acquire(&[(&surface, Access::Read, WHOLE)], soon()).unwrap();
        assert!(next.poll().unwrap().is_none());
        let exported = export(&surface, Access::Read);
        let _ended: Fence = pending.fail(5);
        assert!(next.wait().unwrap().is_torn(), "{source:?}");
        assert_eq!(exported.wait(soon()).unwrap_err().errno(), Some(5), "and by the export");
    }
}
