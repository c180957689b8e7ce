//! Memory from `/dev/dma_heap/*`: what a machine's allocators for devices give.

use std::os::fd::OwnedFd;

use handover_model::{Layout, ReadOnly, Stage};
use handover_sys::dma_heap;

use crate::Writers;
use crate::backend::memory::Memory;
use crate::backend::{Allocated, Backend, Order};
use crate::error::{Result, os};

/// A heap, opened: "system" for ordinary pages, others for memory that a device needs.
#[derive(Debug)]
pub struct Heap {
    node: OwnedFd,
    name: String,
}

impl Heap {
    /// Opens the heap of this name.
    ///
    /// # Errors
    /// [`Kind::Os`](crate::Kind::Os): there is none, or this user may not open it; the error lists the heaps that there are.
    pub fn open(name: &str) -> Result<Self> {
        let node = dma_heap::open(name).map_err(|error| {
            let found = error.to_string();
            let there = dma_heap::names().unwrap_or_default();
            let help = match (error.kind(), there.as_slice()) {
                (std::io::ErrorKind::PermissionDenied, _) => {
                    "membership in the group of the node (often `video`), or a udev rule".into()
                }
                (_, []) => "a kernel with CONFIG_DMABUF_HEAPS_SYSTEM; this one has no heap".to_owned(),
                (_, there) => format!("one of {}", there.join(", ")),
            };
            os(Stage::Allocate, format!("open the heap {name:?}"))(error).found(found).help(help)
        })?;
        Ok(Self { node, name: name.to_owned() })
    }
}

impl Backend for Heap {
    fn name(&self) -> String {
        format!("heap {}", self.name)
    }

    fn order(&self) -> Order {
        Order::AmongPeers
    }

    /// The producer writes through the one description that everybody gets.
    fn read_only(&self, _writers: Writers) -> ReadOnly {
        ReadOnly::Unenforced
    }

    fn allocate(&self, layout: &Layout, _writers: Writers) -> Result<Allocated> {
        let size = Memory::size_with_trailer(layout.size())?;
        let file = dma_heap::allocate(&self.node, size.get())
            .map_err(|error| os(Stage::Allocate, format!("allocate {size} from the heap {}", self.name))(error))?;
        Ok(Allocated { memory: Memory::dma_buf(file, None)? })
    }
}
