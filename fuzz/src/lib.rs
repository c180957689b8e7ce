//! What every program here does: it tries one input with its target, whose corpus `cargo test` replays with the same code.

#![forbid(unsafe_code)]

#[path = "../../crates/handover-model/tests/fuzz_targets/mod.rs"]
mod targets;

/// Tries an input.
///
/// # Panics
/// If a property does not hold: that is how libFuzzer hears of it. For a name that no target has.
pub fn try_one(name: &str, bytes: &[u8]) {
    let Some(target) = targets::TARGETS.iter().find(|target| target.name == name) else {
        panic!("there is no target {name}");
    };
    if let Err(broken) = (target.run)(bytes) {
        panic!("{name} ({}): {broken}", target.about);
    }
}
