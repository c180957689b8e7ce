//! What a plan needs: surfaces, rights and timelines of each worker, and room in reservations.

use std::collections::BTreeMap;

use handover::transport::MAX_PAYLOAD;

use super::message::{After, Touch};
use super::plan::{Plan, Step};
use super::predict::name;
use crate::explain::{Graph, Program};

/// Owners: each is a process.
const MAX_OWNERS: usize = 32;
/// Surfaces of all rings.
const MAX_SURFACES: usize = 128;
/// Jobs of all frames.
const MAX_JOBS: usize = 4096;
/// Seconds of all jobs together.
const MAX_SECONDS: u64 = 600;
/// Entries of one surface, and those of one process in it: a reservation has no more (`handover`, the layout of control files).
const ENTRIES: usize = 64;
const ENTRIES_EACH: usize = 16;

/// Is it no more than a run can have?
pub(super) fn check_size(program: &Program, graph: &Graph, nanoseconds: u64) -> Result<(), String> {
    let sum = graph.jobs.iter().fold(0_u64, |sum, node| sum.saturating_add(node.duration.saturating_mul(nanoseconds)));
    let all = [
        (program.owners.len(), MAX_OWNERS, "owners, each a process"),
        (graph.buffers.len(), MAX_SURFACES, "buffers of all rings"),
        (graph.len(), MAX_JOBS, "jobs of all frames"),
        (usize::try_from(sum / 1_000_000_000).unwrap_or(usize::MAX), MAX_SECONDS as usize, "seconds of work"),
    ];
    match all.into_iter().find(|(count, most, _)| count > most) {
        Some((count, most, what)) => Err(format!("{count} {what}: a run has at most {most}")),
        None => Ok(()),
    }
}

impl Plan {
    /// What the steps need: surfaces, rights, timelines.
    pub(super) fn collect_needs(&mut self) {
        for step in &self.steps {
            let (by, touches, after, release): (usize, Vec<Touch>, Vec<After>, Option<u32>) = match step {
                Step::Submit(by, submit) => (*by, submit.set.clone(), submit.after.clone(), None),
                Step::Import { by, of, on, .. } => (*by, vec![*on], vec![*of], None),
                Step::Release { by, export, after, surface, .. } => {
                    let looked = export.iter().map(|touch| Touch { writes: false, ..*touch });
                    (*by, looked.collect(), after.clone(), Some(*surface))
                }
                // What it imports is a write.
                Step::Thread(by, thread) => {
                    let touch = Touch { surface: thread.surface, region: u64::MAX, writes: thread.import_writes };
                    (*by, vec![touch], Vec::new(), None)
                }
            };
            let Some(worker) = self.workers.get_mut(by) else { continue };
            worker.releases.extend(release);
            let exported =
                after.iter().filter_map(|after| if let After::Export(touch) = after { Some(touch) } else { None });
            // To look takes no right to write.
            let looked = exported.map(|touch| Touch { writes: false, ..*touch });
            for touch in touches.into_iter().chain(looked.collect::<Vec<_>>()) {
                *worker.surfaces.entry(touch.surface).or_default() |= touch.writes;
            }
            worker.lines.extend(
                after.iter().filter_map(|after| if let After::Point(line, _) = after { Some(*line) } else { None }),
            );
        }
    }

    /// Everything is submitted before anything ends, and a reservation holds so much.
    pub(super) fn check_entries(&self) -> Result<(), String> {
        let mut entries: BTreeMap<(u32, usize), usize> = BTreeMap::new();
        for step in &self.steps {
            let (by, touches) = match step {
                Step::Submit(by, submit) => (*by, submit.set.as_slice()),
                Step::Import { by, on, .. } => (*by, std::slice::from_ref(on)),
                Step::Release { .. } | Step::Thread(..) => continue,
            };
            touches.iter().for_each(|touch| *entries.entry((touch.surface, by)).or_default() += 1);
        }
        let name = |surface: u32| self.surfaces.get(surface as usize).map_or("", |surface| surface.name.as_str());
        if let Some(((surface, by), count)) = entries.iter().find(|(_, count)| **count > ENTRIES_EACH) {
            let owner = self.workers.get(*by).map_or("", |worker| worker.name.as_str());
            return Err(format!(
                "{owner} submits {count} uses of {} before the first ends: a reservation holds {ENTRIES_EACH} of one owner",
                name(*surface)
            ));
        }
        for surface in 0..self.surfaces.len() as u32 {
            let count: usize = entries.iter().filter(|((of, _), _)| *of == surface).map(|(_, count)| count).sum();
            if count > ENTRIES {
                return Err(format!(
                    "{count} uses of {} are submitted before the first ends: a reservation holds {ENTRIES}",
                    name(surface)
                ));
            }
        }
        Ok(())
    }

    /// Does all that workers are told fit a message?
    pub(super) fn check_messages(&self, program: &Program, graph: &Graph) -> Result<(), String> {
        let fits = |bytes: Result<Vec<u8>, serde_json::Error>, what: &dyn Fn() -> String| match bytes {
            Ok(bytes) if bytes.len() <= MAX_PAYLOAD => Ok(()),
            Ok(bytes) => Err(format!("{} takes {} bytes to tell: a message has {MAX_PAYLOAD}", what(), bytes.len())),
            Err(error) => Err(format!("{}: {error}", what())),
        };
        for worker in &self.workers {
            fits(serde_json::to_vec(&worker.part(u64::MAX)), &|| format!("the part of {}", worker.name))?;
        }
        self.steps.iter().try_for_each(|step| {
            let (_, command, _) = step.command();
            fits(serde_json::to_vec(&command), &|| name(program, graph, step.job()))
        })
    }
}
