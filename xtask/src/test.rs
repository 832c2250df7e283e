//! `test`: every test of the workspace, with what they need around them.

use std::process::Command;

use waypost_testkit::postgres::URL_VARIABLE;

use crate::run::{cargo, run, succeeds};
use crate::{chaos, postgres, worker};

/// Runs all tests: doc tests first, then the others with nextest, or with cargo's own runner where nextest is absent,
/// then a short round of chaos, then the Worker in its runtime. With arguments only the second part runs and they go to
/// the runner.
pub(crate) fn test(arguments: &[String]) -> anyhow::Result<()> {
    run_tests(arguments, &[])
}

/// As [`test()`], with more environment variables.
pub(crate) fn run_tests(arguments: &[String], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let arguments = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    let cluster = postgres::provide()?;
    let run_with_cluster = |command: &mut Command| {
        command.env(URL_VARIABLE, cluster.url()).envs(environment.iter().copied());
        run(command)
    };
    if !selects_packages(arguments) {
        build_all()?;
    }
    if arguments.is_empty() {
        run_with_cluster(&mut cargo(["test", "--workspace", "--doc", "--quiet"])?)?;
    }
    run_with_cluster(&mut cargo(runner_arguments(arguments, has_nextest()?))?)?;
    if arguments.is_empty() {
        chaos::chaos(&["--quick".to_owned()])?;
        worker::test_where_possible()?;
    }
    Ok(())
}

/// Builds programs, tests and examples, first and together: tests start the programs, and one resolution of features
/// serves all.
pub(crate) fn build_all() -> anyhow::Result<()> {
    run(&mut cargo(["build", "--workspace", "--bins", "--tests", "--examples"])?)
}

fn has_nextest() -> anyhow::Result<bool> {
    Ok(succeeds(&mut cargo(["nextest", "--version"])?))
}

fn runner_arguments(arguments: &[String], has_nextest: bool) -> Vec<String> {
    let runner: &[&str] = if has_nextest { &["nextest", "run"] } else { &["test"] };
    let mut line: Vec<String> = runner.iter().map(ToString::to_string).collect();
    if !selects_packages(arguments) {
        line.push("--workspace".to_owned());
    }
    if !has_nextest {
        line.extend(["--lib", "--bins", "--tests"].map(str::to_owned));
    }
    line.extend(arguments.iter().cloned());
    line
}

fn selects_packages(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], has_nextest: bool, expect: &str) {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        assert_eq!(runner_arguments(&arguments, has_nextest).join(" "), expect);
    }

    #[test]
    fn the_runner_gets_the_arguments() {
        check(&[], true, "nextest run --workspace");
        check(&["slug"], true, "nextest run --workspace slug");
        check(&["-p", "waypost-core"], true, "nextest run -p waypost-core");
        check(&["--package=waypost-core"], true, "nextest run --package=waypost-core");
        check(&[], false, "test --workspace --lib --bins --tests");
        check(&["-p", "waypost-core", "slug"], false, "test --lib --bins --tests -p waypost-core slug");
    }
}
