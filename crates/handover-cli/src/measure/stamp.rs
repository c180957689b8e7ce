//! The work of a job: pixels that say who drew them, written and looked at over its time.
//!
//! A writer marks its cells as begun, then draws them row by row; whoever looks in between sees two kinds of rows. A reader looks
//! when it starts and, unless it draws there too, when it ends: what it finds must be all of the last writer's, both times. When all
//! have ended the parent looks once more: a writer that came too late stays on top, whether anybody reads it or not.

use std::time::Duration;

use handover::{Access, Cell, Deadline, Elements, Extent, Lease, Monotonic, Region, Result, Surface, acquire};

use super::message::{Drawn, Look, Seen, UNFINISHED, mark};
use crate::explain::bits;

/// Bytes of a pixel.
const PIXEL: usize = 4;
/// No more rows are drawn than one in this time: a sleep is not shorter.
const STEP: Duration = Duration::from_micros(500);
/// For the last look. Nobody is left who could hold a surface.
const PATIENCE: Duration = Duration::from_secs(10);
/// Different pixels that are told.
const TOLD: usize = 8;

/// What one job does to pixels.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) job: u32,
    pub(super) reads: Vec<(Surface, Look)>,
    pub(super) writes: Vec<(Surface, Drawn)>,
    pub(super) duration: Duration,
}

impl Work {
    /// All of it, with a sleep for what a device would calculate. Gives what was not as it should be.
    pub(super) fn run(&self, lease: &Lease, started: Monotonic) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        self.look(lease, false, &mut seen)?;
        self.draw(lease, started)?;
        self.look(lease, true, &mut seen)?;
        for (surface, drawn) in &self.writes {
            let view = lease.write(surface)?;
            for cell in bits(drawn.checked) {
                let found = differing(surface, cell, mark(self.job), |x, y, row| view.read(0, x, y, row))?;
                note(&mut seen, (drawn.surface, cell), (true, true), mark(self.job), found);
            }
        }
        Ok(seen)
    }

    fn look(&self, lease: &Lease, at_end: bool, seen: &mut Vec<Seen>) -> Result<()> {
        for (surface, look) in self.reads.iter().filter(|(_, look)| look.at_end || !at_end) {
            let view = lease.read(surface)?;
            let found = differing(surface, look.cell, look.expected, |x, y, row| view.read(0, x, y, row))?;
            note(seen, (look.surface, look.cell), (false, at_end), look.expected, found);
        }
        Ok(())
    }

    /// Takes the time of the job, whether it has rows to draw or not.
    fn draw(&self, lease: &Lease, started: Monotonic) -> Result<()> {
        let mut rows = Vec::new();
        for (index, (surface, drawn)) in self.writes.iter().enumerate() {
            let view = lease.write(surface)?;
            for row in bits(drawn.cells).flat_map(|cell| rows_of(surface, cell)) {
                view.write(0, row.x, row.y, &row.pixels(mark(self.job) | UNFINISHED))?;
                rows.push((index, row));
            }
        }
        let most = usize::try_from(self.duration.as_nanos() / STEP.as_nanos()).unwrap_or(usize::MAX);
        let steps = rows.len().min(most).max(1);
        let at_once = rows.len().div_ceil(steps).max(1);
        let count = rows.len().div_ceil(at_once).max(1);
        for (index, some) in rows.chunks(at_once).enumerate() {
            // The last rows come with the end: who looks earlier finds them unfinished.
            let part = u32::try_from(index + 1).unwrap_or(u32::MAX);
            sleep_until(started, self.duration.saturating_mul(part) / u32::try_from(count).unwrap_or(u32::MAX));
            for (written, row) in some {
                let Some((surface, ..)) = self.writes.get(*written) else { continue };
                lease.write(surface)?.write(0, row.x, row.y, &row.pixels(mark(self.job)))?;
            }
        }
        sleep_until(started, self.duration);
        Ok(())
    }
}

/// Looks at cells when all jobs have ended, as whoever comes next would. `expected`: cells, and the marks of their last writers.
pub(super) fn look_at_last(surface: &Surface, number: u32, expected: &[(u32, u32)]) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    let lease = acquire(&[(surface, Access::Read, Region::WHOLE)], Deadline::after(PATIENCE))?.wait()?;
    let view = lease.read(surface)?;
    for (cell, expected) in expected {
        let found = differing(surface, *cell, *expected, |x, y, row| view.read(0, x, y, row))?;
        note(&mut seen, (number, *cell), (true, true), *expected, found);
    }
    Ok(seen)
}

fn note(
    seen: &mut Vec<Seen>,
    (surface, cell): (u32, u32),
    (own, at_end): (bool, bool),
    expected: u32,
    found: Vec<u32>,
) {
    if !found.is_empty() {
        seen.push(Seen { surface, cell, own, at_end, expected, found });
    }
}

/// Sleeps until so long after `started`.
pub(super) fn sleep_until(started: Monotonic, after: Duration) {
    let left = started.saturating_add(after).saturating_since(Monotonic::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

/// A run of pixels of one row.
#[derive(Debug, Clone, Copy)]
struct Row {
    x: Elements,
    y: u32,
    width: u32,
}

impl Row {
    fn pixels(self, value: u32) -> Vec<u8> {
        value.to_le_bytes().repeat(self.width as usize)
    }
}

/// The rows of a cell; of a surface without cells all of its rows.
fn rows_of(surface: &Surface, cell: u32) -> Vec<Row> {
    let Some(extent) = surface.layout().extent() else { return Vec::new() };
    let (width, height) = (extent.width().get(), extent.height().get());
    let row = |y| Row { x: Elements(0), y, width };
    match surface.cells().as_slice().get(cell as usize) {
        Some(Cell::Rect(rect)) => {
            let (x, width) = (Elements(rect.x().get()), rect.right().get().saturating_sub(rect.x().get()));
            (rect.y().get()..rect.bottom().get()).map(|y| Row { x, y, width }).collect()
        }
        Some(Cell::Rows { start, step }) => (*start..height).step_by((*step).max(1) as usize).map(row).collect(),
        // No other cells are made here.
        Some(Cell::Plane(_) | Cell::View(_)) | None => (0..height).map(row).collect(),
    }
}

/// The pixels of a cell that are not `expected`, each value once.
fn differing(
    surface: &Surface,
    cell: u32,
    expected: u32,
    read: impl Fn(Elements, u32, &mut [u8]) -> Result<()>,
) -> Result<Vec<u32>> {
    let mut found: Vec<u32> = Vec::new();
    let mut bytes = vec![0; Extent::MAX as usize * PIXEL];
    for row in rows_of(surface, cell) {
        let Some(bytes) = bytes.get_mut(..row.width as usize * PIXEL) else { continue };
        read(row.x, row.y, bytes)?;
        for pixel in bytes.chunks_exact(PIXEL) {
            let value = pixel.try_into().map_or(0, u32::from_le_bytes);
            if value != expected && found.len() < TOLD && !found.contains(&value) {
                found.push(value);
            }
        }
    }
    Ok(found)
}
