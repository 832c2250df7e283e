//! Checks what the code of a pure crate must not use: clocks, files, environment, output. `edges` checks the crates
//! that it must not depend on.

use super::Finding;
use super::rust_text::{before_tests, code_only};
use super::tree::File;

/// Source folders, and what no file below them may name outside its tests.
const FORBIDDEN: [(&str, &[&str]); 2] = [
    (
        "crates/waypost-core/src/",
        &[
            "std::fs",
            "std::env",
            "std::io",
            "std::net::Tcp",
            "std::net::Udp",
            "std::process",
            "std::thread",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "RandomState",
            "println!",
            "print!(",
            "dbg!",
        ],
    ),
    ("crates/waypost-worker/src/", &["std::fs", "std::thread", "std::process"]),
];

pub(super) fn check(file: &File) -> Vec<Finding> {
    let rules = FORBIDDEN.iter().filter(|(folder, _)| file.is_rust() && file.path.starts_with(folder));
    let mut findings = Vec::new();
    for (folder, words) in rules {
        let code = code_only(before_tests(&file.text));
        for (index, line) in code.lines().enumerate() {
            let named = words.iter().filter(|word| line.contains(**word));
            findings.extend(named.map(|word| format!("{}:{}: {folder} may not use {word}", file.path, index + 1)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_core(text: &str, expect: &[&str]) {
        let path = "crates/waypost-core/src/x.rs".to_owned();
        assert_eq!(check(&File { path, text: text.to_owned() }), expect);
    }

    #[test]
    fn the_core_has_no_clock_and_no_files() {
        let finding = "crates/waypost-core/src/x.rs:2: crates/waypost-core/src/ may not use SystemTime";
        check_core("//! a\nlet now = SystemTime::now();", &[finding]);
        check_core("//! a\nuse std::net::IpAddr; // not std::fs\n#[cfg(test)]\nmod tests { use std::fs; }", &[]);
        assert_eq!(check(&File { path: "xtask/src/x.rs".to_owned(), text: "std::fs".to_owned() }), [""; 0]);
    }
}
