//! The kernel's own devices for tests: buffers of udmabuf, fences of vgem, and a node with synchronisation objects.
// Each test binary uses a part of this.
#![allow(dead_code)]

use std::os::fd::OwnedFd;
use std::sync::Arc;

use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::{self, Cap, Kind, prime, vgem};
use handover_sys::memfd::{self, Seals};
use handover_sys::sync_file::{self, Status};
use handover_sys::udmabuf;

use crate::common::skip;

/// One page, the smallest buffer there is.
pub(crate) const PAGE: u64 = 4096;

/// udmabuf for buffers and an open vgem file of its own for fences.
pub(crate) struct Rig {
    pub(crate) node: OwnedFd,
    pub(crate) vgem: vgem::File<'static>,
}

/// A sync_file that is pending until it is told to end.
pub(crate) struct Pending {
    pub(crate) buffer: OwnedFd,
    pub(crate) sync_file: OwnedFd,
    pub(crate) fence: vgem::Fence,
}

impl Rig {
    /// The devices, or `None` and a visible skip.
    pub(crate) fn open() -> Option<Self> {
        let node = match udmabuf::open() {
            Ok(node) => node,
            Err(error) => {
                skip("udmabuf", &error.to_string());
                return None;
            }
        };
        let vgem = Arc::new(render_node("vgem", |name, _| name == "vgem")?);
        let vgem = vgem::File::shared(vgem).expect("of vgem");
        Some(Self { node, vgem })
    }

    /// A fresh udmabuf of one page.
    pub(crate) fn buffer(&self) -> OwnedFd {
        let memory = memfd::create("page", PAGE).expect("memfd");
        memfd::add_seals(&memory, Seals::SHRINK).expect("seal");
        udmabuf::create(&self.node, &memory, 0, PAGE).expect("udmabuf")
    }

    /// A fence on `buffer`, through vgem's import of it.
    pub(crate) fn attach(&self, buffer: &OwnedFd, direction: Direction) -> vgem::Fence {
        let gem = prime::import(&self.vgem, buffer).expect("import by vgem");
        vgem::attach(&self.vgem, gem, direction).expect("attach")
    }

    pub(crate) fn signal(&self, fence: vgem::Fence) {
        vgem::signal(&self.vgem, fence).expect("signal");
    }

    /// A pending sync_file with a timeline of its own.
    pub(crate) fn pending(&self) -> Pending {
        let buffer = self.buffer();
        let fence = self.attach(&buffer, Direction::WRITE);
        let sync_file = dma_buf::export_sync_file(&buffer, Direction::READ).expect("export");
        Pending { buffer, sync_file, fence }
    }

    pub(crate) fn end(&self, pending: &Pending) {
        self.signal(pending.fence);
    }
}

/// Whether an access in `direction` must wait, by export; nothing is armed.
pub(crate) fn is_busy(buffer: &OwnedFd, direction: Direction) -> bool {
    let now = dma_buf::export_sync_file(buffer, direction).expect("export");
    sync_file::status(&now).expect("status") == Status::Pending
}

/// How many fences an access in `direction` meets.
pub(crate) fn fences(buffer: &OwnedFd, direction: Direction) -> u32 {
    sync_file::count(dma_buf::export_sync_file(buffer, direction).expect("export")).expect("count")
}

/// A node with timelines of synchronisation objects, or `None` and a visible skip.
pub(crate) fn syncobj_node() -> Option<OwnedFd> {
    render_node("syncobj", |_, node| drm::capability(node, Cap::SyncobjTimeline).is_ok_and(|value| value == 1))
}

/// The first render node that will do.
pub(crate) fn render_node(need: &str, will_do: impl Fn(&str, &OwnedFd) -> bool) -> Option<OwnedFd> {
    let nodes = drm::nodes().expect("list the nodes");
    for node in nodes.iter().filter(|node| node.kind == Kind::Render) {
        let Ok(open) = drm::open(&node.path) else { continue };
        let name = drm::version(&open).expect("version").name;
        if will_do(&name, &open) {
            return Some(open);
        }
    }
    skip(need, &format!("no render node of that kind among {}", nodes.len()));
    None
}
