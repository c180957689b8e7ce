//! What `handover run` needs to know of a scenario besides its jobs: who synchronises how. From `[run]` in its file, and from the
//! command line, which wins.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::message::{Policy, Sync};
use crate::explain::Program;
use crate::pipeline::file::{At, read};
use crate::pipeline::words::{allowed, closest};
use crate::pipeline::{Diagnostic, Diagnostics};

const SYNCS: [(&str, Sync); 2] = [("implicit", Sync::Implicit), ("explicit", Sync::Explicit)];
const POLICIES: [(&str, Policy); 4] = [
    ("honest", Policy::Honest),
    ("always-write", Policy::AlwaysWrite),
    ("skip-own-owner", Policy::SkipOwnOwner),
    ("none", Policy::None),
];
const REGIONS: [(&str, bool); 2] = [("declared", true), ("whole", false)];

/// What participants do so that nothing goes wrong. Each can be left out, to see what breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Jobs wait for the points they were given.
    Waits,
    /// Fences of explicit jobs go into reservations.
    Import,
    /// Implicit jobs attach their fences.
    Attach,
    /// Fences of implicit jobs come out of reservations.
    Export,
    /// A release has the border's own fences in it.
    Merge,
    /// A writer waits for the release.
    Release,
}

impl Duty {
    /// The words of the command line.
    pub const WORDS: [&'static str; 6] = ["waits", "import", "attach", "export", "merge", "release"];
    const ALL: [Self; 6] = [Self::Waits, Self::Import, Self::Attach, Self::Export, Self::Merge, Self::Release];

    /// The duty of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().zip(Self::ALL).find(|(known, _)| **known == word).map(|(_, duty)| duty)
    }

    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().zip(Self::WORDS).find(|(known, _)| **known == self).map_or("", |(_, word)| word)
    }
}

/// What the command line says about synchronisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--sync`: "implicit" or "explicit", for everybody.
    pub sync: Option<String>,
    /// `--regions`: "declared" or "whole".
    pub regions: Option<String>,
    /// `--policy`: "always-write" for everybody, or "NAME=always-write".
    pub policies: Vec<String>,
    /// `--without`.
    pub without: Vec<Duty>,
}

impl Overrides {
    /// Does it say nothing?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How everybody synchronises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Of each owner of the program.
    pub(super) owners: Vec<(Sync, Policy)>,
    /// Are the regions of buffers told apart?
    pub(super) regions: bool,
    /// The owner who stands between explicit and implicit ones. `None`: every explicit one for itself.
    pub(super) border: Option<usize>,
    /// Buffers whose regions are interleaved rows. Those of others are tiles.
    pub(super) rows: Vec<usize>,
    pub(super) without: Vec<Duty>,
}

#[derive(Debug, Deserialize)]
struct File {
    run: Option<At<Run>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    sync: Option<At<String>>,
    policy: Option<At<String>>,
    regions: Option<At<String>>,
    border: Option<At<String>>,
    #[serde(default)]
    rows: Vec<At<String>>,
    #[serde(default)]
    owner: Vec<Owner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    name: At<String>,
    sync: Option<At<String>>,
    policy: Option<At<String>>,
}

/// Is this the text of a scenario, and not of a pipeline? What is no TOML is neither.
pub(super) fn is_scenario(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Keys {
        job: Option<IgnoredAny>,
        threads: Option<IgnoredAny>,
        participant: Option<IgnoredAny>,
    }
    toml::from_str::<Keys>(text)
        .is_ok_and(|keys| keys.participant.is_none() && (keys.job.is_some() || keys.threads.is_some()))
}

impl Settings {
    /// Those of a file that is known to hold the program.
    pub(super) fn read(text: &str, file: &str, program: &Program) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new(text, file);
        let Some(raw) = read::<File>(text, &mut diagnostics) else { return Err(diagnostics) };
        let run = raw.run.map(At::into_inner).unwrap_or_default();
        let mut word = |word: &Option<At<String>>, what: &str, words: &[&str]| -> Option<usize> {
            let word = word.as_ref()?;
            let found = words.iter().position(|known| known == word.as_ref());
            if found.is_none() {
                let title = format!("`{}` is no {what}", word.as_ref());
                let help = if words.is_empty() { "there are none".to_owned() } else { allowed(words) };
                diagnostics
                    .push(Diagnostic::new(title, word.span(), "").help(help).help_maybe(closest(word.as_ref(), words)));
            }
            found
        };
        let owners: Vec<&str> = program.owners.iter().map(String::as_str).collect();
        let buffers: Vec<&str> = program.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
        let (syncs, policies) = (SYNCS.map(|(word, _)| word), POLICIES.map(|(word, _)| word));
        let sync = word(&run.sync, "way to synchronise", &syncs);
        let policy = word(&run.policy, "policy", &policies);
        let regions = word(&run.regions, "way to see regions", &REGIONS.map(|(word, _)| word));
        let border = word(&run.border, "owner", &owners);
        let rows = run.rows.into_iter().map(|name| (name.span(), word(&Some(name), "buffer", &buffers)));
        let rows: Vec<(Range<usize>, usize)> = rows.filter_map(|(span, row)| Some((span, row?))).collect();
        let sync_of = |index: usize| SYNCS.get(index).map_or(Sync::Implicit, |(_, sync)| *sync);
        let policy_of = |index: usize| POLICIES.get(index).map_or(Policy::Honest, |(_, policy)| *policy);
        let default = (sync_of(sync.unwrap_or(0)), policy_of(policy.unwrap_or(0)));
        let mut all = vec![default; owners.len()];
        let mut said: BTreeMap<usize, Range<usize>> = BTreeMap::new();
        let mut twice = Vec::new();
        for owner in run.owner {
            let span = owner.name.span();
            let number = word(&Some(owner.name), "owner", &owners);
            if let Some(first) = number.and_then(|number| said.insert(number, span.clone())) {
                twice.push((first, span));
            }
            let (sync, policy) =
                (word(&owner.sync, "way to synchronise", &syncs), word(&owner.policy, "policy", &policies));
            if let Some(entry) = number.and_then(|number| all.get_mut(number)) {
                *entry = (sync.map_or(entry.0, sync_of), policy.map_or(entry.1, policy_of));
            }
        }
        for (first, span) in twice {
            let title = "what an owner does is said twice";
            diagnostics.push(Diagnostic::new(title, span, "again").also(first, "first here").help("one is enough"));
        }
        for (span, row) in &rows {
            if program.buffers.get(*row).is_some_and(|buffer| buffer.regions.is_empty()) {
                let title =
                    format!("the buffer {} has no regions that could be rows", buffers.get(*row).unwrap_or(&""));
                let help = "regions = [\"even\", \"odd\"] in its [[buffer]]";
                diagnostics.push(Diagnostic::new(title, span.clone(), "").help(help));
            }
        }
        let is_explicit = |border: &usize| all.get(*border).is_some_and(|(sync, _)| *sync == Sync::Explicit);
        if let (Some(border), Some(name)) = (border.filter(|border| !is_explicit(border)), &run.border) {
            let owner = owners.get(border).unwrap_or(&"");
            let title = format!("`{owner}` is implicit, and only an explicit owner can stand at the border");
            let help = format!("[[run.owner]] with name = \"{owner}\" and sync = \"explicit\"");
            diagnostics.push(Diagnostic::new(title, name.span(), "").help(help));
        }
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        let regions = regions.and_then(|index| REGIONS.get(index)).is_none_or(|(_, declared)| *declared);
        let this = Self { owners: all, regions, border, rows, without: Vec::new() };
        if diagnostics.is_empty() { Ok(this) } else { Err(diagnostics) }
    }

    /// What the command line says instead.
    ///
    /// # Errors
    /// In words.
    pub(super) fn override_with(&mut self, overrides: &Overrides, program: &Program) -> Result<(), String> {
        if let Some(sync) = &overrides.sync {
            let sync = find(&SYNCS, sync, "--sync")?;
            self.owners.iter_mut().for_each(|owner| owner.0 = sync);
        }
        if let Some(regions) = &overrides.regions {
            self.regions = find(&REGIONS, regions, "--regions")?;
        }
        for text in &overrides.policies {
            match text.split_once('=') {
                None => {
                    let policy = find(&POLICIES, text, "--policy")?;
                    self.owners.iter_mut().for_each(|owner| owner.1 = policy);
                }
                Some((name, policy)) => {
                    let policy = find(&POLICIES, policy, "--policy")?;
                    let number = program.owners.iter().position(|owner| owner == name);
                    let owner = number.and_then(|number| self.owners.get_mut(number)).ok_or_else(|| {
                        format!("--policy {text}: no owner is called {name}; {}", allowed(&words(&program.owners)))
                    })?;
                    owner.1 = policy;
                }
            }
        }
        self.without.clone_from(&overrides.without);
        // Whoever is implicit has nothing to bring over a border.
        self.border = self.border.filter(|border| self.is_explicit(*border));
        Ok(())
    }

    pub(super) fn is_explicit(&self, owner: usize) -> bool {
        self.owners.get(owner).is_some_and(|(sync, _)| *sync == Sync::Explicit)
    }

    pub(super) fn does(&self, duty: Duty) -> bool {
        !self.without.contains(&duty)
    }
}

fn words(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn find<T: Copy>(known: &[(&str, T)], word: &str, option: &str) -> Result<T, String> {
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let found = known.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
    found.ok_or_else(|| format!("{option} {word}: {}", allowed(&words)))
}

impl Sync {
    pub(super) fn word(self) -> &'static str {
        SYNCS.iter().find(|(_, sync)| *sync == self).map_or("", |(word, _)| word)
    }
}

impl Policy {
    pub(super) fn word(self) -> &'static str {
        POLICIES.iter().find(|(_, policy)| *policy == self).map_or("", |(word, _)| word)
    }
}
