//! From the file as it stands to a scenario: names become indices, numbers get their bounds.

use std::collections::HashMap;
use std::ops::Range;

use super::file::{Access as RawAccess, File, Job as RawJob, Sizes, Threads as RawThreads};
use super::program::{Access, Buffer, Job, Program, Scenario, Threads, Variant, Work};
use crate::pipeline::file::At;
use crate::pipeline::words::{allowed, closest};
use crate::pipeline::{Diagnostic, Diagnostics};

/// Bytes in a name, and in a title.
const MAX_NAME: usize = 48;
const MAX_TITLE: usize = 160;
const MAX_ENGINES: usize = 256;
const MAX_REGIONS: usize = 64;
const MAX_RING: i64 = 64;
/// Sizes of a ring that one file can try.
const MAX_SIZES: usize = 8;
/// Things that one file can be told are wrong with it.
const MAX_SHOWN: usize = 32;
const MAX_THREADS: i64 = 1024;
/// Steps of all threads in all interleavings.
const MAX_STEPS: i64 = 100_000_000;

/// All of the file. What is wrong goes to `diagnostics`.
pub(super) fn resolve(raw: &File, diagnostics: &mut Diagnostics) -> Scenario {
    let mut resolver = Resolver { diagnostics, longer: raw.longer };
    resolver.name(&raw.name, MAX_NAME);
    let text = |text: &Option<At<String>>| text.as_ref().map_or_else(String::new, |text| text.as_ref().clone());
    for (text, most) in [(&raw.title, MAX_TITLE), (&raw.unit, MAX_NAME)] {
        text.iter().for_each(|text| resolver.name(text, most));
    }
    let work = match &raw.threads {
        Some(threads) => {
            if let Some(job) = raw.job.first() {
                resolver.push(
                    Diagnostic::new("threads and jobs in one scenario", threads.span(), "threads")
                        .also(job.as_ref().name.span(), "a job")
                        .help("make two files of it"),
                );
            }
            Work::Threads(resolver.threads(threads.as_ref()))
        }
        None => Work::Jobs(resolver.variants(raw)),
    };
    Scenario { name: raw.name.as_ref().clone(), title: text(&raw.title), unit: text(&raw.unit), work }
}

pub(super) struct Resolver<'a> {
    diagnostics: &'a mut Diagnostics,
    longer: usize,
}

/// Names and their indices, and where each was said first.
#[derive(Default)]
struct Names {
    all: Vec<String>,
    known: HashMap<String, (usize, Range<usize>)>,
}

impl Names {
    fn index(&mut self, name: &str, place: Range<usize>) -> usize {
        let next = self.all.len();
        let (index, _) = self.known.entry(name.to_owned()).or_insert_with(|| {
            self.all.push(name.to_owned());
            (next, place)
        });
        *index
    }

    fn get(&self, name: &str) -> Option<usize> {
        self.known.get(name).map(|(index, _)| *index)
    }
}

impl Resolver<'_> {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.is_full() {
            self.diagnostics.push(diagnostic);
        }
    }

    fn is_full(&self) -> bool {
        self.diagnostics.iter().nth(MAX_SHOWN - 1).is_some()
    }

    fn variants(&mut self, raw: &File) -> Vec<Variant> {
        if raw.job.is_empty() {
            let help = "add [[job]] with a name, a duration and accesses, or [threads]";
            self.push(Diagnostic::new("the scenario has no jobs", raw.name.span(), "").help(help));
        }
        let mut program = Program {
            frames: self.number(raw.frames.as_ref(), "frames", 1, 1_000_000, 1) as u32,
            passing: self.number(raw.passing.as_ref(), "passing", 0, 1_000_000_000, 0) as u64,
            ..Program::default()
        };
        let (mut buffers, sizes) = self.buffers(raw, &mut program);
        let mut engines = self.engines(raw);
        let (mut owners, mut groups, mut jobs) = (Names::default(), Names::default(), Names::default());
        for entry in &raw.job {
            let name = &entry.as_ref().name;
            self.name(name, MAX_NAME);
            self.unique(&mut jobs, name, "jobs");
        }
        for (number, entry) in raw.job.iter().enumerate() {
            let entry = entry.as_ref();
            let engine = self.engine(entry, &mut engines, !raw.engine.is_empty());
            let engine_name = engines.all.get(engine).cloned().unwrap_or_default();
            let owner = match &entry.owner {
                Some(owner) => {
                    self.name(owner, MAX_NAME);
                    owners.index(owner.as_ref(), owner.span())
                }
                None => owners.index(&engine_name, entry.name.span()),
            };
            let group = entry.group.as_ref().map(|group| {
                self.name(group, MAX_NAME);
                groups.index(group.as_ref(), group.span())
            });
            let duration = self.number(Some(&entry.duration), "duration", 0, i64::MAX, 0) as u64;
            let accesses = entry.accesses.iter().map(|access| self.access(access.as_ref(), &mut buffers, &mut program));
            let accesses = accesses.collect::<Vec<_>>().into_iter().flatten().collect();
            let after = entry.after.as_ref().map(|after| self.after(raw, number, after.as_ref(), &jobs));
            let name = entry.name.as_ref().clone();
            program.jobs.push(Job { name, engine, owner, group, duration, accesses, after });
        }
        (program.engines, program.owners, program.groups) = (engines.all, owners.all, groups.all);
        self.sums(raw, &program, &sizes);
        variants(&program, &sizes)
    }

    /// The buffers that the file lists, and for each of them the sizes of its ring.
    fn buffers(&mut self, raw: &File, program: &mut Program) -> (Names, Vec<Vec<u32>>) {
        let mut names = Names::default();
        let mut sizes: Vec<Vec<u32>> = Vec::new();
        let mut several: Option<(usize, Range<usize>)> = None;
        for entry in &raw.buffer {
            let entry = entry.as_ref();
            self.name(&entry.name, MAX_NAME);
            self.unique(&mut names, &entry.name, "buffers");
            if let Some(region) = entry.regions.get(MAX_REGIONS) {
                let title = format!("{} regions", entry.regions.len());
                let help = format!("allowed: at most {MAX_REGIONS}");
                self.push(Diagnostic::new(title, region.span(), "one too many").help(help));
            }
            let mut regions = Names::default();
            for region in &entry.regions {
                self.name(region, MAX_NAME);
                self.unique(&mut regions, region, "regions of a buffer");
            }
            let ring = self.ring(entry.ring.as_ref());
            if ring.len() > 1 {
                let place = entry.ring.as_ref().map_or(0..0, At::span);
                match &several {
                    Some((count, first)) if *count != ring.len() => self.push(
                        Diagnostic::new(
                            "rings that try different numbers of sizes",
                            place,
                            format!("{} sizes", ring.len()),
                        )
                        .also(first.clone(), format!("{count} sizes")),
                    ),
                    Some(_) => {}
                    None => several = Some((ring.len(), place)),
                }
            }
            let first = ring.first().copied().unwrap_or(1);
            program.buffers.push(Buffer { name: entry.name.as_ref().clone(), regions: regions.all, ring: first });
            sizes.push(ring);
        }
        (names, sizes)
    }

    fn ring(&mut self, sizes: Option<&At<Sizes>>) -> Vec<u32> {
        let Some(at) = sizes else { return vec![1] };
        let sizes: &[i64] = match at.as_ref() {
            Sizes::One(one) => std::slice::from_ref(one),
            Sizes::Several(several) => several,
        };
        if sizes.is_empty() || sizes.len() > MAX_SIZES || sizes.iter().any(|size| !(1..=MAX_RING).contains(size)) {
            let help = format!("allowed: 1 to {MAX_RING}, or 1 to {MAX_SIZES} such numbers to try");
            self.push(Diagnostic::new("no ring of this size", at.span(), "").help(help));
            return vec![1];
        }
        sizes.iter().map(|size| *size as u32).collect()
    }

    fn engines(&mut self, raw: &File) -> Names {
        let mut names = Names::default();
        for entry in &raw.engine {
            self.name(&entry.as_ref().name, MAX_NAME);
            self.unique(&mut names, &entry.as_ref().name, "engines");
        }
        names
    }

    fn engine(&mut self, entry: &RawJob, engines: &mut Names, listed: bool) -> usize {
        let name = entry.engine.as_ref().unwrap_or(&entry.name);
        if let Some(engine) = engines.get(name.as_ref()) {
            return engine;
        }
        if listed {
            let words: Vec<&str> = engines.all.iter().map(String::as_str).collect();
            let title = format!("no engine is called `{}`", name.as_ref());
            self.unknown(title, name.span(), name.as_ref(), &words);
            return 0;
        }
        self.name(name, MAX_NAME);
        if engines.all.len() == MAX_ENGINES {
            let help = format!("allowed: at most {MAX_ENGINES}");
            self.push(Diagnostic::new("too many engines", name.span(), "one too many").help(help));
        }
        engines.index(name.as_ref(), name.span())
    }

    fn access(&mut self, raw: &RawAccess, buffers: &mut Names, program: &mut Program) -> Option<Access> {
        let writes = match raw.access.as_ref().as_str() {
            "read" => false,
            "write" => true,
            other => {
                let title = format!("`{other}` is no access");
                self.unknown(title, raw.access.span(), other, &["read", "write"]);
                false
            }
        };
        let name = raw.buffer.as_ref();
        let Some(buffer) = buffers.get(name) else {
            let words: Vec<&str> = buffers.all.iter().map(String::as_str).collect();
            self.unknown(format!("no buffer is called `{name}`"), raw.buffer.span(), name, &words);
            return None;
        };
        let known = program.buffers.get(buffer)?;
        let regions = match &raw.region {
            None => known.whole(),
            Some(region) => match known.regions.iter().position(|name| name == region.as_ref()) {
                Some(index) => 1_u64.checked_shl(index as u32).unwrap_or(1),
                None => {
                    let words: Vec<&str> = known.regions.iter().map(String::as_str).collect();
                    let title = format!("`{name}` has no region `{}`", region.as_ref());
                    self.unknown(title, region.span(), region.as_ref(), &words);
                    return None;
                }
            },
        };
        Some(Access { buffer, regions, writes })
    }

    /// Fences are of work that was submitted: a job comes after those before it only.
    fn after(&mut self, raw: &File, number: usize, after: &[At<String>], jobs: &Names) -> Vec<usize> {
        let mut known = Vec::new();
        for name in after {
            match jobs.get(name.as_ref()) {
                None => {
                    let words: Vec<&str> = jobs.all.iter().map(String::as_str).collect();
                    self.unknown(format!("no job is called `{}`", name.as_ref()), name.span(), name.as_ref(), &words);
                }
                Some(on) if on < number => known.push(on),
                Some(_) if self.is_full() => {}
                Some(on) => {
                    let diagnostic = super::cycle::refuse(raw, number, on, name.span());
                    self.push(diagnostic);
                }
            }
        }
        known.sort_unstable();
        known.dedup();
        known
    }

    fn threads(&mut self, raw: &RawThreads) -> Threads {
        let counts = raw.counts.as_ref();
        if counts.is_empty()
            || counts.len() > MAX_SIZES
            || counts.iter().any(|count| !(1..=MAX_THREADS).contains(count))
        {
            let help = format!("allowed: 1 to {MAX_SIZES} numbers from 1 to {MAX_THREADS}");
            self.push(Diagnostic::new("no such numbers of threads", raw.counts.span(), "").help(help));
        }
        let most = counts.iter().copied().max().unwrap_or(1).clamp(1, MAX_THREADS);
        let interleavings = self.number(Some(&raw.interleavings), "interleavings", 1, MAX_STEPS / most, 1);
        Threads {
            counts: counts.iter().map(|count| (*count).clamp(1, MAX_THREADS) as u32).collect(),
            write: self.number(Some(&raw.write), "write", 0, i64::from(u32::MAX), 0) as u64,
            read: self.number(Some(&raw.read), "read", 0, i64::from(u32::MAX), 0) as u64,
            interleavings: interleavings as u32,
            seed: self.number(Some(&raw.seed), "seed", 0, i64::MAX, 0) as u64,
        }
    }

    fn number(&mut self, number: Option<&At<i64>>, key: &str, least: i64, most: i64, default: i64) -> i64 {
        let Some(number) = number else { return default };
        let value = *number.as_ref();
        if (least..=most).contains(&value) {
            return value;
        }
        let title = format!("`{key}` cannot be {value}");
        self.push(Diagnostic::new(title, number.span(), "").help(format!("allowed: {least} to {most}")));
        default
    }

    /// Refuses names that would need a bound or an escape wherever they are shown.
    fn name(&mut self, name: &At<String>, most: usize) {
        let (text, most) = (name.as_ref(), most + self.longer);
        if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
            let start: String = text.chars().take(MAX_NAME).collect();
            let more = if start.len() < text.len() { "..." } else { "" };
            let title = format!("the text {start:?}{more} cannot be used");
            let help = format!("allowed: 1 to {most} bytes, no control characters");
            self.push(Diagnostic::new(title, name.span(), "").help(help));
        }
    }

    fn unique(&mut self, names: &mut Names, name: &At<String>, what: &str) {
        if let Some((_, first)) = names.known.get(name.as_ref()) {
            let title = format!("two {what} are called `{}`", name.as_ref());
            let first = first.clone();
            self.push(Diagnostic::new(title, name.span(), "second").also(first, "first"));
            // Later indices must stay those of the file.
            names.all.push(name.as_ref().clone());
            return;
        }
        names.index(name.as_ref(), name.span());
    }

    fn unknown(&mut self, title: String, place: Range<usize>, word: &str, words: &[&str]) {
        let few = words.get(..16).unwrap_or(words);
        let help = if words.is_empty() { "there are none".to_owned() } else { allowed(few) };
        self.push(Diagnostic::new(title, place, "").help(help).help_maybe(closest(word, words)));
    }
}

/// A program for each size of the rings that have several.
fn variants(program: &Program, sizes: &[Vec<u32>]) -> Vec<Variant> {
    let count = sizes.iter().map(Vec::len).max().unwrap_or(1);
    let variant = |number: usize| {
        let mut program = program.clone();
        let mut label = String::new();
        for (buffer, sizes) in program.buffers.iter_mut().zip(sizes) {
            if let Some(size) = sizes.get(number).filter(|_| sizes.len() > 1) {
                buffer.ring = *size;
                label = format!("ring of {size}");
            }
        }
        Variant { label, program }
    };
    (0..count).map(variant).collect()
}
