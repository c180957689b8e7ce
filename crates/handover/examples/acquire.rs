//! Acquire: readers share, a writer waits for them, and a wait that fails says who was in the way.

use std::time::Duration;

use handover::{Access, Deadline, Device, Extent, Format, Region, Result, SurfaceUsages};
use handover::{acquire, allocate, negotiate, try_acquire};

fn main() -> Result<()> {
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(64, 64)?, &[offer])?;
    let surface = allocate(Device::PLAIN, &agreement, &Default::default())?.remove(0);
    let soon = Deadline::after(Duration::from_millis(100));

    let first = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon)?.wait()?;
    let second = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon)?.wait()?;
    println!("two readers at once: {} and {} surfaces", first.surfaces().count(), second.surfaces().count());

    let writer = try_acquire(&[(&surface, Access::Write, Region::WHOLE)])?;
    println!("a writer beside them: {}", if writer.is_some() { "yes" } else { "no" });
    if let Err(error) = acquire(&[(&surface, Access::Write, Region::WHOLE)], soon)?.wait() {
        println!("{error}");
    }
    drop((first, second));
    let writer = try_acquire(&[(&surface, Access::Write, Region::WHOLE)])?;
    println!("a writer after them: {}", if writer.is_some() { "yes" } else { "no" });
    Ok(())
}
