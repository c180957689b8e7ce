//! `cargo xtask soak`: random kills in a loop over real processes. The work is done by the torture of the reservation, a test of
//! `handover`; this repeats it under one seed after another and holds it to the promise.

use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{cargo, refuse};

/// What nobody may wait longer for the dead, once the kernel has torn them down. The contract of the reservation, section "Death".
const PROMISE_MS: u64 = 100;
/// Tests of the torture that each round runs.
const PARTS: u64 = 2;
/// The longest a part runs: the shorter, the more often everything is counted.
const LONGEST_PART: u64 = 5;
/// The shortest: a part must meet each kind of trouble.
const SHORTEST_PART: u64 = 2;
/// How long without a word from outside.
const USUAL: u64 = 60;

/// How long, and from which seed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    seconds: u64,
    seed: Option<u64>,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut plan = Self { seconds: USUAL, seed: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if !matches!(argument.as_str(), "--seconds" | "--seed") {
                return Err(format!("there is no argument `{argument}`"));
            }
            let value = rest.next().ok_or_else(|| format!("`{argument}` needs a number behind it"))?;
            let number = value.parse().map_err(|_| format!("`{argument} {value}`: `{value}` is not a number"))?;
            if argument == "--seed" { plan.seed = Some(number) } else { plan.seconds = number }
        }
        Ok(plan)
    }

    /// Seconds of each part of a round when so many are left.
    fn part(left: u64) -> u64 {
        left.div_ceil(PARTS).clamp(SHORTEST_PART, LONGEST_PART)
    }
}

/// The text of `cargo xtask soak --help`.
pub(crate) fn help() -> String {
    format!(
        "usage: cargo xtask soak [--seconds N] [--seed S]\n\nKills, stops and continues processes that share surfaces, at random, \
         in rounds of {} seconds at the most: one half among honest\nprocesses, one half with one that writes over a second pool. \
         After each round: nobody was inside together with another, nobody\nwaited longer than {PROMISE_MS} ms for one whom the \
         kernel had torn down, and no entry, place, descriptor or mapping is left.\n\n  --seconds  how long, about: {USUAL} if not \
         given\n  --seed     what the first round is drawn from: the time if not given; each round prints its own\n\nA seed fixes who \
         is killed and when, and what each process does. It does not fix what the scheduler makes of it.\n",
        PARTS * LONGEST_PART
    )
}

/// Runs rounds until the time is over, or one fails.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let plan = match Plan::parse(arguments) {
        Ok(plan) => plan,
        Err(why) => return refuse(&format!("xtask soak: {why}\n\n{}", help())),
    };
    let seed =
        plan.seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs()));
    // Building is not soaking.
    if let Err(why) = torture(&["--no-run"], &[]) {
        eprintln!("soak: the torture cannot be built: {why}");
        return ExitCode::FAILURE;
    }
    let (began, time) = (Instant::now(), Duration::from_secs(plan.seconds));
    let mut rounds = 0;
    while rounds == 0 || began.elapsed() < time {
        let left = time.saturating_sub(began.elapsed()).as_secs();
        let (part, seed) = (Plan::part(left), seed.wrapping_add(rounds));
        eprintln!("soak: round {}, seed {seed}", rounds.saturating_add(1));
        let environment = [
            ("HANDOVER_TORTURE_SECONDS", part),
            ("HANDOVER_TORTURE_SEED", seed),
            ("HANDOVER_TORTURE_PROMISE_MS", PROMISE_MS),
        ];
        if let Err(why) = torture(&["--", "--nocapture", "--test-threads=1", "torture"], &environment) {
            eprintln!(
                "soak failed: {why}. Again: cargo xtask soak --seconds {} --seed {seed}",
                part.saturating_mul(PARTS)
            );
            return ExitCode::FAILURE;
        }
        rounds = rounds.saturating_add(1);
    }
    eprintln!("soak passed: {rounds} rounds in {:.1} s, first seed {seed}", began.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn torture(arguments: &[&str], environment: &[(&str, u64)]) -> Result<(), String> {
    let status = cargo()
        .args(["test", "--quiet", "-p", "handover", "--test", "reservation_torture"])
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (*name, value.to_string())))
        .stdin(Stdio::null())
        .status()
        .map_err(|e| format!("cannot start cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_PART, Plan, SHORTEST_PART, USUAL};

    fn parse(line: &str) -> Result<Plan, String> {
        Plan::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments() {
        assert_eq!(parse(""), Ok(Plan { seconds: USUAL, seed: None }));
        assert_eq!(parse("--seed 7 --seconds 8"), Ok(Plan { seconds: 8, seed: Some(7) }));
        for wrong in ["--sed 7", "--seed", "--seed x", "--seconds -1", "8"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rounds_are_short_and_never_empty() {
        assert_eq!([0, 1, 8, 3600].map(Plan::part), [SHORTEST_PART, SHORTEST_PART, 4, LONGEST_PART]);
    }
}
