//! Fences: what an entry costs among many, what a set costs that is large, and what it costs to wait for a union.

use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use handover::backend::software::control::Control;
use handover::backend::software::reservation::layout::ENTRIES_EACH;
use handover::backend::software::reservation::working_set::{self, Seat};
use handover::backend::software::reservation::{Attach, Entry, Reservation};
use handover::{Access, Deadline, Fence, Lease, Queue, Region};
use handover_model::{Stage, Usage};
use handover_sys::clock::Monotonic;

use super::acquire::surfaces;
use super::figures::Samples;
use super::report::{Budget, Line, Table};
use super::{Effort, Result, machine};

/// Rounds in one sample: the clock costs as much as one of them.
const ROUNDS: u32 = 200;
/// Users beside the one that is measured; a surface has 64 entries.
const USERS: [usize; 3] = [1, 8, 63];
/// Surfaces in a set.
const SETS: [usize; 3] = [1, 8, 64];
/// Leaves of a union.
const LEAVES: usize = 64;

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let entries = {
        let _pinned = machine::cpus()?.first().map(|&cpu| machine::pin(cpu)).transpose()?;
        vec![among_users(effort)?, sets(effort)?]
    };
    Ok(entries.into_iter().chain([unions(effort)?]).collect())
}

fn wish(surface: u32, usage: Usage, region: Region) -> Attach {
    Attach { surface, usage, region, lease: false, context: 0, seq: 0 }
}

/// One entry among users who are all in line: readers, for a writer to meet all, each in one of 64 cells.
fn among_users(effort: Effort) -> Result<Table> {
    let control = Control::create(1)?;
    let mut others: Vec<Reservation<Control>> = Vec::new();
    for _ in 0..=64 / ENTRIES_EACH {
        others.push(Control::join(Stage::Import, control.platform().fresh_description()?, None)?);
    }
    let cells = [("whole", Region::WHOLE), ("one cell", Region::from_bits(1))];
    let works = ["add, collect and end", "collect alone"];
    let mut table = Table::new("an entry among users", "every user reads; one cell meets one of 64, the whole all");
    let mut samples = vec![Samples::default(); USERS.len() * cells.len() * works.len()];
    for _ in 0..effort.of(40, 10) {
        let mut next = samples.iter_mut();
        for users in USERS {
            let mut held: Vec<(usize, Entry, Attach)> = Vec::new();
            for user in 0..users {
                let (who, wish) =
                    (user / ENTRIES_EACH as usize, wish(0, Usage::Read, Region::from_bits(1 << (user % 64))));
                let by = others.get(who).ok_or("too few participants")?;
                let attached = working_set::attach(&[(by, wish)]).map_err(|(_, trouble)| format!("{trouble:?}"))?;
                held.push((who, *attached.entries.first().ok_or("no entry")?, wish));
            }
            for (_, region) in cells {
                let wish = wish(0, Usage::Write, region);
                let both = || -> Result<()> {
                    let mut seat = [Seat { reservation: &control, wish, entry: Entry::NONE }];
                    let mut found = Vec::new();
                    let attached = working_set::attach_members(&mut seat, &mut found);
                    attached.map_err(|(_, trouble)| format!("{trouble:?}"))?;
                    black_box(&found);
                    Ok(working_set::release(&seat, None).map_err(|trouble| format!("{trouble:?}"))?)
                };
                next.next().ok_or("a sample too few")?.add_turn(turn(both)?);
                let collect = || -> Result<()> {
                    black_box(control.snapshot(&wish));
                    Ok(())
                };
                next.next().ok_or("a sample too few")?.add_turn(turn(collect)?);
            }
            for (who, entry, wish) in held {
                let by = others.get(who).ok_or("too few participants")?;
                let seat = [Seat { reservation: by, wish, entry }];
                working_set::release(&seat, None).map_err(|trouble| format!("{trouble:?}"))?;
            }
        }
    }
    let mut own = samples.iter();
    for users in USERS {
        for (region, _) in cells {
            for work in works {
                let samples = own.next().ok_or("a sample too few")?;
                table.push(Line::new(format!("{work}, {users} users, {region}"), samples));
            }
        }
    }
    Ok(table)
}

/// Attach and release of a set, nothing pending.
fn sets(effort: Effort) -> Result<Table> {
    let control = Control::create(64)?;
    let mut samples = vec![Samples::default(); SETS.len()];
    for _ in 0..effort.of(40, 10) {
        for (count, samples) in SETS.into_iter().zip(&mut samples) {
            let seat = |surface| {
                let wish = wish(surface as u32, Usage::Write, Region::WHOLE);
                Seat { reservation: &control, wish, entry: Entry::NONE }
            };
            let mut seats: Vec<_> = (0..count).map(seat).collect();
            samples.add_turn(turn(|| {
                let attached = working_set::attach_members(&mut seats, &mut Vec::new());
                attached.map_err(|(_, trouble)| format!("{trouble:?}"))?;
                Ok(working_set::release(&seats, None).map_err(|trouble| format!("{trouble:?}"))?)
            })?);
        }
    }
    let mut table = Table::new("a set, nothing pending", "attach and release of one entry a surface");
    for (count, samples) in SETS.into_iter().zip(&samples) {
        let word = if count == 1 { "surface" } else { "surfaces" };
        table.push(Line::new(format!("add and end, {count} {word}"), samples));
    }
    Ok(table)
}

fn turn(mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for _ in 0..8 {
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            work()?;
        }
        samples.push(begin.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
    }
    Ok(samples)
}

/// Jobs that end when they are told to, one a queue.
struct Jobs {
    queues: Vec<Queue>,
    set: handover::Surface,
}

impl Jobs {
    fn submit(&self) -> Result<(Vec<Fence>, Vec<Sender<()>>)> {
        let job = |queue: &Queue| -> Result<(Fence, Sender<()>)> {
            let (end, ended): (Sender<()>, Receiver<()>) = channel();
            let job = move |_: &Lease| {
                // Whoever held the other half has gone: the bench is over.
                let _ = ended.recv();
                Ok(())
            };
            let set = [(&self.set, Access::Read, Region::WHOLE)];
            Ok((queue.submit(&set, &[], Deadline::Never, job)?, end))
        };
        Ok(self.queues.iter().map(job).collect::<Result<Vec<_>>>()?.into_iter().unzip())
    }
}

/// From just before the last of 64 fences is signalled until a waiter in another thread runs: waiting on the union, and on that last
/// fence itself.
fn unions(effort: Effort) -> Result<Table> {
    let set = surfaces(1)?.remove(0);
    // One process has at most 16 entries of a surface, so the jobs name it and attach nothing.
    let habits = handover::queue::Habits { policy: handover::queue::Policy::None, ..Default::default() };
    let queues = (0..LEAVES).map(|_| Queue::with_habits("leaf", habits)).collect::<handover::Result<_>>()?;
    let jobs = Jobs { queues, set };
    let (mut last, mut union) = (Samples::default(), Samples::default());
    for _ in 0..effort.of(20, 6) {
        last.add_turn(wakes(&jobs, |fences| Ok(fences.last().ok_or("no fence")?.clone()))?);
        union.add_turn(wakes(&jobs, |fences| Ok(Fence::union(fences)))?);
    }
    let note = "from just before the last is told to end until the waiter runs; the others ended while it slept";
    let mut table = Table::new("waiting on a union of 64", note);
    table.push(Line::new("the last fence alone", &last));
    table.push(Line::new("the union", &union).against("last", &union, &last).budget(Budget::Ratio(1.1)));
    Ok(table)
}

fn wakes(jobs: &Jobs, of: impl Fn(&[Fence]) -> Result<Fence>) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for _ in 0..20 {
        let (fences, ends) = jobs.submit()?;
        let fence = of(&fences)?;
        let (Some((end_last, others)), Some((_, before))) = (ends.split_last(), fences.split_last()) else {
            return Err("no fence".into());
        };
        let waiter = std::thread::spawn(move || fence.wait(Deadline::Never).map(|()| Monotonic::now()));
        for end in others {
            end.send(())?;
        }
        for fence in before {
            fence.wait(Deadline::Never)?;
        }
        // The waiter sleeps by now, on whatever it sleeps.
        std::thread::sleep(std::time::Duration::from_millis(1));
        let told = Monotonic::now();
        end_last.send(())?;
        let woken = waiter.join().map_err(|_| "the waiter panicked")??;
        samples.push(woken.saturating_since(told).as_nanos() as f64);
    }
    Ok(samples)
}
