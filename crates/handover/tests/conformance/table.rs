//! The table: every rule has one row, and every test that a row names exists and bears the rule's number.

use std::collections::BTreeMap;
use std::path::Path;

const TABLE: &str = include_str!("../data/conformance.tsv");

/// All numbers there are, first and last of each group: fences, reservation, export and poll, sync_file, syncobj, cross-object.
const NUMBERS: [(u32, u32); 6] = [(1, 19), (20, 35), (40, 52), (60, 66), (70, 92), (100, 106)];
const WORDS: usize = 12;

/// The tests of one cell, or the reason why there are none.
enum Cell<'a> {
    Tests(Vec<&'a str>),
    Reason(&'a str),
}

struct Row<'a> {
    number: u32,
    rule: &'a str,
    /// Of the library's own reservation, and of the kernel's.
    backends: [Cell<'a>; 2],
}

fn cell(text: &str) -> Cell<'_> {
    match text.strip_prefix('-') {
        Some(reason) => Cell::Reason(reason.trim()),
        None => Cell::Tests(text.split_whitespace().collect()),
    }
}

/// # Errors
/// The line that is no row.
fn rows(table: &str) -> Result<Vec<Row<'_>>, String> {
    let row = |line| {
        let fields: Vec<&str> = str::split(line, '\t').collect();
        let [number, rule, software, linux] = fields[..] else { return Err(format!("four fields: {line}")) };
        let number = number.strip_prefix('C').and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| format!("a number: {line}"))?;
        Ok(Row { number, rule, backends: [cell(software), cell(linux)] })
    };
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

/// What is wrong with the table; nothing, if all is well. `source`: text of a file of the workspace.
fn faults(table: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rows = match rows(table) {
        Ok(rows) => rows,
        Err(fault) => return vec![fault],
    };
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    for row in &rows {
        *seen.entry(row.number).or_insert(0) += 1;
        if row.rule.is_empty() || row.rule.split_whitespace().count() > WORDS {
            faults.push(format!("C{}: a rule of at most {WORDS} words", row.number));
        }
        for cell in &row.backends {
            match cell {
                Cell::Reason("") => faults.push(format!("C{}: no test and no reason", row.number)),
                Cell::Reason(_) => {}
                Cell::Tests(tests) if tests.is_empty() => faults.push(format!("C{}: an empty cell", row.number)),
                Cell::Tests(tests) => {
                    faults.extend(tests.iter().filter_map(|test| fault(test, row.number, &source)));
                }
            }
        }
    }
    for number in NUMBERS.into_iter().flat_map(|(first, last)| first..=last) {
        match seen.remove(&number) {
            Some(1) => {}
            Some(_) => faults.push(format!("C{number}: more than one row")),
            None => faults.push(format!("C{number}: no row")),
        }
    }
    faults.extend(seen.into_keys().map(|number| format!("C{number}: no such rule")));
    faults
}

/// What is wrong with the naming of `FILE::TEST` for this rule.
fn fault(test: &str, number: u32, source: impl Fn(&str) -> Option<String>) -> Option<String> {
    let Some((file, name)) = test.split_once("::") else { return Some(format!("C{number}: {test} names no test")) };
    let Some(text) = source(file) else { return Some(format!("C{number}: no file {file}")) };
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.starts_with(&format!("fn {name}("))) else {
        return Some(format!("C{number}: no {name} in {file}"));
    };
    // Attributes and documentation stand right above.
    let above: Vec<_> =
        lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//")).collect();
    if !above.contains(&&"#[test]") {
        return Some(format!("C{number}: {name} in {file} is no test"));
    }
    let in_name = name.split('_').any(|word| word == format!("c{number}"));
    let is_number = |word: &str| word == format!("C{number}");
    let in_docs = above.iter().any(|line| line.split(|letter: char| !letter.is_alphanumeric()).any(is_number));
    (!in_name && !in_docs).then(|| format!("C{number}: {name} in {file} does not bear the number"))
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).ok()
}

#[test]
fn every_rule_has_a_row_and_every_test_in_it_exists() {
    let faults = faults(TABLE, read);
    assert!(faults.is_empty(), "tests/data/conformance.tsv:\n{}", faults.join("\n"));
}

#[test]
fn a_table_with_a_fault_is_refused() {
    let source = |file: &str| {
        let text = "/// C2 is here.\n#[test]\nfn named() {\n#[test]\nfn c1_c3_numbered() {\nfn c1_helper() {\n";
        (file == "tests.rs").then(|| text.to_owned())
    };
    let told = |row: &str, wanted: &str| {
        let found = faults(row, source);
        assert!(found.iter().any(|fault| fault.contains(wanted)), "{row}: {found:?}");
    };
    told("", "C106: no row");
    told("C1\trule\t- none\t- none\nC1\trule\t- none\t- none", "C1: more than one row");
    told("C36\trule\t- none\t- none", "C36: no such rule");
    told("C1\trule\t- none", "four fields");
    told("1\trule\t- none\t- none", "a number");
    told("C1\trule\t-\t- none", "C1: no test and no reason");
    told("C1\trule\t\t- none", "C1: an empty cell");
    told("C1\t1 2 3 4 5 6 7 8 9 10 11 12 13\t- none\t- none", "at most 12 words");
    told("C1\trule\tother.rs::c1_c3_numbered\t- none", "no file other.rs");
    told("C1\trule\ttests.rs::c1_other\t- none", "no c1_other");
    told("C1\trule\ttests.rs::c1_helper\t- none", "is no test");
    told("C13\trule\ttests.rs::c1_c3_numbered\t- none", "does not bear the number");
    for good in ["C1\trule\ttests.rs::c1_c3_numbered\t- none", "C2\trule\ttests.rs::named\t- none"] {
        assert!(faults(good, source).iter().all(|fault| fault.ends_with("no row")), "{good}");
    }
}
