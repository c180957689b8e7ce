//! Figures from samples: median, p99, and a ratio that survives a machine whose load changes while it is measured.

/// Samples of one thing, in nanoseconds, kept apart by turn: ours and the floor under it take turns.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    turns: Vec<Vec<f64>>,
}

/// What is printed of samples, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    pub(super) p99: f64,
    /// How many samples it is made of.
    pub(super) samples: usize,
}

impl Samples {
    /// Adds the samples of one turn.
    pub(super) fn add_turn(&mut self, samples: Vec<f64>) {
        self.turns.push(samples);
    }

    /// Median and p99 over all turns; zeros where nothing was measured.
    pub(super) fn figure(&self) -> Figure {
        let all = sorted(self.turns.iter().flatten().copied());
        Figure { median: quantile(&all, 0.5), p99: quantile(&all, 0.99), samples: all.len() }
    }

    /// How many times as long as `floor`: the median over the turns of the ratio of their medians. A burst of other work
    /// spoils the turns it meets, not the ratio.
    pub(super) fn ratio_to(&self, floor: &Self) -> f64 {
        let median = |turn: &Vec<f64>| quantile(&sorted(turn.iter().copied()), 0.5);
        let ratios = self.turns.iter().zip(&floor.turns).map(|(ours, floor)| median(ours) / median(floor));
        quantile(&sorted(ratios.filter(|ratio| ratio.is_finite())), 0.5)
    }
}

fn sorted(samples: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut samples: Vec<f64> = samples.collect();
    samples.sort_by(f64::total_cmp);
    samples
}

/// The sample at this part of the way; 0 of none.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::Samples;

    fn samples(turns: &[&[f64]]) -> Samples {
        let mut samples = Samples::default();
        turns.iter().for_each(|turn| samples.add_turn(turn.to_vec()));
        samples
    }

    #[test]
    fn a_figure_is_median_and_p99_of_all_turns() {
        let turn: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        let figure = samples(&[&turn]).figure();
        assert_eq!((figure.median, figure.p99, figure.samples), (51.0, 100.0, 101));
        assert_eq!(samples(&[]).figure().median, 0.0);
    }

    #[test]
    fn one_spoiled_turn_does_not_move_the_ratio() {
        let ours = samples(&[&[2.0], &[200.0], &[2.2]]);
        let floor = samples(&[&[1.0], &[1.0], &[1.1]]);
        assert_eq!(ours.ratio_to(&floor), 2.0);
    }
}
