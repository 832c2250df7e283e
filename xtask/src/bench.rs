//! `bench`: measures what the product promises of its speed, and says of each figure whether the promise is kept.

mod clicks;
mod figures;
mod instructions;
mod latency;
mod load;
mod peers;
mod ratio;
mod redirect;

use anyhow::{Context as _, bail};

/// What there is to measure.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["clicks"] => clicks::bench(clicks::Size::Full),
        ["clicks", "--quick"] => clicks::bench(clicks::Size::Quick),
        ["instructions"] => instructions::bench(false),
        ["instructions", "--bless"] => instructions::bench(true),
        ["redirect", options @ ..] => redirect::bench(redirect_options(options)?),
        _ => bail!(
            "say what to measure: cargo xtask bench clicks [--quick], instructions [--bless], or redirect [--quick] [--only TEXT] [--rounds N] [--seconds S]"
        ),
    }
}

fn redirect_options(words: &[&str]) -> anyhow::Result<redirect::Options> {
    let mut options = redirect::Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match *word {
            "--quick" => options.quick = true,
            "--only" => options.only = (*value()?).to_owned(),
            "--rounds" => options.rounds = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            other => bail!("no such option: {other}"),
        }
    }
    Ok(options)
}
