//! System calls in acquire and release with nothing pending: there must be none.
//!
//! With `strace` in the path, it watches this program do few pairs and then many; the difference of the two logs is what
//! the pairs cost. Without it, the kernel's share of this thread's time is compared with that of a loop that makes one
//! call a round: coarse, but a call in every pair could not hide.

use std::process::{Command, Stdio};

use rustix::process::getppid;

use super::acquire::{ours, surfaces};
use super::peer::ROLE_FLAG;
use super::report::{Line, Table};
use super::{Effort, Result};

pub(super) const ROLE: &str = "pairs";

const FEW: u64 = 100;
const MANY: u64 = 10_100;
/// Surfaces in each pair.
const SET: u32 = 8;
/// A quarter of the share that one call a pair would have: beyond it the calls are there.
const SUSPICIOUS: f64 = 0.25;

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let what = "in a pair of acquire and release, 8 surfaces";
    let title = "system calls";
    let lines = |pairs| lines_of_strace(pairs).map(|lines| lines as f64);
    if let (Some(few), Some(many)) = (lines(FEW), lines(MANY)) {
        let mut table = Table::new(title, format!("strace saw {few} calls with {FEW} pairs, {many} with {MANY}"));
        table.push(Line::count(what, (many - few) / (MANY - FEW) as f64));
        return Ok(vec![table]);
    }
    let rounds = effort.of(4_000_000, 1_000_000) as u64;
    let surfaces = surfaces(SET)?;
    let pairs = kernel_share(rounds, || ours(&surfaces))?;
    let calls = kernel_share(rounds, || {
        std::hint::black_box(getppid());
        ours(&surfaces)
    })?;
    let note = format!(
        "no strace here; the kernel's share of the time is {:.1} % with pairs alone, {:.1} % with one call more in each",
        pairs * 100.0,
        calls * 100.0
    );
    let mut table = Table::new(title, note);
    let at_least_one = pairs > calls * SUSPICIOUS;
    table.push(Line::count(format!("{what} (at least)"), f64::from(u8::from(at_least_one))));
    Ok(vec![table])
}

/// How many calls strace sees of this program with so many pairs; `None` where there is no strace, or it may not trace.
fn lines_of_strace(pairs: u64) -> Option<usize> {
    let output = Command::new("strace")
        .arg("-f")
        .arg(std::env::current_exe().ok()?)
        .args(["bench", ROLE_FLAG, ROLE, &pairs.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| output.stderr.split(|&byte| byte == b'\n').count())
}

/// What strace watches.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let pairs: u64 = arguments.first().ok_or("how many pairs?")?.parse()?;
    let surfaces = surfaces(SET)?;
    (0..pairs).try_for_each(|_| ours(&surfaces))
}

/// The part of this thread's time that the kernel spent, while it did `round` so many times.
fn kernel_share(rounds: u64, mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let before = ticks()?;
    (0..rounds).try_for_each(|_| round())?;
    let after = ticks()?;
    let (user, system) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    Ok(system as f64 / (user + system).max(1) as f64)
}

/// Time of this thread so far, in user mode and in the kernel, in clock ticks: proc(5), fields 14 and 15.
fn ticks() -> Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/thread-self/stat")?;
    // The second field is a name in brackets, which may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |number: usize| -> Result<u64> { Ok(fields.get(number - 3).ok_or("/proc has another form")?.parse()?) };
    Ok((field(14)?, field(15)?))
}
