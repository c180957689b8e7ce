//! What a scenario may have in total: each number may be right, and their product too much.

use super::file::File;
use super::program::Program;
use super::resolve::Resolver;
use crate::pipeline::Diagnostic;
use crate::pipeline::file::At;

/// Jobs of all frames together.
const MAX_JOBS: u64 = 1_000_000;
/// Accesses, and jobs named in `after`, of all frames together. Each takes some 30 bytes, and is looked at under every model.
const MAX_ACCESSES: u64 = 4_000_000;
const MAX_BUFFERS: usize = 4096;
/// Regions and buffers of all rings together: each has a state of its own.
const MAX_CELLS: u64 = 1_000_000;

impl Resolver<'_> {
    /// What is too much only in total.
    pub(super) fn sums(&mut self, raw: &File, program: &Program, sizes: &[Vec<u32>]) {
        let frames = u64::from(program.frames);
        let jobs = (program.jobs.len() as u64).saturating_mul(frames);
        if jobs > MAX_JOBS {
            let place = raw.frames.as_ref().map_or_else(|| raw.name.span(), At::span);
            let title = format!("{jobs} jobs: {} in each of {frames} frames", program.jobs.len());
            self.push(Diagnostic::new(title, place, "").help(format!("allowed: at most {MAX_JOBS} together")));
        }
        self.accesses(raw, program);
        let mut sum = 0_u64;
        for (job, entry) in program.jobs.iter().zip(&raw.job) {
            // A job waits for one passed fence at most, after all of the others.
            let one = job.duration.checked_add(program.passing);
            let all = one.and_then(|one| one.checked_mul(frames)).and_then(|all| sum.checked_add(all));
            // The tools that read our JSON have signed integers.
            let Some(all) = all.filter(|all| i64::try_from(*all).is_ok()) else {
                let title = "the durations of all jobs together overflow";
                let label = if frames > 1 { format!("{frames} times this one") } else { "with this one".into() };
                let help = format!("allowed: at most {} together", i64::MAX);
                self.push(Diagnostic::new(title, entry.as_ref().duration.span(), label).help(help));
                break;
            };
            sum = all;
        }
        let ring = |sizes: &Vec<u32>| sizes.iter().copied().max().unwrap_or(1);
        let cells = program
            .buffers
            .iter()
            .zip(sizes)
            .map(|(buffer, sizes)| u64::from(ring(sizes)) * u64::from(buffer.whole().count_ones()));
        let cells: u64 = cells.sum();
        if program.buffers.len() > MAX_BUFFERS || cells > MAX_CELLS {
            let title = format!("{} buffers, with {cells} regions in all of their rings", program.buffers.len());
            let help = format!("allowed: at most {MAX_BUFFERS} buffers and {MAX_CELLS} regions");
            self.push(Diagnostic::new(title, raw.name.span(), "").help(help));
        }
    }

    /// A job may have as many accesses as the file has room for, and frames repeat them.
    fn accesses(&mut self, raw: &File, program: &Program) {
        let frames = u64::from(program.frames);
        let of = |job: &super::program::Job| (job.accesses.len() + job.after.as_ref().map_or(0, Vec::len)) as u64;
        let sum = program.jobs.iter().map(of).sum::<u64>();
        let all = sum.saturating_mul(frames);
        if all <= MAX_ACCESSES {
            return;
        }
        let most = program.jobs.iter().zip(&raw.job).max_by_key(|(job, _)| of(job));
        let most = most.map(|(job, entry)| (entry.as_ref().name.span(), format!("{} of them here", of(job))));
        let title = format!("{all} accesses: {sum} in each of {frames} frames");
        let diagnostic = match (&raw.frames, most) {
            (Some(frames), most) => {
                let diagnostic = Diagnostic::new(title, frames.span(), "");
                most.into_iter().fold(diagnostic, |diagnostic, (place, label)| diagnostic.also(place, label))
            }
            (None, Some((place, label))) => Diagnostic::new(title, place, label),
            (None, None) => Diagnostic::new(title, raw.name.span(), ""),
        };
        self.push(
            diagnostic.help(format!("allowed: at most {MAX_ACCESSES} together, with the jobs that `after` names")),
        );
    }
}
