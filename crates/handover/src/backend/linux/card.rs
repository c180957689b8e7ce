//! An open DRM node, and the GEM handles of buffers in it.
//!
//! A GEM handle is a number of one open DRM file. The kernel gives the same number for every import of one buffer, and one close
//! ends it for all: so handles are kept by the buffer's identity, shared, and closed once. An identity is an inode, unique
//! only while somebody holds the buffer: the handle itself does.
//!
//! # Contract: who closes a number
//!
//! The kernel does not count, so each number has one owner.
//!
//! - A card that was opened here or taken with [`Card::of`] closes what it imported, with the last handle.
//! - A number that somebody else made in the file ([`Card::handle_of`]) stays theirs, and so do all imports of that buffer.
//! - In a file that is shared with another maker of numbers ([`Card::shared`]) nothing is closed here.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use handover_model::Stage;
use handover_sys::drm::{self, Gem, amdgpu, prime};
use handover_sys::file::{self, Identity};

use crate::backend::memory::MemoryKind;
use crate::backend::received;
use crate::error::{Error, Kind, Result, os};
use crate::surface::{Surface, lock};

/// The open files of this process. One has one table of handles, however many descriptors lead to it: of two tables, each would
/// close what the other still uses.
static KNOWN: Mutex<Vec<Weak<Node>>> = Mutex::new(Vec::new());

/// A DRM node, opened. Clones are the same open file.
#[derive(Debug, Clone)]
pub struct Card(Arc<Node>);

#[derive(Debug)]
struct Node {
    file: Arc<OwnedFd>,
    /// Which device the node leads to (`st_rdev`): two descriptors that differ in it are two files.
    device: u64,
    path: PathBuf,
    driver: String,
    /// If that is the driver.
    amdgpu: Option<amdgpu::File<'static>>,
    closes: Closes,
    /// Held over import and close, so that a number is not closed while it is being given out again.
    table: Mutex<Table>,
}

/// Who gives back the numbers of buffers that were imported here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closes {
    /// The last handle of each.
    Us,
    /// Whoever else makes numbers in this open file.
    Others,
}

#[derive(Debug, Default)]
struct Table {
    handles: HashMap<Identity, Weak<Handle>>,
    /// Buffers whose number is somebody else's, even once no handle is left: an import would get that same number.
    others: HashSet<Identity>,
}

/// A buffer in one open DRM file. Clones are the same handle; the last one closes it.
#[derive(Debug, Clone)]
pub struct KmsHandle(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    card: Card,
    gem: Gem,
    buffer: Identity,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let node = &self.card.0;
        let mut table = lock(&node.table);
        // Since our count fell to zero somebody may have imported the buffer anew, under the same number: then that handle closes it.
        // It may even have done so, and the number name a stranger, while a third handle of this buffer is as dead as we are. So
        // only the entry that is this very handle counts; it cannot be another at the same address, which its Weak keeps.
        if !table.handles.get(&self.buffer).is_some_and(|handle| std::ptr::eq(handle.as_ptr(), self)) {
            return;
        }
        table.handles.remove(&self.buffer);
        if node.closes == Closes::Us && !table.others.contains(&self.buffer) {
            // A node that vanished has closed it already.
            let _ = prime::close(&node.file, self.gem);
        }
    }
}

impl Table {
    fn add(&mut self, handle: Handle) -> KmsHandle {
        let handle = Arc::new(handle);
        self.handles.insert(handle.buffer, Arc::downgrade(&handle));
        KmsHandle(handle)
    }
}

impl Node {
    fn new(file: OwnedFd, path: &Path, closes: Closes) -> Result<Self> {
        let what = || format!("ask {} for its driver", path.display());
        let driver = drm::version(&file).map_err(os(Stage::Import, what()))?.name;
        let file = File::from(file);
        let device = file.metadata().map_err(os(Stage::Import, what()))?.rdev();
        let file = Arc::new(OwnedFd::from(file));
        let amdgpu = (driver == "amdgpu")
            .then(|| amdgpu::File::shared(Arc::clone(&file)).map_err(os(Stage::Import, what())))
            .transpose()?;
        Ok(Self { file, device, path: path.to_owned(), driver, amdgpu, closes, table: Mutex::default() })
    }
}

impl Card {
    /// Opens a node: `/dev/dri/card0`, `/dev/dri/renderD128`.
    ///
    /// # Errors
    /// [`Kind::Os`]: there is none, or this user may not open it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = drm::open(path).map_err(|error| {
            let help = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "membership in the group `video` (cards) or `render` (render nodes)"
                }
                _ => "a driver for the device; `handover devices` lists the nodes there are",
            };
            os(Stage::Import, format!("open {}", path.display()))(error).help(help)
        })?;
        // Nobody else has a descriptor of it yet, so it is none of those that are known.
        let node = Arc::new(Node::new(file, path, Closes::Us)?);
        lock(&KNOWN).push(Arc::downgrade(&node));
        Ok(Self(node))
    }

    /// Takes a node that somebody else opened, a session manager for example. A duplicate of a descriptor that was taken
    /// before gives the same card again.
    ///
    /// The numbers of buffers that are imported here are closed here, with the last handle. So this is not for a file in which
    /// others import too, a gbm device or a driver in this process: they get the same numbers, and would find them closed. Such a
    /// file is taken with [`shared`](Self::shared).
    ///
    /// # Errors
    /// [`Kind::Os`]: no DRM node; or another open file of the device is known, and the system does not say whether it is the same.
    /// [`Kind::Invalid`]: it was taken with [`shared`](Self::shared).
    pub fn of(file: OwnedFd, path: impl AsRef<Path>) -> Result<Self> {
        Self::take(file, path.as_ref(), Closes::Us)
    }

    /// Takes a node in whose open file somebody else makes and closes handles: a duplicate of the descriptor that gbm, Mesa
    /// or a compositor works on. No number is ever closed here.
    ///
    /// The other owner closes them, those that only this card asked for included, and none while a [`KmsHandle`] of it is left.
    /// What nobody closes stays until the file is closed.
    ///
    /// # Errors
    /// As [`of`](Self::of); [`Kind::Invalid`]: it was opened here, or taken with [`of`](Self::of).
    pub fn shared(file: OwnedFd, path: impl AsRef<Path>) -> Result<Self> {
        Self::take(file, path.as_ref(), Closes::Others)
    }

    fn take(file: OwnedFd, path: &Path, closes: Closes) -> Result<Self> {
        let new = Node::new(file, path, closes)?;
        let asked = format!("{} as another card", path.display());
        let mut known = lock(&KNOWN);
        known.retain(|node| node.strong_count() > 0);
        for node in known.iter().filter_map(Weak::upgrade).filter(|node| node.device == new.device) {
            match drm::is_same_file(&node.file, &new.file) {
                Ok(false) => {}
                Ok(true) if node.closes == closes => return Ok(Self(node)),
                Ok(true) => {
                    return Err(Error::new(Stage::Import, Kind::Invalid)
                        .asked(asked)
                        .found("the same open file, taken in the other way")
                        .why("its numbers are closed either here or by somebody else")
                        .help("clone the card there is; or open the node once more"));
                }
                Err(error) => {
                    let found = format!("{error}, to the question (kcmp) whether it is one that is known");
                    return Err(os(Stage::Import, "compare two open files")(error)
                        .asked(asked)
                        .found(found)
                        .why("an open file has one table of handles: of two, each would close what the other uses")
                        .help("clone the card there is, or open the node once more; a filter of a container may have to allow kcmp"));
                }
            }
        }
        let node = Arc::new(new);
        known.push(Arc::downgrade(&node));
        Ok(Self(node))
    }

    /// The first node whose driver has this name, cards before render nodes.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: none of the nodes that can be opened; the error lists their drivers.
    pub fn of_driver(name: &str) -> Result<Self> {
        let nodes = drm::nodes().map_err(os(Stage::Import, "list the DRM nodes"))?;
        let mut found = Vec::new();
        for node in nodes {
            match Self::open(&node.path) {
                Ok(card) if card.driver() == name => return Ok(card),
                Ok(card) => found.push(card.driver().to_owned()),
                Err(error) => found.push(error.to_string()),
            }
        }
        let found = if found.is_empty() { "no DRM node at all".into() } else { found.join(", ") };
        Err(Error::new(Stage::Import, Kind::Unsupported)
            .asked(format!("a DRM node of the driver {name}"))
            .found(found)
            .help(format!("`modprobe {name}`, if this machine has such a device")))
    }

    /// Name of the driver.
    pub fn driver(&self) -> &str {
        &self.0.driver
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Is it the same open file? Two opens of one node are two files, with handles of their own.
    pub fn is_same_file(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Imports a dma-buf. A second import of the same buffer gives the same handle.
    ///
    /// # Errors
    /// [`Kind::Malformed`]: no dma-buf. [`Kind::Os`]: the device cannot use this memory (`ENODEV`, `EINVAL`), or is gone. The exporter
    /// matters: virtio-gpu without a host's 3D takes its own buffers only.
    pub fn import_dma_buf(&self, dma_buf: BorrowedFd<'_>) -> Result<KmsHandle> {
        let stage = Stage::Import;
        // First: of a stranger's file even fstat may wait for its server.
        if received::kind(stage, dma_buf)? != MemoryKind::DmaBuf {
            return Err(Error::new(stage, Kind::Malformed)
                .asked("a dma-buf")
                .found("a memfd")
                .why("devices reach dma-bufs only")
                .help("send the pixels of a backend of linux"));
        }
        let buffer = file::identity(dma_buf).map_err(os(stage, "read the identity of a dma-buf"))?;
        self.import_buffer(dma_buf, buffer)
    }

    fn import_buffer(&self, dma_buf: BorrowedFd<'_>, buffer: Identity) -> Result<KmsHandle> {
        let mut table = lock(&self.0.table);
        if let Some(known) = table.handles.get(&buffer).and_then(Weak::upgrade) {
            return Ok(KmsHandle(known));
        }
        let gem = prime::import(&self.0.file, dma_buf).map_err(|error| {
            os(Stage::Import, format!("import a dma-buf into {}", self.0.driver))(error)
                .why("the device cannot use memory of this exporter")
                .help("allocate from that device (Dumb), or from another source that it takes")
        })?;
        Ok(table.add(Handle { card: self.clone(), gem, buffer }))
    }

    /// Takes the handle of a buffer that this file has just made and exported, and that nobody else knows yet. Imports of its
    /// dma-buf get the same number from the kernel, and the same handle here.
    pub(super) fn adopt(&self, gem: Gem, buffer: Identity) -> KmsHandle {
        lock(&self.0.table).add(Handle { card: self.clone(), gem, buffer })
    }

    /// The handle of a number that somebody else made in this open file: gbm, or a call on the card's descriptor. It is exported
    /// once, to learn which buffer it names.
    ///
    /// The number stays theirs: neither this handle nor any import of the same buffer from now on closes it. They close it, and
    /// not while a [`KmsHandle`] of it is left. A card remembers such buffers for as long as it lives; where there are many,
    /// [`shared`](Self::shared) has nothing to remember.
    ///
    /// If the buffer was imported here before under another number, the handle is that one, and that number stays open too.
    ///
    /// # Errors
    /// [`Kind::Os`]: no such number (`ENOENT`), or a buffer that cannot be exported.
    pub fn handle_of(&self, gem: Gem) -> Result<KmsHandle> {
        let mut table = lock(&self.0.table);
        let exported = prime::export(&self.0.file, gem, prime::Access::ReadWrite);
        let buffer = exported.and_then(file::identity).map_err(|error| {
            os(Stage::Import, format!("export GEM handle {} of {}", gem.0, self.0.path.display()))(error)
                .help("the number as this very open file has it")
        })?;
        let known = table.handles.get(&buffer).and_then(Weak::upgrade);
        if self.0.closes == Closes::Us {
            table.others.insert(buffer);
        }
        Ok(known.map_or_else(|| table.add(Handle { card: self.clone(), gem, buffer }), KmsHandle))
    }

    /// Imports the memory of a surface.
    ///
    /// # Errors
    /// As [`import_dma_buf`](Self::import_dma_buf); [`Kind::Unsupported`]: it lives in a memfd.
    pub fn import(&self, surface: &Surface) -> Result<KmsHandle> {
        if !surface.0.memory.is_dma_buf() {
            return Err(Error::new(Stage::Import, Kind::Unsupported)
                .asked(format!("surface {} on {}", surface.index(), self.0.driver))
                .found("a surface in a memfd")
                .why("devices reach dma-bufs only")
                .help("allocate it from a backend of linux"));
        }
        self.import_buffer(surface.file_to_leave(), surface.0.memory.identity())
    }

    /// Does somebody else close the numbers of this file?
    pub(super) fn is_shared(&self) -> bool {
        self.0.closes == Closes::Others
    }

    /// The open file, for the calls of amdgpu.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: it is a node of another driver.
    pub(super) fn amdgpu(&self, stage: Stage) -> Result<&amdgpu::File<'static>> {
        self.0.amdgpu.as_ref().ok_or_else(|| {
            Error::new(stage, Kind::Unsupported)
                .asked("a node of the driver amdgpu")
                .found(format!("{} of {}", self.0.path.display(), self.0.driver))
                .help("`handover devices` lists the nodes and their drivers")
        })
    }

    /// The handle's number, for calls on this very file.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the handle is of another open file, where the number means another buffer or none.
    pub fn gem(&self, handle: &KmsHandle) -> Result<Gem> {
        if self.is_same_file(&handle.0.card) {
            return Ok(handle.0.gem);
        }
        Err(Error::new(Stage::Import, Kind::Invalid)
            .asked(format!("GEM handle {} in {}", handle.0.gem.0, self.0.path.display()))
            .found(format!("a handle of another open file of {}", handle.0.card.0.path.display()))
            .why("a GEM handle is a number of one open DRM file; in another it names another buffer, or none")
            .help("export it as a dma-buf there, and import that here"))
    }
}

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

impl KmsHandle {
    /// The file it is a number of.
    pub fn card(&self) -> &Card {
        &self.0.card
    }

    /// The buffer as a dma-buf, which any file and any process can import.
    pub fn export_dma_buf(&self) -> Result<OwnedFd> {
        prime::export(&self.0.card.0.file, self.0.gem, prime::Access::ReadWrite)
            .map_err(os(Stage::Export, format!("export a buffer of {}", self.0.card.driver())))
    }
}
