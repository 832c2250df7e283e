//! The command line options of the chaos run.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

/// Kills in each scenario that kills for its own sake.
const ROUNDS: u32 = 50;
/// The same, in the short run that is part of the tests.
const QUICK_ROUNDS: u32 = 7;

/// One kind of fault, and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// SIGKILL, on SQLite.
    Kill,
    /// SIGKILL, and a disk that is full at times.
    Disk,
    /// SIGKILL, on a PostgreSQL that is stopped and started.
    Postgres,
    /// SIGKILL, and single writes that fail.
    Writes,
    /// SIGKILL, bits of the table that flip, and data folders that are restored sparsely onto a disk that fills.
    Damage,
    /// SIGKILL, and a clock that jumps.
    Clock,
    /// Clicks taken away behind the server's back, which must be found out.
    Lossy,
}

impl Scenario {
    /// The scenarios of a run; the last, [`Scenario::Lossy`], looks at the checker.
    pub(crate) const ALL: [Self; 7] =
        [Self::Kill, Self::Postgres, Self::Disk, Self::Writes, Self::Damage, Self::Clock, Self::Lossy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Disk => "disk",
            Self::Postgres => "postgres",
            Self::Writes => "writes",
            Self::Damage => "damage",
            Self::Clock => "clock",
            Self::Lossy => "lossy",
        }
    }
}

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Kills in `kill` and `postgres`; the others have half of them.
    pub(crate) rounds: u32,
    /// All that is random follows from it.
    pub(crate) seed: u64,
    /// The short run.
    pub(crate) is_quick: bool,
    /// Whether the program is built as it is shipped.
    pub(crate) is_release: bool,
    /// Which scenarios.
    pub(crate) scenarios: Vec<Scenario>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let (mut rounds, mut seed, mut only) = (None, None, Vec::new());
        let (mut is_quick, mut is_release) = (false, false);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--rounds" => rounds = Some(number(value()?)?),
                "--seed" => seed = Some(number(value()?)?),
                "--only" => only.push(scenario(value()?)?),
                "--quick" => is_quick = true,
                "--release" => is_release = true,
                _ => {
                    bail!("no option {argument:?}; there are --rounds N, --seed S, --only SCENARIO, --quick, --release")
                }
            }
        }
        let rounds = rounds.map_or(Ok(if is_quick { QUICK_ROUNDS } else { ROUNDS }), u32::try_from)?;
        anyhow::ensure!((1..=10_000).contains(&rounds), "--rounds is 1 to 10000");
        let scenarios = if only.is_empty() { Scenario::ALL.to_vec() } else { only };
        Ok(Self { rounds, seed: seed.unwrap_or_else(seed_of_now), is_quick, is_release, scenarios })
    }

    /// The command that does the same again, for one scenario.
    pub(crate) fn command(&self, scenario: Scenario) -> String {
        let quick = if self.is_quick { " --quick" } else { "" };
        let release = if self.is_release { " --release" } else { "" };
        let (rounds, seed, name) = (self.rounds, self.seed, scenario.name());
        format!("cargo xtask chaos --rounds {rounds} --seed {seed} --only {name}{quick}{release}")
    }
}

fn number(text: &str) -> anyhow::Result<u64> {
    text.parse().with_context(|| format!("{text:?} is not a whole number"))
}

fn scenario(name: &str) -> anyhow::Result<Scenario> {
    let found = Scenario::ALL.into_iter().find(|scenario| scenario.name() == name);
    let names = Scenario::ALL.map(Scenario::name).join(", ");
    found.with_context(|| format!("no scenario {name:?}; there are {names}"))
}

/// A seed short enough to be typed again.
fn seed_of_now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    waypost_testkit::random::mix(since_epoch.as_nanos() as u64) % 1_000_000
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> anyhow::Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let options = parse("--seed 7 --quick --only kill --only disk").unwrap();
        assert_eq!((options.seed, options.rounds), (7, QUICK_ROUNDS));
        assert_eq!(options.scenarios, [Scenario::Kill, Scenario::Disk]);
        assert_eq!(parse("--seed 7").unwrap().rounds, ROUNDS);
        for wrong in ["--seed", "--seed x", "--only moon", "--rounds 0", "--fast"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_does_the_same_again() {
        let options = parse("--seed 7 --quick --rounds 9 --only disk").unwrap();
        let command = options.command(Scenario::Disk);
        assert_eq!(parse(command.strip_prefix("cargo xtask chaos").unwrap()).unwrap(), options);
    }
}
