//! The cases loom explores: what a writer does, who waits for what meanwhile, and what must hold.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use handover::timeline::page::{self, Look, Memory};
use loom::cell::Cell;
use loom::thread;

use super::explore::explore;
use super::machine::{Flaw, Machine, POINTS, Reader, Twins, Writer};

/// One thing a writer does.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Submit(u64),
    /// Data, then this. With a point that failed, and its error, or none.
    Complete(u64, Option<(u64, u32)>),
    Close,
}

/// What a reader does about a point.
#[derive(Clone, Copy)]
pub(crate) enum Wish {
    /// Waits until it is submitted.
    Submitted(u64),
    /// Waits until it is complete.
    Completed(u64),
    /// Looks, asks whether the writer lives, looks again, and does not wait.
    Polled(u64),
}

/// A writer's acts, and what each reader does meanwhile, in order.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) script: &'static [Act],
    pub(crate) readers: &'static [&'static [Wish]],
    /// The readers are threads of one process with one `Memory`.
    pub(crate) shares_memory: bool,
}

/// When the writer dies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    Never,
    /// Before its operation of this number, or after its last.
    Before(u32),
}

/// What came of an execution.
pub(crate) struct Outcome {
    /// Did the writer get through with operations to spare?
    got_through: bool,
    /// What the readers saw last of their points, in no order.
    seen: Vec<(u64, Look)>,
}

/// What the pixels of each point are. loom sees two that touch them without an order between them.
type Content = Rc<[Cell<u32>; POINTS as usize]>;

impl Case {
    fn lies(&self) -> bool {
        let completed = self.script.iter().filter_map(|act| match act {
            Act::Complete(point, _) => Some(*point),
            _ => None,
        });
        !completed.is_sorted()
    }

    fn error(&self, point: u64) -> Option<u32> {
        self.script.iter().find_map(|act| match act {
            Act::Complete(_, Some((failed, errno))) if *failed == point => Some(*errno),
            _ => None,
        })
    }

    /// Lets the writer and the readers do what they do, once.
    fn run(self, death: Death, flaw: Flaw) -> Outcome {
        let machine = Machine::new(flaw);
        let content: Content = Rc::new(std::array::from_fn(|_| Cell::new(0)));
        let shared = self.shares_memory.then(|| (Rc::new(Memory::default()), Twins::new()));
        let readers: Vec<_> = (self.readers.iter())
            .map(|wishes| {
                let (machine, content) = (Rc::clone(&machine), Rc::clone(&content));
                let (memory, twins) = shared.clone().unzip();
                let memory = memory.unwrap_or_default();
                thread::spawn(move || {
                    let mut observer =
                        Observer { reader: Reader::new(&machine, twins), machine, memory, content, lies: self.lies() };
                    wishes.iter().map(|wish| observer.fulfil(*wish)).collect::<Vec<_>>()
                })
            })
            .collect();
        let left = if let Death::Before(left) = death { left } else { u32::MAX };
        let got_through = write(Writer::new(&machine, left), self.script, &content, death);
        let seen = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        let outcome = Outcome { got_through, seen };
        self.check(&outcome, &machine);
        if let Some((memory, _)) = shared {
            let is_spoiled = memory.look(&Reader::new(&machine, None), POINTS) == Look::Spoiled;
            let was_spoiled = outcome.seen.iter().any(|(_, look)| *look == Look::Spoiled);
            assert!(is_spoiled || !was_spoiled, "a lie is forgotten");
        }
        outcome
    }

    /// What readers said against what the writer did, all in all.
    fn check(&self, outcome: &Outcome, machine: &Machine) {
        let (submitted, completed) = (machine.truth.submitted.get(), machine.truth.completed.get());
        for &(point, look) in &outcome.seen {
            match look {
                Look::Unsubmitted => {}
                Look::Pending => assert!(submitted >= point, "point {point} was not submitted"),
                Look::Complete(errno) => {
                    assert!(completed >= point, "point {point} was not complete");
                    assert_eq!(errno, self.error(point), "the error of point {point}");
                }
                Look::Poisoned => assert!(completed < point, "Poisoned, but point {point} was complete before the end"),
                Look::Spoiled => assert!(self.lies(), "an honest writer is called a liar"),
            }
        }
    }
}

/// The writer's side. Did it get through with operations to spare?
fn write(writer: Writer, script: &[Act], content: &Content, death: Death) -> bool {
    for act in script {
        match *act {
            Act::Submit(point) => page::submit(&writer, point),
            Act::Complete(point, failed) => {
                if writer.lives() {
                    content[point as usize - 1].set(1);
                }
                page::complete(&writer, point, failed);
            }
            Act::Close => page::close(&writer),
        }
    }
    let got_through = writer.lives();
    if death != Death::Never {
        writer.die();
    }
    got_through
}

/// A reader's side.
struct Observer {
    reader: Reader,
    machine: Rc<Machine>,
    memory: Rc<Memory>,
    content: Content,
    lies: bool,
}

impl Observer {
    fn fulfil(&mut self, wish: Wish) -> (u64, Look) {
        let (point, look) = match wish {
            Wish::Submitted(point) => (point, self.wait(point, true)),
            Wish::Completed(point) => (point, self.wait(point, false)),
            Wish::Polled(point) => {
                let first = self.look(point);
                self.memory.look_at_writer(&self.reader);
                let second = self.look(point);
                self.check_order(first, second);
                (point, second)
            }
        };
        match look {
            Look::Complete(_) if !self.lies => assert!(self.content[point as usize - 1].get() < 2),
            Look::Poisoned => assert!(self.machine.truth.is_over.get(), "poisoned while the writer goes on"),
            _ => {}
        }
        (point, look)
    }

    fn look(&self, point: u64) -> Look {
        self.reader.begin();
        self.memory.look(&self.reader, point)
    }

    fn wait(&self, point: u64, submission_is_enough: bool) -> Look {
        self.memory.wait(&self.reader, point, submission_is_enough, None, || false);
        let look = self.look(point);
        assert!(look.is_over(submission_is_enough), "a wait for point {point} ended with {look:?}");
        look
    }

    /// Points only go on, and what is over stays as it is, unless somebody lies.
    fn check_order(&self, first: Look, second: Look) {
        let goes_on = match first {
            Look::Unsubmitted => true,
            Look::Pending => second != Look::Unsubmitted,
            Look::Spoiled => second == Look::Spoiled,
            Look::Complete(_) | Look::Poisoned => second == first || self.lies && second == Look::Spoiled,
        };
        assert!(goes_on, "{first:?}, then {second:?}");
    }
}

/// Explores a case; gives how many executions that took, or what went wrong in one.
pub(crate) fn explore_case(bound: usize, case: Case, death: Death, flaw: Flaw) -> Result<usize, String> {
    explore(bound, flaw, move |flaw| {
        case.run(death, flaw);
    })
}

/// Explores a case in which the writer dies before the given step, for each step, until it gets through. Gives
/// (steps, executions).
pub(crate) fn die_at_each_step(bound: usize, case: Case, flaw: Flaw) -> Result<(u32, usize), String> {
    let mut executions = 0;
    for left in 0.. {
        let through = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&through);
        let explored = explore(bound, flaw, move |flaw| {
            let outcome = case.run(Death::Before(left), flaw);
            count.fetch_add(usize::from(outcome.got_through), Ordering::SeqCst);
        });
        executions += explored.map_err(|why| format!("step {left}: {why}"))?;
        if through.load(Ordering::SeqCst) > 0 {
            return Ok((left - 1, executions));
        }
    }
    unreachable!("no script is endless");
}

/// How many looks of all executions gave each of these.
pub(crate) fn count(bound: usize, case: Case, looks: [Look; 2]) -> Result<[usize; 2], String> {
    let counts = Arc::new(looks.map(|_| AtomicUsize::new(0)));
    let theirs = Arc::clone(&counts);
    explore(bound, Flaw::None, move |flaw| {
        for (_, seen) in case.run(Death::Never, flaw).seen {
            for (count, look) in theirs.iter().zip(looks) {
                count.fetch_add(usize::from(seen == look), Ordering::SeqCst);
            }
        }
    })?;
    Ok(std::array::from_fn(|index| counts[index].load(Ordering::SeqCst)))
}
