//! Access: a lease becomes pixels, whatever the layout; or a job on a queue that keeps its share of the lease.

use std::time::Duration;

use handover::{Access, Deadline, Device, Elements, Extent, Format, Queue, Region, Result, SurfaceUsages};
use handover::{acquire, allocate, negotiate};

fn main() -> Result<()> {
    let soon = Deadline::after(Duration::from_secs(5));
    for device in [Device::PLAIN, Device::BLOCKS] {
        let offer = device.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
        let agreement = negotiate(Extent::new(64, 64)?, &[offer])?;
        let surface = allocate(device, &agreement, &Default::default())?.remove(0);

        let queue = Queue::new("engine")?;
        let target = surface.clone();
        let drawn = queue.submit(&[(&surface, Access::Write, Region::WHOLE)], &[], soon, move |lease| {
            let view = lease.write(&target)?;
            view.clear(0xff00_0000)?;
            view.write(0, Elements(10), 20, &0xffff_8000_u32.to_le_bytes())
        })?;

        // The reservation orders this read after the job; the fence is for those who pass fences along.
        let lease = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon)?.wait()?;
        let mut pixels = [0; 8];
        lease.read(&surface)?.read(0, Elements(10), 20, &mut pixels)?;
        println!("on {device}: {pixels:02x?}, job {} is {:?}", drawn.seq(), drawn.status());
    }
    Ok(())
}
