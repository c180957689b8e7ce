//! What is wrong with a pipeline file, shown on its lines.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// One thing that is wrong: what, where, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    title: String,
    /// Bytes of the file, and what to say there. The first is the place; the others explain it.
    places: Vec<(Range<usize>, String)>,
    helps: Vec<String>,
}

impl Diagnostic {
    /// `title` at bytes `place` of the file, marked with `label` (which may be empty).
    pub fn new(title: impl Into<String>, place: Range<usize>, label: impl Into<String>) -> Self {
        Self { title: title.into(), places: vec![(place, label.into())], helps: Vec::new() }
    }

    /// Marks another place.
    #[must_use]
    pub fn also(mut self, place: Range<usize>, label: impl Into<String>) -> Self {
        self.places.push((place, label.into()));
        self
    }

    /// Says what is allowed or what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(text.into());
        self
    }

    #[must_use]
    pub(crate) fn help_maybe(mut self, text: Option<String>) -> Self {
        self.helps.extend(text);
        self
    }

    /// The message without the file's lines.
    pub fn title(&self) -> &str {
        &self.title
    }
}

/// Everything that is wrong with one file. Shown like the errors of a compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    text: String,
    file: String,
    all: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Nothing wrong yet with the file of this text and name.
    pub(crate) fn new(text: &str, file: &str) -> Self {
        Self { text: text.to_string(), file: file.to_string(), all: Vec::new() }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.all.push(diagnostic);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Each of them, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.all.iter()
    }

    /// As text for people, with colours for a terminal if asked.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let shown: Vec<String> = self.all.iter().map(|diagnostic| renderer.render(&[self.group(diagnostic)])).collect();
        shown.join("\n\n")
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let group = Level::ERROR.primary_title(diagnostic.title.as_str());
        let mut snippet = Snippet::source(self.text.as_str()).path(self.file.as_str());
        let mut shown = false;
        for (index, (place, label)) in diagnostic.places.iter().enumerate() {
            let Some(place) = self.on_characters(place) else { continue };
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let label = (!label.is_empty()).then_some(label.as_str());
            snippet = snippet.annotation(kind.span(place).label(label));
            shown = true;
        }
        // What is missing has no place to point at.
        let group = if shown { group.element(snippet) } else { group.element(Origin::path(self.file.as_str())) };
        group.elements(diagnostic.helps.iter().map(|help| Level::HELP.message(help.as_str())))
    }

    /// The place, if it can be shown: not empty, inside the text, and on whole characters.
    fn on_characters(&self, place: &Range<usize>) -> Option<Range<usize>> {
        let shown = self.text.get(place.clone()).is_some_and(|text| !text.is_empty());
        if shown {
            return Some(place.clone());
        }
        // An empty place (the end of a line, where something is missing) is shown on the character before it.
        let start = (0..place.start.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at))?;
        let end = start + self.text.get(start..)?.chars().next()?.len_utf8();
        Some(start..end)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
