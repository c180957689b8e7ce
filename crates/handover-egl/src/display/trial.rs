//! A trial of a display: does it reach memory that it did not make?
//!
//! Extensions do not tell. Mesa's software renderer on the node of a card without a driver of its own (vgem, say) takes any dma-buf,
//! cannot map it, and ends the process at the first pixel that it draws. To copy a pixel out of one is refused in order.

use std::sync::Arc;

use handover::backend::linux::Udmabuf;
use handover::{
    Access, Deadline, Device, Error, Extent, Format, Kind, Options, Region, Result, Stage, Surface, SurfaceUsages,
    acquire, allocate, negotiate,
};

use super::Display;

/// What became of a small udmabuf that a display was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trial {
    /// There is no udmabuf to give.
    #[default]
    Untried,
    /// It was not taken. Memory of other sources may be.
    Refused,
    /// It was taken, and its pixels are not to be had.
    Unreachable,
    /// Its pixels were read.
    Passed,
}

/// Red, green, blue, alpha.
const PIXEL: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

pub(super) fn of(display: &Display) -> Trial {
    let Ok(surface) = surface() else { return Trial::Untried };
    let Ok(image) = display.image(&surface, SurfaceUsages::READ) else { return Trial::Refused };
    match image.first_pixel() {
        Ok(PIXEL) => Trial::Passed,
        _ => Trial::Unreachable,
    }
}

fn surface() -> Result<Surface> {
    let format = [Format::ABGR8888];
    let offers = [("writer", SurfaceUsages::WRITE), ("reader", SurfaceUsages::READ)];
    let offers = offers.map(|(party, usages)| Device::PLAIN.offer(party, &format, usages));
    let agreement = negotiate(Extent::new(64, 64)?, &offers)?;
    let options = Options { backend: Arc::new(Udmabuf::open()?), ..Options::default() };
    let surface = allocate(Device::PLAIN, &agreement, &options)?.into_iter().next();
    let surface = surface.ok_or_else(|| Error::new(Stage::Allocate, Kind::Unreachable))?;
    let lease = acquire(&[(&surface, Access::Write, Region::WHOLE)], Deadline::now())?.wait()?;
    lease.write(&surface)?.clear(u32::from_le_bytes(PIXEL))?;
    lease.release()?;
    Ok(surface)
}
