//! Flush: the producer makes the content readable for consumers who know only the metadata.
//!
//! What the metadata describes stays as it is: a consumer decodes compressed tiles. What only the producer knows (its
//! private clear colour) is written out, and then what lags behind (compression data for a display) is brought up to date. A producer that
//! promised no explicit flush does this by itself at the end of each submission; calling `flush` then finds nothing to do.

use handover_model::{Access, Stage};

use crate::error::{Error, Kind, Result};
use crate::lease::Lease;
use crate::surface::Surface;

/// Resolves a surface inside the producer's WRITE lease. Gives how many tiles were written out, together with how many bytes of
/// compression data for a display were made again; 0: there was nothing to do.
///
/// # Errors
/// [`Kind::Invalid`]: not the producer, or the lease is not one to write all of this surface.
pub fn flush(lease: &Lease, surface: &Surface) -> Result<u32> {
    surface.0.device.check_alive(Stage::Flush)?;
    if !surface.is_producer() {
        return Err(Error::new(Stage::Flush, Kind::Invalid)
            .asked("a flush of an imported surface")
            .why("only its producer knows what the metadata does not say"));
    }
    let part = lease.part(surface, Access::Write).map_err(|error| error.at(Stage::Flush))?;
    lease.check_waited().map_err(|error| error.at(Stage::Flush))?;
    if !part.asked.1.is_whole() {
        return Err(Error::new(Stage::Flush, Kind::Invalid)
            .asked("a flush of the whole surface")
            .found(format!("a lease of {}", part.asked.1))
            .why("the other cells are not its to touch, and a lease of cells leaves nothing to flush"));
    }
    // What no CPU reaches, a device drew: its driver writes out what it keeps to itself when the queue gives the surface away.
    let Some(pixels) = surface.0.memory.pixels_mut() else { return Ok(0) };
    let _bracket = surface.0.memory.begin(Access::Write).map_err(|error| error.at(Stage::Flush))?;
    surface.0.codec.write_out(surface.0.device, &pixels).map_err(|error| error.at(Stage::Flush))
}
