//! What the kernel's devices of this machine can do, found by trying each thing once.
//!
//! Versions are never asked: distributions carry features back and leave drivers out. What is tried leaves nothing behind: every
//! buffer and object that a probe makes is closed before it returns. It opens the nodes, which may wake a sleeping device.

mod refusal;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use handover_sys::dma_buf::Direction;
use handover_sys::drm::{self, Cap, ClientCap, dumb, prime, syncobj};
use handover_sys::memfd::{self, Seals};
use handover_sys::v4l2::{self, BufferType, Caps, QueueCaps};
use handover_sys::{dma_buf, dma_heap, eventfd, udmabuf};

pub use refusal::Refusal;

/// Yes, or why not.
pub type Answer = Result<(), Refusal>;

/// How much of synchronisation the kernel does here. Each tier has all of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// No dma-bufs: the software backend only.
    Nothing,
    /// dma-bufs, whose fences can be waited for with `poll` and never taken out.
    DmaBuf,
    /// Fences go in and out as sync files.
    SyncFile,
    /// Timelines that devices signal.
    Syncobj,
    /// Their points signal an eventfd.
    SyncobjEventfd,
    /// Their points go in and out as sync files.
    SyncobjPoints,
}

impl Tier {
    /// All of them, from the lowest on.
    pub const ALL: [Self; 6] =
        [Self::Nothing, Self::DmaBuf, Self::SyncFile, Self::Syncobj, Self::SyncobjEventfd, Self::SyncobjPoints];

    /// A name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::DmaBuf => "dma-buf without sync_file",
            Self::SyncFile => "sync_file",
            Self::Syncobj => "sync_file + syncobj",
            Self::SyncobjEventfd => "sync_file + syncobj + eventfd",
            Self::SyncobjPoints => "sync_file + syncobj + eventfd + points as sync files",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All that was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The tier of the machine.
    pub tier: Tier,
    /// What would raise it to the next one. `None`: there is none.
    pub next: Option<Refusal>,
    /// Makers of buffers outside of drivers: `/dev/udmabuf`, then the heaps.
    pub sources: Vec<Source>,
    /// Do fences go out of a dma-buf and in again as sync files?
    pub sync_file: Answer,
    /// DRM nodes.
    pub drm: Vec<Node>,
    /// V4L2 nodes.
    pub video: Vec<Node>,
}

/// A maker of buffers.
#[derive(Debug, Clone)]
pub struct Source {
    /// "udmabuf", or "heap NAME".
    pub name: String,
    /// The node.
    pub path: PathBuf,
    /// Did it make a buffer?
    pub makes: Answer,
}

/// A node of a driver.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node.
    pub path: PathBuf,
    /// "card", "render" or "video".
    pub kind: &'static str,
    /// The driver. Unknown where the node cannot be opened.
    pub driver: Option<String>,
    /// Could it be opened?
    pub opens: Answer,
    /// What was tried, by name. Empty where it cannot be opened.
    pub abilities: Vec<(&'static str, Answer)>,
}

impl Node {
    fn can(&self, ability: &str) -> bool {
        self.abilities.iter().any(|(name, answer)| *name == ability && answer.is_ok())
    }
}

const IMPORTS: &str = "imports system memory";
const SYNCOBJ: &str = "syncobj timelines";
const EVENTFD: &str = "syncobj eventfd";
const POINTS: &str = "syncobj points as sync files";

/// Small, and whole pages on every architecture.
const BYTES: u64 = 64 << 10;

/// Tries everything.
#[must_use]
pub fn probe() -> Report {
    let mut buffers = Vec::new();
    let mut sources = vec![source("udmabuf".into(), udmabuf::PATH.into(), make_udmabuf(), &mut buffers)];
    match dma_heap::names() {
        Ok(names) => sources.extend(names.into_iter().map(|name| {
            let path = Path::new("/dev/dma_heap").join(&name);
            let made = dma_heap::open(&name).and_then(|heap| dma_heap::allocate(heap, BYTES));
            source(format!("heap {name}"), path, made, &mut buffers)
        })),
        Err(error) => sources.push(source("heaps".into(), "/dev/dma_heap".into(), Err(error), &mut buffers)),
    }
    if sources.len() == 1 {
        let none = Err(io::ErrorKind::NotFound.into());
        sources.push(source("heaps".into(), "/dev/dma_heap".into(), none, &mut buffers));
    }
    let ours = buffers.first().map(AsFd::as_fd).and_then(|buffer| buffer.try_clone_to_owned().ok());
    let nodes = drm::nodes().unwrap_or_default();
    let drm: Vec<Node> = nodes.iter().map(|node| drm_node(node, ours.as_ref(), &mut buffers)).collect();
    let video = v4l2::nodes().unwrap_or_default().iter().map(|path| video_node(path)).collect();
    let sync_file = match buffers.first() {
        Some(buffer) => sync_files(buffer).map_err(|error| Refusal::of_sync_file(&error)),
        None => Err(Refusal::new("there is no dma-buf to try it on", "a source of dma-bufs, see above")),
    };
    let tier = tier(!buffers.is_empty(), sync_file.is_ok(), &drm);
    let next = refusal::next(tier, &sources, &sync_file, &drm);
    Report { tier, next, sources, sync_file, drm, video }
}

fn tier(has_buffers: bool, has_sync_files: bool, drm: &[Node]) -> Tier {
    let some = |ability: &str| drm.iter().any(|node| node.can(ability));
    let steps = [has_buffers, has_sync_files, some(SYNCOBJ), some(EVENTFD), some(POINTS)];
    let climbed = steps.iter().take_while(|step| **step).count();
    Tier::ALL.get(climbed).copied().unwrap_or(Tier::Nothing)
}

fn source(name: String, path: PathBuf, made: io::Result<OwnedFd>, buffers: &mut Vec<OwnedFd>) -> Source {
    let makes = made.map(|buffer| buffers.push(buffer)).map_err(|error| Refusal::of_source(&path, &error));
    Source { name, path, makes }
}

fn make_udmabuf() -> io::Result<OwnedFd> {
    let node = udmabuf::open()?;
    let pages = memfd::create("handover-probe", BYTES)?;
    memfd::add_seals(&pages, Seals::SHRINK)?;
    udmabuf::create(node, pages, 0, BYTES)
}

fn sync_files(buffer: &OwnedFd) -> io::Result<()> {
    let fence = dma_buf::export_sync_file(buffer, Direction::READ | Direction::WRITE)?;
    dma_buf::import_sync_file(buffer, Direction::READ, fence)
}

fn drm_node(node: &drm::Node, ours: Option<&OwnedFd>, buffers: &mut Vec<OwnedFd>) -> Node {
    let is_card = node.kind == drm::Kind::Card;
    let mut found = Node {
        path: node.path.clone(),
        kind: if is_card { "card" } else { "render" },
        driver: None,
        opens: Ok(()),
        abilities: Vec::new(),
    };
    let file = match drm::open(&node.path) {
        Ok(file) => file,
        Err(error) => {
            found.opens = Err(Refusal::of_node(&node.path, &error));
            return found;
        }
    };
    found.driver = drm::version(&file).ok().map(|version| version.name);
    let mut note = |ability, tried: io::Result<()>| {
        found.abilities.push((ability, tried.map_err(|error| Refusal::of_ability(ability, &error))));
    };
    if is_card {
        note("dumb buffers", make_dumb(&file).map(|buffer| buffers.push(buffer)));
        let atomic = drm::set_client_capability(&file, ClientCap::Atomic, 1);
        note("atomic mode setting", atomic);
        note("modifiers", has(&file, Cap::Addfb2Modifiers, 1));
    }
    note("exports dma-bufs", has(&file, Cap::Prime, 2));
    note("imports dma-bufs", has(&file, Cap::Prime, 1));
    if let Some(ours) = ours {
        let tried = prime::import(&file, ours).and_then(|gem| prime::close(&file, gem));
        note(IMPORTS, tried);
    }
    note(SYNCOBJ, has(&file, Cap::SyncobjTimeline, 1));
    note(
        EVENTFD,
        with_signalled(&file, |object| {
            let event = eventfd::create()?;
            syncobj::eventfd(&file, object, 1, syncobj::Wait::empty(), event)
        }),
    );
    note(POINTS, with_signalled(&file, |object| syncobj::export_point_sync_file(&file, object, 1).map(drop)));
    found
}

/// Is one of these bits set? A capability the kernel does not know is refused with `EINVAL`; that means no as well.
fn has(file: &OwnedFd, cap: Cap, bits: u64) -> io::Result<()> {
    match drm::capability(file, cap)? & bits {
        0 => Err(io::ErrorKind::Unsupported.into()),
        _ => Ok(()),
    }
}

fn make_dumb(file: &OwnedFd) -> io::Result<OwnedFd> {
    let dumb = dumb::create(file, 64, 64, 32)?;
    let exported = prime::export(file, dumb.gem, prime::Access::ReadWrite);
    let _ = dumb::destroy(file, dumb.gem);
    exported
}

/// With an object whose point 1 is signalled.
fn with_signalled(file: &OwnedFd, act: impl FnOnce(drm::Syncobj) -> io::Result<()>) -> io::Result<()> {
    let object = syncobj::create(file, false)?;
    let done = syncobj::timeline_signal(file, &[object], &[1]).and_then(|()| act(object));
    // It ends with the file in any case.
    let _ = syncobj::destroy(file, object);
    done
}

fn video_node(path: &Path) -> Node {
    let mut found = Node { path: path.to_owned(), kind: "video", driver: None, opens: Ok(()), abilities: Vec::new() };
    let opened = v4l2::open(path).and_then(|file| Ok((v4l2::query_capability(&file)?, file)));
    let (capability, file) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            found.opens = Err(Refusal::of_node(path, &error));
            return found;
        }
    };
    let caps = capability.caps;
    found.driver = Some(capability.driver);
    let queues = [
        ("captures into dma-bufs", Caps::CAPTURE | Caps::M2M, BufferType::Capture),
        ("outputs from dma-bufs", Caps::OUTPUT | Caps::M2M, BufferType::Output),
        ("captures into dma-bufs", Caps::CAPTURE_MPLANE | Caps::M2M_MPLANE, BufferType::CaptureMplane),
        ("outputs from dma-bufs", Caps::OUTPUT_MPLANE | Caps::M2M_MPLANE, BufferType::OutputMplane),
    ];
    for (ability, needs, kind) in queues {
        if caps.intersects(needs) {
            // No buffers asked for: only the capabilities come back, and a queue in use by another is left alone (EBUSY).
            let asked = v4l2::request_buffers(&file, kind, v4l2::Memory::DmaBuf, 0);
            let tried = asked.and_then(|answer| match answer.caps.contains(QueueCaps::DMA_BUF) {
                true => Ok(()),
                false => Err(io::ErrorKind::Unsupported.into()),
            });
            found.abilities.push((ability, tried.map_err(|error| Refusal::of_ability(ability, &error))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{EVENTFD, Node, POINTS, Refusal, SYNCOBJ, Tier, probe, tier};

    fn node(abilities: &[&'static str]) -> Node {
        let no = || Err(Refusal::new("no", ""));
        let all = [SYNCOBJ, EVENTFD, POINTS];
        let answer = |name| if abilities.contains(&name) { Ok(()) } else { no() };
        Node {
            path: "/dev/dri/card0".into(),
            kind: "card",
            driver: None,
            opens: Ok(()),
            abilities: all.map(|name| (name, answer(name))).into(),
        }
    }

    #[test]
    fn a_tier_has_all_of_those_before_it() {
        let full = [node(&[SYNCOBJ, EVENTFD, POINTS])];
        assert_eq!(tier(false, false, &[]), Tier::Nothing);
        assert_eq!(tier(false, true, &full), Tier::Nothing);
        assert_eq!(tier(true, false, &full), Tier::DmaBuf);
        assert_eq!(tier(true, true, &[]), Tier::SyncFile);
        assert_eq!(tier(true, true, &[node(&[]), node(&[SYNCOBJ])]), Tier::Syncobj);
        assert_eq!(tier(true, true, &[node(&[SYNCOBJ, POINTS])]), Tier::Syncobj);
        assert_eq!(tier(true, true, &[node(&[SYNCOBJ, EVENTFD])]), Tier::SyncobjEventfd);
        assert_eq!(tier(true, true, &full), Tier::SyncobjPoints);
    }

    #[test]
    fn every_no_on_this_machine_says_why() {
        let report = probe();
        let sources = report.sources.iter().filter_map(|source| source.makes.as_ref().err());
        let nodes = report.drm.iter().chain(&report.video);
        let abilities = nodes.flat_map(|node| node.abilities.iter().filter_map(|(_, answer)| answer.as_ref().err()));
        for refusal in sources.chain(abilities).chain(report.sync_file.as_ref().err()) {
            assert!(!refusal.why.is_empty(), "{refusal:?}");
        }
        assert_eq!(report.next.is_none(), report.tier == Tier::SyncobjPoints);
        assert!(report.next.is_none_or(|next| !next.help.is_empty()));
    }
}
