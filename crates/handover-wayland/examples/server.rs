//! A compositor that shows nothing and tells what its clients show: size, format, and a sum of the pixels.
//!
//! `cargo run -p handover-wayland --example server [NAME]`, then `WAYLAND_DISPLAY=NAME some-client`. It ends when nobody has shown
//! anything for a minute.

use std::sync::Arc;
use std::time::Duration;

use handover::backend::Software;
use handover::backend::linux::{Card, scanout};
use handover::{Access, Deadline, Device, Format, Region, Result, Surface, SurfaceUsages, acquire};
use handover_wayland::DeviceId;
use handover_wayland::server::{Event, Options, Server};

fn main() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "handover-0".into());
    // Any device that keeps timelines will do for them; buffers may come from anywhere, since the CPU reads them.
    let card = scanout::card().or_else(|_| Card::of_driver("vgem"));
    let device = card.as_ref().map_or(Ok(DeviceId(0)), |card| DeviceId::of(card.path()))?;
    let formats = [Format::XRGB8888, Format::ARGB8888, Format::NV12];
    let options = Options::new(device, Device::PLAIN.offer("capture", &formats, SurfaceUsages::READ))?;
    let timelines = card.ok().filter(|card| handover::backend::linux::Timeline::new(card).is_ok());
    if let Some(card) = &timelines {
        card.leave_screens()?;
    }
    let mut server = Server::bind(&name, Options { timelines, copies: Some(Arc::new(Software)), ..options })?;
    println!("listening at {name}");
    loop {
        let events = server.dispatch(Deadline::after(Duration::from_secs(60)))?;
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            match event {
                Event::Committed(committed) => {
                    let how = if committed.is_copy() { "copied" } else { "shared" };
                    println!(
                        "{:?} {}: {how}, {}",
                        committed.window(),
                        committed.app_id(),
                        describe(committed.surface())?
                    );
                    committed.release();
                }
                Event::Gone(window) => println!("{window:?} is gone"),
                Event::Refused(error) => println!("refused: {error}"),
                other => println!("{other:?}"),
            }
        }
    }
}

/// Waits for whoever still draws, and reads.
fn describe(surface: &Surface) -> Result<String> {
    let deadline = Deadline::after(Duration::from_secs(5));
    let lease = acquire(&[(surface, Access::Read, Region::WHOLE)], deadline)?.wait()?;
    let layout = surface.layout();
    let (Some(format), Some(extent), Some(plane)) = (layout.format(), layout.extent(), layout.plane(0)) else {
        return Ok("no image".into());
    };
    let mut pixels = vec![0; usize::try_from(plane.size.get()).unwrap_or(0)];
    let stride = usize::try_from(plane.stride.get()).unwrap_or(0);
    lease.read(surface)?.read_image(0, &mut pixels, stride)?;
    let sum = pixels.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    Ok(format!("{format} {} {extent}, sum {sum:016x}", layout.modifier()))
}
