//! `lint`: the checks of the toolchain itself.

use crate::no_arguments;
use crate::run::{cargo, run};

/// Format, clippy and documentation, with warnings as errors.
pub(crate) fn lint(arguments: &[String]) -> anyhow::Result<()> {
    no_arguments(arguments)?;
    run(&mut cargo(["fmt", "--all", "--check"])?)?;
    run(&mut cargo(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?)?;
    let mut doc = cargo(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"])?;
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
