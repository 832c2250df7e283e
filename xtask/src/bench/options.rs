//! Options that all groups share: the amount and the subject of the measurements.

use anyhow::{Context as _, bail, ensure};

/// How much is measured, and of what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// Shows that everything still runs, with the program as tests have it, and no more.
    pub(crate) quick: bool,
    /// Only what contains this in its name.
    pub(crate) only: String,
    rounds: u32,
    seconds: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { quick: false, only: String::new(), rounds: 5, seconds: 4.0 }
    }
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--quick" => options.quick = true,
                "--only" => options.only = (*value()?).to_owned(),
                "--rounds" => options.rounds = value()?.parse().context("--rounds")?,
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                other => bail!("no such option: {other}"),
            }
        }
        ensure!(options.rounds > 0 && options.seconds >= 1.0, "at least one round of at least one second");
        Ok(options)
    }

    /// The same, of everything.
    pub(crate) fn of_all(self) -> Self {
        Self { only: String::new(), ..self }
    }

    /// How often the servers take turns.
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// How long one server is loaded at a time.
    pub(crate) fn seconds(&self) -> f64 {
        if self.quick { 1.0 } else { self.seconds }
    }

    /// A number of the full size, or one that is just enough to run.
    pub(crate) fn sized(&self, full: u64, quick: u64) -> u64 {
        if self.quick { full.min(quick) } else { full }
    }

    /// Folder of the built programs below the target folder.
    pub(crate) fn profile(&self) -> &'static str {
        if self.quick { "debug" } else { "release" }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn options_are_read_in_any_order() {
        let options = Options::parse(&["--seconds", "2", "--only", "Zipf", "--rounds", "3"]).unwrap();
        assert_eq!((options.rounds(), options.seconds(), options.only.as_str()), (3, 2.0, "Zipf"));
        assert_eq!(options.sized(10, 1), 10);
        let quick = Options::parse(&["--quick", "--rounds", "3"]).unwrap();
        assert_eq!((quick.rounds(), quick.seconds(), quick.sized(10, 1)), (1, 1.0, 1));
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
    }

    #[test]
    fn faults_are_told() {
        for words in [&["--slow"][..], &["--rounds"], &["--rounds", "x"], &["--rounds", "0"], &["--seconds", "0.5"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
