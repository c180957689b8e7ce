//! The licences of what we build with, against the one list of them: `allow` in deny.toml.

use super::tree::Tree;
use super::{Finding, Rule};

pub(super) const LICENCES: Rule = Rule {
    name: "licences",
    keeps: "every package that we build with can be had under a licence of deny.toml",
    check: licences,
};

const LIST: &str = "deny.toml";

fn licences(tree: &Tree) -> Vec<Finding> {
    let allowed = allowed(tree.files.get(LIST).map_or("", String::as_str));
    if allowed.is_empty() {
        return vec![Finding::new(LIST, "must list the licences that are allowed, as `allow` under [licenses]")];
    }
    let mut findings = Vec::new();
    for package in &tree.packages {
        match accept(&package.licence, &allowed) {
            Ok(true) => {}
            Ok(false) => findings.push(Finding::new(
                &package.name,
                format!("licence `{}` asks for more than {LIST} allows", package.licence),
            )),
            Err(why) => {
                findings.push(Finding::new(&package.name, format!("licence `{}`: {why}", package.licence)));
            }
        }
    }
    findings
}

/// The strings of `allow = […]` under `[licenses]`. The array may run over lines; comments are left out.
fn allowed(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let (mut section, mut inside) = (false, false);
    for line in text.lines().map(|line| line.split_once('#').map_or(line, |(before, _)| before).trim()) {
        if !inside && line.starts_with('[') {
            section = line == "[licenses]";
        }
        inside |= section && line.split_once('=').is_some_and(|(key, _)| key.trim() == "allow");
        if inside {
            names.extend(line.split('"').skip(1).step_by(2));
            inside = !line.ends_with(']');
        }
    }
    names
}

/// Does the SPDX expression hold when exactly these licences may be chosen?
/// `/` is the OR of old manifests, and `AND` binds closer than `OR`.
fn accept(expression: &str, allowed: &[&str]) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let accepted = any(&mut rest, allowed)?;
    match rest.first() {
        None => Ok(accepted),
        Some(token) => Err(format!("not an SPDX expression: `{token}` is left over")),
    }
}

fn any(rest: &mut &[&str], allowed: &[&str]) -> Result<bool, String> {
    let mut accepted = all(rest, allowed)?;
    while take(rest, "OR") {
        accepted |= all(rest, allowed)?;
    }
    Ok(accepted)
}

fn all(rest: &mut &[&str], allowed: &[&str]) -> Result<bool, String> {
    let mut accepted = one(rest, allowed)?;
    while take(rest, "AND") {
        accepted &= one(rest, allowed)?;
    }
    Ok(accepted)
}

fn one(rest: &mut &[&str], allowed: &[&str]) -> Result<bool, String> {
    if take(rest, "(") {
        let accepted = any(rest, allowed)?;
        return if take(rest, ")") { Ok(accepted) } else { Err("a bracket is not closed".to_owned()) };
    }
    let name = next(rest).ok_or("no licence is stated")?;
    if !take(rest, "WITH") {
        return Ok(allowed.contains(&name));
    }
    let exception = next(rest).ok_or("WITH what?")?;
    // An exception only grants more, so the bare licence is enough.
    Ok(allowed.contains(&name) || allowed.contains(&format!("{name} WITH {exception}").as_str()))
}

fn next<'a>(rest: &mut &[&'a str]) -> Option<&'a str> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(first)
}

fn take(rest: &mut &[&str], token: &str) -> bool {
    let found = rest.first() == Some(&token);
    if found {
        next(rest);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_finds, assert_holds};
    use super::super::tree::{Package, Tree};
    use super::{LICENCES, accept};

    #[test]
    fn every_licence_is_allowed() {
        assert_holds(&LICENCES);
    }

    #[test]
    fn expressions_are_read_as_spdx_says() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"];
        for good in [
            "MIT",
            "GPL-2.0-only OR MIT",
            "Unlicense/MIT",
            "(MIT OR GPL-3.0-only) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "GPL-2.0-only AND Zlib OR MIT",
        ] {
            assert_eq!(accept(good, &allowed), Ok(true), "{good}");
        }
        for bad in ["GPL-2.0-only", "MIT AND GPL-2.0-only", "MIT AND (Zlib OR GPL-3.0-only)", "Zlib WITH MIT"] {
            assert_eq!(accept(bad, &allowed), Ok(false), "{bad}");
        }
        for broken in ["", "(MIT", "MIT Apache-2.0", "MIT OR", "MIT WITH"] {
            assert!(accept(broken, &allowed).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_licence_that_is_not_on_the_list_is_found() {
        let list = "[bans]\nallow = [\"GPL-3.0-only\"]\n[licenses]\nallow = [\n  \"MIT\", # \"GPL-3.0-only\"\n]\n";
        let mut tree = Tree::of(&[("deny.toml", list)]);
        let with = |name: &str, licence: &str| {
            let licence = licence.to_owned();
            Package { licence, ..Package::member(name, &[]) }
        };
        tree.packages = vec![with("good", "MIT"), with("copyleft", "GPL-3.0-only"), with("silent", "")];
        assert_finds(&LICENCES, &tree, &["copyleft", "silent"]);
        tree.files.clear();
        assert_finds(&LICENCES, &tree, &["deny.toml"]);
    }
}
