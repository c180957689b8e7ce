//! ARCHITECTURE.md says which test keeps which invariant; this keeps the table true.

use super::source::code_only;
use super::tree::Tree;
use super::{Finding, Rule};

pub(super) const INVARIANTS: Rule = Rule {
    name: "invariants",
    keeps: "every invariant in ARCHITECTURE.md names its tests, `path/file.rs::name`, and they exist",
    check: invariants,
};

const DOCUMENT: &str = "ARCHITECTURE.md";

fn invariants(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.files.get(DOCUMENT) else {
        return vec![Finding::new(DOCUMENT, "is missing; it holds the table of invariants and their tests")];
    };
    let rows = rows(text);
    if rows.is_empty() {
        return vec![Finding::new(DOCUMENT, "has no table below a heading with the word `Invariants`")];
    }
    let mut findings = Vec::new();
    for (index, row) in rows {
        let references: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect();
        if references.is_empty() {
            let how = "an invariant must name the test that keeps it, as `crates/handover/tests/file.rs::test_name`";
            findings.push(Finding::on_line(DOCUMENT, index, how));
        }
        for reference in references {
            if let Err(why) = resolve(tree, reference) {
                findings.push(Finding::on_line(DOCUMENT, index, format!("`{reference}`: {why}")));
            }
        }
    }
    findings
}

/// The last cell of each row of the tables below the heading, with the index of its line.
fn rows(text: &str) -> Vec<(usize, &str)> {
    let mut rows = Vec::new();
    let (mut below, mut fenced, mut head) = (false, false, true);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            continue;
        } else if line.starts_with('#') {
            below = line.to_lowercase().contains("invariants");
        } else if below && line.starts_with('|') {
            let rule = line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
            if !head && !rule {
                let cells = line.trim_end().trim_end_matches('|');
                rows.push((index, cells.rsplit_once('|').map_or(cells, |(_, last)| last)));
            }
            head = false;
        } else {
            head = true;
        }
    }
    rows
}

/// Finds the test: the file by its path from the root, then a function of that name under `#[test]`.
/// Modules may stand between the two and are not looked at: a name occurs once in a file.
fn resolve(tree: &Tree, reference: &str) -> Result<(), String> {
    let (path, name) = reference
        .split_once("::")
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, rest)| (path, rest.rsplit("::").next().unwrap_or(rest)))
        .ok_or("a test is named by its file: `path/from/the/root.rs::test_name`")?;
    let text = tree.files.get(path).ok_or_else(|| format!("there is no file {path}"))?;
    if has_test(&code_only(text), name) { Ok(()) } else { Err(format!("{path} has no test {name}")) }
}

/// Is there a `fn name` whose attributes include `#[test]`?
fn has_test(code: &str, name: &str) -> bool {
    let mut marked = false;
    for line in code.lines().map(str::trim) {
        if line.starts_with("#[test]") {
            marked = true;
        }
        let Some((_, after)) = line.split_once("fn ") else {
            // Other attributes and blank lines (comments) may stand between the mark and the function.
            marked &= line.is_empty() || line.starts_with("#[");
            continue;
        };
        let declared: String = after.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect();
        if marked && declared == name {
            return true;
        }
        marked = false;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_finds, assert_holds};
    use super::super::tree::Tree;
    use super::INVARIANTS;

    #[test]
    fn every_test_that_the_architecture_names_exists() {
        assert_holds(&INVARIANTS);
    }

    const TESTS: &str = "//! T.\n#[test]\n// Why.\n#[cfg(unix)]\nfn holds() {}\n\nfn helper() {}\n\
                         // #[test]\nfn hidden() {}\nmod deep {\n    #[test] fn one_line() {}\n}\n";

    fn tree(rows: &str) -> Tree {
        let text = format!("# A\n\n## Invariants\n\n| what | test |\n|---|---|\n{rows}\n## More\n\n| a::b | c |\n");
        Tree::of(&[("ARCHITECTURE.md", &text), ("crates/a/tests/t.rs", TESTS)])
    }

    #[test]
    fn tests_that_exist_are_accepted() {
        let rows = "| A `Kind::Full` | `crates/a/tests/t.rs::holds`, `crates/a/tests/t.rs::deep::one_line` |\n";
        assert_finds(&INVARIANTS, &tree(rows), &[]);
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        let rows = "| A | `crates/a/tests/t.rs::helper` |\n| B | `crates/a/tests/t.rs::hidden` |\n\
                    | C | `crates/a/tests/gone.rs::holds` |\n| D | `a::tests::holds` |\n";
        let places = ["ARCHITECTURE.md:7", "ARCHITECTURE.md:8", "ARCHITECTURE.md:9", "ARCHITECTURE.md:10"];
        assert_finds(&INVARIANTS, &tree(rows), &places);
    }

    #[test]
    fn an_invariant_without_a_test_or_a_table_is_found() {
        assert_finds(&INVARIANTS, &tree("| `a::b` | by review |\n"), &["ARCHITECTURE.md:7"]);
        assert_finds(&INVARIANTS, &Tree::of(&[("ARCHITECTURE.md", "# A\n## Invariants\n")]), &["ARCHITECTURE.md"]);
        assert_finds(&INVARIANTS, &Tree::default(), &["ARCHITECTURE.md"]);
    }
}
