//! The measurements of `cargo xtask bench clicks` that need the product's own crates. Each is a run of its own, so that
//! its memory and its core are its own, and prints one line of JSON.
//!
//! ```text
//! click_bench append FOLDER APPENDS           what an append to the spool costs
//! click_bench fill FOLDER CLICKS LINKS DAYS   leaves a backlog of made-up clicks in FOLDER/spool
//! click_bench ingest FOLDER                   counts the backlog into FOLDER/clicks.db
//! click_bench reports FOLDER LINKS DAYS       asks for reports: on the one link, or on the account with many
//! ```

mod append;
mod ingest;
mod reports;
mod world;

use std::error::Error;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = match words.as_slice() {
        ["append", folder, appends] => append::measure(Path::new(folder), appends.parse()?)?,
        ["fill", folder, clicks, links, days] => {
            ingest::fill(Path::new(folder), clicks.parse()?, &world::world(links.parse()?, days.parse()?))?
        }
        ["ingest", folder] => ingest::measure(Path::new(folder))?,
        ["reports", folder, links, days] => {
            reports::measure(Path::new(folder), &world::world(links.parse()?, days.parse()?), days.parse()?)?
        }
        _ => return Err("see the head of the source for what there is".into()),
    };
    print_line(&line);
    Ok(())
}

#[allow(clippy::print_stdout)] // The figures are what the program is for.
fn print_line(line: &serde_json::Value) {
    println!("{line}");
}
