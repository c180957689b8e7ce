//! The eight words of the way: each is a module and an example of the library, and no stage goes by two names.

use super::source::code_only;
use super::tree::Tree;
use super::{Finding, Rule};

pub(super) const STAGES: Rule = Rule {
    name: "stages",
    keeps: "each of the eight words is a stage in the model, a module and an example of the library",
    check: stages,
};

pub(super) const SYNONYMS: Rule =
    Rule { name: "synonyms", keeps: "no module or example has a stage's other name", check: synonyms };

/// A stage and the names that its modules must not have. Others' names for it are listed, not every name
/// that could be thought of: `map` is a system call's, `signal` a fence's, `attach` and `wait` the protocol's.
struct Word {
    word: &'static str,
    not: &'static [&'static str],
}

const WORDS: [Word; 8] = [
    Word { word: "negotiate", not: &["agree", "bargain", "handshake", "negotiation", "negotiator"] },
    Word { word: "allocate", not: &["alloc", "allocation", "allocator", "create_buffer", "create_surface"] },
    Word { word: "export", not: &["exporter", "exporting", "publish", "send_handle", "share", "share_surface"] },
    Word { word: "import", not: &["importer", "importing", "open_handle", "receive_handle", "receive_surface"] },
    Word { word: "acquire", not: &["acquisition", "begin_access", "lock", "lock_surface", "obtain", "reserve"] },
    Word { word: "access", not: &["accessor", "cpu_access", "map_buffer", "map_pixels", "map_surface"] },
    Word { word: "flush", not: &["make_readable", "resolve_surface", "sync_surface", "write_back", "writeback"] },
    Word {
        word: "release",
        not: &["end_access", "give_back", "releasing", "return_buffer", "unlock", "unlock_surface"],
    },
];

const STAGE_FILE: &str = "crates/handover-model/src/stage.rs";

fn stages(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let enumerated = variants(tree.files.get(STAGE_FILE).map_or("", String::as_str));
    let words: Vec<String> = WORDS.iter().map(|Word { word, .. }| (*word).to_owned()).collect();
    if enumerated != words {
        findings.push(Finding::new(
            STAGE_FILE,
            format!("enum Stage must list {}, found {}", words.join(", "), enumerated.join(", ")),
        ));
    }
    let has = |path: &str| tree.files.contains_key(path);
    for Word { word, .. } in &WORDS {
        let module = format!("crates/handover/src/{word}.rs");
        if !has(&module) && !has(&format!("crates/handover/src/{word}/mod.rs")) {
            findings.push(Finding::new(module, format!("the stage `{word}` must have a module of its name")));
        }
        let example = format!("crates/handover/examples/{word}.rs");
        if !has(&example) && !has(&format!("crates/handover/examples/{word}/main.rs")) {
            findings.push(Finding::new(example, format!("the stage `{word}` must have an example of its name")));
        }
    }
    findings
}

/// The variants of `enum Stage`, in lower case, as its source lists them.
fn variants(text: &str) -> Vec<String> {
    let code = code_only(text);
    let body =
        code.split_once("enum Stage {").and_then(|(_, after)| after.split_once('}')).map_or("", |(body, _)| body);
    body.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect()
}

fn synonyms(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _) in tree.rust().filter(|(path, _)| path.starts_with("crates/")) {
        let names = path.split('/').map(|part| part.trim_end_matches(".rs").replace('-', "_"));
        // The crate's own folder is a name of the crate, not of a module.
        for name in names.skip(2) {
            if let Some(Word { word, .. }) = WORDS.iter().find(|word| word.not.contains(&name.as_str())) {
                findings.push(Finding::new(path, format!("`{name}` is another name for the stage `{word}`")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_finds, assert_holds};
    use super::super::tree::Tree;
    use super::{STAGE_FILE, STAGES, SYNONYMS, WORDS};

    #[test]
    fn each_stage_has_its_module_and_its_example() {
        assert_holds(&STAGES);
    }

    #[test]
    fn no_stage_goes_by_two_names() {
        assert_holds(&SYNONYMS);
    }

    fn whole() -> Tree {
        let mut tree = Tree::default();
        for word in &WORDS {
            tree.files.insert(format!("crates/handover/src/{}/mod.rs", word.word), String::new());
            tree.files.insert(format!("crates/handover/examples/{}.rs", word.word), String::new());
        }
        let text = "/// A, b.\npub enum Stage {\n/// N.\nNegotiate, Allocate, Export, Import,\nAcquire, Access, Flush, Release,\n}";
        tree.files.insert(STAGE_FILE.to_owned(), text.to_owned());
        tree
    }

    #[test]
    fn a_stage_without_module_or_example_is_found() {
        let mut tree = whole();
        assert_finds(&STAGES, &tree, &[]);
        tree.files.remove("crates/handover/src/flush/mod.rs");
        tree.files.remove("crates/handover/examples/access.rs");
        assert_finds(&STAGES, &tree, &["crates/handover/examples/access.rs", "crates/handover/src/flush.rs"]);
    }

    #[test]
    fn a_ninth_stage_is_found() {
        let mut tree = whole();
        if let Some(text) = tree.files.get_mut(STAGE_FILE) {
            *text = text.replace("Release,", "Release, Present,");
        }
        assert_finds(&STAGES, &tree, &[STAGE_FILE]);
    }

    #[test]
    fn another_name_for_a_stage_is_found() {
        let tree = Tree::of(&[
            ("crates/handover/src/backend/lock.rs", ""),
            ("crates/handover/src/release.rs", ""),
            ("crates/handover-cli/src/map_buffer/mod.rs", ""),
            ("crates/handover-sys/src/map.rs", ""),
        ]);
        let places = ["crates/handover-cli/src/map_buffer/mod.rs", "crates/handover/src/backend/lock.rs"];
        assert_finds(&SYNONYMS, &tree, &places);
    }
}
