//! Help for the tests: a compositor of ours in a thread, clients on it, and surfaces to show.
// Each test binary uses a part of this.
#![allow(dead_code)]

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use handover::backend::linux::Card;
use handover::negotiate::{Offer, OfferEntry};
use handover::{
    Access, Backend, Deadline, Device, Extent, Format, Lease, Modifier, Region, Surface, SurfaceUsages, Writers,
    acquire, allocate, negotiate, try_acquire,
};
use handover_wayland::DeviceId;
use handover_wayland::client::{self, Client, Window};
use handover_wayland::server::{self, Committed, Event, Server};

/// Long enough to mean "never": no test passes by waiting for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const SIZE: (u32, u32) = (64, 48);

pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

pub(crate) fn millis(count: u64) -> Deadline {
    Deadline::after(Duration::from_millis(count))
}

/// The error of what must fail.
pub(crate) fn refusal<T>(what: &str, result: handover::Result<T>) -> handover::Error {
    result.err().unwrap_or_else(|| panic!("{what} was not refused"))
}

pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a compositor of the tests takes.
pub(crate) fn offer(entries: &[(Format, Modifier)]) -> Offer {
    let entries = entries.iter().map(|(format, modifier)| OfferEntry::new(Some(*format), *modifier));
    Offer { party: "compositor".into(), entries: entries.collect() }
}

/// A device to name. Nothing is opened by it.
pub(crate) const DEVICE: DeviceId = DeviceId(0xe200);

pub(crate) fn options() -> server::Options {
    server::Options::new(DEVICE, offer(&[(Format::XRGB8888, Modifier::LINEAR)])).unwrap()
}

type Command = Box<dyn FnOnce(&mut Server) + Send>;

/// A compositor in a thread. Dropped, it dies as a process would: its sockets close.
pub(crate) struct Compositor {
    commands: Option<Sender<Command>>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Compositor {
    pub(crate) fn start(options: server::Options) -> Self {
        Self::run(move || Server::new(options).unwrap())
    }

    pub(crate) fn run(make: impl FnOnce() -> Server + Send + 'static) -> Self {
        let (commands, orders) = channel::<Command>();
        let (told, events) = channel();
        let thread = std::thread::spawn(move || {
            let mut server = make();
            loop {
                match orders.try_recv() {
                    Ok(command) => command(&mut server),
                    Err(std::sync::mpsc::TryRecvError::Empty) => {}
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
                for event in server.dispatch(millis(2)).unwrap() {
                    // The test has ended, perhaps.
                    let _ = told.send(event);
                }
            }
        });
        Self { commands: Some(commands), events, thread: Some(thread) }
    }

    pub(crate) fn tell(&self, command: impl FnOnce(&mut Server) + Send + 'static) {
        self.commands.as_ref().unwrap().send(Box::new(command)).unwrap();
    }

    /// Stops the compositor for as long as `meanwhile` runs.
    pub(crate) fn stopped<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let (stopped, is_stopped) = channel();
        let (go_on, goes_on) = channel::<()>();
        self.tell(move |_| {
            stopped.send(()).unwrap();
            let _ = goes_on.recv();
        });
        is_stopped.recv().unwrap();
        let result = meanwhile();
        go_on.send(()).unwrap();
        result
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.tell(move |server| server.add(theirs).unwrap());
        ours
    }

    pub(crate) fn client(&self) -> Client {
        Client::on(self.connect(), soon()).unwrap()
    }

    pub(crate) fn window(&self, card: Option<Card>) -> Window<Lease> {
        let options = client::Options {
            title: "a test".into(),
            app_id: "handover.test".into(),
            card,
            ..client::Options::default()
        };
        Window::open(self.client(), &options, soon()).unwrap()
    }

    pub(crate) fn event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn event_within(&self, time: Duration) -> Option<Event> {
        self.events.recv_timeout(time).ok()
    }

    pub(crate) fn committed(&self) -> Committed {
        match self.event() {
            Event::Committed(committed) => committed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn refused(&self) -> handover::Error {
        match self.event() {
            Event::Refused(error) => error,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn says_nothing_for(&self, time: Duration) {
        match self.events.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the compositor's thread");
        }
    }
}

pub(crate) fn surfaces_of(
    backend: &Arc<dyn Backend>,
    compositor: &Offer,
    size: (u32, u32),
    count: u32,
) -> Vec<Surface> {
    let formats: Vec<Format> = compositor.entries.iter().filter_map(|entry| entry.format).take(1).collect();
    let mine = Device::PLAIN.offer("client", &formats, SurfaceUsages::WRITE);
    let agreement = negotiate(Extent::new(size.0, size.1).unwrap(), &[mine, compositor.clone()]).unwrap();
    let options = handover::Options {
        surfaces: count,
        writers: Writers::Me,
        backend: Arc::clone(backend),
        ..handover::Options::default()
    };
    allocate(Device::PLAIN, &agreement, &options).unwrap()
}

/// Surfaces that this window's compositor takes.
pub(crate) fn surfaces(backend: &Arc<dyn Backend>, window: &Window<Lease>, count: u32) -> Vec<Surface> {
    surfaces_of(backend, &window.feedback().offer("compositor"), SIZE, count)
}

/// A pixel that tells where it is, and on which frame.
pub(crate) fn pixel(x: u32, y: u32, frame: u32) -> u32 {
    (x.wrapping_mul(0x01_02_03) ^ y.wrapping_mul(0x05_00_07) ^ frame.wrapping_mul(0x11_13_17)) & 0x00ff_ffff
}

pub(crate) fn picture((width, height): (u32, u32), frame: u32) -> Vec<u8> {
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y, frame).to_le_bytes())).collect()
}

pub(crate) fn size(surface: &Surface) -> (u32, u32) {
    let extent = surface.layout().extent().unwrap();
    (extent.width().get(), extent.height().get())
}

pub(crate) fn draw(surface: &Surface, frame: u32) {
    let size = size(surface);
    let lease = acquire(&[(surface, Access::Write, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    lease.write(surface).unwrap().write_image(0, &picture(size, frame), size.0 as usize * 4).unwrap();
    lease.release().unwrap();
}

pub(crate) fn image(surface: &Surface) -> Vec<u8> {
    let (width, height) = size(surface);
    let mut image = vec![0; width as usize * height as usize * 4];
    let lease = acquire(&[(surface, Access::Read, Region::WHOLE)], soon()).unwrap().wait().unwrap();
    lease.read(surface).unwrap().read_image(0, &mut image, width as usize * 4).unwrap();
    image
}

pub(crate) fn read_lease(surface: &Surface) -> Lease {
    acquire(&[(surface, Access::Read, Region::WHOLE)], soon()).unwrap().wait().unwrap()
}

/// Draws and shows.
pub(crate) fn show(window: &mut Window<Lease>, surface: &Surface, frame: u32) {
    draw(surface, frame);
    window.show(read_lease(surface), None, soon()).unwrap();
}

pub(crate) fn is_free(surface: &Surface) -> bool {
    try_acquire(&[(surface, Access::Write, Region::WHOLE)]).unwrap().is_some()
}

/// Waits for the next surface that comes back.
pub(crate) fn returned(window: &mut Window<Lease>) -> Surface {
    loop {
        match window.next(soon()).unwrap().expect("a returned surface") {
            client::Event::Returned(lease) => return lease.surfaces().next().unwrap().0.clone(),
            _ => continue,
        }
    }
}

/// Listens until the window finds that its compositor is gone.
pub(crate) fn ends_with_its_compositor(window: &mut Window<Lease>) {
    let error = loop {
        match window.next(soon()) {
            Ok(event) => assert!(event.is_some(), "a wait that ends without a word"),
            Err(error) => break error,
        }
    };
    assert_eq!(*error.kind(), handover::Kind::PeerGone, "{error}");
}
