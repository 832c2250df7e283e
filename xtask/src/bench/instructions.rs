//! `bench instructions`: how many instructions a redirect takes, compared with the noted counts. Counts of instructions
//! can be repeated exactly, unlike times.
//!
//! The edge alone runs in cachegrind, the client outside it. Two runs that differ only in how many requests they had
//! give what one of them costs; what starting and stopping cost falls away. The noted counts are of one compiler and
//! kind of machine: elsewhere they are printed and not judged.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};
use waypost_testkit::http::Connection;

use super::figures::Figure;
use super::load::BROWSER_HEADERS;
use super::options::Options;
use crate::apt;
use crate::run::{cargo, program, read, root, run, succeeds, target_folder};

/// Where the counts are noted.
const NOTED: &str = "xtask/instructions.json";
/// The most that a count may be above what was noted.
const GROWTH_MAX: f64 = 0.03;
/// Requests of the short run, which warms what is warm in the long one, too.
const REQUESTS_FEW: u32 = 1_000;
/// Requests that the long run has more.
const REQUESTS_MORE: u32 = 4_000;
/// How long one run may take; some seconds are usual.
const RUN_SECONDS_MAX: &str = "120";
/// Links in the table.
const LINKS: u32 = 1_000;

/// A request whose cost is counted. Its target ends in a number that is drawn again each time.
#[derive(Clone, Copy, Debug)]
struct Counted {
    name: &'static str,
    options: &'static [&'static str],
    /// Every link, or only those with rules.
    step: u32,
    fields: &'static str,
}

const COUNTED: &[Counted] = &[
    Counted { name: "bare headers", options: &[], step: 1, fields: "" },
    Counted { name: "browser headers", options: &[], step: 1, fields: BROWSER_HEADERS },
    Counted { name: "rules", options: &[], step: 10, fields: BROWSER_HEADERS },
    Counted { name: "click recorded", options: &["--clicks", "on"], step: 1, fields: BROWSER_HEADERS },
    Counted { name: "click recorded, rules", options: &["--clicks", "on"], step: 10, fields: BROWSER_HEADERS },
    Counted {
        name: "by the engine, click recorded",
        options: &["--clicks", "on", "--engine", "on"],
        step: 1,
        fields: BROWSER_HEADERS,
    },
];

/// Whether counts are held against those that were noted, or noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Judge,
    Note,
}

/// Counts, prints, and fails where something grew. A quick run does nothing: it has no program as it is shipped.
pub(crate) fn bench(options: &Options) -> anyhow::Result<Vec<Figure>> {
    if options.quick {
        println!("left out: they are counted in the program as it is shipped, by `cargo xtask bench instructions`");
    } else {
        count_all(Then::Judge)?;
    }
    Ok(Vec::new())
}

/// Counts, prints, and notes the counts.
pub(crate) fn bless() -> anyhow::Result<()> {
    count_all(Then::Note)
}

fn count_all(then: Then) -> anyhow::Result<()> {
    if !succeeds(&mut program("valgrind", ["--version"])) {
        if !apt::is_available() {
            println!("SKIPPED: instructions are not counted; install valgrind (Debian: apt install valgrind)");
            return Ok(());
        }
        apt::install(&["valgrind"])?;
    }
    run(&mut cargo(["build", "--quiet", "--release", "-p", "waypost-edge", "--example", "bare"])?)?;
    let binary = target_folder()?.join("release/examples/bare");
    let file = root()?.join(NOTED);
    let noted: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap_or_else(|_| "{}".to_owned()))?;
    let compiler = read(&mut cargo(["--version"])?)?.trim().to_owned();
    let is_comparable = noted["compiler"] == compiler.as_str() && noted["machine"] == std::env::consts::ARCH;
    let mut counts = Map::new();
    let mut grown = Vec::new();
    println!("instructions a redirect                  now    noted");
    for counted in COUNTED {
        let count = count(&binary, *counted).with_context(|| counted.name.to_owned())?;
        let before = noted["instructions"][counted.name].as_f64();
        let change =
            before.map_or_else(String::new, |before| format!("{before:>8.0} {:+.1} %", (count / before - 1.0) * 100.0));
        println!("{:<36} {count:>7.0} {change}", counted.name);
        if before.is_some_and(|before| count > before * (1.0 + GROWTH_MAX)) {
            grown.push(counted.name);
        }
        counts.insert(counted.name.to_owned(), json!(count.round()));
    }
    if then == Then::Note {
        let text = json!({ "compiler": compiler, "machine": std::env::consts::ARCH, "instructions": counts });
        return fs::write(&file, format!("{text:#}\n")).context("note the counts");
    }
    if !is_comparable {
        println!("not judged: they were noted with {} on {}", noted["compiler"], noted["machine"]);
        return Ok(());
    }
    ensure!(
        grown.is_empty(),
        "more than {:.0} % were added to: {}; where that is worth it, `cargo xtask bench instructions --bless`",
        GROWTH_MAX * 100.0,
        grown.join(", ")
    );
    Ok(())
}

/// Instructions of one request.
fn count(binary: &Path, counted: Counted) -> anyhow::Result<f64> {
    let few = total(binary, counted, REQUESTS_FEW)?;
    let many = total(binary, counted, REQUESTS_FEW + REQUESTS_MORE)?;
    ensure!(many > few, "{many} instructions for more requests than {few} were for");
    Ok((many - few) as f64 / f64::from(REQUESTS_MORE))
}

/// Instructions of a whole run with so many requests.
fn total(binary: &Path, counted: Counted, requests: u32) -> anyhow::Result<u64> {
    let arguments =
        [RUN_SECONDS_MAX, "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
    // Not waited for without end: a program that does not end with its input would hold up all of CI.
    let mut command = program("timeout", arguments);
    command.arg(binary).args(["--links", &LINKS.to_string(), "--listen", "127.0.0.1:0"]).args(counted.options);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().context("start valgrind")?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().context("standard output")?).read_line(&mut line)?;
    let address = line.split(&['[', ']']).nth(1).and_then(|address| address.parse::<SocketAddr>().ok());
    let asked =
        address.with_context(|| format!("it printed {line:?}")).and_then(|address| ask(address, counted, requests));
    // The end of its input ends it.
    drop(process.stdin.take());
    let mut errors = String::new();
    process.stderr.take().context("standard error")?.read_to_string(&mut errors)?;
    process.wait()?;
    asked?;
    let refs = errors
        .lines()
        .find_map(|line| line.split_once("I refs:"))
        .or_else(|| errors.lines().find_map(|line| line.split_once("I   refs:")));
    let Some((_, count)) = refs else { bail!("valgrind printed:\n{errors}") };
    Ok(count.trim().replace(',', "").parse()?)
}

/// Follows links one by one on one connection, in an order that is the same each time.
fn ask(address: SocketAddr, counted: Counted, requests: u32) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    for number in 0..requests {
        let slug = number * 7 % (LINKS / counted.step) * counted.step;
        connection.send(format!("GET /{slug} HTTP/1.1\r\nHost: go.example\r\n{}\r\n", counted.fields).as_bytes())?;
        let status = connection.read_response()?.status;
        ensure!(status == 302, "/{slug} was answered {status}");
    }
    Ok(())
}
