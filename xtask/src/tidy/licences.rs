//! Checks the licences of dependencies: only those that allow the product to be shipped under MIT or Apache-2.0 without
//! further duties.

use spdx::{Expression, LicenseReq, ParseMode};

use super::Finding;
use super::metadata::Metadata;

/// SPDX names of permissive licences.
const PERMISSIVE: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let outside = metadata.packages.iter().filter(|package| !package.license.as_deref().is_some_and(is_permissive));
    let shown = |license: &Option<String>| license.clone().unwrap_or_else(|| "none".to_owned());
    outside
        .map(|package| format!("{} {}: licence {}", package.name, package.version, shown(&package.license)))
        .collect()
}

/// Whether an SPDX expression can be met with permissive licences alone. `/`, an old way to write OR, is understood.
fn is_permissive(expression: &str) -> bool {
    let allows = |licence: &LicenseReq| PERMISSIVE.contains(&licence.to_string().as_str());
    Expression::parse_mode(expression, ParseMode::LAX).is_ok_and(|expression| expression.evaluate(allows))
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Package;
    use super::*;

    #[track_caller]
    fn check_expression(expression: &str, expect: bool) {
        assert_eq!(is_permissive(expression), expect, "{expression}");
    }

    #[test]
    fn expressions_are_weighed() {
        check_expression("MIT", true);
        check_expression("MIT OR Apache-2.0", true);
        check_expression("MIT/Apache-2.0", true);
        check_expression("GPL-3.0-only OR MIT", true);
        check_expression("(MIT OR Apache-2.0) AND Unicode-3.0", true);
        check_expression("Apache-2.0 WITH LLVM-exception OR MIT", true);
        check_expression("GPL-3.0-only", false);
        check_expression("MIT AND GPL-3.0-only", false);
        check_expression("(MIT AND GPL-3.0-only) OR LGPL-2.1", false);
        check_expression("Apache-2.0 WITH Other-exception", false);
        check_expression("MIT MIT", false);
        check_expression("(MIT", false);
        check_expression("", false);
    }

    #[test]
    fn a_missing_licence_is_found() {
        let package = Package {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            license: None,
            is_member: false,
            dependencies: Vec::new(),
        };
        assert_eq!(check(&Metadata { packages: vec![package] }), ["a 1.0.0: licence none"]);
    }
}
