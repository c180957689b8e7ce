//! The border between Vulkan and the rest of the kernel: a job waits for what pends in a surface, and what comes next waits for
//! the job. Needs a device that shares images, and /dev/udmabuf.

use std::sync::Arc;
use std::time::Duration;

use handover::backend::linux::Udmabuf;
use handover::{
    Access, Deadline, Device, Extent, Format, Options, Region, Result, SurfaceUsages, Writers, acquire, allocate,
    negotiate,
};
use handover_vulkan::Gpu;
use handover_vulkan::paint::{Painter, scene};

fn main() -> Result<()> {
    let gpu = Gpu::open(&handover_vulkan::Options::default())?;
    println!("{}", gpu.report());
    let soon = Deadline::after(Duration::from_secs(10));
    let size = (320, 240);

    // Whoever draws, whoever reads: what can all of them do?
    let offers = [
        gpu.offer("vulkan", &[Format::XRGB8888], SurfaceUsages::RENDER),
        Device::PLAIN.offer("reader", &[Format::XRGB8888], SurfaceUsages::READ),
    ];
    let agreement = negotiate(Extent::new(size.0, size.1)?, &offers)?;
    println!("{} for {} and {}", agreement.candidate(), offers[0].party, offers[1].party);

    // Memory from neither of them.
    let backend = Arc::new(Udmabuf::open()?);
    let options = Options { surfaces: 1, backend, writers: Writers::Open, ..Options::default() };
    let surfaces = allocate(Device::PLAIN, &agreement, &options)?;
    let painter = Painter::new(&gpu)?;
    for surface in &surfaces {
        let image = gpu.image(surface, SurfaceUsages::RENDER)?;
        let job = gpu.run(&[(&image, Access::Write)], soon, |recorder| painter.scene(recorder, &image, 42, 0))?;
        match job.fence() {
            Some(fence) => println!("the job's fence: {:?}", fence.status()?),
            None => println!("the job has ended"),
        }

        // The CPU comes next: acquire waits for the job.
        let lease = acquire(&[(surface, Access::Read, Region::WHOLE)], soon)?.wait()?;
        let mut pixels = vec![0; (size.0 * size.1 * 4) as usize];
        lease.read(surface)?.read_image(0, &mut pixels, (size.0 * 4) as usize)?;
        let wrong = pixels.chunks_exact(4).zip(0..).filter(|(pixel, index)| {
            let expected = scene::pixel(size, 42, 0, (index % size.0, index / size.0));
            pixel[..3] != expected.to_le_bytes()[..3]
        });
        println!("{} of {} pixels differ from what was to be drawn", wrong.count(), size.0 * size.1);
    }
    Ok(())
}
