//! The rules of `handover explain` against an independent brute force, on random graphs.
//!
//! The brute force knows no fences, no queues and no frontiers: it looks at every pair of jobs, and asks whether the second has to wait
//! for the first. Every start and end must be the same. Twelve mutations of the rules show that the test would notice.

// clippy.toml lets tests panic; it does not know the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use handover_cli::explain::{
    Access, Buffer, Contract, Explanation, Graph, Job, Kind, Model, Program, Rules, Trust, Variant, schedule,
    schedule_under,
};

/// Graphs of each test. A mutation needs a few hundred at most.
const GRAPHS: u64 = 3000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A small program. `named`: some jobs say what they depend on, and may promise more than their accesses show.
fn program(seed: u64, named: bool) -> Program {
    let mut random = Random(seed);
    let regions = |count: u64| (0..count).map(|region| format!("r{region}")).collect();
    let buffers: Vec<Buffer> = (0..1 + random.below(3))
        .map(|number| Buffer { name: format!("b{number}"), regions: regions(random.below(4)), ring: 1 })
        .collect();
    let engines = 2 + random.below(4);
    let (owners, groups) = (1 + random.below(4), 1 + random.below(3));
    let job = |number: u64, random: &mut Random| {
        let accesses = (0..1 + random.below(3)).map(|_| {
            let buffer = random.below(buffers.len() as u64) as usize;
            let whole = buffers[buffer].whole();
            let one = 1 << random.below(u64::from(whole.count_ones()));
            let regions = if random.below(3) == 0 { whole } else { one };
            Access { buffer, regions, writes: random.below(2) == 0 }
        });
        let accesses = accesses.collect();
        let after =
            (named && random.below(3) == 0).then(|| (0..number as usize).filter(|_| random.below(4) == 0).collect());
        Job {
            name: format!("j{number}"),
            engine: random.below(engines) as usize,
            owner: random.below(owners) as usize,
            group: (random.below(3) > 0).then(|| random.below(groups) as usize),
            duration: 1 + random.below(9),
            accesses,
            after,
        }
    };
    let jobs = (0..3 + random.below(12)).map(|number| job(number, &mut random)).collect();
    let names = |count: u64| (0..count).map(|number| number.to_string()).collect();
    Program {
        engines: names(engines),
        buffers: buffers.clone(),
        owners: names(owners),
        groups: names(groups),
        jobs,
        frames: 1,
        passing: 0,
    }
}

/// Do both touch a buffer, so that one of them writes? By region, or by the whole buffer, or without telling reads from writes.
fn meet(one: &Job, other: &Job, by_region: bool, reads_count: bool) -> bool {
    let pairs = one.accesses.iter().flat_map(|a| other.accesses.iter().map(move |b| (a, b)));
    pairs.into_iter().any(|(a, b)| {
        a.buffer == b.buffer && (!by_region || a.regions & b.regions != 0) && (a.writes || b.writes || reads_count)
    })
}

/// Does `jobs[j]` truly depend on `jobs[i]`? Along chains it depends on more.
fn depends(jobs: &[Job], i: usize, j: usize) -> bool {
    match &jobs[j].after {
        Some(after) => after.contains(&i),
        None => meet(&jobs[i], &jobs[j], true, false),
    }
}

/// Must `jobs[j]` wait for `jobs[i]` under this model, by its definition?
fn waits(jobs: &[Job], i: usize, j: usize, model: Model) -> bool {
    let (first, second) = (&jobs[i], &jobs[j]);
    let named = second.after.as_ref().is_some_and(|after| after.contains(&i));
    named
        || match model {
            Model::Exclusive => meet(first, second, false, true),
            Model::Shared => meet(first, second, false, false),
            Model::Owners if first.owner == second.owner => depends(jobs, i, j),
            Model::Owners => meet(first, second, false, true),
            Model::Classes if first.group.is_some() && first.group == second.group => depends(jobs, i, j),
            Model::Classes => meet(first, second, false, false),
            Model::Explicit => depends(jobs, i, j),
            Model::Regions => meet(first, second, true, false),
        }
}

fn brute(program: &Program, model: Model) -> Vec<(u64, u64)> {
    brute_by(program, |jobs, i, j| waits(jobs, i, j, model))
}

fn brute_by(program: &Program, waits: impl Fn(&[Job], usize, usize) -> bool) -> Vec<(u64, u64)> {
    let jobs = &program.jobs;
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for j in 0..jobs.len() {
        let before = (0..j).filter(|i| jobs[*i].engine == jobs[j].engine || waits(jobs, *i, j));
        let start = before.map(|i| spans[i].1).max().unwrap_or(0);
        spans.push((start, start + jobs[j].duration));
    }
    spans
}

/// Pairs of jobs of which the second started too early.
fn unsafe_pairs(program: &Program, spans: &[(u64, u64)]) -> usize {
    let pairs = (0..spans.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    pairs.filter(|(i, j)| depends(&program.jobs, *i, *j) && spans[*j].0 < spans[*i].1).count()
}

fn last(spans: &[(u64, u64)]) -> u64 {
    spans.iter().map(|span| span.1).max().unwrap_or(0)
}

#[test]
fn every_model_starts_every_job_when_its_definition_says_c104() {
    for seed in 0..2 * GRAPHS {
        let program = program(seed, seed % 2 == 0);
        let graph = Graph::of(&program);
        for model in Model::ALL {
            let schedule = schedule(&graph, model.rules());
            let name = model.name();
            assert_eq!(schedule.spans, brute(&program, model), "seed {seed}, {name}: {program:#?}");
            assert_eq!(unsafe_pairs(&program, &schedule.spans), 0, "seed {seed}, {name}: {program:#?}");
            assert_eq!(schedule.violations(&graph), [], "seed {seed}, {name}");
            assert_eq!(schedule.makespan, last(&schedule.spans));
            assert!(schedule.makespan >= graph.critical_path(), "seed {seed}, {name}");
        }
    }
}

#[test]
fn regions_are_never_slower_than_the_whole_and_as_fast_as_explicit_where_accesses_tell_all() {
    for seed in 0..2 * GRAPHS {
        let program = program(seed, seed % 2 == 0);
        let graph = Graph::of(&program);
        let makespan = |model: Model| schedule(&graph, model.rules());
        let (shared, explicit, regions) =
            (makespan(Model::Shared), makespan(Model::Explicit), makespan(Model::Regions));
        assert!(regions.makespan <= shared.makespan, "seed {seed}");
        assert_eq!(explicit.makespan, graph.critical_path(), "seed {seed}");
        if program.jobs.iter().all(|job| job.after.is_none()) {
            assert_eq!(regions.spans, explicit.spans, "seed {seed}");
            assert!(makespan(Model::Classes).makespan >= regions.makespan, "seed {seed}");
        }
    }
}

/// As when a change is tried: each buffer has rules of its own.
#[test]
fn rules_that_differ_from_buffer_to_buffer_break_nothing() {
    let trusts = [Trust::Nobody, Trust::Owner, Trust::Group, Trust::Everybody];
    for seed in 0..2 * GRAPHS {
        let program = program(seed, seed % 2 == 0);
        let mut random = Random(!seed);
        let rules: Vec<Rules> = program
            .buffers
            .iter()
            .map(|_| Rules {
                shared_reads: random.below(2) == 0,
                trust: trusts[random.below(4) as usize],
                writers: random.below(2) == 0,
                regions: random.below(2) == 0,
            })
            .collect();
        let graph = Graph::of(&program);
        let spans = schedule_under(&graph, &|buffer| rules[buffer as usize], &Contract::HONEST).spans;
        assert_eq!(unsafe_pairs(&program, &spans), 0, "seed {seed}, {rules:?}: {program:#?}");
    }
}

/// Must `jobs[j]` wait for `jobs[i]` if, under this model, those who write one of the buffers trust each other besides?
fn waits_less(jobs: &[Job], i: usize, j: usize, model: Model, relaxed: usize) -> bool {
    let over = |job: &Job, buffer: Option<usize>| Job {
        accesses: job.accesses.iter().copied().filter(|a| (a.buffer == relaxed) == buffer.is_some()).collect(),
        ..job.clone()
    };
    let pair = |buffer: Option<usize>| [over(&jobs[i], buffer), over(&jobs[j], buffer)];
    let writes = |job: &Job| job.accesses.iter().any(|access| access.writes);
    let (others, this) = (pair(None), pair(Some(relaxed)));
    let after = |job: &Job| job.after.as_ref().map(|after| after.iter().filter(|on| **on == i).map(|_| 0).collect());
    let renumbered = |[first, second]: [Job; 2]| [first, Job { after: after(&second), ..second }];
    let (others, this) = (renumbered(others), renumbered(this));
    let trusted = writes(&this[0]) && writes(&this[1]);
    waits(&others, 0, 1, model) || if trusted { depends(&this, 0, 1) } else { waits(&this, 0, 1, model) }
}

/// That writers order themselves is an addition: whoever trusted each other before still does.
#[test]
fn writers_who_order_themselves_start_when_the_definition_says() {
    for seed in 0..GRAPHS {
        let program = program(seed, seed % 2 == 0);
        let graph = Graph::of(&program);
        for model in Model::ALL {
            let rules_of = |buffer: u32| Rules { writers: buffer == 0, ..model.rules() };
            let spans = schedule_under(&graph, &rules_of, &Contract::HONEST).spans;
            let expected = brute_by(&program, |jobs, i, j| waits_less(jobs, i, j, model, 0));
            assert_eq!(spans, expected, "seed {seed}, {}: {program:#?}", model.name());
        }
    }
}

/// Every change that is offered takes waits away, and adds none. (Passing fences by hand can cost; here it takes no time.)
#[test]
fn a_change_never_costs() {
    let mut tried = [0; 5];
    for seed in 0..GRAPHS {
        let program = program(seed, seed % 2 == 0);
        let explanation = Explanation::of(&Variant { label: String::new(), program });
        for (model, _, changes) in &explanation.models {
            for change in &changes.changes {
                tried[change.kind as usize] += 1;
                assert!(change.gain >= 0, "seed {seed}, {}: {change:?}", model.name());
            }
        }
    }
    println!("changes of each kind: {tried:?}");
    assert!(tried[Kind::ImportInsteadOfWrite as usize] > 0 && tried.iter().all(|tried| *tried > 0), "{tried:?}");
}

/// A group that promises more than its accesses show can beat regions. That is so, and is said; it is no mistake.
#[test]
fn a_group_that_promises_more_can_beat_regions() {
    let wins = |named: bool| {
        (0..GRAPHS)
            .filter(|seed| {
                let graph = Graph::of(&program(*seed, named));
                let makespan = |model: Model| schedule(&graph, model.rules()).makespan;
                makespan(Model::Classes) < makespan(Model::Regions)
            })
            .count()
    };
    let (named, derived) = (wins(true), wins(false));
    println!("a group was faster than regions in {named} of {GRAPHS} graphs with promises, {derived} without");
    assert!(named > 0);
    assert_eq!(derived, 0);
}

/// More than one frame, and rings: the same as writing every frame and every buffer of the ring out.
#[test]
fn frames_and_rings_are_the_same_as_written_out_s3() {
    for seed in 0..GRAPHS / 10 {
        let mut rolled = program(seed, false);
        rolled.frames = 5;
        rolled.buffers.iter_mut().enumerate().for_each(|(number, buffer)| buffer.ring = 1 + number as u32);
        let mut out = Program { frames: 1, buffers: Vec::new(), jobs: Vec::new(), ..rolled.clone() };
        for (number, buffer) in rolled.buffers.iter().enumerate() {
            let copies = (0..buffer.ring).map(|n| Buffer { name: format!("{number}.{n}"), ring: 1, ..buffer.clone() });
            out.buffers.extend(copies);
        }
        for frame in 0..rolled.frames {
            out.jobs.extend(rolled.jobs.iter().cloned().map(|mut job| {
                for access in &mut job.accesses {
                    let first: u32 = rolled.buffers[..access.buffer].iter().map(|buffer| buffer.ring).sum();
                    access.buffer = (first + frame % rolled.buffers[access.buffer].ring) as usize;
                }
                job
            }));
        }
        for model in Model::ALL {
            let spans = schedule(&Graph::of(&rolled), model.rules()).spans;
            assert_eq!(spans, brute(&out, model), "seed {seed}, {}", model.name());
        }
    }
}

/// Each piece of the rules that is taken away lets some job start too early, and the brute force sees it.
#[test]
fn mutations_of_the_rules_are_caught() {
    let honest = Contract::HONEST;
    let mutations = [
        ("no promotion", Contract { promotion: false, ..honest }),
        ("a writer ignores readers", Contract { write_after_read: false, ..honest }),
        ("a reader ignores writers", Contract { read_after_write: false, ..honest }),
        ("a writer ignores writers", Contract { write_after_write: false, ..honest }),
        ("a union missing one region", Contract { whole_union: false, ..honest }),
        ("attached to the first region only", Contract { every_region: false, ..honest }),
        ("readers attach nothing", Contract { readers_attach: false, ..honest }),
        ("a write drops fences it did not wait for", Contract { keeps_unwaited: false, ..honest }),
        ("the first fence of a queue is kept", Contract { latest_of_queue: false, ..honest }),
        ("one fence of a queue for friend and foe", Contract { latest_of_others: false, ..honest }),
        ("friends name no fences", Contract { named_fences: false, ..honest }),
        ("what a job names is forgotten", Contract { explicit_after: false, ..honest }),
    ];
    for (name, contract) in mutations {
        let caught = (0..GRAPHS).find_map(|seed| {
            let program = program(seed, seed % 2 == 0);
            let graph = Graph::of(&program);
            Model::ALL.into_iter().find_map(|model| {
                let spans = schedule_under(&graph, &|_| model.rules(), &contract).spans;
                (unsafe_pairs(&program, &spans) > 0).then_some((seed, model.name()))
            })
        });
        let Some((seed, model)) = caught else { panic!("{name}: nobody noticed in {GRAPHS} graphs") };
        println!("{name}: seed {seed}, {model}");
    }
}
