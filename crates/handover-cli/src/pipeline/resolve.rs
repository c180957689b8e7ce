//! From the file as it stands to participants: words become kinds, names become indices, numbers get their bounds.

use std::path::PathBuf;
use std::time::Duration;

use handover::interop::Access;
use handover::{ExportFlags, Extent, Format};

use super::diagnostics::{Diagnostic, Diagnostics};
use super::file::{At, Entry, File};
use super::keys::misplaced;
use super::types::{Device, Encoding, Kind, MAX_PARTICIPANTS, Mode, Participant, Pipeline};
use super::words::{allowed, closest};
use crate::media::Rate;

/// The formats this program can draw: four bytes a pixel.
const FORMATS: [Format; 4] = [Format::XRGB8888, Format::ARGB8888, Format::XBGR8888, Format::ABGR8888];

/// The words of `export`.
const EXPORT_WORDS: [&str; 3] = ["read", "write", "explicit-flush"];

/// The words of `access`, and what they mean.
const ACCESS_WORDS: [(&str, Access); 3] =
    [("read", Access::ReadOnly), ("write", Access::WriteOnly), ("read-write", Access::ReadWrite)];

const DEFAULT_SURFACES: u32 = 4;
/// The first version of the interop by which an importer counts on a flush.
const DEFAULT_VERSION: u32 = 2;
const DEFAULT_BITRATE: u32 = 1_000_000;
/// Bytes in a name. A pipeline's may have spaces: unlike a participant's it is part of no file name.
const MAX_NAME: usize = 32;
const MAX_TITLE: usize = 128;
/// Words of a command, and bytes in one: they travel in one message.
const MAX_WORDS: usize = 32;
const MAX_WORD: usize = 512;

/// All of the file. What is wrong goes to `diagnostics`, and some value takes its place, so that more can be found.
pub(super) fn resolve(raw: &File, diagnostics: &mut Diagnostics) -> Pipeline {
    if raw.participant.is_empty() {
        let title = "the pipeline has no participants";
        diagnostics
            .push(Diagnostic::new(title, raw.name.span(), "").help("add [[participant]] with a name and a kind"));
    }
    if let Some(entry) = raw.participant.get(MAX_PARTICIPANTS) {
        let title = format!("{} participants", raw.participant.len());
        diagnostics.push(
            Diagnostic::new(title, entry.as_ref().name.span(), "one too many")
                .help(format!("allowed: at most {MAX_PARTICIPANTS}")),
        );
    }
    let mut resolver = Resolver { raw, diagnostics, files: Vec::new(), patterns: 0 };
    resolver.plain(&raw.name, "small letters, digits, '-' and spaces", |c| is_plain(c) || c == ' ');
    let frames = resolver.number(raw.frames.as_ref(), "frames", 1, 10_000_000);
    let rate = raw.fps.as_ref().and_then(|fps| resolver.rate(fps));
    let participants =
        (0..raw.participant.len().min(MAX_PARTICIPANTS)).filter_map(|index| resolver.participant(index)).collect();
    Pipeline { name: raw.name.as_ref().clone(), frames: frames.map(u64::from), rate, participants }
}

struct Resolver<'a> {
    raw: &'a File,
    diagnostics: &'a mut Diagnostics,
    /// The files of the encoders so far.
    files: Vec<At<String>>,
    patterns: u32,
}

impl Resolver<'_> {
    fn participant(&mut self, index: usize) -> Option<Participant> {
        let entry = self.raw.participant.get(index)?.as_ref();
        self.name(index, &entry.name);
        let kind = self.kind(entry);
        let reads = self.reads(entry, kind.as_ref());
        let device = self.device(entry);
        let mode = self.word(entry.mode.as_ref(), "mode", &Mode::WORDS);
        let formats = self.formats(entry, kind.as_ref());
        let copies = entry.copies.as_ref().filter(|copies| *copies.as_ref());
        if let (Some(mode), Some(copies), Some("mailbox")) = (&entry.mode, copies, mode) {
            self.push(
                Diagnostic::new("a mailbox that is copied", mode.span(), "takes the newest frame")
                    .also(copies.span(), "takes every frame: a socket keeps what is in it")
                    .help("leave one of them out"),
            );
        }
        if let Some(kind) = &kind {
            misplaced(entry, kind, device).into_iter().for_each(|diagnostic| self.push(diagnostic));
        }
        Some(Participant {
            name: entry.name.as_ref().clone(),
            // A wrong kind is told already; any will do to find what else is wrong.
            kind: kind.unwrap_or(Kind::Preview),
            device,
            gpu: entry.gpu.as_ref().map(|gpu| gpu.as_ref().clone()),
            reads,
            mode: if mode == Some("mailbox") { Mode::Mailbox } else { Mode::Fifo },
            extent: self.extent(entry),
            formats,
            export: self.export(entry),
            surfaces: self.number(entry.surfaces.as_ref(), "surfaces", 1, 16).unwrap_or(DEFAULT_SURFACES),
            hold: Duration::from_millis(self.number(entry.hold_ms.as_ref(), "hold_ms", 0, 10_000).unwrap_or(0).into()),
            copies: copies.is_some(),
            node: self.node(entry),
            linger: Duration::from_millis(
                self.number(entry.linger_ms.as_ref(), "linger_ms", 0, 60_000).unwrap_or(0).into(),
            ),
        })
    }

    /// A name goes into messages, file names and the report.
    fn name(&mut self, index: usize, name: &At<String>) {
        self.plain(name, "small letters, digits and '-'", is_plain);
        let text = name.as_ref();
        let earlier = self.raw.participant.iter().take(index).find(|other| other.as_ref().name.as_ref() == text);
        if let Some(earlier) = earlier {
            self.push(
                Diagnostic::new(format!("two participants are called `{text}`"), name.span(), "second")
                    .also(earlier.as_ref().name.span(), "first"),
            );
        }
    }

    /// Refuses names that would need a bound or an escape wherever they are shown.
    fn plain(&mut self, name: &At<String>, allowed: &str, plain: impl Fn(char) -> bool) {
        let text = name.as_ref();
        if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(plain) {
            let start: String = text.chars().take(MAX_NAME).collect();
            let more = if start.len() < text.len() { "..." } else { "" };
            let title = format!("the name {start:?}{more} cannot be used");
            let help = format!("allowed: 1 to {MAX_NAME} {allowed}");
            self.push(Diagnostic::new(title, name.span(), "").help(help));
        }
    }

    fn kind(&mut self, entry: &Entry) -> Option<Kind> {
        let kind = match self.word(Some(&entry.kind), "kind", &Kind::WORDS)? {
            "clip" => Kind::Clip,
            "overlay" => Kind::Overlay,
            "pattern" => {
                let index = self.number(entry.index.as_ref(), "index", 0, 255).unwrap_or(self.patterns);
                self.patterns += 1;
                Kind::Pattern { index }
            }
            "compositor" => Kind::Compositor,
            "blend" => Kind::Blend,
            "opengl" => Kind::OpenGl,
            "compute" => self.compute(entry),
            "encoder" => Kind::Encoder(self.encoding(entry)),
            "camera" => Kind::Camera,
            "output" => Kind::Output,
            "screen" => Kind::Screen,
            "window" => Kind::Window { title: entry.title.as_ref().and_then(|title| self.title(title)) },
            "program" => Kind::Program { command: self.command(entry) },
            _ => Kind::Preview,
        };
        Some(kind)
    }

    /// Shown by a compositor, which may have no patience with a long one.
    fn title(&mut self, title: &At<String>) -> Option<String> {
        let text = title.as_ref();
        if text.chars().count() > MAX_TITLE || text.chars().any(char::is_control) {
            let help = format!("allowed: up to {MAX_TITLE} characters that can be shown");
            self.push(Diagnostic::new("the title cannot be used", title.span(), "").help(help));
        }
        Some(text.clone())
    }

    fn command(&mut self, entry: &Entry) -> Vec<String> {
        let words = entry.command.as_ref().map_or(&[][..], |command| command.as_ref().as_slice());
        let is_right = words.first().is_some_and(|program| !program.is_empty())
            && words.len() <= MAX_WORDS
            && words.iter().all(|word| !word.contains('\0') && word.len() <= MAX_WORD);
        if !is_right {
            let place = entry.command.as_ref().map_or(entry.name.span(), At::span);
            let title = format!("no command that the program `{}` could run", entry.name.as_ref());
            let help = format!(
                "give it `command = [\"weston-simple-egl\"]`: a program and up to {} arguments of at most {MAX_WORD} bytes",
                MAX_WORDS - 1
            );
            self.push(Diagnostic::new(title, place, "").help(help));
        }
        words.to_vec()
    }

    fn device(&mut self, entry: &Entry) -> Device {
        // Beside the words of the list, any of them with a habit behind it.
        if let Some(device) = entry.device.as_ref().and_then(|word| handover::Device::from_name(word.as_ref())) {
            return Device::Simulated(device);
        }
        let words: Vec<String> = Device::all().map(Device::word).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let word = self.word(entry.device.as_ref(), "device", &words);
        Device::all().find(|device| word == Some(device.word().as_str())).unwrap_or_default()
    }

    fn compute(&mut self, entry: &Entry) -> Kind {
        let words = ACCESS_WORDS.map(|(word, _)| word);
        if entry.access.is_none() {
            let title = format!("the compute `{}` does not say what it does with its texture", entry.name.as_ref());
            let help = "give it `access = \"read\"`, \"write\" or \"read-write\"";
            self.push(Diagnostic::new(title, entry.name.span(), "").help(help));
        }
        let word = self.word(entry.access.as_ref(), "access", &words);
        let access = ACCESS_WORDS.into_iter().find(|(known, _)| Some(*known) == word);
        let version = self.number(entry.version.as_ref(), "version", 1, 1000).unwrap_or(DEFAULT_VERSION);
        Kind::Compute { access: access.map_or(Access::ReadOnly, |(_, access)| access), version }
    }

    fn encoding(&mut self, entry: &Entry) -> Encoding {
        let bitrate = self.number(entry.bitrate.as_ref(), "bitrate", 10_000, 100_000_000).unwrap_or(DEFAULT_BITRATE);
        let file = match &entry.file {
            Some(file) => file.clone(),
            None => At::new(entry.name.span(), format!("{}.mp4", entry.name.as_ref())),
        };
        let (text, place) = (file.as_ref().clone(), file.span());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if entry.file.is_some()
            && (text.starts_with('.') || !text.chars().all(plain) || !text.ends_with(".mp4") || text.len() > 64)
        {
            let help =
                "allowed: a name in the output directory of letters, digits, '-', '_' and '.', that ends in .mp4";
            self.push(Diagnostic::new(format!("the file {text:?} cannot be used"), place.clone(), "").help(help));
        }
        if let Some(earlier) = self.files.iter().find(|other| *other.as_ref() == text) {
            let title = format!("two encoders write `{text}`");
            let diagnostic = Diagnostic::new(title, place, "second").also(earlier.span(), "first");
            self.push(diagnostic);
        }
        self.files.push(file);
        Encoding { bitrate, file: text }
    }

    fn reads(&mut self, entry: &Entry, kind: Option<&Kind>) -> Vec<usize> {
        let mut reads = Vec::new();
        let names = entry.reads.as_ref().map_or(&[][..], |reads| reads.as_ref().as_slice());
        for name in names {
            let text = name.as_ref().as_str();
            let found = self
                .raw
                .participant
                .iter()
                .take(MAX_PARTICIPANTS)
                .position(|other| other.as_ref().name.as_ref() == text);
            let producers = self.raw.participant.iter().map(|other| other.as_ref());
            let producers = producers.filter(|other| !Kind::READERS.contains(&other.kind.as_ref().as_str()));
            let producers: Vec<&str> = producers.map(|other| other.name.as_ref().as_str()).collect();
            let Some(index) = found else {
                let title = format!("there is no participant `{text}`");
                self.push(
                    Diagnostic::new(title, name.span(), "")
                        .help_maybe(closest(text, &producers))
                        .help(allowed(&producers)),
                );
                continue;
            };
            if !producers.contains(&text) {
                let title = format!("`{text}` has no surfaces to read");
                self.push(Diagnostic::new(title, name.span(), "it has none of its own").help(allowed(&producers)));
            } else if reads.contains(&index) {
                self.push(Diagnostic::new(format!("`{text}` is read twice"), name.span(), "once is enough"));
            }
            reads.push(index);
        }
        let Some(kind) = kind else { return reads };
        let (word, place) = (kind.word(), entry.reads.as_ref().map_or(entry.name.span(), At::span));
        let wrong = match (kind.is_source(), names.len()) {
            (true, 0) => None,
            (true, _) => Some((
                format!("the {word} `{}` reads", entry.name.as_ref()),
                "it makes its own frames; leave `reads` out",
            )),
            (false, 0) => {
                Some((format!("the {word} `{}` reads nothing", entry.name.as_ref()), "give it `reads = [\"NAME\"]`"))
            }
            (false, 1) => None,
            (false, _) if kind.produces() => None,
            (false, many) => {
                Some((format!("the {word} `{}` reads {many} participants", entry.name.as_ref()), "allowed: one"))
            }
        };
        if let Some((title, help)) = wrong {
            self.push(Diagnostic::new(title, place, "").help(help));
        }
        reads
    }

    fn formats(&mut self, entry: &Entry, kind: Option<&Kind>) -> Vec<Format> {
        let names = FORMATS.map(|format| format.name());
        let Some(list) = &entry.formats else {
            // What each kind does best; readers take alpha too, and ignore it where they have no use for it.
            return match kind {
                Some(Kind::Overlay) => vec![Format::ARGB8888, Format::ABGR8888],
                Some(kind) if kind.is_source() => vec![Format::XRGB8888, Format::XBGR8888],
                _ => FORMATS.to_vec(),
            };
        };
        if list.as_ref().is_empty() {
            self.push(Diagnostic::new("no formats", list.span(), "").help(allowed(&names)));
        }
        let chosen = list.as_ref().iter().filter_map(|name| {
            let word = self.word(Some(name), "format", &names)?;
            FORMATS.into_iter().find(|format| format.name() == word)
        });
        chosen.collect()
    }

    fn export(&mut self, entry: &Entry) -> ExportFlags {
        let Some(list) = &entry.export else { return ExportFlags::READ };
        let mut flags = ExportFlags::empty();
        let mut known = true;
        for name in list.as_ref() {
            match self.word(Some(name), "export flag", &EXPORT_WORDS) {
                Some("read") => flags |= ExportFlags::READ,
                Some("write") => flags |= ExportFlags::WRITE,
                Some(_) => flags |= ExportFlags::EXPLICIT_FLUSH,
                None => known = false,
            }
        }
        if known && !flags.contains(ExportFlags::READ) {
            let title = match flags.contains(ExportFlags::WRITE) {
                true => "an export that nobody can read",
                false => "an export for neither reading nor writing",
            };
            let help = "every reader reads: add \"read\"";
            self.push(Diagnostic::new(title, list.span(), "").help(help));
        }
        flags
    }

    /// A device node, by its full path: what it is, is found out when the run is planned.
    fn node(&mut self, entry: &Entry) -> Option<PathBuf> {
        let node = entry.node.as_ref()?;
        let path = PathBuf::from(node.as_ref());
        if !path.is_absolute() {
            let help = "allowed: a path such as /dev/video0 (camera, output) or /dev/dri/card0 (screen)";
            self.push(Diagnostic::new(format!("the node {:?}", node.as_ref()), node.span(), "").help(help));
        }
        Some(path)
    }

    fn extent(&mut self, entry: &Entry) -> Option<Extent> {
        let extent = entry.extent.as_ref()?;
        let edge = |edge: i64| u32::try_from(edge).ok();
        let parsed = match extent.as_ref().as_slice() {
            [width, height] => {
                edge(*width).zip(edge(*height)).and_then(|(width, height)| Extent::new(width, height).ok())
            }
            _ => None,
        };
        if parsed.is_none() {
            let help = format!("allowed: [width, height] in pixels, each from 1 to {}", Extent::MAX);
            self.push(Diagnostic::new("no extent", extent.span(), "").help(help));
        }
        parsed
    }

    fn rate(&mut self, fps: &At<toml::Value>) -> Option<Rate> {
        let rate = match fps.as_ref() {
            toml::Value::Integer(frames) => u32::try_from(*frames).ok().and_then(|frames| Rate::new(frames, 1)),
            toml::Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if rate.is_none() {
            let help = format!("allowed: an integer from 1 to {}, or a fraction like \"30000/1001\"", Rate::MAX);
            self.push(Diagnostic::new("no frame rate", fps.span(), "").help(help));
        }
        rate
    }

    /// One of `words`, or a diagnostic that lists them.
    fn word<'w>(&mut self, value: Option<&At<String>>, what: &str, words: &[&'w str]) -> Option<&'w str> {
        let value = value?;
        let text = value.as_ref().as_str();
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let title = format!("unknown {what} `{text}`");
            self.push(Diagnostic::new(title, value.span(), "").help_maybe(closest(text, words)).help(allowed(words)));
        }
        found
    }

    fn number(&mut self, value: Option<&At<i64>>, key: &str, least: u32, most: u32) -> Option<u32> {
        let value = value?;
        let found = u32::try_from(*value.as_ref()).ok().filter(|number| (least..=most).contains(number));
        if found.is_none() {
            let title = format!("`{key}` is {}", value.as_ref());
            self.push(Diagnostic::new(title, value.span(), "").help(format!("allowed: {least} to {most}")));
        }
        found
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}
