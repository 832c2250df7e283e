//! The table of allowed dependencies between crates. A new edge is a decision: change it here and in ARCHITECTURE.md.

use super::Finding;
use super::metadata::{Kind, Metadata, Package};
use crate::run::{cargo, read};

/// One crate's rule.
struct Rule {
    name: &'static str,
    /// The project's crates that it may use.
    uses: &'static [&'static str],
    /// Crates that its manifest may not name (outside dev-dependencies).
    never_direct: &'static [&'static str],
    /// Crates that may not be anywhere below it.
    never_below: &'static [&'static str],
}

const HTTP: &[&str] = &["http", "hyper", "axum", "tower-http", "reqwest"];
const HTTP_AND_SQL: &[&str] = &["http", "hyper", "axum", "tower-http", "reqwest", "sqlx", "rusqlite"];

const RULES: [Rule; 19] = [
    Rule {
        name: "waypost-core",
        uses: &[],
        never_direct: &[],
        never_below: &[
            "tokio",
            "mio",
            "socket2",
            "http",
            "hyper",
            "axum",
            "tower-http",
            "reqwest",
            "sqlx",
            "rusqlite",
            "getrandom",
            "rand",
            "fastrand",
            "tracing",
            "log",
        ],
    },
    Rule { name: "waypost-table", uses: &["waypost-core"], never_direct: &[], never_below: HTTP_AND_SQL },
    Rule { name: "waypost-spool", uses: &[], never_direct: &[], never_below: HTTP_AND_SQL },
    Rule {
        name: "waypost-edge",
        uses: &["waypost-core", "waypost-table", "waypost-spool"],
        never_direct: &[],
        never_below: &["sqlx", "rusqlite", "waypost-clicks", "waypost-store", "waypost-control"],
    },
    Rule {
        name: "waypost-rollup",
        uses: &["waypost-core"],
        never_direct: &[],
        never_below: &["tokio", "http", "hyper", "axum", "sqlx", "rusqlite", "getrandom"],
    },
    Rule {
        name: "waypost-qr",
        uses: &[],
        never_direct: &[],
        never_below: &["tokio", "http", "hyper", "axum", "sqlx", "rusqlite", "getrandom"],
    },
    Rule { name: "waypost-sql", uses: &["waypost-core"], never_direct: &[], never_below: HTTP },
    Rule { name: "waypost-store", uses: &["waypost-core", "waypost-sql"], never_direct: &[], never_below: HTTP },
    Rule {
        name: "waypost-clicks",
        uses: &["waypost-core", "waypost-rollup", "waypost-sql"],
        never_direct: &[],
        never_below: HTTP,
    },
    Rule { name: "waypost-jobs", uses: &["waypost-core"], never_direct: &[], never_below: HTTP_AND_SQL },
    Rule {
        name: "waypost-ingest",
        uses: &["waypost-clicks", "waypost-core", "waypost-jobs", "waypost-rollup", "waypost-spool"],
        never_direct: &["sqlx", "rusqlite"],
        never_below: HTTP,
    },
    Rule {
        name: "waypost-api",
        uses: &["waypost-core", "waypost-qr", "waypost-rollup"],
        never_direct: &[],
        never_below: &["tokio", "http", "hyper", "axum", "sqlx", "rusqlite"],
    },
    Rule {
        name: "waypost-sync",
        uses: &["waypost-api", "waypost-core", "waypost-jobs", "waypost-store", "waypost-table"],
        never_direct: &["sqlx", "rusqlite"],
        never_below: &["axum", "waypost-edge"],
    },
    Rule {
        name: "waypost-control",
        uses: &[
            "waypost-api",
            "waypost-clicks",
            "waypost-core",
            "waypost-ingest",
            "waypost-jobs",
            "waypost-qr",
            "waypost-rollup",
            "waypost-spool",
            "waypost-store",
            "waypost-sync",
            "waypost-table",
        ],
        never_direct: &["sqlx", "rusqlite", "askama"],
        never_below: &["axum", "waypost-edge"],
    },
    Rule {
        name: "waypost-http",
        uses: &[
            "waypost-api",
            "waypost-control",
            "waypost-core",
            "waypost-ingest",
            "waypost-jobs",
            "waypost-rollup",
            "waypost-spool",
            "waypost-sync",
        ],
        never_direct: &["sqlx", "rusqlite", "waypost-clicks", "waypost-store"],
        never_below: &["waypost-edge"],
    },
    Rule {
        name: "waypost-worker",
        uses: &["waypost-core"],
        never_direct: &[],
        never_below: &["tokio", "waypost-edge"],
    },
    Rule {
        name: "waypost",
        uses: &[
            "waypost-api",
            "waypost-core",
            "waypost-table",
            "waypost-spool",
            "waypost-edge",
            "waypost-clicks",
            "waypost-store",
            "waypost-ingest",
            "waypost-sync",
            "waypost-control",
            "waypost-http",
        ],
        never_direct: &["sqlx", "rusqlite"],
        never_below: &[],
    },
    Rule { name: "waypost-testkit", uses: &["waypost-core"], never_direct: &[], never_below: &[] },
    Rule { name: "xtask", uses: &["waypost-core", "waypost-testkit"], never_direct: &[], never_below: &[] },
];

/// A crate that all may use in their tests, beside those that their rule allows.
const DEV_ONLY: &str = "waypost-testkit";
/// What the tests of some crates use, to start what they test over real data.
const IN_TESTS: [(&str, &[&str]); 2] =
    [("waypost-clicks", &["waypost-store"]), ("waypost-http", &["waypost-clicks", "waypost-store", "waypost-table"])];

/// The manifests against the table.
pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let members: Vec<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    metadata.members().flat_map(|package| check_package(package, &members)).collect()
}

fn check_package(package: &Package, members: &[&str]) -> Vec<Finding> {
    let Some(rule) = RULES.iter().find(|rule| rule.name == package.name) else {
        return vec![format!("{}: no rule for this crate in xtask/src/tidy/edges.rs", package.name)];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        let is_allowed = if members.contains(&name) {
            rule.uses.contains(&name) || (dependency.kind == Kind::Dev && is_for_tests(rule.name, name))
        } else {
            dependency.kind == Kind::Dev || !rule.never_direct.contains(&name)
        };
        if !is_allowed {
            findings.push(format!("{}: may not depend on {name}", rule.name));
        }
    }
    findings
}

fn is_for_tests(of: &str, name: &str) -> bool {
    name == DEV_ONLY || IN_TESTS.iter().any(|(tested, uses)| *tested == of && uses.contains(&name))
}

/// What lies below each crate of the workspace, against the table. `reach` lists the crates below one, or `None` when
/// the workspace has no such crate yet.
pub(super) fn check_reach(reach: impl Fn(&str) -> anyhow::Result<Option<Vec<String>>>) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for rule in RULES.iter().filter(|rule| !rule.never_below.is_empty()) {
        for name in reach(rule.name)?.unwrap_or_default() {
            if rule.never_below.contains(&name.as_str()) {
                findings.push(format!("{0}: {name} is below it: `cargo tree -p {0} -e normal -i {name}`", rule.name));
            }
        }
    }
    Ok(findings)
}

/// Asks cargo for the crates that `name` needs when it is built alone: features that other crates ask for do not count.
pub(super) fn reachable(name: &str) -> anyhow::Result<Option<Vec<String>>> {
    if !crate::run::root()?.join("crates").join(name).exists() {
        return Ok(None);
    }
    let format = ["--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = read(cargo(["tree", "--locked", "--package", name])?.args(format))?;
    let names =
        tree.lines().filter_map(|line| line.split(' ').next()).filter(|below| !below.is_empty() && *below != name);
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::metadata::Dependency;
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, kind)| Dependency { name: name.to_string(), kind: *kind });
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            license: None,
            is_member: true,
            dependencies: dependencies.collect(),
        }
    }

    #[track_caller]
    fn check_edges(name: &str, dependencies: &[(&str, Kind)], expect: &[&str]) {
        let mut packages: Vec<Package> =
            RULES.iter().filter(|rule| rule.name != name).map(|rule| package(rule.name, &[])).collect();
        packages.push(package(name, dependencies));
        assert_eq!(check(&Metadata { packages }), expect);
    }

    #[test]
    fn edges_off_the_table_are_found() {
        check_edges("waypost-edge", &[("waypost-core", Kind::Normal), ("hyper", Kind::Normal)], &[]);
        check_edges(
            "waypost-core",
            &[("waypost-table", Kind::Normal)],
            &["waypost-core: may not depend on waypost-table"],
        );
        check_edges(
            "waypost-core",
            &[("waypost-table", Kind::Dev)],
            &["waypost-core: may not depend on waypost-table"],
        );
        check_edges("waypost-control", &[("sqlx", Kind::Normal)], &["waypost-control: may not depend on sqlx"]);
        check_edges("waypost-table", &[("waypost", Kind::Build)], &["waypost-table: may not depend on waypost"]);
        check_edges("stranger", &[], &["stranger: no rule for this crate in xtask/src/tidy/edges.rs"]);
    }

    #[test]
    fn the_testkit_is_for_tests() {
        check_edges("waypost-store", &[("waypost-testkit", Kind::Dev)], &[]);
        check_edges(
            "waypost-store",
            &[("waypost-testkit", Kind::Normal)],
            &["waypost-store: may not depend on waypost-testkit"],
        );
        check_edges("waypost-http", &[("waypost-store", Kind::Dev)], &[]);
        check_edges(
            "waypost-http",
            &[("waypost-store", Kind::Normal)],
            &["waypost-http: may not depend on waypost-store"],
        );
    }

    #[test]
    fn crates_below_are_found() {
        let reach = |name: &str| Ok((name == "waypost-core").then(|| vec!["serde".to_owned(), "getrandom".to_owned()]));
        let expect = "waypost-core: getrandom is below it: `cargo tree -p waypost-core -e normal -i getrandom`";
        assert_eq!(check_reach(reach).unwrap(), [expect]);
        assert!(check_reach(|_| Ok(None)).unwrap().is_empty());
        assert!(check_reach(|_| anyhow::bail!("cargo failed")).is_err());
    }
}
