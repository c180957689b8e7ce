//! R9: nobody finds deadlocks, but a wait that runs into its deadline says who waits for whom, step by step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::os::fd::AsFd;
use std::time::Duration;

use common::{Other, hear, hear_parts, lease, millis, parent, role, say, soon, surfaces};
use handover::{
    Access, Blocked, Device, Error, ExportFlags, Fence, Format, Kind, Region, Surface, Writers, acquire, export, import,
};

const WHOLE: Region = Region::WHOLE;

/// Has its first surface and wants its second, which comes after the word, and waits for it.
#[test]
fn child_process() {
    if role().is_none() {
        return;
    }
    let socket = parent();
    let [first, second] = [0, 1].map(|_| import(hear_parts(socket.as_fd()).handle(), Device::PLAIN).unwrap());
    let _held = lease(&first, Access::Write);
    say(&socket, "holding");
    hear(socket.as_fd());
    let place = acquire(&[(&second, Access::Write, WHOLE)], soon()).unwrap();
    say(&socket, "waiting");
    let _lease = place.wait();
    // Until the parent kills.
    std::thread::sleep(Duration::from_secs(60));
}

/// Processes, each holding the surface of its number and waiting for the next; the last one's is the surface `last`.
fn line(surfaces: &[Surface], last: usize) -> Vec<Other> {
    let count = surfaces.len() - 1;
    let others: Vec<_> = (0..count).map(|_| Other::start("one of a line")).collect();
    for (index, other) in others.iter().enumerate() {
        let next = if index + 1 == count { last } else { index + 1 };
        for surface in [index, next] {
            let flags = ExportFlags::READ | ExportFlags::WRITE;
            common::Parts::of(export(&surfaces[surface], flags, soon()).unwrap().handle).send(&other.socket);
        }
        assert_eq!(other.hear(), "holding");
    }
    for other in &others {
        other.tell("go on");
        assert_eq!(other.hear(), "waiting");
    }
    others
}

fn pool(count: u32) -> Vec<Surface> {
    surfaces(Device::PLAIN, Format::XRGB8888, (16, 16), count, Writers::Open)
}

fn blocked(error: &Error) -> &Blocked {
    let Kind::Timeout(blocked) = error.kind() else { panic!("{error}") };
    blocked
}

fn try_for(surface: &Surface) -> Error {
    acquire(&[(surface, Access::Write, WHOLE)], millis(30)).unwrap().wait().unwrap_err()
}

#[test]
fn r9_a_time_out_prints_the_chain_of_who_waits_for_whom() {
    let surfaces = pool(4);
    let held = lease(&surfaces[3], Access::Read);
    let others = line(&surfaces, 3);
    let error = try_for(&surfaces[0]);
    let Blocked { by, then, holding, .. } = blocked(&error);
    assert_eq!(by.iter().map(|holder| holder.surface).collect::<Vec<_>>(), [0]);
    assert_eq!(then.iter().map(|holder| holder.surface).collect::<Vec<_>>(), [1, 2, 3], "{error}");
    assert_eq!((then[2].pid, then[2].usage), (std::process::id(), "read"), "it comes back to us: {error}");
    assert_eq!(holding.len(), 1);
    let text = error.to_string();
    assert!(text.contains("; which waits in turn for write lease on surface 1"), "{text}");
    assert!(text.contains(", which waits for read lease on surface 3"), "{text}");
    // The same, of a fence.
    let fence: Fence = surfaces[0].export_fence(Access::Read, WHOLE).unwrap();
    assert_eq!(blocked(&fence.wait(millis(5)).unwrap_err()).then, *then);
    // Nobody waits for a chain that is no circle any longer than its holders do.
    held.release().unwrap();
    drop(others);
    lease(&surfaces[0], Access::Write).release().unwrap();
}

/// A circle of others is told once round, and a line of more than nine up to its ninth.
#[test]
fn r9_a_circle_is_told_once_round_and_a_line_to_its_bound() {
    let circle = pool(4);
    let others = line(&circle, 0);
    let error = try_for(&circle[0]);
    let found: Vec<_> = blocked(&error).then.iter().map(|holder| holder.surface).collect();
    assert_eq!(found, [1, 2, 0], "{error}");
    drop(others);
    let long = pool(12);
    let _held = lease(&long[11], Access::Write);
    let _others = line(&long, 11);
    let error = try_for(&long[0]);
    let found: Vec<_> = blocked(&error).then.iter().map(|holder| holder.surface).collect();
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8], "{error}");
}
