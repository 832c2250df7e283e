//! `tidy`: checks the house rules that a program can check.
//!
//! Each rule is a function from what it looks at to findings, so that a test shows it can fail. Format and lints are
//! the toolchain's business (`cargo xtask lint`).

mod architecture;
mod circles;
mod edges;
mod floor;
mod licences;
mod metadata;
mod purity;
mod rust_text;
mod text;
mod tree;

use std::fs;

use anyhow::{Context as _, bail};

use crate::no_arguments;
use crate::run::root;
use metadata::Metadata;
use tree::Tree;

/// One broken rule, as a line for a person: where, and what to do.
type Finding = String;

/// Runs every check and fails when there is a finding.
pub(crate) fn tidy(arguments: &[String]) -> anyhow::Result<()> {
    no_arguments(arguments)?;
    let tree = Tree::read()?;
    let metadata = Metadata::read()?;
    let lock = fs::read_to_string(root()?.join("Cargo.lock")).context("read Cargo.lock")?;
    let mut findings = Vec::new();
    for file in &tree.files {
        findings.extend(text::check(file));
        findings.extend(purity::check(file));
    }
    findings.extend(circles::check(&tree));
    findings.extend(edges::check(&metadata));
    findings.extend(edges::check_reach(edges::reachable)?);
    findings.extend(licences::check(&metadata));
    findings.extend(floor::check(&lock)?);
    match tree.text_of("ARCHITECTURE.md") {
        Some(page) => findings.extend(architecture::check(page, &metadata)),
        None => println!("note: no ARCHITECTURE.md yet, so the crates named in it are not checked"),
    }
    for note in text::long_files(&tree) {
        println!("note: {note}");
    }
    println!("tidy: {} files, {} packages", tree.files.len(), metadata.packages.len());
    if findings.is_empty() {
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    bail!("{} findings", findings.len())
}
