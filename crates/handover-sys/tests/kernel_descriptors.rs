//! No descriptor of the kernel's devices is left behind, in success or failure. Alone in its binary: the count is that of
//! the process.
#![allow(clippy::expect_used, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use devices::{PAGE, Rig, syncobj_node};
use handover_sys::dma_buf::{self, Direction};
use handover_sys::drm::prime::{self, Access};
use handover_sys::drm::{Syncobj, syncobj};
use handover_sys::{file, sync_file, udmabuf};

#[test]
fn every_descriptor_is_owned_and_closed() {
    let Some(rig) = Rig::open() else { return };
    let Some(node) = syncobj_node() else { return };
    let made = syncobj::create(&node, true).expect("create");
    let before = file::open_count().expect("count");
    for _ in 0..100 {
        let pending = rig.pending();
        let merged = sync_file::merge(&pending.sync_file, &pending.sync_file, "merged").expect("merge");
        let gem = prime::import(&rig.vgem, &pending.buffer).expect("import");
        let back = prime::export(&rig.vgem, gem, Access::ReadOnly).expect("export");
        let carried = syncobj::to_fd(&node, made).expect("to_fd");
        let file = syncobj::export_sync_file(&node, made).expect("export");
        assert_eq!(file::open_count().expect("count"), before + 6);
        rig.end(&pending);
        drop((pending, merged, back, carried, file));
        prime::close(&rig.vgem, gem).expect("close");
        assert_eq!(file::open_count().expect("count"), before);
    }
    let buffer = rig.buffer();
    let before = file::open_count().expect("count");
    for _ in 0..100 {
        udmabuf::create(&rig.node, &buffer, 0, PAGE).expect_err("not a memfd");
        dma_buf::export_sync_file(&buffer, Direction::empty()).expect_err("no direction");
        dma_buf::import_sync_file(&buffer, Direction::READ, &buffer).expect_err("not a sync_file");
        sync_file::merge(&buffer, &buffer, "x").expect_err("not a sync_file");
        syncobj::to_fd(&node, Syncobj(0xdead_beef)).expect_err("no such handle");
        syncobj::from_fd(&node, &buffer).expect_err("not a syncobj");
        dma_buf::info(&buffer).expect("info");
        assert!(dma_buf::is_dma_buf(&buffer).expect("asked"));
    }
    assert_eq!(file::open_count().expect("count"), before);
}
