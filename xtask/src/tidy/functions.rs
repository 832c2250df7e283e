//! Function length, with a ratchet: functions that are too long today are listed and may only get shorter.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;

use super::Finding;
use super::rust_text::{code_only, is_word};
use super::tree::Tree;

/// Limit on a function, in lines from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Lengths of functions over the limit, by `path::name`. Of functions with one name in a file the longest counts.
pub(super) type LongFunctions = BTreeMap<String, usize>;

/// The functions that were over the limit when they were listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ratchet {
    entries: LongFunctions,
}

impl Ratchet {
    /// Reads lines of `path::name LINES`; `#` begins a comment line.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.map(|line| {
            let entry = line.split_once(' ').and_then(|(key, lines)| Some((key.to_owned(), lines.parse().ok()?)));
            entry.with_context(|| format!("not an entry of the ratchet: {line:?}"))
        });
        Ok(Self { entries: entries.collect::<anyhow::Result<_>>()? })
    }

    /// The ratchet with each entry at today's length where that is lower, and without those under the limit.
    pub(super) fn shrunk(&self, today: &LongFunctions) -> Self {
        let shrink = |(key, lines): (&String, &usize)| Some((key.clone(), *lines.min(today.get(key)?)));
        Self { entries: self.entries.iter().filter_map(shrink).collect() }
    }
}

impl fmt::Display for Ratchet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "# Functions over {FUNCTION_LINES_MAX} lines, with their length. Entries may only shrink:"
        )?;
        writeln!(formatter, "# `cargo xtask bless` lowers and removes them, and never adds one.")?;
        self.entries.iter().try_for_each(|(key, lines)| writeln!(formatter, "{key} {lines}"))
    }
}

/// Every function over the limit.
pub(super) fn long_functions(tree: &Tree) -> LongFunctions {
    let mut long = LongFunctions::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        for (name, lines) in function_lengths(&file.text) {
            if lines > FUNCTION_LINES_MAX {
                let entry = long.entry(format!("{}::{name}", file.path)).or_insert(0);
                *entry = lines.max(*entry);
            }
        }
    }
    long
}

pub(super) fn check(tree: &Tree, ratchet: &Ratchet) -> Vec<Finding> {
    let today = long_functions(tree);
    let mut findings = Vec::new();
    for (key, lines) in &today {
        let allowed = ratchet.entries.get(key).copied().unwrap_or(FUNCTION_LINES_MAX);
        if *lines > allowed {
            findings.push(format!("{key}: {lines} lines, at most {allowed}: split it"));
        }
    }
    if ratchet.shrunk(&today) != *ratchet {
        findings.push("xtask/ratchet.txt: a listed function got shorter: run `cargo xtask bless`".to_owned());
    }
    findings
}

/// Name and length of each function that has a body. Functions inside functions count for both.
fn function_lengths(text: &str) -> Vec<(String, usize)> {
    let code = code_only(text);
    let bytes = code.as_bytes();
    let mut functions = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        if start.checked_sub(1).is_some_and(|before| is_word(bytes[before])) {
            continue;
        }
        let name: String =
            code[start + 3..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(end) = body_end(bytes, start) else { continue };
        if !name.is_empty() {
            functions.push((name, 1 + bytes[start..end].iter().filter(|byte| **byte == b'\n').count()));
        }
    }
    functions
}

/// The end of the body of the function whose `fn` is at `start`; `None` when it has none, as in a trait.
fn body_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut nesting = 0_i32;
    let mut braces = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting -= 1,
            b'{' if nesting == 0 || braces > 0 => braces += 1,
            b'}' if braces > 0 => {
                braces -= 1;
                if braces == 0 {
                    return Some(at);
                }
            }
            b';' if nesting == 0 && braces == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tree::File;
    use super::*;

    #[track_caller]
    fn check_lengths(text: &str, expect: &[(&str, usize)]) {
        let expect: Vec<(String, usize)> = expect.iter().map(|(name, lines)| (name.to_string(), *lines)).collect();
        assert_eq!(function_lengths(text), expect);
    }

    fn tree_with(lines: usize) -> Tree {
        let text = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
        Tree { files: vec![File { path: "a.rs".to_owned(), text }] }
    }

    #[test]
    fn lengths_run_from_signature_to_brace() {
        check_lengths("fn a() {}\nfn b(\n) -> [u8; 3] {\n  if x { '}' }\n}\n", &[("a", 1), ("b", 4)]);
        check_lengths("trait T { fn absent(x: fn() -> u8); fn given() {\n} }", &[("given", 2)]);
        check_lengths("// fn no() {\n/* fn no() {} */ const S: &str = \"fn no() {}\";", &[]);
        check_lengths("fn outer() {\n  fn inner() {\n  }\n}", &[("outer", 4), ("inner", 2)]);
        check_lengths("macro_rules! m { () => { fn $name() {} }; }\nlet x = my_fn ();", &[]);
        check_lengths("fn generic<const N: usize>(x: [(); { N }]) where T: A {\n}", &[("generic", 2)]);
    }

    #[test]
    fn a_long_function_is_found() {
        let none = Ratchet::parse("").unwrap();
        assert!(check(&tree_with(70), &none).is_empty());
        assert_eq!(check(&tree_with(71), &none), ["a.rs::long: 71 lines, at most 70: split it"]);
    }

    #[test]
    fn a_listed_function_may_not_grow() {
        let ratchet = Ratchet::parse("# comment\na.rs::long 80\n").unwrap();
        assert!(check(&tree_with(80), &ratchet).is_empty());
        assert_eq!(check(&tree_with(81), &ratchet).len(), 1);
        assert!(check(&tree_with(79), &ratchet)[0].contains("bless"));
        assert!(check(&tree_with(20), &ratchet)[0].contains("bless"));
    }

    #[test]
    fn the_ratchet_only_shrinks() {
        let ratchet = Ratchet::parse("a.rs::long 80\nb.rs::gone 90").unwrap();
        let shrunk = ratchet.shrunk(&long_functions(&tree_with(75)));
        assert_eq!(shrunk, Ratchet::parse("a.rs::long 75").unwrap());
        assert_eq!(shrunk.shrunk(&long_functions(&tree_with(90))), shrunk);
        assert_eq!(Ratchet::parse(&shrunk.to_string()).unwrap(), shrunk);
        assert!(Ratchet::parse("a.rs::long many").is_err());
    }
}
