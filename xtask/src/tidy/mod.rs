//! `cargo xtask tidy`: the rules of the repository as data. A rule is a pure function of a [`Tree`], so
//! that each one is a test twice: it holds here, and it fails on a small tree that breaks it.

mod arrows;
mod files;
mod invariants;
mod leftovers;
mod licences;
mod source;
mod tree;
mod unsafety;
mod words;

use std::process::ExitCode;

use crate::{refuse, root};
use tree::Tree;

/// One rule: its name on the command line, what it keeps, and how it is checked.
struct Rule {
    name: &'static str,
    keeps: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// A path from the root, with a line if there is one: `crates/handover/src/lib.rs:7`. Or the name of a crate.
    at: String,
    /// What was found there, and what would help.
    message: String,
}

impl Finding {
    fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }

    /// At a line, given by its index (people count from one).
    fn on_line(path: &str, index: usize, message: impl Into<String>) -> Self {
        Self::new(format!("{path}:{}", index.saturating_add(1)), message)
    }
}

const RULES: &[&Rule] = &[
    &arrows::ARROWS,
    &arrows::DIET,
    &unsafety::FORBID,
    &unsafety::PLACES,
    &files::FIRST_LINES,
    &files::SIZES,
    &words::STAGES,
    &words::SYNONYMS,
    &leftovers::LEFTOVERS,
    &files::OUTSIDE,
    &files::DOCUMENTS,
    &invariants::INVARIANTS,
    &licences::LICENCES,
];

/// The text of `cargo xtask tidy --help`.
pub(crate) fn help() -> String {
    let mut text = String::from("usage: cargo xtask tidy [RULE]...\n\nChecks these rules, or only the named ones:\n\n");
    for Rule { name, keeps, .. } in RULES {
        text += &format!("  {name:<11} {keeps}\n");
    }
    text
}

/// Checks the named rules, or all.
pub(crate) fn run(names: &[String]) -> ExitCode {
    if let Some(unknown) = names.iter().find(|name| !RULES.iter().any(|rule| rule.name == **name)) {
        return refuse(&format!("xtask tidy: there is no rule `{unknown}`\n\n{}", help()));
    }
    match check(|rule| names.is_empty() || names.iter().any(|name| name == rule.name)) {
        Ok(note) => {
            println!("{note}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("tidy failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Checks every rule. Findings go to standard error, a summary to the caller.
pub(crate) fn check_all() -> Result<String, String> {
    check(|_| true)
}

fn check(wanted: impl Fn(&Rule) -> bool) -> Result<String, String> {
    let tree = Tree::read(&root())?;
    let (mut rules, mut broken, mut findings) = (0_usize, 0_usize, 0_usize);
    for rule in RULES.iter().filter(|rule| wanted(rule)) {
        let found = (rule.check)(&tree);
        rules = rules.saturating_add(1);
        broken = broken.saturating_add(usize::from(!found.is_empty()));
        findings = findings.saturating_add(found.len());
        for Finding { at, message } in &found {
            eprintln!("{}: {at}: {message}", rule.name);
        }
    }
    if findings == 0 {
        Ok(format!("{rules} rules hold over {} files", tree.files.len()))
    } else {
        Err(format!("{findings} findings against {broken} of {rules} rules"))
    }
}

#[cfg(test)]
mod testing {
    use std::sync::OnceLock;

    use super::{Finding, Rule, Tree, root};

    /// The tree this test was built from, read once a process: asking cargo is the slow part.
    pub(super) fn this_tree() -> &'static Tree {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(|| Tree::read(&root()).unwrap())
    }

    pub(super) fn assert_holds(rule: &Rule) {
        let found = (rule.check)(this_tree());
        let lines: Vec<_> = found.iter().map(|Finding { at, message }| format!("{at}: {message}")).collect();
        assert!(found.is_empty(), "{} ({}) is broken:\n{}", rule.name, rule.keeps, lines.join("\n"));
    }

    /// Asserts that the rule finds exactly these places.
    pub(super) fn assert_finds(rule: &Rule, tree: &Tree, places: &[&str]) {
        let found = (rule.check)(tree);
        let at: Vec<_> = found.iter().map(|finding| finding.at.as_str()).collect();
        assert_eq!(at, places, "{found:#?}");
    }
}

#[cfg(test)]
mod tests {
    use super::{RULES, help};

    #[test]
    fn rules_have_names_of_their_own_and_are_listed() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(names.iter().all(|name| help().contains(name)));
    }
}
