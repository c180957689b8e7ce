//! Shows a moving gradient in a window for five seconds: negotiate, allocate, and for every frame acquire, access, release, show.
//!
//! `cargo run -p handover-wayland --example client [CARD]`; CARD: where to keep buffers and timelines, if the compositor names none.

use std::sync::Arc;
use std::time::Duration;

use handover::backend::linux::{Card, Dumb, Udmabuf};
use handover::{
    Access, Backend, Deadline, Device, Extent, Format, Lease, Options, Region, Result, Surface, SurfaceUsages, acquire,
    allocate, negotiate,
};
use handover_wayland::client::{self, Client, Event, Window};

const FRAMES: u32 = 300;

fn main() -> Result<()> {
    let deadline = Deadline::after(Duration::from_secs(30));
    let client = Client::connect(deadline)?;
    let card = match (std::env::args().nth(1), client.feedback().main_device) {
        (Some(path), _) => Some(Card::open(path)?),
        (None, Some(device)) => device.open().ok(),
        (None, None) => None,
    };
    if let Some(card) = &card {
        // Only to allocate: the screens are the compositor's.
        card.leave_screens()?;
    }
    let options = client::Options { title: "a gradient".into(), card: card.clone(), ..client::Options::default() };
    let mut window = Window::open(client, &options, deadline)?;
    println!("synchronisation: {}", window.why_implicit().unwrap_or("explicit"));
    for left in window.feedback().left_out() {
        println!("not offered: {} {}: {}", left.format, left.modifier, left.why);
    }

    let mine = Device::PLAIN.offer("gradient", &[Format::XRGB8888], SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(640, 480)?, &[mine, window.feedback().offer("compositor")])?;
    println!("agreed on {agreement}");
    let backend: Arc<dyn Backend> = match card {
        Some(card) => Arc::new(Dumb::of(card)),
        None => Arc::new(Udmabuf::open()?),
    };
    println!("memory: {}", backend.name());
    let surfaces = allocate(Device::PLAIN, &agreement, &Options { surfaces: 3, backend, ..Options::default() })?;

    let mut free: Vec<Surface> = surfaces;
    let mut frame = 0;
    let mut is_due = true;
    while frame < FRAMES {
        if is_due && let Some(surface) = free.pop() {
            draw(&surface, frame)?;
            let (lease, fence) = acquire(&[(&surface, Access::Read, Region::WHOLE)], deadline)?.collect()?;
            window.show(lease, fence, deadline)?;
            (frame, is_due) = (frame + 1, false);
        }
        match window.next(Deadline::after(Duration::from_secs(5)))? {
            Some(Event::Frame) => is_due = true,
            Some(Event::Returned(lease)) => free.extend(surface_of(&lease)),
            Some(Event::Close) => break,
            Some(_) => {}
            None => println!("nothing happens; the window is not visible, perhaps"),
        }
    }
    drop(window.close(Deadline::after(Duration::from_secs(1)))?);
    println!("{frame} frames");
    Ok(())
}

fn surface_of(lease: &Lease) -> Option<Surface> {
    lease.surfaces().next().map(|(surface, ..)| surface.clone())
}

fn draw(surface: &Surface, frame: u32) -> Result<()> {
    let lease = acquire(&[(surface, Access::Write, Region::WHOLE)], Deadline::after(Duration::from_secs(5)))?.wait()?;
    let view = lease.write(surface)?;
    let row = |y: u32| (0..640).flat_map(move |x: u32| [(x + frame) as u8, (y + frame) as u8, frame as u8, 0]);
    for y in 0..480 {
        view.write(0, handover::Elements(0), y, &row(y).collect::<Vec<u8>>())?;
    }
    drop(view);
    lease.release()
}
