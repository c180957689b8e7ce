//! The conformance list: a table in `tests/data/conformance.tsv` that says of every rule who checks it, or why nobody does; and
//! the checks that run on every reservation there is.
//!
//! A rule has a number C1 to C106. Each test that the table names bears the number in its name or in its documentation. Checks of
//! the kernel's calls alone are with `handover-sys`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod borders;
#[path = "../common/kernel.rs"]
mod devices;
mod export;
mod fences;
mod line;
mod reservation;
mod sources;
#[path = "../subject/mod.rs"]
mod subject;
mod surfaces;
mod table;
mod timeline_waits;
mod timelines;
mod unions;

use std::time::Duration;

use devices::skip;
use handover::Deadline;
use subject::Subject;
use subject::kernel::Kernel;
use subject::software::Software;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// The kernel's reservation, or a visible skip.
fn kernel() -> Option<Kernel> {
    Kernel::open().map_err(|why| skip("vgem", &why)).ok()
}

/// One check on every reservation there is.
fn each(check: impl Fn(&mut dyn Subject)) {
    check(&mut Software::new());
    if let Some(mut kernel) = kernel() {
        check(&mut kernel);
    }
}
