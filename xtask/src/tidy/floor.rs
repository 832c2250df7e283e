//! Minimum versions of dependencies whose earlier versions have known bugs, and crates that are no longer maintained.

use anyhow::Context as _;

use super::Finding;

/// The lowest version that is safe, and the fault below it.
const FLOOR: [(&str, &str, &str); 21] = [
    ("aws-lc-sys", "0.39.0", "five advisories of 2026"),
    ("async-nats", "0.29.0", "TLS name check"),
    ("bytes", "1.11.1", "integer overflow"),
    ("h2", "0.4.16", "floods of empty DATA, CONTINUATION and reset frames"),
    ("hickory-proto", "0.26.1", "CPU exhaustion"),
    ("hyper", "0.14.10", "request smuggling"),
    ("idna", "1.0.0", "punycode that decodes to ASCII"),
    ("lettre", "0.11.22", "host verification"),
    // The first of the versions that sqlx accepts whose bundled SQLite (3.51.3) has the fix.
    ("libsqlite3-sys", "0.37.0", "SQLite's WAL reset"),
    ("lru", "0.18.2", "use after free"),
    ("maxminddb", "0.27.0", "unsound map"),
    ("memmap2", "0.9.11", "unchecked ranges"),
    ("quinn-proto", "0.11.15", "memory exhaustion"),
    ("ring", "0.17.12", "panic in AES"),
    ("rkyv", "0.8.17", "five advisories of 2026"),
    ("rustls", "0.23.18", "reachable panic"),
    ("rustls-webpki", "0.103.13", "name constraints"),
    ("sqlx", "0.8.1", "protocol confusion with huge values"),
    ("time", "0.3.47", "RFC 2822 parser"),
    ("url", "2.5.4", "punycode that decodes to ASCII"),
    ("zip", "2.3.0", "path escape"),
];

/// Crates to do without, and why.
const AVOID: [(&str, &str); 3] =
    [("bincode", "unmaintained"), ("lmdb", "unmaintained; use heed"), ("rustls-pemfile", "unmaintained")];

/// The lock file against both tables.
pub(super) fn check(lock: &str) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, version) in locked(lock) {
        if let Some((_, reason)) = AVOID.iter().find(|(avoided, _)| *avoided == name) {
            findings.push(format!("Cargo.lock: {name} {version}: {reason}"));
        }
        let Some((_, lowest, reason)) = FLOOR.iter().find(|(floored, ..)| *floored == name) else { continue };
        if numbers(version)? < numbers(lowest)? {
            findings.push(format!("Cargo.lock: {name} {version}, at least {lowest}: {reason}"));
        }
    }
    Ok(findings)
}

/// Name and version of each package in a lock file, where they stand on two lines, one below the other.
fn locked(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    let value = |line: &'_ str, field: &str| -> Option<(usize, usize)> {
        let start = line.strip_prefix(field)?.strip_prefix(" = \"").map(|rest| line.len() - rest.len())?;
        line.ends_with('"').then(|| (start, line.len() - 1))
    };
    lock.lines().zip(lock.lines().skip(1)).filter_map(move |(first, second)| {
        let (name, version) = (value(first, "name")?, value(second, "version")?);
        Some((&first[name.0..name.1], &second[version.0..version.1]))
    })
}

/// Major, minor and patch number; what follows `-` or `+` does not count.
fn numbers(version: &str) -> anyhow::Result<[u64; 3]> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Result<Vec<u64>, _> = core.split('.').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|numbers| <[u64; 3]>::try_from(numbers).ok());
    numbers.with_context(|| format!("not a version: {version:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let entry =
            |(name, version): &(&str, &str)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        packages.iter().map(entry).collect()
    }

    #[track_caller]
    fn check_lock(packages: &[(&str, &str)], expect: &[&str]) {
        assert_eq!(check(&lock(packages)).unwrap(), expect);
    }

    #[test]
    fn old_versions_are_found() {
        let finding = "Cargo.lock: h2 0.4.9, at least 0.4.16: floods of empty DATA, CONTINUATION and reset frames";
        check_lock(&[("h2", "0.4.9")], &[finding]);
        check_lock(&[("h2", "0.4.16"), ("h2", "1.0.0"), ("bytes", "1.11.1+build")], &[]);
        check_lock(&[("serde", "0.0.1")], &[]);
    }

    #[test]
    fn avoided_crates_are_found() {
        check_lock(&[("bincode", "2.0.0")], &["Cargo.lock: bincode 2.0.0: unmaintained"]);
    }

    #[test]
    fn every_package_is_read() {
        let text = lock(&[("a", "1.0.0"), ("b", "2.0.0")]);
        assert_eq!(locked(&text).collect::<Vec<_>>(), [("a", "1.0.0"), ("b", "2.0.0")]);
        assert!(numbers("1.2").is_err());
    }

    #[test]
    fn the_floor_itself_is_well_formed() {
        assert!(FLOOR.iter().all(|(_, lowest, _)| numbers(lowest).is_ok()));
    }
}
