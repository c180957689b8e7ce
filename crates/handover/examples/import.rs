//! Import: a handle goes to another process over a socket; what arrives is an allegation until it is checked.

use std::io::stdin;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use handover::transport::{Channel, Trust};
use handover::{Deadline, Device, ExportFlags, Extent, Format, Handle, SurfaceUsages};
use handover::{allocate, export, import, negotiate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).is_some() { consumer() } else { producer() }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

fn producer() -> Result<(), Box<dyn std::error::Error>> {
    let offer = Device::BLOCKS.offer("producer", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(720, 404)?, &[offer])?;
    let surface = allocate(Device::BLOCKS, &agreement, &Default::default())?.remove(0);

    let (ours, theirs) = Channel::pair()?;
    let stdin = Stdio::from(OwnedFd::from(theirs));
    let mut child = Command::new(std::env::current_exe()?).arg("consumer").stdin(stdin).spawn()?;
    // Once to a device that cannot decode the layout, once to one that can: the same handle, as far as anybody sees.
    for _ in 0..2 {
        let exported = export(&surface, ExportFlags::READ | ExportFlags::EXPLICIT_FLUSH, soon())?;
        let (bytes, [pixels, control]) = exported.handle.into_parts();
        ours.send_bytes(&bytes, &[pixels.as_fd(), control.as_fd()], soon())?;
    }
    child.wait()?;
    Ok(())
}

fn consumer() -> Result<(), Box<dyn std::error::Error>> {
    let channel = Channel::from_fd(stdin().as_fd().try_clone_to_owned()?, Trust::SameUser)?;
    for device in [Device::PLAIN, Device::PLAIN.with_blocks_decoder()] {
        let Some((bytes, descriptors)) = channel.receive_bytes(2, soon())? else { break };
        match import(Handle::from_parts(&bytes, descriptors)?, device) {
            Ok(surface) => println!("imported on {device}: {} by process {}", surface.modifier(), std::process::id()),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}
