//! Allocate: an agreement becomes a pool of three surfaces with a layout, metadata and a reservation each.

use handover::{Device, Extent, Format, Options, Result, SurfaceUsages, allocate, negotiate};

fn main() -> Result<()> {
    let producer = Device::BLOCKS.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(720, 404)?, &[producer])?;
    let options = Options { surfaces: 3, ..Options::default() };
    for surface in allocate(Device::BLOCKS, &agreement, &options)? {
        let (layout, metadata) = (surface.layout(), surface.metadata()?);
        println!("surface {}: {agreement} on device {}", surface.index(), surface.device());
        for (i, plane) in layout.planes().iter().enumerate() {
            println!("  plane {i}: {} from {} on, stride {}", plane.size, plane.offset, plane.stride);
        }
        if let Some(header) = metadata.block.header() {
            println!("  metadata of {header}, {} bytes", metadata.block.len());
        }
    }
    Ok(())
}
