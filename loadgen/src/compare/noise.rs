//! What two runs differ by, and whether that is more than their seconds differ among themselves.
//!
//! Owns the arithmetic, and no metric. Medians and median deviations, since one second in which the machine was away
//! says nothing about a server.

/// Whole seconds that a run must have: a median of fewer moves with each.
const SECONDS_MIN: usize = 5;
/// How many times the standard error of both medians a difference must be. Two would do for seconds that know nothing of
/// each other; those of one run do.
const ERRORS_MIN: f64 = 3.0;
/// A smaller difference is none: a rate that is kept has no spread at all.
const RATIO_MIN: f64 = 0.005;
/// A standard deviation over a median deviation, and a standard error of a median over that of a mean, where a value is
/// the sum of many small things.
const DEVIATION_SCALE: f64 = 1.4826;
const MEDIAN_SCALE: f64 = 1.2533;

/// What is said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Difference {
    More,
    Less,
    Noise,
    /// A run has too few seconds, or the figure has none.
    NotKnown,
}

/// The middle of some values and how far from it half of them are, as a standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Middle {
    pub(super) median: f64,
    pub(super) deviation: f64,
    count: usize,
}

impl Middle {
    /// None of nothing.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let median = median(values)?;
        let deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        Some(Self { median, deviation: DEVIATION_SCALE * self::median(&deviations)?, count: values.len() })
    }

    fn error(&self) -> f64 {
        MEDIAN_SCALE * self.deviation / (self.count as f64).sqrt()
    }

    /// How `after` differs from this.
    pub(super) fn to(&self, after: &Self) -> Difference {
        let (risen, error) = (after.median - self.median, self.error().hypot(after.error()));
        if self.count.min(after.count) < SECONDS_MIN {
            Difference::NotKnown
        } else if risen.abs() <= (ERRORS_MIN * error).max(RATIO_MIN * self.median.abs()) {
            Difference::Noise
        } else if risen > 0.0 {
            Difference::More
        } else {
            Difference::Less
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (&low, &high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_one_if_it_is_more_than_the_seconds_differ() {
        check("10 11 9 10 12", "10 11 9 10 11", Difference::Noise);
        check("10 11 9 10 12", "20 21 19 20 22", Difference::More);
        check("20 21 19 20 22", "10 11 9 10 12", Difference::Less);
        // One second that the machine was away moves nothing.
        check("10 11 9 10 12", "10 11 9 10 900", Difference::Noise);
        check("500 500 500 500 500", "501 501 501 501 501", Difference::Noise);
        check("500 500 500 500 500", "505 505 505 505 505", Difference::More);
        check("10 10 10 10", "20 20 20 20", Difference::NotKnown);
    }

    fn check(before: &str, after: &str, expected: Difference) {
        let middle = |values: &str| Middle::of(&values.split(' ').map(|v| v.parse().unwrap()).collect::<Vec<_>>());
        let (one, other) = (middle(before).unwrap(), middle(after).unwrap());
        assert_eq!(one.to(&other), expected, "{before} to {after}: {one:?} {other:?}");
    }

    #[test]
    fn runs_of_one_server_seldom_differ_and_a_slower_one_is_seen() {
        // Sums of twelve, as near to the normal distribution as this asks for.
        let mut random = fastrand::Rng::with_seed(7);
        let mut run = |shift: f64| {
            let mut second = || (0..12).map(|_| random.f64()).sum::<f64>() + 100.0 + shift;
            Middle::of(&(0..20).map(|_| second()).collect::<Vec<_>>()).unwrap()
        };
        let mut share = |shift: f64| (0..1_000).filter(|_| run(0.0).to(&run(shift)) != Difference::Noise).count();
        let (same, slower) = (share(0.0), share(2.0));
        assert!(same < 20, "{same} of 1,000 pairs of one server are said to differ");
        assert!(slower > 950, "{slower} of 1,000 pairs are seen to differ by two deviations");
    }
}
