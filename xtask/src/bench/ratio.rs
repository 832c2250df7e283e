//! Ratios of runs that took turns: least, median and most.

use serde_json::{Value, json};

/// What several rounds gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_unstable_by(f64::total_cmp);
    }

    /// The middle one, or the mean of both; 0 without any.
    pub(crate) fn median(&self) -> f64 {
        match self.0.len() {
            0 => 0.0,
            len if len % 2 == 1 => self.0[len / 2],
            len => f64::midpoint(self.0[len / 2 - 1], self.0[len / 2]),
        }
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or_default()
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `0.98 [0.95 - 1.02]`
    pub(crate) fn text(&self) -> String {
        if self.is_empty() {
            return "-".to_owned();
        }
        format!("{:.2} [{:.2} - {:.2}]", self.median(), self.least(), self.most())
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "min": self.least(), "median": self.median(), "max": self.most(), "rounds": self.0.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_in_any_order() {
        let mut rounds = Rounds::default();
        assert_eq!(rounds.median(), 0.0);
        for value in [3.0, 1.0, 2.0] {
            rounds.push(value);
        }
        assert_eq!((rounds.least(), rounds.median(), rounds.most()), (1.0, 2.0, 3.0));
        rounds.push(10.0);
        assert_eq!(rounds.median(), 2.5);
        assert_eq!((rounds.text().as_str(), Rounds::default().text().as_str()), ("2.50 [1.00 - 10.00]", "-"));
    }
}
