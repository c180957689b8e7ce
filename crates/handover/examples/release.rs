//! Release: a surface is free when the last of its users has let go, lease and job alike; a failure is told to whoever waits.

use std::time::Duration;

use handover::{Access, Deadline, Device, Extent, Format, Queue, Region, Result, SurfaceUsages};
use handover::{acquire, allocate, negotiate, try_acquire};

/// "Input/output error".
const EIO: u32 = 5;

fn main() -> Result<()> {
    let soon = Deadline::after(Duration::from_secs(5));
    let offer = Device::PLAIN.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(64, 64)?, &[offer])?;
    let surface = allocate(Device::PLAIN, &agreement, &Default::default())?.remove(0);
    let write = [(&surface, Access::Write, Region::WHOLE)];

    let queue = Queue::new("engine")?;
    let lease = acquire(&write, soon)?.wait()?;
    let job = queue.submit_lease(&lease, &[], soon, |_| {
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    })?;
    lease.release()?;
    println!("lease released, job pending: free is {}", try_acquire(&write)?.is_some());
    job.wait(soon)?;
    println!("job done: free is {}", try_acquire(&write)?.is_some());

    let failing = acquire(&write, soon)?.wait()?;
    let reader = acquire(&[(&surface, Access::Read, Region::WHOLE)], soon)?;
    failing.release_failed(EIO)?;
    println!(
        "a reader who waited for a failed writer goes on, told that the content is torn: {}",
        reader.wait()?.is_torn()
    );
    Ok(())
}
