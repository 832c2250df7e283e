//! `bless`: accepts what the code now does, for a person to review as a diff.

use crate::test::run_tests;
use crate::tidy;

/// Rewrites the snapshots by running the tests, and shrinks the ratchet.
pub(crate) fn bless(arguments: &[String]) -> anyhow::Result<()> {
    tidy::shrink_ratchet()?;
    run_tests(arguments, &[("INSTA_UPDATE", "always")])
}
