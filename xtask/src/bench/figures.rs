//! Measured figures beside their budgets, as a table and as JSON.

use serde_json::{Value, json};

use super::ratio::Rounds;

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Budget {
    /// Nothing is promised.
    None,
    AtMost(f64),
    AtLeast(f64),
}

/// One measured figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// The least and the most of several rounds, of which `value` is the median.
    spread: Option<(f64, f64)>,
    pub(crate) unit: &'static str,
    pub(crate) budget: Budget,
}

impl Figure {
    pub(crate) fn new(name: &str, value: f64, unit: &'static str, budget: Budget) -> Self {
        Self { name: name.to_owned(), value, spread: None, unit, budget }
    }

    /// The median of several rounds, which is what the budget is about.
    pub(crate) fn of_rounds(name: &str, rounds: &Rounds, unit: &'static str, budget: Budget) -> Self {
        let spread = Some((rounds.least(), rounds.most()));
        Self { spread, ..Self::new(name, rounds.median(), unit, budget) }
    }

    fn value_text(&self) -> String {
        let spread =
            self.spread.map_or_else(String::new, |(least, most)| format!(" [{} - {}]", amount(least), amount(most)));
        format!("{}{spread} {}", amount(self.value), self.unit).trim_end().to_owned()
    }

    /// Whether the budget is kept; `None` if there is none.
    fn is_met(&self) -> Option<bool> {
        match self.budget {
            Budget::None => None,
            Budget::AtMost(most) => Some(self.value <= most),
            Budget::AtLeast(least) => Some(self.value >= least),
        }
    }

    fn budget_text(&self) -> String {
        match self.budget {
            Budget::None => String::new(),
            Budget::AtMost(most) => format!("at most {}", amount(most)),
            Budget::AtLeast(least) => format!("at least {}", amount(least)),
        }
    }

    fn to_json(&self) -> Value {
        let (at_most, at_least) = match self.budget {
            Budget::None => (None, None),
            Budget::AtMost(most) => (Some(most), None),
            Budget::AtLeast(least) => (None, Some(least)),
        };
        json!({
            "name": self.name, "value": self.value, "min": self.spread.map(|spread| spread.0),
            "max": self.spread.map(|spread| spread.1), "unit": self.unit, "at_most": at_most, "at_least": at_least,
            "met": self.is_met(),
        })
    }
}

/// The figures as JSON.
pub(crate) fn to_json(figures: &[Figure]) -> Value {
    figures.iter().map(Figure::to_json).collect()
}

/// The figures as a table. Without `verdicts` (a run too small to mean anything) it does not say what is met.
pub(crate) fn table(figures: &[Figure], verdicts: Verdicts) -> String {
    let rows: Vec<[String; 4]> = figures
        .iter()
        .map(|figure| {
            let verdict = match (verdicts, figure.is_met()) {
                (Verdicts::Left, _) | (_, None) => "",
                (Verdicts::Given, Some(true)) => "met",
                (Verdicts::Given, Some(false)) => "NOT MET",
            };
            [figure.name.clone(), figure.value_text(), figure.budget_text(), verdict.to_owned()]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (first, second, third) = (width(0), width(1), width(2));
    let line = |[name, value, budget, verdict]: &[String; 4]| {
        let text = format!("{name:<first$}  {value:>second$}  {budget:<third$}  {verdict}");
        format!("{}\n", text.trim_end())
    };
    rows.iter().map(line).collect()
}

/// Whether a table says what is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdicts {
    Given,
    Left,
}

/// A number for a person: thousands parted, no more digits than mean something.
fn amount(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return if value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") };
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let shown = |value: f64| amount(value);
        assert_eq!(
            [shown(150_000.4), shown(12.34), shown(1.234), shown(99.0), shown(1_234_567.0)],
            ["150,000", "12.3", "1.23", "99", "1,234,567"]
        );
    }

    #[test]
    fn budgets_are_kept_or_not() {
        let figures = [
            Figure::new("append", 350.0, "ns", Budget::AtMost(300.0)),
            Figure::new("ingest", 160_000.0, "clicks/s", Budget::AtLeast(150_000.0)),
            Figure::new("bytes", 61.5, "B", Budget::None),
        ];
        let text = table(&figures, Verdicts::Given);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("append ") && lines[0].ends_with("NOT MET"), "{text}");
        assert!(lines[1].ends_with("at least 150,000  met"), "{text}");
        assert!(lines[2].ends_with("61.5 B"), "{text}");
        assert!(!table(&figures, Verdicts::Left).contains("MET"));
        assert_eq!(to_json(&figures)[0]["met"], false);
        assert_eq!(to_json(&figures)[2]["met"], Value::Null);
    }

    #[test]
    fn rounds_are_judged_by_their_median() {
        let mut rounds = Rounds::default();
        [0.9, 1.3, 0.95].into_iter().for_each(|ratio| rounds.push(ratio));
        let figures = [Figure::of_rounds("redirect", &rounds, "x nginx", Budget::AtMost(1.0))];
        assert_eq!(table(&figures, Verdicts::Given), "redirect  0.95 [0.90 - 1.30] x nginx  at most 1  met\n");
        assert_eq!((&to_json(&figures)[0]["min"], &to_json(&figures)[0]["max"]), (&json!(0.9), &json!(1.3)));
    }
}
