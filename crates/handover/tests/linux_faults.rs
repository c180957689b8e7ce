//! What goes wrong beside the linux backend: no room for descriptors, no permission, an exporter that dies. Nothing is lost by it
//! and the next try works.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;
#[path = "common/kernel.rs"]
mod kernel;

use std::os::fd::{AsFd, OwnedFd};

use common::{
    Other, Parts, alone, hear, hear_parts, image, keeps_descriptors, lease, millis, parent, refusal, refused, role,
    say, soon,
};
use handover::backend::linux::{Card, Heap, Udmabuf};
use handover::import::metadata_of;
use handover::transport::{Channel, Trust};
use handover::{
    Access, Device, ExportFlags, Kind, Region, Result, Stage, Writers, acquire, export, import, try_acquire,
};
use handover_sys::dma_buf::Direction;
use handover_sys::{drm, file};
use kernel::{Gpu, backends, is_complete, options, surface, surfaces, udmabuf};

const BOTH: ExportFlags = ExportFlags::READ.union(ExportFlags::WRITE);
const EACCES: Option<i32> = Some(13);
const EMFILE: Option<i32> = Some(24);
const EOWNERDEAD: Option<u32> = Some(130);

#[test]
fn an_exporter_that_dies_leaves_its_buffer_and_takes_its_entries() {
    let _turn = alone();
    for (index, backend) in backends().iter().enumerate() {
        let what = backend.name();
        keeps_descriptors(&what, || {
            let other = Other::start(&format!("exporter {index}"));
            let theirs = import(hear_parts(other.socket.as_fd()).handle(), Device::PLAIN).unwrap();
            let said = theirs.metadata().unwrap();
            let wish = [(&theirs, Access::Write, Region::WHOLE)];
            assert!(try_acquire(&wish).unwrap().is_none(), "{what}: it holds a lease");
            let error = refusal("held", acquire(&wish, millis(30)).unwrap().wait());
            assert!(error.is_timeout(), "{error}");
            drop(other);
            let held = acquire(&wish, soon()).unwrap().wait().unwrap();
            assert_eq!(held.torn_by(), EOWNERDEAD, "{what}");
            drop(held);
            assert!(image(&theirs).iter().all(|pixel| *pixel == 0x5a5a_5a5a), "{what}");
            assert_eq!(metadata_of(theirs.pixels_fd()).unwrap(), Some(said), "{what}");
            let held = lease(&theirs, Access::Write);
            held.write(&theirs).unwrap().clear(1).unwrap();
            drop(held);
            assert!(
                image(&theirs).iter().all(|pixel| *pixel == 1) && !lease(&theirs, Access::Read).is_torn(),
                "{what}"
            );
        });
    }
}

/// Its end of [`an_exporter_that_dies_leaves_its_buffer_and_takes_its_entries`].
fn exporter(socket: &OwnedFd, index: usize) {
    let ours = surface(&backends()[index]);
    let held = lease(&ours, Access::Write);
    held.write(&ours).unwrap().clear(0x5a5a_5a5a).unwrap();
    Parts::of(export(&ours, BOTH, soon()).unwrap().handle).send(socket);
    // Killed here, holding the lease.
    hear(socket.as_fd());
}

#[test]
fn a_user_without_permission_is_told_what_it_takes_and_still_uses_what_it_is_sent() {
    let _turn = alone();
    let Some(backend) = udmabuf().filter(|_| is_complete()) else { return };
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let other = Other::start_through(&words, "nobody");
    let ours = surface(&backend);
    Parts::of(export(&ours, BOTH, soon()).unwrap().handle).send(&other.socket);
    assert_eq!(other.hear(), "used");
    assert!(image(&ours).iter().all(|pixel| *pixel == 7));
}

/// The other process of [`a_user_without_permission_is_told_what_it_takes_and_still_uses_what_it_is_sent`].
fn nobody(socket: &OwnedFd) {
    let parts = hear_parts(socket.as_fd());
    refused("udmabuf", Stage::Allocate, &Kind::Os, EACCES, &["/dev/udmabuf", "group"], Udmabuf::open);
    refused("a heap", Stage::Allocate, &Kind::Os, EACCES, &["system", "group"], || Heap::open("system"));
    for node in drm::nodes().unwrap() {
        let path = node.path.display().to_string();
        refused("a node", Stage::Import, &Kind::Os, EACCES, &[&path, "group"], || Card::open(&path));
    }
    let words = ["vgem", "Permission denied"];
    refused("a driver", Stage::Import, &Kind::Unsupported, None, &words, || Card::of_driver("vgem"));
    let theirs = import(parts.handle(), Device::PLAIN).unwrap();
    let held = lease(&theirs, Access::Write);
    held.write(&theirs).unwrap().clear(7).unwrap();
    held.release().unwrap();
    say(socket, "used");
}

#[test]
fn without_room_for_descriptors_nothing_is_lost_and_the_next_try_works() {
    let _turn = alone();
    let (Some(_), Some(backend)) = (Gpu::open(), udmabuf()) else { return };
    let other = Other::start_through(&["sh", "-c", "ulimit -n 64 && exec \"$0\" \"$@\""], "starved");
    let ours = surface(&backend);
    let parts = Parts::of(export(&ours, BOTH, soon()).unwrap().handle);
    for _ in 0..4 {
        parts.send(&other.socket);
    }
    assert_eq!(other.hear(), "fed");
}

/// All room for descriptors, taken but for `left`.
fn starve(left: usize) -> Vec<OwnedFd> {
    let mut taken = Vec::new();
    let error = loop {
        match file::duplicate(std::io::stdin()) {
            Ok(duplicate) => taken.push(duplicate),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), EMFILE);
    taken.truncate(taken.len() - left);
    taken
}

/// Refused with EMFILE while there is no room. Counting descriptors takes one, so it is done around it.
fn starved<V, T>(what: &str, stage: Stage, prepare: impl FnOnce() -> V, run: impl FnOnce(V) -> Result<T>) {
    keeps_descriptors(what, || {
        let prepared = prepare();
        let taken = starve(0);
        let error = refusal(what, run(prepared));
        drop(taken);
        assert_eq!((error.stage(), error.kind(), error.errno()), (stage, &Kind::Os, EMFILE), "{what}: {error}");
    });
}

/// The other process of [`without_room_for_descriptors_nothing_is_lost_and_the_next_try_works`].
fn hungry(socket: &OwnedFd) {
    let (gpu, backend) = (Gpu::open().unwrap(), udmabuf().unwrap());
    let channel = Channel::from_fd(common::copy(socket), Trust::SameUser).unwrap();
    for left in [0, 1] {
        keeps_descriptors("receiving", || {
            let taken = starve(left);
            let error = refusal("receiving", channel.receive(soon()));
            drop(taken);
            let text = error.to_string();
            assert_eq!((error.stage(), error.kind()), (Stage::Import, &Kind::Truncated), "{text}");
            assert!(text.contains("descriptors") && text.contains("RLIMIT_NOFILE"), "{text}");
        });
    }
    let parts = hear_parts(socket.as_fd());
    // The first dma-buf of a process is found out by its fdinfo, which takes a descriptor; those after it are not.
    starved("metadata", Stage::Import, || (), |()| metadata_of(parts.pixels.as_fd()));
    starved("import", Stage::Import, || parts.handle(), |handle| import(handle, Device::PLAIN));
    let theirs = import(parts.handle(), Device::PLAIN).unwrap();
    starved("allocating", Stage::Allocate, || (), |()| kernel::try_surfaces(&options(&backend, 1, Writers::Me)));
    // An export that did not happen uses up no writer's place.
    let named = surfaces(&backend, 1, Writers::Named(1)).remove(0);
    starved("export", Stage::Export, || (), |()| export(&named, ExportFlags::WRITE, soon()));
    drop(export(&named, ExportFlags::WRITE, soon()).unwrap());
    starved("a node", Stage::Import, || (), |()| Card::open(gpu.0.path()));
    let buffer = gpu.0.import(&theirs).unwrap();
    starved("an export by a device", Stage::Export, || (), |()| buffer.export_dma_buf());
    drop(buffer.export_dma_buf().unwrap());

    // Where nothing pends no descriptor is needed; where something does, the place in line is given up.
    let taken = starve(0);
    drop(lease(&theirs, Access::Write));
    drop(taken);
    let job = gpu.submit(theirs.pixels_fd(), Direction::WRITE);
    let wish = [(&theirs, Access::Write, Region::WHOLE)];
    starved("waiting", Stage::Acquire, || (), |()| acquire(&wish, soon()).unwrap().wait());
    starved("collecting", Stage::Acquire, || (), |()| acquire(&wish, soon()).unwrap().collect());
    let mut waiting = acquire(&wish, soon()).unwrap();
    starved("a poll descriptor", Stage::Acquire, || (), |()| waiting.descriptor().map(drop));
    waiting.descriptor().unwrap();
    drop(waiting);
    let (held, fence) = acquire(&wish, soon()).unwrap().collect().unwrap();
    job.end();
    fence.unwrap().wait(soon()).unwrap();
    held.release().unwrap();
    drop(lease(&theirs, Access::Write));
    assert!(import(hear_parts(socket.as_fd()).handle(), Device::PLAIN).is_ok());
    say(socket, "fed");
}

/// Not a test: the other process.
#[test]
fn child_process() {
    let Some(role) = role() else { return };
    let socket = parent();
    match role.split(' ').collect::<Vec<_>>().as_slice() {
        ["exporter", index] => exporter(&socket, index.parse().unwrap()),
        ["nobody"] => nobody(&socket),
        ["starved"] => hungry(&socket),
        other => panic!("no role {other:?}"),
    }
}
