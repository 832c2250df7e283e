//! `bless`: updates snapshots and generated files to the current output, for a person to review as a diff.

use crate::test::run_tests;

/// Rewrites the snapshots by running the tests.
pub(crate) fn bless(arguments: &[String]) -> anyhow::Result<()> {
    run_tests(arguments, &[("INSTA_UPDATE", "always")])
}
