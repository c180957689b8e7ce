//! Negotiate: three parties find what they have in common, and hear why the rest lost.

use handover::{Device, Extent, Format, Result, SurfaceUsages, negotiate};

fn main() -> Result<()> {
    let formats = [Format::XRGB8888, Format::NV12];
    let clip = Device::BLOCKS.offer("clip", &formats, SurfaceUsages::WRITE);
    let compositor = Device::BLOCKS.offer("compositor", &formats, SurfaceUsages::READ);
    let encoder = Device::PLAIN.offer("encoder", &formats, SurfaceUsages::READ | SurfaceUsages::ENCODE);

    let agreement = negotiate(Extent::new(720, 404)?, &[clip.clone(), compositor, encoder])?;
    println!("agreed on {agreement}");
    for lost in &agreement.lost {
        println!("  not {}: {}", lost.candidate, lost.conflict);
    }

    let stranger = Device::PLAIN.offer("stranger", &[Format::R8], SurfaceUsages::READ);
    if let Err(error) = negotiate(Extent::new(720, 404)?, &[clip, stranger]) {
        println!("{error}");
    }
    Ok(())
}
