//! `bench`: measures what the product promises of its speed, and says of each figure whether the promise is kept.

mod clicks;
mod figures;
mod latency;

use anyhow::bail;

/// What there is to measure.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["clicks"] => clicks::bench(clicks::Size::Full),
        ["clicks", "--quick"] => clicks::bench(clicks::Size::Quick),
        _ => bail!("say what to measure: cargo xtask bench clicks [--quick]"),
    }
}
