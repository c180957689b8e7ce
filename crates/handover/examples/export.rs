//! Export: the flags alone decide about compression, and the caller sees the decision.

use std::time::Duration;

use handover::{Deadline, Device, ExportFlags, Extent, Format, Options, Result, SurfaceUsages, Writers};
use handover::{allocate, export, negotiate};

fn main() -> Result<()> {
    let producer = Device::BLOCKS.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(720, 404)?, &[producer])?;
    let options = Options { writers: Writers::Open, ..Options::default() };
    let surface = allocate(Device::BLOCKS, &agreement, &options)?.remove(0);

    let (read, write, flush) = (ExportFlags::READ, ExportFlags::WRITE, ExportFlags::EXPLICIT_FLUSH);
    for flags in [read | flush, read | flush, read, read | write, read | flush] {
        let exported = export(&surface, flags, Deadline::after(Duration::from_secs(1)))?;
        println!("{flags:<24} {}; READ is {}", exported.decision, exported.handle.read_only());
    }
    if let Err(error) = export(&surface, flush, Deadline::now()) {
        println!("{error}");
    }
    Ok(())
}
