//! Memory from `/dev/udmabuf`: pages of a memfd that devices can reach. The default source where there is no better one.

use std::os::fd::OwnedFd;

use handover_model::{Bytes, Layout, ReadOnly, Stage};
use handover_sys::memfd::{self, Seals};
use handover_sys::udmabuf;

use crate::Writers;
use crate::backend::memory::Memory;
use crate::backend::{Allocated, Backend, Order};
use crate::error::{Result, os};

/// `/dev/udmabuf`, opened.
#[derive(Debug)]
pub struct Udmabuf(OwnedFd);

impl Udmabuf {
    /// Opens the node.
    ///
    /// # Errors
    /// [`Kind::Os`](crate::Kind::Os): there is none, or this user may not open it; the error says what would help.
    pub fn open() -> Result<Self> {
        udmabuf::open().map(Self).map_err(|error| {
            let help = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "membership in the group of the node (often `kvm` or `video`), or a udev rule"
                }
                _ => "`modprobe udmabuf`, or a kernel with CONFIG_UDMABUF",
            };
            os(Stage::Allocate, format!("open {}", udmabuf::PATH))(error).help(help)
        })
    }

    pub(crate) fn make(&self, size: Bytes) -> Result<OwnedFd> {
        let stage = Stage::Allocate;
        let pages = memfd::create("handover-udmabuf", size.get())
            .map_err(|error| os(stage, format!("make a memfd of {size}"))(error))?;
        // The kernel demands SHRINK and refuses FUTURE_WRITE. GROW and SEAL keep the file as it is.
        memfd::add_seals(&pages, Seals::SHRINK | Seals::GROW | Seals::SEAL).map_err(os(stage, "seal the pages"))?;
        udmabuf::create(&self.0, &pages, 0, size.get()).map_err(|error| {
            let refused = error.kind() == std::io::ErrorKind::InvalidInput;
            let error = os(stage, format!("make a udmabuf of {size}"))(error);
            if refused {
                error.help("the module's parameter size_limit_mb (64 MiB by default before 6.13), or a smaller surface")
            } else {
                error
            }
        })
    }
}

impl Backend for Udmabuf {
    fn name(&self) -> String {
        "udmabuf".into()
    }

    fn order(&self) -> Order {
        Order::AmongPeers
    }

    /// A udmabuf is always open for reading and writing.
    fn read_only(&self, _writers: Writers) -> ReadOnly {
        ReadOnly::Unenforced
    }

    fn allocate(&self, layout: &Layout, _writers: Writers) -> Result<Allocated> {
        let file = self.make(Memory::size_with_trailer(layout.size())?)?;
        Ok(Allocated { memory: Memory::dma_buf(file, None)? })
    }
}
