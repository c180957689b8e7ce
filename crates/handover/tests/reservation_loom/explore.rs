//! One call that lets loom explore a model, up to a bound of preemptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Explores a model; gives how many executions that took, or what went wrong in one.
pub(crate) fn explore<Flaw: Copy + Send + Sync + 'static>(
    preemptions: usize,
    flaw: Flaw,
    model: impl Fn(Flaw) + Send + Sync + 'static,
) -> Result<usize, String> {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    // A thread of its own: loom does not say what its state is after a panic.
    let explored = std::thread::spawn(move || {
        builder.check(move || {
            count.fetch_add(1, Ordering::SeqCst);
            model(flaw);
        });
    });
    match explored.join() {
        Ok(()) => Ok(executions.load(Ordering::SeqCst)),
        Err(why) => {
            Err(why.downcast::<String>().map_or_else(|why| format!("{:?}", why.downcast::<&str>()), |text| *text))
        }
    }
}
