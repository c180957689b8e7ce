//! Where unsafe may be: in `handover-sys`, `handover-vulkan` and `handover-egl`, in the files that say so. Nowhere else, tests and
//! examples included.

use super::source::{code_only, has_word};
use super::tree::Tree;
use super::{Finding, Rule};

pub(super) const FORBID: Rule = Rule {
    name: "forbid",
    keeps: "every crate root forbids unsafe code; those of handover-sys, handover-vulkan and handover-egl deny it",
    check: forbid,
};

pub(super) const PLACES: Rule = Rule {
    name: "unsafe",
    keeps: "unsafe stands only in handover-sys, handover-vulkan and handover-egl, in files that open the door themselves",
    check: places,
};

/// The crates where a reviewer looks for unsafe. System calls; its tests fork, and block signals, which is unsafe too. And Vulkan,
/// EGL and OpenGL ES, of which every call is: their rules are the caller's to keep.
const UNSAFE_HOMES: &[&str] = &["crates/handover-sys/", "crates/handover-vulkan/", "crates/handover-egl/"];

fn is_home(path: &str) -> bool {
    UNSAFE_HOMES.iter().any(|home| path.starts_with(home))
}

const FORBIDS: &str = "#![forbid(unsafe_code)]";
const DENIES: &str = "#![deny(unsafe_code)]";
const ALLOWS: &str = "#![allow(unsafe_code)]";

fn forbid(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| is_crate_root(path)) {
        // `forbid` cannot be lifted further in, so a crate where some files must denies.
        let (wanted, why) = if is_home(path) {
            (DENIES, "so that each file with unsafe must open the door itself")
        } else {
            (FORBIDS, "so that no line below it can be unsafe")
        };
        if !has_line(text, wanted) {
            findings.push(Finding::new(path, format!("a crate root must say {wanted}, {why}")));
        }
    }
    findings
}

/// A library's or a program's root; tests and examples are looked at by the other rule.
fn is_crate_root(path: &str) -> bool {
    let Some((package, file)) = path.split_once("/src/") else { return false };
    let known = package == "xtask" || package.strip_prefix("crates/").is_some_and(|name| !name.contains('/'));
    let program = file.strip_prefix("bin/").is_some_and(|name| !name.contains('/'));
    known && (file == "lib.rs" || file == "main.rs" || program)
}

fn places(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        let code = code_only(text);
        let first = code.lines().position(|line| has_word(line, "unsafe"));
        let allowed = has_line(&code, ALLOWS);
        if !is_home(path) {
            if let Some(index) = first {
                findings.push(Finding::on_line(
                    path,
                    index,
                    format!("unsafe belongs below {}", UNSAFE_HOMES.join(" or ")),
                ));
            }
            if code.contains("allow(unsafe_code)") {
                findings.push(Finding::new(
                    path,
                    format!("the door to unsafe opens only below {}", UNSAFE_HOMES.join(" or ")),
                ));
            }
            continue;
        }
        match (first, allowed) {
            (Some(index), false) => {
                findings.push(Finding::on_line(path, index, format!("a file with unsafe must say {ALLOWS}")));
            }
            (None, true) => findings.push(Finding::new(path, format!("nothing here is unsafe; take {ALLOWS} away"))),
            _ => {}
        }
    }
    findings
}

fn has_line(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| line.trim_end() == wanted)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_finds, assert_holds};
    use super::super::tree::Tree;
    use super::{FORBID, PLACES};

    #[test]
    fn every_crate_root_forbids_unsafe() {
        assert_holds(&FORBID);
    }

    #[test]
    fn unsafe_stays_in_its_files() {
        assert_holds(&PLACES);
    }

    #[test]
    fn a_root_that_forbids_nothing_is_found() {
        let tree = Tree::of(&[
            ("crates/handover/src/lib.rs", "//! Verbs.\n#![forbid(unsafe_code)]\n"),
            ("crates/handover/src/bin/tool.rs", "//! Tool.\n// #![forbid(unsafe_code)]\n"),
            ("crates/handover-sys/src/lib.rs", "//! Calls.\n#![deny(unsafe_code)]\n"),
            ("crates/handover-vulkan/src/lib.rs", "//! Images.\n#![forbid(unsafe_code)]\n"),
            ("crates/handover-egl/src/lib.rs", "//! Textures.\n#![forbid(unsafe_code)]\n"),
            ("crates/handover-vulkan-more/src/lib.rs", "//! Another crate.\n#![deny(unsafe_code)]\n"),
            ("crates/handover/tests/lib.rs", "//! A test.\n"),
            ("xtask/src/main.rs", "//! Tools.\n#![deny(unsafe_code)]\n"),
        ]);
        let places = [
            "crates/handover-egl/src/lib.rs",
            "crates/handover-vulkan-more/src/lib.rs",
            "crates/handover-vulkan/src/lib.rs",
            "crates/handover/src/bin/tool.rs",
            "xtask/src/main.rs",
        ];
        assert_finds(&FORBID, &tree, &places);
    }

    #[test]
    fn unsafe_in_another_place_is_found() {
        let door = "//! Calls.\n#![allow(unsafe_code)]\n";
        let tree = Tree::of(&[
            ("crates/handover-sys/src/map.rs", &format!("{door}fn f() {{ unsafe {{}} }}")),
            ("crates/handover-sys/src/clock.rs", door),
            ("crates/handover-sys/src/file.rs", "//! Files.\nfn f() { unsafe {} }"),
            ("crates/handover-sys/tests/facts.rs", "//! Facts.\n\nunsafe fn f() {}"),
            ("crates/handover-egl/src/sync.rs", &format!("{door}fn f() {{ unsafe {{}} }}")),
            ("crates/handover-vulkan/src/job.rs", &format!("{door}fn f() {{ unsafe {{}} }}")),
            ("crates/handover-vulkan/src/offer.rs", "//! Offers.\nfn f() { unsafe {} }"),
            ("crates/handover-vulkan/tests/draw.rs", door),
            ("crates/handover/src/a.rs", "//! Says unsafe.\nconst S: &str = \"unsafe\";"),
            ("crates/handover/src/b.rs", "//! Door.\n#![allow(unsafe_code)]\n"),
        ]);
        let places = [
            "crates/handover-sys/src/clock.rs",
            "crates/handover-sys/src/file.rs:2",
            "crates/handover-sys/tests/facts.rs:3",
            "crates/handover-vulkan/src/offer.rs:2",
            "crates/handover-vulkan/tests/draw.rs",
            "crates/handover/src/b.rs",
        ];
        assert_finds(&PLACES, &tree, &places);
    }
}
