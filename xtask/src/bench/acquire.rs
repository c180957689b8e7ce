//! Acquire and release with nothing pending: what every frame of a quiet stream pays.

use std::hint::black_box;
use std::time::Instant;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::layout::ENTRIES;
use handover::backend::software::reservation::working_set;
use handover::backend::software::reservation::{Attach, Entry, Reservation};
use handover::{Access, Deadline, Device, Options, Region, Surface, acquire, allocate};
use handover_model::{Bytes, Usage};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::figures::Samples;
use super::report::{Budget, Line, Table};
use super::{Effort, Result, machine};

/// Surfaces of the larger working set.
const SET: usize = 8;
/// Surfaces that only exist.
const OTHERS: u32 = 1000;
/// Pairs in one sample: the clock costs as much as one of them.
const PAIRS: u32 = 500;

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let _pinned = machine::cpus()?.first().map(|&cpu| machine::pin(cpu)).transpose()?;
    allow_descriptors()?;
    let few = surfaces(SET as u32)?;
    let among_others = surfaces(SET as u32 + OTHERS)?;
    let control = Control::create(SET as u32)?;
    let mut seats = seats(&control);
    let mut samples = vec![Samples::default(); 6];
    for _ in 0..effort.of(100, 20) {
        for (which, samples) in samples.iter_mut().enumerate() {
            let count = if which % 2 == 0 { 1 } else { SET };
            samples.add_turn(match which / 2 {
                0 => turn(|| bare(seats.get_mut(..count).unwrap_or_default()))?,
                1 => turn(|| ours(few.get(..count).unwrap_or(&few)))?,
                _ => turn(|| ours(among_others.get(..count).unwrap_or(&among_others)))?,
            });
        }
    }
    Ok(vec![table(&samples)])
}

fn table(samples: &[Samples]) -> Table {
    let names = [
        "the bare protocol, 1 surface",
        "the bare protocol, 8 surfaces",
        "ours, 1 surface",
        "ours, 8 surfaces",
        "ours, 1 surface among 1000 others",
        "ours, 8 surfaces among 1000 others",
    ];
    let note = format!("a sample is the mean of {PAIRS} pairs; the bare protocol checks, allocates and owns nothing");
    let mut table = Table::new("acquire + release, nothing pending", note);
    for (which, (name, own)) in names.into_iter().zip(samples).enumerate() {
        let line = Line::new(name, own);
        table.push(match samples.get(which % 2) {
            Some(floor) if which >= 2 => {
                let budget = if which % 2 == 0 { 150.0 } else { 600.0 };
                line.against("bare protocol", own, floor).budget(Budget::Nanoseconds(budget))
            }
            _ => line,
        });
    }
    table
}

fn turn(mut pair: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for _ in 0..8 {
        let begin = Instant::now();
        for _ in 0..PAIRS {
            pair()?;
        }
        samples.push(begin.elapsed().as_nanos() as f64 / f64::from(PAIRS));
    }
    Ok(samples)
}

/// Acquires every surface of a slice for WRITE and releases it.
pub(super) fn ours(surfaces: &[Surface]) -> Result<()> {
    match surfaces {
        [surface] => acquire(&[(surface, Access::Write, Region::WHOLE)], Deadline::Never)?.wait()?.release()?,
        [a, b, c, d, e, f, g, h] => {
            let set = [a, b, c, d, e, f, g, h].map(|surface| (surface, Access::Write, Region::WHOLE));
            acquire(&set, Deadline::Never)?.wait()?.release()?;
        }
        _ => return Err("a set of another size".into()),
    }
    Ok(())
}

type Seat<'a> = working_set::Seat<'a, Control, ENTRIES>;

/// One for each surface of a pool of [`SET`].
fn seats(reservation: &Reservation<Control>) -> [Seat<'_>; SET] {
    std::array::from_fn(|surface| {
        let surface = surface as u32;
        let wish = Attach { surface, usage: Usage::Write, region: Region::WHOLE, lease: true, context: 0, seq: 0 };
        Seat { reservation, wish, entry: Entry::NONE }
    })
}

/// The protocol on a control file, and nothing around it.
fn bare(seats: &mut [Seat<'_>]) -> Result<()> {
    let refused = |trouble| format!("the bare protocol: {trouble:?}");
    working_set::attach_members(seats, &mut Vec::new()).map_err(|(_, trouble)| refused(trouble))?;
    Ok(working_set::release(black_box(seats), None).map_err(refused)?)
}

/// So many small surfaces of one pool.
pub(super) fn surfaces(count: u32) -> Result<Vec<Surface>> {
    Ok(allocate::buffer(Device::PLAIN, Bytes(4096), &Options { surfaces: count, ..Options::default() })?)
}

/// A surface holds a descriptor, and 1024 are allowed by default.
fn allow_descriptors() -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = u64::from(OTHERS) * 4;
    if current.is_some_and(|current| current < wanted) {
        let current = Some(maximum.map_or(wanted, |most| most.min(wanted)));
        setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    }
    Ok(())
}
