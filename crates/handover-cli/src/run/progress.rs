//! A bar for people who watch.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar, or nothing where nobody watches.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// On a terminal, unless quiet is asked for.
    pub(super) fn new(frames: u64, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(frames), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} frame {pos} of {len}, {elapsed}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// So many frames are through.
    pub(super) fn show(&self, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
        }
    }

    /// Takes the bar away: what comes next is for keeps.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
