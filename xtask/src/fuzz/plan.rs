//! What the command line asks for.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds for each target without a word from outside.
pub(super) const USUAL: u32 = 60;

/// Which targets, how long, and from which seed on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// All of them if empty.
    pub(super) targets: Vec<String>,
    pub(super) seconds: u32,
    pub(super) seed: u32,
    pub(super) grow: bool,
}

impl Plan {
    pub(super) fn parse(arguments: &[String], known: &[&str]) -> Result<Self, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
        let mut plan = Self { seconds: USUAL, seed: (now as u32).max(1), ..Self::default() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--grow" => plan.grow = true,
                "--seconds" | "--seed" => {
                    let value = rest.next().ok_or_else(|| format!("`{argument}` needs a number behind it"))?;
                    // To libFuzzer, 0 is "without end" for the one, and "any" for the other.
                    let number = value.parse().ok().filter(|number| *number > 0);
                    let number =
                        number.ok_or_else(|| format!("`{argument} {value}`: it is a number from 1 to {}", u32::MAX))?;
                    if argument == "--seed" { plan.seed = number } else { plan.seconds = number }
                }
                name if known.contains(&name) => plan.targets.push(name.to_owned()),
                name => {
                    return Err(format!("there is no target or option `{name}`; the targets are {}", known.join(", ")));
                }
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    fn parse(line: &str) -> Result<Plan, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Plan::parse(&words, &["word", "block"])
    }

    #[test]
    fn arguments() {
        let plan = Plan { targets: vec!["word".into()], seconds: 9, seed: 7, grow: true };
        assert_eq!(parse("word --seconds 9 --grow --seed 7"), Ok(plan));
        for wrong in
            ["words", "--seed", "--seed x", "--seed 0", "--seed 4294967296", "--seconds 0", "--seconds -1", "8"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
