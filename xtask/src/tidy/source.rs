//! Looking at Rust text: code without its comments and literals, and words with their edges.

/// The code of a file: comments and the contents of literals become spaces, line breaks stay where they are.
pub(super) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = code.ends_with(is_word);
        let hidden = hidden_length(rest, after_word);
        let length = if hidden == 0 { first.len_utf8() } else { hidden };
        let (head, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if hidden == 0 {
            code.push_str(head);
        } else {
            code.extend(head.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = tail;
    }
    code
}

/// Bytes of the comment or literal that starts here; zero for code. `after_word`: the character before
/// belongs to an identifier, so that the `r` of `for"` opens no raw string.
fn hidden_length(text: &str, after_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    if let Some(tail) = text.strip_prefix('\'') {
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        let mut characters = tail.chars();
        return match (characters.next(), characters.next()) {
            (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
            _ => 0,
        };
    }
    let raw = ["r", "br", "cr"].iter().find_map(|prefix| text.strip_prefix(prefix));
    match raw {
        Some(tail) if !after_word => raw_string(tail).map_or(0, |end| text.len().saturating_sub(end.len())),
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut rest = text;
    while !rest.is_empty() {
        let step = if rest.starts_with("/*") {
            depth = depth.saturating_add(1);
            2
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            2
        } else {
            rest.chars().next().map_or(0, char::len_utf8)
        };
        rest = rest.get(step..).unwrap_or_default();
        if depth == 0 {
            break;
        }
    }
    text.len().saturating_sub(rest.len())
}

/// A literal between two marks, `\` escaping.
fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == mark {
            return at.saturating_add(1);
        }
    }
    text.len()
}

/// What follows a raw string, given what follows its `r`. None: not a raw string (`r#type` is a name).
fn raw_string(text: &str) -> Option<&str> {
    let body = text.trim_start_matches('#');
    let hashes = text.len().saturating_sub(body.len());
    let body = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(body.split_once(end.as_str()).map_or("", |(_, after)| after))
}

/// Does `needle` stand in the line as a word of its own? An edge of the needle that is not a letter, digit or
/// underscore needs no edge around it: `todo!` is found in `todo!()` and not in `mytodo!()`.
pub(super) fn has_word(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, found)| {
        let before = line.get(..at).is_some_and(|text| text.ends_with(is_word));
        let after = line.get(at.saturating_add(found.len())..).is_some_and(|text| text.starts_with(is_word));
        !(before && needle.starts_with(is_word) || after && needle.ends_with(is_word))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::{code_only, has_word};

    #[test]
    fn comments_and_literals_are_no_code() {
        for hidden in [
            "// unsafe",
            "/* a /* unsafe */ unsafe */",
            "\"unsafe \\\" unsafe\"",
            "r#\"unsafe \" unsafe\"#",
            "br\"unsafe\"",
            "/// unsafe\n",
            "'\\'' // unsafe",
        ] {
            assert!(!code_only(&format!("let x = {hidden}")).contains("unsafe"), "{hidden}");
            assert_eq!(code_only(hidden).lines().count(), hidden.lines().count());
        }
    }

    #[test]
    fn code_is_code() {
        for seen in
            ["unsafe { f() }", "fn f<'a>(x: &'a u8) { unsafe {} }", "('\"', unsafe {})", "(\"\\\\\", unsafe {})"]
        {
            assert!(code_only(seen).contains("unsafe"), "{seen}");
        }
        assert_eq!(code_only("let r#type = for_r\"\";"), "let r#type = for_r  ;");
        assert_eq!(code_only("\"a\nb\" c"), "  \n   c");
    }

    #[test]
    fn words_have_edges() {
        assert!(has_word("unsafe fn", "unsafe") && has_word("(unsafe)", "unsafe"));
        assert!(!has_word("#![forbid(unsafe_code)]", "unsafe"));
        assert!(has_word("x_unsafe unsafe", "unsafe"));
    }
}
