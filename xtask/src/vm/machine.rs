//! The machine itself: QEMU's command line, its ports, and that it never outlives this program.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::job::{EVENTS, Event, OUTPUT};
use super::kernel::Kernel;
use super::screen::{self, Monitor};

pub(super) const QEMU: &str = "qemu-system-x86_64";

/// Two CPUs, so that two processes of the guest do run at once; as many as the smallest machine that shall pass.
const CPUS: &str = "2";
const MEMORY: &str = "3G";

/// The kernel's command line. A lock-up or a stall is what a busy host looks like from inside, and no finding; an oops ends
/// the guest at once, so that its log is short and the host need not wait.
const KERNEL_LINE: &str = "console=ttyS0 loglevel=5 panic=-1 oops=panic log_buf_len=4M mitigations=off nosoftlockup \
                           rcupdate.rcu_cpu_stall_suppress=1 workqueue.watchdog_thresh=0 vt.global_cursor_default=0";

/// Files in the machine's folder.
pub(super) const CONSOLE: &str = "console.log";
const QEMU_LOG: &str = "qemu.log";
const INITRAMFS: &str = "initramfs.cpio";

/// A guest that runs. Dropped, it is killed.
pub(super) struct Machine {
    child: Child,
    events: Receiver<Event>,
    /// Shows what a command prints; ends when QEMU closes the port.
    output: Option<JoinHandle<()>>,
    folder: PathBuf,
}

/// What came next.
pub(super) enum Next {
    Event(Event),
    /// The guest has powered off, or QEMU died.
    Gone,
    TimeOut,
}

impl Machine {
    /// Starts the guest. `folder` holds what the machine makes, `folder/out` the results that the guest writes.
    pub(super) fn start(
        folder: &Path,
        kernel: &Kernel,
        stock: Option<&Path>,
        initramfs: &[u8],
    ) -> Result<Self, String> {
        let failed = |what: &str, e: io::Error| format!("{what}: {e}");
        let at = folder.join(INITRAMFS);
        fs::write(&at, initramfs).map_err(|e| format!("cannot write {}: {e}", at.display()))?;
        let _ = fs::remove_file(folder.join(CONSOLE));
        let log = File::create(folder.join(QEMU_LOG)).map_err(|e| failed("cannot write QEMU's log", e))?;
        let ports = Ports::listen(folder).map_err(|e| failed("cannot listen for the guest's ports", e))?;
        // When this program dies, even by SIGKILL, the kernel kills QEMU: setpriv asks for that before it becomes QEMU.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", QEMU])
            .args(arguments(kernel, stock))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|e| failed("cannot start setpriv and QEMU", e))?;
        let monitor = child.stdin.take().zip(child.stdout.take()).ok_or("QEMU has no monitor")?;
        let (events, output) = ports.serve(monitor, &folder.join("out"));
        Ok(Self { child, events, output: Some(output), folder: folder.to_owned() })
    }

    /// Waits for the guest's next event, until `end`.
    pub(super) fn next(&mut self, end: Instant) -> Next {
        const SLICE: Duration = Duration::from_millis(100);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left.min(SLICE)) {
                Ok(event) => return Next::Event(event),
                Err(RecvTimeoutError::Disconnected) => return Next::Gone,
                // QEMU may die before the guest has opened any port.
                Err(RecvTimeoutError::Timeout) if !matches!(self.child.try_wait(), Ok(None)) => {
                    // What it said last may still be on its way.
                    return self.events.recv_timeout(Duration::from_secs(1)).map_or(Next::Gone, Next::Event);
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Next::TimeOut,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits until the guest has powered off, `patience` long at most.
    pub(super) fn end(mut self, patience: Duration) -> Result<(), String> {
        let end = Instant::now().checked_add(patience);
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => {
                    if let Some(output) = self.output.take() {
                        let _ = output.join();
                    }
                    return Ok(());
                }
                Err(error) => return Err(format!("cannot wait for QEMU: {error}")),
                Ok(None) if end.is_none_or(|end| Instant::now() >= end) => {
                    return Err(format!("the guest did not power off within {} s", patience.as_secs()));
                }
                Ok(None) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What QEMU complained about; empty when it did not.
    pub(super) fn complaint(&self) -> String {
        fs::read_to_string(self.folder.join(QEMU_LOG)).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// QEMU's command line; paths are relative to the machine's folder where it runs.
fn arguments(kernel: &Kernel, stock: Option<&Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        ["-M", "q35"],
        ["-accel", "tcg,thread=multi"],
        ["-cpu", "max"],
        ["-smp", CPUS],
        ["-m", MEMORY],
        ["-display", "none"],
        ["-append", KERNEL_LINE],
        ["-initrd", INITRAMFS],
        // The monitor on standard input and output: no socket with a name, and nobody else can reach it.
        ["-chardev", "stdio,id=monitor,signal=off"],
        ["-mon", "chardev=monitor,mode=control"],
        ["-chardev", &format!("file,id=console,path={CONSOLE}")],
        ["-serial", "chardev:console"],
        ["-device", "virtio-serial-pci"],
        ["-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"],
        ["-device", "virtio-9p-pci,fsdev=root,mount_tag=root"],
        ["-fsdev", "local,id=results,path=out,security_model=none,multidevs=remap"],
        ["-device", "virtio-9p-pci,fsdev=results,mount_tag=results"],
        ["-device", &format!("virtio-gpu-pci,id={}", screen::DEVICE)],
    ]
    .iter()
    .flatten()
    .map(OsString::from)
    .collect();
    if let Some(stock) = stock {
        let mut drive = OsString::from("if=none,id=stock,format=raw,readonly=on,file=");
        // QEMU reads a comma as the end of a value; twice it stands for itself.
        drive.push(stock.to_string_lossy().replace(',', ",,"));
        arguments.extend(["-drive".into(), drive]);
        arguments.extend(["-device", "virtio-blk-pci,drive=stock"].map(OsString::from));
    }
    arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
    for port in [EVENTS, screen::PORT, OUTPUT] {
        arguments.extend(["-chardev".into(), format!("socket,id={port},path={port}").into()]);
        arguments.extend(["-device".into(), format!("virtserialport,chardev={port},name={port}").into()]);
    }
    arguments.push("-kernel".into());
    arguments.push(kernel.image.clone().into_os_string());
    arguments
}

/// The sockets that QEMU connects the guest's ports to.
struct Ports {
    events: UnixListener,
    screen: UnixListener,
    output: UnixListener,
}

impl Ports {
    fn listen(folder: &Path) -> io::Result<Self> {
        // A socket's path has 107 bytes and a checkout's may have more; the way by the descriptor is short.
        let opened = File::open(folder)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        let listen = |name: &str| {
            let _ = fs::remove_file(folder.join(name));
            UnixListener::bind(short.join(name))
        };
        Ok(Self { events: listen(EVENTS)?, screen: listen(screen::PORT)?, output: listen(OUTPUT)? })
    }

    /// A thread a port. All end with QEMU, which closes the other side.
    fn serve(self, (input, output): (ChildStdin, ChildStdout), out: &Path) -> (Receiver<Event>, JoinHandle<()>) {
        let (sender, events) = channel();
        let out = out.to_owned();
        thread::spawn(move || forward_events(&self.events, &sender));
        thread::spawn(move || {
            let Ok(mut monitor) = Monitor::new(input, output) else { return };
            let Ok((mut port, _)) = self.screen.accept() else { return };
            let Ok(lines) = port.try_clone() else { return };
            screen::serve(&mut port, BufReader::new(lines), &mut monitor, &out);
        });
        let output = thread::spawn(move || {
            if let Ok((port, _)) = self.output.accept() {
                show(port);
            }
        });
        (events, output)
    }
}

fn forward_events(listener: &UnixListener, sender: &Sender<Event>) {
    let Ok((port, _)) = listener.accept() else { return };
    for line in BufReader::new(port).lines() {
        let Ok(line) = line else { return };
        if let Some(event) = Event::read(&line)
            && sender.send(event).is_err()
        {
            return;
        }
    }
}

/// Copies what a command of the user's prints, as it comes.
fn show(mut port: UnixStream) {
    let mut out = io::stdout();
    // A closed standard output is the user's wish, not a failure of the command.
    let _ = io::copy(&mut port, &mut out);
    let _ = out.flush();
}
