//! Agreements are proven: allocated, imported and used by every party, each in a process of its own.
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

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{keeps_descriptors, refusal};
use handover::backend::Software;
use handover::backend::linux::{Card, Dumb};
use handover::negotiate::{Agreement, Party, answer, prove};
use handover::{
    Access, Backend, Deadline, Device, Elements, Extent, Format, Kind, Options, Region, Result, Surface, SurfaceUsages,
    Writers, acquire, negotiate,
};
use handover_sys::dma_buf::Direction;
use kernel::{Gpu, need, udmabuf};

fn agreement() -> Agreement {
    let offer = |party, usages| Device::PLAIN.offer(party, &[Format::XRGB8888], usages);
    negotiate(
        Extent::new(320, 200).unwrap(),
        &[offer("producer", SurfaceUsages::WRITE), offer("reader", SurfaceUsages::READ)],
    )
    .unwrap()
}

/// A party that this test binary plays, in a process of its own.
fn party(role: &str, access: Access) -> Party {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_process", "--nocapture"]).env("HANDOVER_TEST_ROLE", role);
    Party { name: role.into(), access, command }
}

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options { writers: Writers::Open, ..Options::default() }
}

fn software() -> Arc<dyn Backend> {
    Arc::new(Software)
}

#[test]
fn an_agreement_that_everybody_can_use_is_proven() {
    let _alone = common::alone();
    let mut parties = [party("cpu", Access::Read), party("cpu", Access::Write)];
    let proven = prove(Device::PLAIN, &agreement(), &options(), &[software()], &mut parties, PATIENCE).unwrap();
    assert_eq!((proven.backend.name().as_str(), proven.refused.len()), ("software", 0));
    assert_eq!(proven.agreement, agreement());
}

#[test]
fn a_party_that_refuses_crashes_or_hangs_is_a_conflict_that_names_it_and_leaves_nothing_behind() {
    let _alone = common::alone();
    for (role, words) in [
        ("refuses", "not on Sundays"),
        ("crashes", "signal: 6"),
        ("leaves", "exit status: 3"),
        ("hangs", "no answer before the deadline"),
        ("babbles", "an answer that means nothing"),
    ] {
        let patience = if role == "hangs" { Duration::from_secs(4) } else { PATIENCE };
        let error = keeps_descriptors(role, || {
            let mut parties = [party("cpu", Access::Read), party(role, Access::Read)];
            refusal(role, prove(Device::PLAIN, &agreement(), &options(), &[software()], &mut parties, patience))
        });
        let Kind::Conflict(conflict) = error.kind() else { panic!("{role}: {error}") };
        assert_eq!((conflict.field, conflict.right.0.as_str()), ("memory", role), "{error}");
        assert!(error.to_string().contains(words), "{role}: {error}");
    }
}

#[test]
fn no_source_is_refused_and_so_is_a_program_that_is_not_there() {
    let _alone = common::alone();
    assert_eq!(
        *refusal("none", prove(Device::PLAIN, &agreement(), &options(), &[], &mut [], PATIENCE)).kind(),
        Kind::Invalid
    );
    let mut parties = [Party { name: "ghost".into(), access: Access::Read, command: Command::new("/nonexistent") }];
    let error = refusal("ghost", prove(Device::PLAIN, &agreement(), &options(), &[software()], &mut parties, PATIENCE));
    assert!(*error.kind() == Kind::Os && error.to_string().contains("ghost"), "{error}");
}

/// The devices of the guest disagree for real: virtio-gpu takes no udmabuf, and no device a memfd.
#[test]
fn the_memory_moves_to_the_source_that_everybody_can_use() {
    let _alone = common::alone();
    let (Some(udmabuf), Some(gpu)) = (udmabuf(), need("virtio_gpu", Card::of_driver("virtio_gpu"))) else { return };
    let sources: [Arc<dyn Backend>; 3] = [software(), udmabuf, Arc::new(Dumb::of(gpu))];
    let mut parties = [party("cpu", Access::Write), party("vgem", Access::Read), party("virtio_gpu", Access::Read)];
    let proven = prove(Device::PLAIN, &agreement(), &options(), &sources, &mut parties, PATIENCE).unwrap();
    assert_eq!(proven.backend.name(), "dumb buffers of virtio_gpu");
    let lost: Vec<String> = proven.refused.iter().map(|refused| refused.conflict.to_string()).collect();
    assert!(lost[0].contains("vgem") && lost[0].contains("memfd"), "{lost:?}");
    assert!(lost[1].contains("udmabuf") && lost[1].contains("virtio_gpu") && lost[1].contains("errno 19"), "{lost:?}");
    assert_eq!(lost.len(), 2);
}

fn touch(surface: &Surface) -> Result<()> {
    let deadline = Deadline::after(PATIENCE);
    match acquire(&[(surface, Access::Write, Region::WHOLE)], deadline) {
        Ok(acquire) => acquire.wait()?.write(surface)?.write(0, Elements(0), 0, &[1, 2, 3, 4]),
        // A READ handle.
        Err(_) => acquire(&[(surface, Access::Read, Region::WHOLE)], deadline)?.wait()?.read(surface)?.read(
            0,
            Elements(0),
            0,
            &mut [0; 4],
        ),
    }
}

#[test]
fn child_process() {
    let Some(role) = common::role() else { return };
    let tried = answer(Device::PLAIN, |surface| match role.as_str() {
        "cpu" => touch(surface),
        "vgem" => {
            let card = Card::of_driver("vgem")?;
            card.import(surface)?;
            let gpu = Gpu(card);
            gpu.submit(surface.pixels_fd(), Direction::READ).end();
            Ok(())
        }
        "virtio_gpu" => Card::of_driver("virtio_gpu")?.import(surface).map(drop),
        "refuses" => Err(handover::Error::new(handover::Stage::Import, Kind::Unsupported).why("not on Sundays")),
        "crashes" => std::process::abort(),
        "leaves" => std::process::exit(3),
        "hangs" => loop {
            std::thread::sleep(PATIENCE);
        },
        "babbles" => {
            handover_sys::socket::send(common::parent(), b"?", &[], false).unwrap();
            Ok(())
        }
        other => panic!("{other}"),
    });
    tried.unwrap();
}
