//! What changed since the last look and since the first: how leaks are found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::Serialize;

use super::report::{Report, Totals};

/// More or less of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Buffers.
    pub buffers: i64,
    /// Bytes.
    pub bytes: i64,
}

impl Change {
    fn between(before: Totals, now: Totals) -> Self {
        let minus = |now: u64, before: u64| now.wrapping_sub(before).cast_signed();
        Self { buffers: minus(now.buffers, before.buffers), bytes: minus(now.bytes, before.bytes) }
    }

    /// Is it as it was?
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.buffers == 0 && self.bytes == 0
    }
}

/// What one look found.
#[derive(Debug, Clone, Default)]
struct Figures {
    all: Totals,
    /// By number and start: numbers are used again.
    processes: BTreeMap<(u32, u64), Totals>,
    buffers: BTreeSet<(&'static str, u64)>,
}

/// The first look and the last.
#[derive(Debug, Default)]
pub(super) struct Growth(Option<(Instant, Figures, Figures)>);

impl Growth {
    /// Says in the report what changed, and remembers it. The first report has nothing to be compared with.
    pub(super) fn note(&mut self, report: &mut Report) {
        let now = Figures {
            all: report.totals,
            processes: report.processes.iter().map(|process| ((process.pid, process.start), process.totals)).collect(),
            buffers: report.buffers.iter().map(|buffer| (buffer.kind.word(), buffer.inode)).collect(),
        };
        let Some((started, first, last)) = &mut self.0 else {
            self.0 = Some((Instant::now(), now.clone(), now));
            return;
        };
        report.seconds = started.elapsed().as_secs_f64();
        report.since_last = Some(Change::between(last.all, now.all));
        report.since_first = Some(Change::between(first.all, now.all));
        for process in &mut report.processes {
            // A process that was not there held nothing.
            let then = |look: &Figures| look.processes.get(&(process.pid, process.start)).copied().unwrap_or_default();
            process.since_last = Some(Change::between(then(last), process.totals));
            process.since_first = Some(Change::between(then(first), process.totals));
        }
        for buffer in &mut report.buffers {
            buffer.is_new = !last.buffers.contains(&(buffer.kind.word(), buffer.inode));
        }
        report.gone = last.buffers.difference(&now.buffers).count() as u64;
        *last = now;
    }
}
