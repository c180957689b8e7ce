//! Who depends on whom. A crate boundary must buy something that the compiler enforces; these rules keep what it buys.

use std::collections::BTreeSet;

use super::tree::Tree;
use super::{Finding, Rule};

pub(super) const ARROWS: Rule = Rule {
    name: "arrows",
    keeps: "cli -> {vulkan, wayland}, egl -> handover -> {sys, model}; the model knows no system, sys knows no model",
    check: arrows,
};

pub(super) const DIET: Rule =
    Rule { name: "diet", keeps: "a user of the library compiles at most 15 crates, ours included", check: diet };

/// Most crates in the library's dependency tree. Each one is a licence, a maintainer and build time of every user.
const MOST_CRATES: usize = 15;

/// What one crate of the workspace may depend on.
struct Allowance {
    name: &'static str,
    /// Crates of this workspace, in any table: a test that reaches round an arrow bends it too.
    ours: &'static [&'static str],
    /// Crates of this workspace for tests alone, which forge what no user of the library can make.
    tests: &'static [&'static str],
    /// Crates of others, tests aside. None: a program, which may take what it needs.
    others: Option<&'static [&'static str]>,
}

const ALLOWANCES: &[Allowance] = &[
    Allowance { name: "handover-model", ours: &[], tests: &[], others: Some(&["bitflags", "thiserror", "zerocopy"]) },
    Allowance {
        name: "handover-sys",
        ours: &[],
        tests: &[],
        others: Some(&["bitflags", "libc", "rustix", "thiserror", "zerocopy"]),
    },
    Allowance {
        name: "handover",
        ours: &["handover-model", "handover-sys"],
        tests: &[],
        others: Some(&["bitflags", "thiserror", "zerocopy"]),
    },
    Allowance {
        name: "handover-vulkan",
        ours: &["handover"],
        tests: &["handover-model", "handover-sys"],
        others: Some(&["ash"]),
    },
    Allowance {
        name: "handover-egl",
        ours: &["handover"],
        tests: &["handover-sys", "handover-vulkan"],
        others: Some(&["libloading"]),
    },
    Allowance {
        name: "handover-wayland",
        ours: &["handover-sys", "handover"],
        tests: &[],
        others: Some(&["wayland-client", "wayland-protocols", "wayland-server"]),
    },
    Allowance {
        name: "handover-cli",
        ours: &["handover", "handover-vulkan", "handover-wayland"],
        tests: &[],
        others: None,
    },
    Allowance { name: "xtask", ours: &["handover-model", "handover-sys", "handover"], tests: &[], others: None },
];

/// What makes a crate depend on a system, however far down it comes in.
const SYSTEM: &[&str] =
    &["handover-sys", "errno", "getrandom", "libc", "linux-raw-sys", "nix", "rustix", "tempfile", "windows-sys"];

fn arrows(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let members: BTreeSet<&str> = tree.members().map(|package| package.name.as_str()).collect();
    for package in tree.members() {
        let Some(allowance) = ALLOWANCES.iter().find(|allowance| allowance.name == package.name) else {
            findings.push(Finding::new(
                &package.name,
                "no rule says what this crate may depend on; add it to ALLOWANCES in xtask/src/tidy/arrows.rs",
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if members.contains(name) {
                let is_for_tests = dependency.dev && allowance.tests.contains(&name);
                if !is_for_tests && !allowance.ours.contains(&name) {
                    findings.push(Finding::new(&package.name, format!("must not depend on {name}: wrong way")));
                }
            } else if !dependency.dev && allowance.others.is_some_and(|others| !others.contains(&name)) {
                findings.push(Finding::new(
                    &package.name,
                    format!("must not depend on {name}: every user of the library would compile it"),
                ));
            }
        }
    }
    if members.contains("handover-model") {
        for name in reached(tree, "handover-model").intersection(&SYSTEM.iter().copied().collect()) {
            findings.push(Finding::new("handover-model", format!("reaches {name}, which is an operating system's")));
        }
        const ROOT: &str = "crates/handover-model/src/lib.rs";
        if !tree.files.get(ROOT).is_some_and(|text| text.lines().any(|line| line == "#![no_std]")) {
            findings.push(Finding::new(ROOT, "must say #![no_std]: with std the model has an operating system"));
        }
    }
    findings
}

/// Every package that this one builds with, however far down.
fn reached<'a>(tree: &'a Tree, name: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut left = vec![name];
    while let Some(name) = left.pop() {
        if seen.insert(name) {
            let packages = tree.packages.iter().filter(|package| package.name == name);
            left.extend(packages.flat_map(|package| package.resolved.iter().map(String::as_str)));
        }
    }
    seen
}

fn diet(tree: &Tree) -> Vec<Finding> {
    if tree.library.len() <= MOST_CRATES {
        return Vec::new();
    }
    let names = tree.library.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    vec![Finding::new(
        super::tree::LIBRARY,
        format!("builds {} crates, more than {MOST_CRATES}: {names}", tree.library.len()),
    )]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_finds, assert_holds};
    use super::super::tree::{Package, Tree};
    use super::{ARROWS, DIET};

    fn model_root() -> Tree {
        Tree::of(&[("crates/handover-model/src/lib.rs", "//! Nouns.\n#![no_std]\n")])
    }

    #[test]
    fn arrows_point_one_way() {
        assert_holds(&ARROWS);
    }

    #[test]
    fn the_library_is_small() {
        assert_holds(&DIET);
    }

    #[test]
    fn a_wrong_arrow_is_found_even_in_tests() {
        let mut tree = model_root();
        tree.packages = vec![
            Package::member("handover-model", &["bitflags", "proptest?"]),
            Package::member("handover-sys", &["libc", "handover-model?"]),
            Package::member("handover", &["handover-model", "handover-sys"]),
            Package::member("handover-cli", &["clap", "handover-sys"]),
        ];
        assert_finds(&ARROWS, &tree, &["handover-sys", "handover-cli"]);
    }

    #[test]
    fn what_is_for_tests_alone_is_found_elsewhere() {
        let mut tree = model_root();
        tree.packages = vec![
            Package::member("handover-model", &[]),
            Package::member("handover-sys", &[]),
            Package::member("handover", &[]),
            Package::member("handover-vulkan", &["ash", "handover", "handover-sys?", "handover-model?", "naga?"]),
        ];
        assert_finds(&ARROWS, &tree, &[]);
        tree.packages.pop();
        tree.packages.push(Package::member("handover-vulkan", &["handover", "handover-sys", "naga"]));
        assert_finds(&ARROWS, &tree, &["handover-vulkan", "handover-vulkan"]);
    }

    #[test]
    fn a_crate_that_is_not_on_the_list_is_found() {
        let packages = vec![Package::member("handover", &["tokio"]), Package::member("handover-new", &[])];
        let tree = Tree { packages, ..Tree::default() };
        assert_finds(&ARROWS, &tree, &["handover", "handover-new"]);
    }

    #[test]
    fn a_system_far_below_the_model_is_found_and_so_is_std() {
        let mut tree = model_root();
        let mut below = Package::member("bitflags", &["libc"]);
        below.member = false;
        tree.packages = vec![Package::member("handover-model", &["bitflags"]), below];
        assert_finds(&ARROWS, &tree, &["handover-model"]);
        tree.packages.pop();
        assert_finds(&ARROWS, &tree, &[]);
        tree.files.clear();
        assert_finds(&ARROWS, &tree, &["crates/handover-model/src/lib.rs"]);
    }

    #[test]
    fn one_crate_too_many_is_found() {
        let library = (0..15).map(|i| format!("crate-{i} v1.0.0")).collect();
        let mut tree = Tree { library, ..Tree::default() };
        assert_finds(&DIET, &tree, &[]);
        tree.library.insert("another v1.0.0".to_owned());
        assert_finds(&DIET, &tree, &["handover"]);
    }
}
