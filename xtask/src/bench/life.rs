//! Life: a surface of 1 MiB from allocate until another process has read a byte of each of its pages, against the same
//! made by hand of memfd, SCM_RIGHTS and mmap.

use std::os::fd::{AsFd, OwnedFd};

use handover::{
    Access, Deadline, Device, ExportFlags, Handle, Options, Region, Surface, acquire, allocate, export, import,
};
use handover_model::{Bytes, Elements};
use handover_sys::clock::Monotonic;
use handover_sys::map::{Mapping, Populate, ReadMapping};
use handover_sys::{memfd, socket};

use super::figures::Samples;
use super::peer::{Link, Peer, to_bytes, to_numbers};
use super::report::{Budget, Line, Table};
use super::{Effort, Result, machine};

pub(super) const ROLE: &str = "life";

const SIZE: usize = 1 << 20;
const PAGE: usize = 4096;
/// Message of the raw way; a handle's message is another and longer.
const RAW: &[u8] = b"raw";

pub(super) fn run(effort: Effort) -> Result<Vec<Table>> {
    let title = "life of a surface of 1 MiB, allocate to all pages read";
    let cpus = machine::cpus()?;
    let (Some(&here), Some(&there)) = (cpus.first(), cpus.get(1)) else {
        return Ok(vec![Table::skipped(title, "it needs two CPUs")]);
    };
    let _pinned = machine::pin(here)?;
    let peer = Peer::start(ROLE, there)?;
    let (mut ours, mut raw) = (Samples::default(), Samples::default());
    for _ in 0..effort.of(60, 10) {
        raw.add_turn(turn(&peer.link, make_raw)?);
        ours.add_turn(turn(&peer.link, make_ours)?);
    }
    let mut table = Table::new(title, "one byte a page written and read; undoing it is not counted on either side");
    table.push(Line::new("raw memfd, SCM_RIGHTS, mmap", &raw));
    table.push(Line::new("ours, allocate to read", &ours).against("raw", &ours, &raw).budget(Budget::Ratio(1.2)));
    Ok(vec![table])
}

/// A few lives in a row, one after the other: the consumer has let go of the last before the next begins.
fn turn<T>(link: &Link, make: fn(&Link) -> Result<T>) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for round in 0..25 {
        let begin = Monotonic::now();
        let made = make(link)?;
        let &[read] = to_numbers(&link.expect()?.0).as_slice() else { return Err("no stamp came back".into()) };
        drop(made);
        // The first one also pages the code in.
        if round > 0 {
            samples.push(read.saturating_sub(begin.0) as f64);
        }
    }
    Ok(samples)
}

fn make_raw(link: &Link) -> Result<(OwnedFd, Mapping)> {
    let file = memfd::create("handover-bench", SIZE as u64)?;
    let map = Mapping::new(&file, SIZE, Populate::Later)?;
    let pixels = map.pixels_mut(0..SIZE).ok_or("a mapping that is too small")?;
    if !(0..SIZE).step_by(PAGE).all(|at| pixels.set_u8(at, 1)) {
        return Err("a page that cannot be written".into());
    }
    link.tell(RAW, &[file.as_fd()])?;
    Ok((file, map))
}

fn make_ours(link: &Link) -> Result<Surface> {
    let mut surfaces = allocate::buffer(Device::PLAIN, Bytes(SIZE as u64), &Options::default())?;
    let surface = surfaces.pop().ok_or("allocate gave no surface")?;
    let lease = acquire(&[(&surface, Access::Write, Region::WHOLE)], Deadline::Never)?.wait()?;
    let view = lease.write(&surface)?;
    for at in (0..SIZE).step_by(PAGE) {
        view.write(0, Elements(at as u32), 0, &[1])?;
    }
    drop(view);
    lease.release()?;
    let exported = export(&surface, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, Deadline::Never)?;
    let (bytes, descriptors) = exported.handle.into_parts();
    socket::send(link.fd(), &bytes, &descriptors.each_ref().map(AsFd::as_fd), false)?;
    Ok(surface)
}

/// The consumer of both ways.
pub(super) fn play(link: &Link) -> Result<()> {
    while let Some((bytes, descriptors)) = link.hear()? {
        let read = if bytes == RAW { read_raw(descriptors)? } else { read_ours(&bytes, descriptors)? };
        link.tell(&to_bytes(&[read.0]), &[])?;
    }
    Ok(())
}

/// Gives the instant at which all pages were read; what was made for it is gone again on return.
fn read_raw(descriptors: Vec<OwnedFd>) -> Result<Monotonic> {
    let file = descriptors.into_iter().next().ok_or("no descriptor came along")?;
    let map = ReadMapping::new(file, SIZE, Populate::Later)?;
    let pixels = map.pixels(0..SIZE).ok_or("a mapping that is too small")?;
    if !(0..SIZE).step_by(PAGE).all(|at| pixels.get_u8(at) == Some(1)) {
        return Err("a page that holds something else".into());
    }
    Ok(Monotonic::now())
}

fn read_ours(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<Monotonic> {
    let surface = import(Handle::from_parts(bytes, descriptors)?, Device::PLAIN)?;
    let lease = acquire(&[(&surface, Access::Read, Region::WHOLE)], Deadline::Never)?.wait()?;
    let view = lease.read(&surface)?;
    let mut byte = [0];
    for at in (0..SIZE).step_by(PAGE) {
        view.read(0, Elements(at as u32), 0, &mut byte)?;
        if byte != [1] {
            return Err("a page that holds something else".into());
        }
    }
    let read = Monotonic::now();
    drop(view);
    lease.release()?;
    Ok(read)
}
