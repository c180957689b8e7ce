//! An open DRM node, and the GEM handles of buffers in it.
//!
//! A GEM handle is a number of one open DRM file. The kernel gives the same number for every import of one buffer, and one close
//! ends it for all: so handles are kept by the buffer's identity, shared, and closed once. An identity is an inode, unique
//! only while somebody holds the buffer: the handle itself does.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use handover_model::Stage;
use handover_sys::drm::{self, Gem, prime};
use handover_sys::file::{self, Identity};

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
    file: OwnedFd,
    path: PathBuf,
    driver: String,
    /// Held over import and close, so that a number is not closed while it is being given out again.
    handles: Mutex<HashMap<Identity, Weak<Handle>>>,
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
        let mut handles = lock(&self.card.0.handles);
        // Since our count fell to zero somebody may have imported the buffer anew, under the same number.
        if handles.get(&self.buffer).is_some_and(|handle| handle.strong_count() == 0) {
            handles.remove(&self.buffer);
            // A node that vanished has closed it already.
            let _ = prime::close(&self.card.0.file, self.gem);
        }
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
        Self::of(file, path)
    }

    /// Takes a node that somebody else opened, a session manager for example. A duplicate of a descriptor that was taken
    /// before gives the same card again.
    ///
    /// Whoever else makes handles in that open file, the sender or a driver in this process, shares their numbers and must not
    /// close those of buffers that were imported here: the kernel does not count.
    pub fn of(file: OwnedFd, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let version =
            drm::version(&file).map_err(os(Stage::Import, format!("ask {} for its driver", path.display())))?;
        let mut known = lock(&KNOWN);
        known.retain(|node| node.strong_count() > 0);
        // Where a container's filter forbids the question they are taken for two, as two opens of one node are.
        let is_this = |node: &Arc<Node>| drm::is_same_file(&node.file, &file).unwrap_or(false);
        if let Some(node) = known.iter().filter_map(Weak::upgrade).find(is_this) {
            return Ok(Self(node));
        }
        let node = Arc::new(Node { file, path, driver: version.name, handles: Mutex::default() });
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
    /// [`Kind::Os`]: the device cannot use this memory (`ENODEV`, `EINVAL`), or is gone. The exporter matters: virtio-gpu without a
    /// host's 3D takes its own buffers only.
    pub fn import_dma_buf(&self, dma_buf: BorrowedFd<'_>) -> Result<KmsHandle> {
        let stage = Stage::Import;
        let buffer = file::identity(dma_buf).map_err(os(stage, "read the identity of a dma-buf"))?;
        let mut handles = lock(&self.0.handles);
        if let Some(known) = handles.get(&buffer).and_then(Weak::upgrade) {
            return Ok(KmsHandle(known));
        }
        let gem = prime::import(&self.0.file, dma_buf).map_err(|error| {
            os(stage, format!("import a dma-buf into {}", self.0.driver))(error)
                .why("the device cannot use memory of this exporter")
                .help("allocate from that device (Dumb), or from another source that it takes")
        })?;
        let handle = Arc::new(Handle { card: self.clone(), gem, buffer });
        handles.insert(buffer, Arc::downgrade(&handle));
        Ok(KmsHandle(handle))
    }

    /// Takes the handle of a buffer that this file has just made and exported, and that nobody else knows yet. Imports of its
    /// dma-buf get the same number from the kernel, and the same handle here.
    pub(super) fn adopt(&self, gem: Gem, buffer: Identity) -> KmsHandle {
        let handle = Arc::new(Handle { card: self.clone(), gem, buffer });
        lock(&self.0.handles).insert(buffer, Arc::downgrade(&handle));
        KmsHandle(handle)
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
        self.import_dma_buf(surface.0.memory.file())
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
