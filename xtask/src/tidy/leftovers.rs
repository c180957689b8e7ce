//! What is not finished does not land: no notes to oneself, no holes, no test that is switched off.

use super::source::{code_only, has_word};
use super::tree::Tree;
use super::{Finding, Rule};

pub(super) const LEFTOVERS: Rule = Rule {
    name: "leftovers",
    keeps: "no note to oneself, no hole in the code, no test switched off",
    check: leftovers,
};

/// Notes to oneself, in any text: an issue can be closed, a note cannot. In halves, or this file would be a finding.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// Code that is not there yet.
const HOLES: &[&str] = &["todo!", "unimplemented!"];

fn leftovers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        for (index, line) in text.lines().enumerate() {
            if let Some(note) = NOTES.iter().find(|note| has_word(line, note)) {
                findings.push(Finding::on_line(path, index, format!("{note}: do it, or open an issue")));
            }
        }
    }
    for (path, text) in tree.rust() {
        for (index, line) in code_only(text).lines().enumerate() {
            if let Some(hole) = HOLES.iter().find(|hole| has_word(line, hole)) {
                findings.push(Finding::on_line(path, index, format!("{hole} is a panic on good input")));
            }
            if switched_off(line) {
                findings.push(Finding::on_line(
                    path,
                    index,
                    "a test switched off proves nothing; mend it or remove it",
                ));
            }
        }
        for (index, line) in text.lines().enumerate() {
            if is_ignored_example(line) {
                findings.push(Finding::on_line(path, index, "an example in the docs must at least compile (no_run)"));
            }
        }
    }
    findings
}

/// `#[ignore]`, also with a reason or behind a condition.
fn switched_off(code: &str) -> bool {
    code.contains("#[ignore") || code.contains("cfg_attr(") && has_word(code, "ignore")
}

/// A fence of a documentation example that rustdoc is told to leave alone.
fn is_ignored_example(line: &str) -> bool {
    let text = line.trim_start();
    let documentation = text.strip_prefix("///").or_else(|| text.strip_prefix("//!"));
    documentation
        .and_then(|text| text.trim_start().strip_prefix("```"))
        .is_some_and(|attributes| attributes.split(',').any(|attribute| attribute.trim() == "ignore"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_finds, assert_holds};
    use super::super::tree::Tree;
    use super::{LEFTOVERS, NOTES};

    #[test]
    fn nothing_is_left_over() {
        assert_holds(&LEFTOVERS);
    }

    #[test]
    fn a_note_to_oneself_is_found_in_any_text() {
        for note in NOTES {
            let tree =
                Tree::of(&[("a.md", &format!("# A\n{note}: more\n")), ("b.rs", &format!("//! {note}S_TABLE\n"))]);
            assert_finds(&LEFTOVERS, &tree, &["a.md:2"]);
        }
    }

    #[test]
    fn holes_and_switched_off_tests_are_found() {
        let text = "//! A.\nfn f() { todo!() }\nfn g() { unimplemented!() }\n#[ignore = \"slow\"]\nfn h() {}\n\
                    #[cfg_attr(miri, ignore)]\n/// ```ignore\n/// ```rust,ignore\n";
        let tree = Tree::of(&[("a.rs", text)]);
        assert_finds(&LEFTOVERS, &tree, &["a.rs:2", "a.rs:3", "a.rs:4", "a.rs:6", "a.rs:7", "a.rs:8"]);
    }

    #[test]
    fn words_in_comments_and_literals_are_no_holes() {
        let tree = Tree::of(&[("a.rs", "//! No todo!() here.\nconst A: &str = \"#[ignore]\";\n/// ```no_run\n")]);
        assert_finds(&LEFTOVERS, &tree, &[]);
    }
}
