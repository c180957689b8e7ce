//! The verbs on dma-bufs, each against bare calls. Where those that only touch the buffer give less than the verb does, a second line has
//! calls that give the same, and the budget is against these; the first ratio is printed all the same. Needs `/dev/udmabuf`, and vgem for fences:
//! `cargo xtask vm -- target/release/xtask bench kernel` measures in the guest.

use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use handover::backend::linux::{Card, Dumb, SyncFile, Udmabuf};
use handover::{
    Access, Backend, Deadline, Device, ExportFlags, Lease, Options, Region, Surface, Writers, acquire, allocate,
    export, import,
};
use handover_model::Bytes;
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::vgem;
use handover_sys::file::{self, Reopen};
use handover_sys::map::{Mapping, Populate};
use handover_sys::memfd::{self, Seals};
use handover_sys::{ofd, poll, udmabuf};

use super::figures::Samples;
use super::report::{Budget, Line, Table};
use super::{Effort, Result, machine};

/// Of each surface.
const SIZE: u64 = 64 << 10;
/// Surfaces of a pool: one control file serves them all.
const POOL: u32 = 16;
/// Rounds in one sample.
const ROUNDS: u32 = 20;
const BUDGET: Budget = Budget::Ratio(1.1);

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let title = "verbs on dma-bufs, and the calls they need";
    let (memory, gpu) = match (Udmabuf::open(), Card::of_driver("vgem")) {
        (Ok(memory), Ok(gpu)) => (memory, gpu),
        (Err(error), _) | (_, Err(error)) => return Ok(vec![Table::skipped(title, error)]),
    };
    let _pinned = machine::cpus()?.first().map(|&cpu| machine::pin(cpu)).transpose()?;
    let bench = Bench::new(memory, gpu)?;
    let mut samples = vec![(Samples::default(), Samples::default()); VERBS.len()];
    let mut same = vec![Samples::default(); SAME.len()];
    let mut least = Samples::default();
    for _ in 0..effort.of(40, 10) {
        least.add_turn(turn(&bench, bare_poll)?);
        for ((_, raw, ours), (floor, own)) in VERBS.iter().zip(&mut samples) {
            floor.add_turn(turn(&bench, *raw)?);
            own.add_turn(turn(&bench, *ours)?);
        }
        for (more, samples) in SAME.iter().zip(&mut same) {
            samples.add_turn(turn(&bench, more.round)?);
        }
    }
    let note =
        format!("a sample is the mean of {ROUNDS} rounds on one CPU; surfaces of {}, {POOL} in a pool", Bytes(SIZE));
    let mut table = Table::new(title, note);
    table.push(Line::new("a look whether anything pends, alone", &least));
    for ((name, ..), (floor, own)) in VERBS.iter().zip(&samples) {
        table.push(Line::new(format!("{name}: bare calls"), floor));
        let ours = Line::new(format!("{name}: ours"), own).against("bare calls", own, floor);
        let Some((more, floor)) = SAME.iter().zip(&same).find(|(more, _)| more.of == *name) else {
            table.push(ours.budget(BUDGET));
            continue;
        };
        table.push(ours);
        table.push(Line::new(format!("{name}: {}", more.name), floor));
        table.push(Line::new(format!("{name}: ours"), own).against(more.name, own, floor).budget(BUDGET));
    }
    Ok(vec![table])
}

type Round = fn(&Bench) -> Result<()>;

/// What is measured, the bare calls, ours.
const VERBS: &[(&str, Round, Round)] = &[
    ("allocate 16", bare_allocate, our_allocate),
    ("export and import", bare_hand_over, our_hand_over),
    ("acquire and release, READ", bare_read, our_read),
    ("acquire and release, WRITE", bare_write, our_write),
    ("collect under a pending fence", bare_collect, our_collect),
    ("access, READ", bare_access, our_access),
    ("collect, release after a fence", bare_attach, our_attach),
];

/// Calls that give what a verb gives, where the bare ones do not; the budget is against these.
struct Same {
    of: &'static str,
    name: &'static str,
    round: Round,
}

/// Peers share surfaces through a control file, one for a pool, and whoever joins it holds a lock that ends with him.
///
/// The bare calls of a collect look at the kernel's fences and keep nobody away. Ours keeps every peer away until the release
/// (`backend/linux/mod.rs`, two sources); whoever wants that of bare calls needs a lock around them that ends with its holder, and the
/// cheapest is an OFD lock, which knows no deadline.
const SAME: &[Same] = &[
    Same { of: "allocate 16", name: "bare calls and a control file", round: bare_pool },
    Same { of: "collect under a pending fence", name: "bare calls in a lock", round: locked_collect },
    Same { of: "collect, release after a fence", name: "bare calls in a lock", round: locked_attach },
];

struct Bench {
    memory: Arc<dyn Backend>,
    node: OwnedFd,
    /// Nobody uses it.
    idle: Surface,
    /// A device reads it all the time.
    busy: Surface,
    /// Under a READ lease, which `lease` is.
    held: Surface,
    lease: Lease,
    /// A memfd.
    any: OwnedFd,
    gpu: Card,
    fence: SyncFile,
}

impl Bench {
    fn new(memory: Udmabuf, gpu: Card) -> Result<Self> {
        let memory: Arc<dyn Backend> = Arc::new(memory);
        let one = |memory: &Arc<dyn Backend>| -> Result<Surface> { Ok(surfaces(memory, 1)?.remove(0)) };
        let (idle, busy, held) = (one(&memory)?, one(&memory)?, one(&memory)?);
        // Small, and signalled by now: what is measured is the attaching.
        let scratch: Arc<dyn Backend> = Arc::new(Dumb::of(gpu.clone()));
        let scratch = one(&scratch)?;
        let fence = SyncFile::new(dma_buf::export_sync_file(scratch.pixels_fd(), Direction::READ)?)?;
        let lease = acquire(&[(&held, Access::Read, Region::WHOLE)], Deadline::Never)?.wait()?;
        let any = memfd::create("bench", 4096)?;
        Ok(Self { memory, node: udmabuf::open()?, idle, busy, held, lease, any, gpu, fence })
    }
}

fn surfaces(memory: &Arc<dyn Backend>, count: u32) -> Result<Vec<Surface>> {
    let options =
        Options { surfaces: count, writers: Writers::Open, backend: Arc::clone(memory), ..Options::default() };
    Ok(allocate::buffer(Device::PLAIN, Bytes(SIZE - 4096), &options)?)
}

/// A vgem fence dies after 10 s, so each turn has one of its own.
fn turn(bench: &Bench, round: Round) -> Result<Vec<f64>> {
    let handle = bench.gpu.import(&bench.busy)?;
    let vgem = vgem::File::of(&bench.gpu)?;
    let job = vgem::attach(&vgem, bench.gpu.gem(&handle)?, Direction::READ)?;
    let mut samples = Vec::new();
    for _ in 0..4 {
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            round(bench)?;
        }
        samples.push(begin.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    // On a slow machine it may have died meanwhile, and the round that missed it said so.
    let _ = vgem::signal(&vgem, job);
    Ok(samples)
}

fn bare_allocate(bench: &Bench) -> Result<()> {
    let mut made = Vec::new();
    for _ in 0..POOL {
        let pages = memfd::create("bench", SIZE)?;
        memfd::add_seals(&pages, Seals::SHRINK | Seals::GROW | Seals::SEAL)?;
        let buffer = udmabuf::create(&bench.node, &pages, 0, SIZE)?;
        let map = Mapping::new(&buffer, SIZE as usize, Populate::Later)?;
        map.dont_fork()?;
        made.push((buffer, map));
    }
    black_box(made);
    Ok(())
}

/// The same, with the shared memory that says who uses them: a page for the pool and one for each surface.
fn bare_pool(bench: &Bench) -> Result<()> {
    let size = 4096 * (1 + u64::from(POOL));
    let file = memfd::create("bench", size)?;
    memfd::add_seals(&file, Seals::SHRINK | Seals::GROW | Seals::SEAL)?;
    let own = file::reopen(&file, Reopen::ReadWrite)?;
    let map = Mapping::new(&own, size as usize, Populate::Now)?;
    map.dont_fork()?;
    ofd::try_lock(&own, 0)?;
    drop(own);
    bare_allocate(bench)?;
    black_box((file, map));
    Ok(())
}

fn our_allocate(bench: &Bench) -> Result<()> {
    black_box(surfaces(&bench.memory, POOL)?);
    Ok(())
}

fn bare_hand_over(bench: &Bench) -> Result<()> {
    let sent = file::duplicate(bench.idle.pixels_fd())?;
    // The receiver: what is it, how large is it, map it.
    let (text, size) = (file::link_text(&sent)?, file::size(&sent)?);
    let map = Mapping::new(&sent, usize::try_from(size)?, Populate::Later)?;
    map.dont_fork()?;
    // The control file's own description, which keeps the death of its holder visible.
    let control = file::reopen(&bench.any, Reopen::ReadWrite)?;
    black_box((text, control, map));
    Ok(())
}

fn our_hand_over(bench: &Bench) -> Result<()> {
    let sent = export(&bench.idle, ExportFlags::READ | ExportFlags::WRITE, Deadline::Never)?.handle;
    black_box(import(sent, Device::PLAIN)?);
    Ok(())
}

/// Everybody's way to wait for a dma-buf: a snapshot of what pends, and a look at it.
fn bare_wait(bench: &Bench, direction: Direction) -> Result<()> {
    let fence = dma_buf::export_sync_file(bench.idle.pixels_fd(), direction)?;
    black_box(poll::wait_readable(&fence, Deadline::now().at())?);
    Ok(())
}

fn bare_read(bench: &Bench) -> Result<()> {
    bare_wait(bench, Direction::READ)
}

fn bare_write(bench: &Bench) -> Result<()> {
    bare_wait(bench, Direction::WRITE)
}

/// Whether anything pends, and no more: the one call that ours makes when nothing does.
fn bare_poll(bench: &Bench) -> Result<()> {
    black_box(dma_buf::is_idle(bench.idle.pixels_fd(), Direction::WRITE)?);
    Ok(())
}

fn ours(surface: &Surface, access: Access) -> Result<()> {
    Ok(acquire(&[(surface, access, Region::WHOLE)], Deadline::Never)?.wait()?.release()?)
}

fn our_read(bench: &Bench) -> Result<()> {
    ours(&bench.idle, Access::Read)
}

fn our_write(bench: &Bench) -> Result<()> {
    ours(&bench.idle, Access::Write)
}

fn bare_collect(bench: &Bench) -> Result<()> {
    let buffer = bench.busy.pixels_fd();
    // Whether anything pends, then what.
    black_box(dma_buf::is_idle(buffer, Direction::WRITE)?);
    black_box(dma_buf::export_sync_file(buffer, Direction::WRITE)?);
    Ok(())
}

fn locked(bench: &Bench, round: Round) -> Result<()> {
    if !ofd::try_lock(&bench.any, 0)? {
        return Err("somebody has the lock".into());
    }
    round(bench)?;
    Ok(ofd::unlock(&bench.any, 0)?)
}

fn locked_collect(bench: &Bench) -> Result<()> {
    locked(bench, bare_collect)
}

fn locked_attach(bench: &Bench) -> Result<()> {
    locked(bench, bare_attach)
}

fn our_collect(bench: &Bench) -> Result<()> {
    let set = [(&bench.busy, Access::Write, Region::WHOLE)];
    let (lease, fence) = acquire(&set, Deadline::Never)?.collect()?;
    drop(black_box(fence.ok_or("nothing pends")?));
    Ok(lease.release()?)
}

fn bare_access(bench: &Bench) -> Result<()> {
    dma_buf::sync_start(bench.held.pixels_fd(), Direction::READ)?;
    Ok(dma_buf::sync_end(bench.held.pixels_fd(), Direction::READ)?)
}

fn our_access(bench: &Bench) -> Result<()> {
    black_box(bench.lease.read(&bench.held)?);
    Ok(())
}

/// A look for what pends before the job, and its fence behind it.
fn bare_attach(bench: &Bench) -> Result<()> {
    black_box(dma_buf::is_idle(bench.idle.pixels_fd(), Direction::READ)?);
    Ok(dma_buf::import_sync_file(bench.idle.pixels_fd(), Direction::READ, &bench.fence)?)
}

fn our_attach(bench: &Bench) -> Result<()> {
    let set = [(&bench.idle, Access::Read, Region::WHOLE)];
    let (lease, _) = acquire(&set, Deadline::Never)?.collect()?;
    Ok(lease.release_after(&bench.fence)?)
}
