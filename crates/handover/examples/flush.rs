//! Flush: what only the producer knows, its private clear colour, is written out for consumers. Leaving it out shows.

use std::time::Duration;

use handover::{Access, Deadline, Device, Elements, ExportFlags, Extent, Format, Region, Result, SurfaceUsages};
use handover::{acquire, allocate, export, flush, import, negotiate};

fn main() -> Result<()> {
    let soon = Deadline::after(Duration::from_secs(5));
    let offer = Device::BLOCKS.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(64, 64)?, &[offer])?;
    let ours = allocate(Device::BLOCKS, &agreement, &Default::default())?.remove(0);
    let exported = export(&ours, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, soon)?;
    println!("{}", exported.decision);
    let theirs = import(exported.handle, Device::PLAIN.with_blocks_decoder())?;

    for flushed in [false, true] {
        let lease = acquire(&[(&ours, Access::Write, Region::WHOLE)], soon)?.wait()?;
        lease.write(&ours)?.clear(0xff00_a0ff)?;
        let tiles = if flushed { flush(&lease, &ours)? } else { 0 };
        lease.release()?;

        let lease = acquire(&[(&theirs, Access::Read, Region::WHOLE)], soon)?.wait()?;
        let mut pixel = [0; 4];
        lease.read(&theirs)?.read(0, Elements(0), 0, &mut pixel)?;
        println!("{tiles} tiles flushed: the consumer sees {:08x}", u32::from_le_bytes(pixel));
    }
    Ok(())
}
