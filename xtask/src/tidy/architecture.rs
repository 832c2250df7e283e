//! Checks that ARCHITECTURE.md names every crate, and no crate that no longer exists.

use super::Finding;
use super::metadata::Metadata;

pub(super) fn check(page: &str, metadata: &Metadata) -> Vec<Finding> {
    let members: Vec<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    let named = names_in(page);
    let missing = members.iter().filter(|name| !named.contains(*name));
    let missing = missing.map(|name| format!("ARCHITECTURE.md: `{name}` is not named"));
    let is_gone = |name: &&&str| name.starts_with("waypost-") && !members.contains(*name) && !PLANNED.contains(*name);
    let gone = named.iter().filter(is_gone).map(|name| format!("ARCHITECTURE.md: there is no crate `{name}`"));
    missing.chain(gone).collect()
}

/// Crates that the page may name before they exist.
const PLANNED: [&str; 2] = ["waypost-spool", "waypost-worker"];

/// Everything between backticks that could be the name of a crate.
fn names_in(page: &str) -> Vec<&str> {
    let is_name =
        |text: &&str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Package;
    use super::*;

    #[track_caller]
    fn check_page(page: &str, expect: &[&str]) {
        let member = |name: &str| Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            license: None,
            is_member: true,
            dependencies: Vec::new(),
        };
        let metadata = Metadata { packages: vec![member("waypost"), member("waypost-core")] };
        assert_eq!(check(page, &metadata), expect);
    }

    #[test]
    fn crates_and_page_agree() {
        check_page("| `waypost` | binary |\n`waypost-core` is pure; `waypost-spool` comes later", &[]);
        check_page("`waypost-core`", &["ARCHITECTURE.md: `waypost` is not named"]);
        let gone = "ARCHITECTURE.md: there is no crate `waypost-cache`";
        check_page("`waypost` `waypost-core` `waypost-cache` `waypost-core/src`", &[gone]);
    }
}
