//! Jobs that would wait for work that nobody has submitted yet.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::file::File;
use crate::pipeline::Diagnostic;

/// Why job `number` cannot come after job `on`, which is not submitted before it. A cycle is named with all of its jobs.
pub(super) fn refuse(raw: &File, number: usize, on: usize, place: Range<usize>) -> Diagnostic {
    let name = |job: usize| raw.job.get(job).map_or("?", |job| job.as_ref().name.as_ref());
    let later = raw.job.get(on).map_or(0..0, |job| job.as_ref().name.span());
    if let Some(way) = way(raw, on, number) {
        let names: Vec<&str> = std::iter::once(number).chain(way).map(name).collect();
        let title = format!("jobs wait in a cycle: {}", names.join(" after "));
        return Diagnostic::new(title, place, "").help("leave one of these `after` out");
    }
    let title = format!("`{}` comes after `{}`, which is submitted later", name(number), name(on));
    Diagnostic::new(title, place, "there is no fence of it yet")
        .also(later, "submitted here")
        .help("a fence is of work that was submitted: list the other job first")
}

/// The jobs from `from` to `to` along `after` and the order of engines, both ends included.
fn way(raw: &File, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut jobs: HashMap<&str, usize> = HashMap::new();
    let mut queues: HashMap<&str, usize> = HashMap::new();
    let mut queued_after = Vec::with_capacity(raw.job.len());
    for (number, job) in raw.job.iter().enumerate() {
        let job = job.as_ref();
        jobs.entry(job.name.as_ref()).or_insert(number);
        queued_after.push(queues.insert(job.engine.as_ref().unwrap_or(&job.name).as_ref(), number));
    }
    let mut came_from = vec![None; raw.job.len()];
    let mut open = VecDeque::from([from]);
    while let Some(job) = open.pop_front() {
        if job == to {
            let mut way: Vec<usize> = std::iter::successors(Some(to), |job| *came_from.get(*job)?).collect();
            way.reverse();
            return Some(way);
        }
        let this = raw.job.get(job)?.as_ref();
        let named =
            this.after.iter().flat_map(|after| after.as_ref()).filter_map(|name| jobs.get(name.as_ref().as_str()));
        for next in named.copied().chain(queued_after.get(job).copied().flatten()) {
            if let Some(new) = came_from.get_mut(next).filter(|from_where| from_where.is_none() && next != from) {
                *new = Some(job);
                open.push_back(next);
            }
        }
    }
    None
}
