//! Attach: a place in line on 8 surfaces with 8 users each, every one of them in the way. What a submission pays before it
//! is queued.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use handover::{Access, Acquire, Deadline, Lease, Region, Surface, acquire};

use super::acquire::surfaces;
use super::figures::Samples;
use super::report::{Budget, Line, Table};
use super::{Effort, Result, machine};

const SURFACES: u32 = 8;
const USERS: usize = 8;
const ROUNDS: usize = 200;

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let cpus = machine::cpus()?;
    let _pinned = cpus.first().map(|&cpu| machine::pin(cpu)).transpose()?;
    let surfaces = surfaces(SURFACES)?;
    let mut users = users(&surfaces)?;
    let (mut warm, mut cold, mut clock) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..effort.of(100, 20) {
        clock.add_turn(turn(|| Ok(()), || Ok(()))?);
        warm.add_turn(turn(|| Ok(()), || attach(&surfaces))?);
        if let Some(&other) = cpus.get(1) {
            let (samples, back) = beside(other, &surfaces, users, |renew| turn(renew, || attach(&surfaces)))?;
            users = back;
            cold.add_turn(samples);
        }
    }
    let note = "each finds 64 entries in its way; the clock's own time is in both figures";
    let mut table = Table::new("attach to 8 surfaces with 8 users each", note);
    table.push(Line::new("two clock readings and nothing between", &clock));
    table.push(Line::new("ours, lines warm", &warm).budget(Budget::Nanoseconds(2000.0)));
    if cpus.len() > 1 {
        table.push(Line::new("ours, lines just written by another CPU", &cold).against("warm", &cold, &warm));
    }
    Ok(vec![table])
}

/// Times `work` alone: `before` comes first, and what `work` made is dropped after.
fn turn<T>(mut before: impl FnMut() -> Result<()>, mut work: impl FnMut() -> Result<T>) -> Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        before()?;
        let begin = Instant::now();
        let made = black_box(work()?);
        samples.push(begin.elapsed().as_nanos() as f64);
        drop(made);
    }
    Ok(samples)
}

fn attach(surfaces: &[Surface]) -> Result<Acquire> {
    line_up(surfaces, Access::Write)
}

/// Leases to read that all hold at once.
fn users(surfaces: &[Surface]) -> Result<Vec<Lease>> {
    (0..USERS).map(|_| Ok(line_up(surfaces, Access::Read)?.wait()?)).collect()
}

fn line_up(surfaces: &[Surface], access: Access) -> Result<Acquire> {
    let [a, b, c, d, e, f, g, h] = surfaces else { return Err("a set of another size".into()) };
    Ok(acquire(&[a, b, c, d, e, f, g, h].map(|surface| (surface, access, Region::WHOLE)), Deadline::Never)?)
}

/// Runs `work` while another CPU keeps the users and renews them all whenever `work` asks; gives the users back.
fn beside(
    cpu: usize,
    surfaces: &[Surface],
    users: Vec<Lease>,
    work: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<Vec<f64>>,
) -> Result<(Vec<f64>, Vec<Lease>)> {
    const RENEW: u32 = 1;
    const RENEWED: u32 = 2;
    const END: u32 = 3;
    let state = AtomicU32::new(0);
    let other = || -> std::result::Result<Vec<Lease>, String> {
        let _pinned = machine::pin(cpu).map_err(|error| error.to_string())?;
        let mut users = users;
        loop {
            match state.load(Ordering::Acquire) {
                RENEW => {
                    drop(std::mem::take(&mut users));
                    users = self::users(surfaces).map_err(|error| error.to_string())?;
                    state.store(RENEWED, Ordering::Release);
                }
                END => return Ok(users),
                _ => std::hint::spin_loop(),
            }
        }
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(other);
        let samples = work(&mut || {
            state.store(RENEW, Ordering::Release);
            while state.load(Ordering::Acquire) != RENEWED {
                if thread.is_finished() {
                    return Err("the other CPU's thread ended".into());
                }
                std::hint::spin_loop();
            }
            Ok(())
        });
        state.store(END, Ordering::Release);
        let users = thread.join().map_err(|_| "the other CPU's thread panicked")??;
        Ok((samples?, users))
    })
}
