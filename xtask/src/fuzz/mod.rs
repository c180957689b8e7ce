//! `cargo xtask fuzz`: inputs that nobody thought of, for as long as one likes. The targets are the model's own, whose corpora
//! `cargo test` replays.
//!
//! The fuzzer is ours, so that it needs no tool but cargo: it changes inputs of the corpora and golden vectors, and keeps those that went
//! a way through a target that none went before.

mod corpus;
mod mutate;
mod plan;
#[path = "../../../crates/handover-model/tests/fuzz_targets/mod.rs"]
mod targets;
mod trial;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{refuse, root};
use corpus::Corpus;
use mutate::Random;
use plan::Plan;
use targets::{TARGETS, Target};
use trial::{smallest, tried};

/// Where findings go, below the root.
const FINDINGS: &str = "target/fuzz";

/// The help of the command.
pub(crate) fn help() -> String {
    let targets = TARGETS.iter().map(|target| format!("  {:<16} {}\n", target.name, target.about));
    format!(
        "usage: cargo xtask fuzz [TARGET…] [--seconds N] [--seed S] [--grow]\n\nChanges known inputs at random and tries them. A panic or a \
         broken property is a finding: its input is made as small as it\ngets, printed and kept in {FINDINGS}; put it into the corpus once it \
         is fixed.\n\n  --seconds  how long for each target: {} if not given\n  --seed     what the changes are drawn from: the time if not \
         given\n  --grow     keep an input of each new way in the corpus, at most {} files\n\ntargets, all of them if none is given:\n{}\nexit \
         status: 0 no finding, 1 a finding\n",
        plan::USUAL,
        corpus::MOST_FILES,
        targets.collect::<String>()
    )
}

/// Fuzzes each target for its time, or up to the first finding.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    let plan = match Plan::parse(arguments, &names) {
        Ok(plan) => plan,
        Err(why) => return refuse(&format!("xtask fuzz: {why}\n\n{}", help())),
    };
    // A panic is a finding, and told as one.
    std::panic::set_hook(Box::new(trial::note));
    for target in
        TARGETS.iter().filter(|target| plan.targets.is_empty() || plan.targets.iter().any(|n| n == target.name))
    {
        if let Err(why) = fuzz(target, &plan) {
            eprintln!("fuzz {}: {why}", target.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn fuzz(target: &Target, plan: &Plan) -> Result<(), String> {
    let mut corpus = Corpus::read(target.name)?;
    let known = corpus.inputs.len();
    let (began, time) = (Instant::now(), Duration::from_secs(plan.seconds));
    let mut random = Random::new(plan.seed());
    let mut tries = 0_u64;
    for index in 0..known {
        let Some(input) = corpus.inputs.get(index).cloned() else { break };
        let way = tried(target, &input).or_else(|broken| finding(target, &input, &broken))?;
        corpus.note(way, index);
    }
    // Looking at the clock takes longer than most tries.
    while !tries.is_multiple_of(64) || began.elapsed() < time {
        tries += 1;
        let input = mutate::mutated(&corpus.inputs, &mut random);
        let way = tried(target, &input).or_else(|broken| finding(target, &input, &broken))?;
        corpus.learn(way, input);
    }
    let seconds = began.elapsed().as_secs_f64();
    let (ways, rate) = (corpus.ways(), tries as f64 / seconds);
    println!(
        "fuzz {}: {tries} inputs in {seconds:.1} s ({rate:.0} a second), {ways} ways, no finding, seed {}",
        target.name,
        plan.seed()
    );
    if plan.grow {
        let added = corpus.grow(|input, way| smallest(input, |less| tried(target, less).as_deref() == Ok(way)))?;
        println!("fuzz {}: {added} files more in the corpus", target.name);
    }
    Ok(())
}

/// Keeps the input of a finding, made small.
fn finding(target: &Target, input: &[u8], broken: &str) -> Result<String, String> {
    let input = smallest(input, |less| tried(target, less).is_err());
    let broken = tried(target, &input).err().unwrap_or_else(|| broken.to_owned());
    let folder = root().join(FINDINGS);
    let file = folder.join(format!("{}-{}", target.name, corpus::name_of(&input)));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, &input));
    let kept = kept.map_or_else(|error| format!("not kept: {error}"), |()| format!("kept as {}", file.display()));
    let hex: Vec<String> = input.iter().map(|byte| format!("{byte:02x}")).collect();
    Err(format!("{broken}\n  input: {}\n  {kept}", hex.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::mutate::{Random, mutated};
    use super::targets::{TARGETS, Target};
    use super::trial::{smallest, tried};

    /// Breaks for inputs that have a 7 and a 9.
    const BROKEN: Target = Target {
        name: "broken",
        about: "nothing",
        run: |bytes| if bytes.contains(&7) && bytes.contains(&9) { Err("7 and 9".into()) } else { Ok(String::new()) },
    };

    #[test]
    fn what_breaks_is_found_and_made_small() {
        let mut random = Random::new(1);
        let seeds = vec![vec![1, 2, 3, 4]];
        let found = (0..10_000_000).map(|_| mutated(&seeds, &mut random)).find(|input| tried(&BROKEN, input).is_err());
        let small = found.map(|input| smallest(&input, |less| tried(&BROKEN, less).is_err()));
        assert_eq!(small.map(|input| input.len()), Some(2));
    }

    #[test]
    fn a_panic_is_a_finding() {
        let panics = Target { run: |bytes| Ok(format!("{}", u32::from(bytes.len() > 99) - 1)), ..BROKEN };
        assert!(tried(&panics, &[]).is_err_and(|broken| broken.contains("panic")));
        assert_eq!(tried(&panics, &[0; 100]).as_deref(), Ok("0"));
    }

    #[test]
    fn every_target_takes_a_thousand_changes_of_nothing() {
        for target in TARGETS {
            let mut random = Random::new(7);
            for _ in 0..1000 {
                let input = mutated(&[Vec::new()], &mut random);
                assert!(tried(&target, &input).is_ok(), "{}: {input:?}", target.name);
            }
        }
    }
}
