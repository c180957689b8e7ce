//! Option C among peers: the rules of regions, one by one, through the control file alone. What the kernel adds is in
//! `linux_regions.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::time::Duration;

use handover::queue::MemoryJob;
use handover::{
    Access, Cell, Cells, Deadline, Device, Elements, ExportFlags, Extent, Fence, Format, Lease, Options, Queue, Rect,
    Region, Surface, SurfaceUsages, Usage, Writers, acquire, allocate, export, import, negotiate, reservation,
    try_acquire,
};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn surface(cells: Vec<Cell>) -> Surface {
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(64, 48).unwrap(), &[offer]).unwrap();
    let whole = allocate(Device::PLAIN, &agreement, &Options::default()).unwrap().remove(0);
    let cells = Cells::new(whole.layout(), cells).unwrap();
    let options = Options { cells, writers: Writers::Open, ..Options::default() };
    allocate(Device::PLAIN, &agreement, &options).unwrap().remove(0)
}

/// Four tiles.
fn tiles() -> Surface {
    let quarter = Extent::new(32, 24).unwrap();
    surface((0..4).map(|tile| Cell::Rect(Rect::new(tile % 2 * 32, tile / 2 * 24, quarter).unwrap())).collect())
}

fn cells(surface: &Surface, cells: &[usize]) -> Region {
    surface.cells().region(cells).unwrap()
}

fn lease(surface: &Surface, access: Access, region: Region) -> Lease {
    acquire(&[(surface, access, region)], soon()).unwrap().wait().unwrap()
}

fn is_free(surface: &Surface, access: Access, region: Region) -> bool {
    try_acquire(&[(surface, access, region)]).unwrap().is_some()
}

/// §3.3 rule 1: a fence is keyed by surface and cells, and the whole meets every cell.
#[test]
fn region_rule_1_the_whole_meets_every_cell_and_cells_meet_themselves() {
    let surface = tiles();
    let writers: Vec<_> = (0..4).map(|tile| lease(&surface, Access::Write, cells(&surface, &[tile]))).collect();
    assert!(!is_free(&surface, Access::Read, Region::WHOLE));
    assert!((0..4).all(|tile| !is_free(&surface, Access::Read, cells(&surface, &[tile]))));
    drop(writers);
    let _whole = lease(&surface, Access::Write, Region::WHOLE);
    assert!((0..4).all(|tile| !is_free(&surface, Access::Read, cells(&surface, &[tile]))));
    // The same cells of another surface are others.
    assert!(is_free(&tiles(), Access::Write, Region::WHOLE));
}

/// §3.3 rule 2: a query of a region finds its own, what overlaps it, and the whole's; not its neighbours'.
#[test]
fn region_rule_2_a_query_finds_what_overlaps() {
    let surface = tiles();
    let _left = lease(&surface, Access::Write, cells(&surface, &[0, 2]));
    let _right = lease(&surface, Access::Read, cells(&surface, &[1]));
    let met = |tile| {
        let region = cells(&surface, &[tile]);
        let pending = surface.pending();
        reservation::collect_region(&pending, Usage::Read, region).count()
    };
    assert_eq!([met(0), met(1), met(2), met(3)], [1, 1, 1, 0]);
    let free = |tile, access| is_free(&surface, access, cells(&surface, &[tile]));
    assert_eq!([0, 1, 2, 3].map(|tile| free(tile, Access::Read)), [false, true, false, true]);
    assert_eq!([0, 1, 2, 3].map(|tile| free(tile, Access::Write)), [false, false, false, true]);
}

/// §3.3 rule 3: whoever is not region-aware gets the union, and what comes from him is the whole's.
#[test]
fn region_rule_3_borders_get_the_union_and_give_the_whole() {
    let surface = tiles();
    let (first, second) =
        (lease(&surface, Access::Write, cells(&surface, &[0])), lease(&surface, Access::Write, cells(&surface, &[3])));
    let union = surface.export_fence(Access::Read, Region::WHOLE).unwrap();
    let scoped = surface.export_fence(Access::Read, cells(&surface, &[0])).unwrap();
    drop(first);
    scoped.wait(soon()).unwrap();
    assert!(!union.has_ended(), "cell 3 is in the union");
    drop(second);
    union.wait(soon()).unwrap();
    let queue = Queue::new("stranger").unwrap();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let scratch = tiles();
    let job = move |_: &Lease| {
        let _ = gone.recv();
        Ok(())
    };
    let fence = queue.submit(&[(&scratch, Access::Write, Region::WHOLE)], &[], soon(), job).unwrap();
    surface.import_fence(&fence, Access::Write, Region::WHOLE, soon()).unwrap();
    assert!((0..4).all(|tile| !is_free(&surface, Access::Read, cells(&surface, &[tile]))));
    drop(go);
    fence.wait(soon()).unwrap();
}

/// §3.3 rule 4: a later fence of a context stands for an earlier one only if it covers all its cells.
#[test]
fn region_rule_4_a_later_fence_stands_for_the_cells_it_covers() {
    let surface = tiles();
    let queue = Queue::new("writer").unwrap();
    let gate = lease(&surface, Access::Write, Region::WHOLE);
    let mut fences: Vec<Fence> = Vec::new();
    let mut listed = |region: Region| {
        fences.push(queue.submit(&[(&surface, Access::Write, region)], &[], soon(), |_| Ok(())).unwrap());
        surface.pending().iter().filter(|entry| entry.context == queue.context()).count()
    };
    assert_eq!(listed(cells(&surface, &[0, 1])), 1);
    assert_eq!(listed(cells(&surface, &[1])), 2, "cell 0 would lose its fence");
    assert_eq!(listed(Region::WHOLE), 2, "the walk stops at the first that fits");
    drop(gate);
    fences.iter().for_each(|fence| fence.wait(soon()).unwrap());
}

/// §3.3 rule 5: bounded cost. Cells are declared once, at most 64, so a region is one word and overlap one AND.
#[test]
fn region_rule_5_64_cells_and_no_more() {
    let rows = |count: u32| (0..count).map(|start| Cell::Rows { start, step: 48 }).collect::<Vec<_>>();
    let surface = surface(rows(48));
    let writers: Vec<_> = (0..8).map(|row| lease(&surface, Access::Write, cells(&surface, &[row]))).collect();
    assert_eq!(surface.pending().len(), writers.len());
    let tall = Extent::new(4, 65).unwrap();
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(tall, &[offer]).unwrap();
    let layout = allocate(Device::PLAIN, &agreement, &Options::default()).unwrap().remove(0);
    let layout = *layout.layout();
    assert!(Cells::new(&layout, (0..64).map(|start| Cell::Rows { start, step: 65 }).collect()).is_ok());
    let refused = Cells::new(&layout, (0..65).map(|start| Cell::Rows { start, step: 65 }).collect()).unwrap_err();
    assert!(refused.to_string().contains("at most 64"), "{refused}");
}

/// §3.3 rule 6: work on the memory itself is the whole's.
#[test]
fn region_rule_6_memory_moves_are_the_wholes() {
    let surface = tiles();
    let manager = Queue::new("manager").unwrap();
    let writer = lease(&surface, Access::Write, cells(&surface, &[3]));
    let moved = manager.submit_memory(MemoryJob::Move, &[&surface], &[], soon(), |_| Ok(())).unwrap();
    assert!(moved.wait(Deadline::after(Duration::from_millis(50))).unwrap_err().is_timeout());
    assert!(!is_free(&surface, Access::Read, cells(&surface, &[0])), "behind the move");
    drop(writer);
    moved.wait(soon()).unwrap();
    assert!(is_free(&surface, Access::Read, cells(&surface, &[0])));
}

/// S9, interleaved: two writers of the even and the odd rows run side by side, in one buffer and through two imports, and each
/// row holds what its own writer wrote.
#[test]
fn s9_interleaved_rows_are_written_in_parallel() {
    let surface = surface(vec![Cell::Rows { start: 0, step: 2 }, Cell::Rows { start: 1, step: 2 }]);
    let handle = export(&surface, ExportFlags::READ | ExportFlags::WRITE, soon()).unwrap().handle;
    let other = import(handle, Device::PLAIN).unwrap();
    let even = lease(&surface, Access::Write, cells(&surface, &[0]));
    let odd = lease(&other, Access::Write, cells(&other, &[1]));
    for (lease, surface, first) in [(&even, &surface, 0), (&odd, &other, 1)] {
        let view = lease.write(surface).unwrap();
        for y in (first..48).step_by(2) {
            view.write(0, Elements(0), y, &[u8::try_from(first + 1).unwrap(); 256]).unwrap();
        }
    }
    drop(even);
    let reader = lease(&surface, Access::Read, cells(&surface, &[0]));
    let mut row = [0; 256];
    for y in (0..48).step_by(2) {
        reader.read(&surface).unwrap().read(0, Elements(0), y, &mut row).unwrap();
        assert!(row.iter().all(|&byte| byte == 1));
    }
    assert!(!is_free(&surface, Access::Read, cells(&surface, &[1])), "the odd rows are still being written");
}
