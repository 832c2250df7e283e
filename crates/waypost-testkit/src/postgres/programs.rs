//! Finding PostgreSQL's programs. Installing them is `xtask`'s business.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold one folder for each installed version, with its programs in `bin`.
const VERSIONED_ROOTS: [&str; 3] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];

/// The folder of one PostgreSQL version's programs.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The newest version with server and client under the usual roots, or else the one on `PATH`. `None` if neither
    /// is installed.
    pub fn find() -> Option<Self> {
        let folders = VERSIONED_ROOTS.iter().flat_map(|root| versions_under(Path::new(root)));
        Self::first_complete(folders.chain(path_folders()))
    }

    /// The folder that holds the programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of the program `name`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn first_complete(folders: impl Iterator<Item = PathBuf>) -> Option<Self> {
        let complete = |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file());
        let folder = folders.into_iter().find(complete)?;
        Some(Self { folder })
    }
}

/// The `bin` folders below `root`, newest version first.
fn versions_under(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((version_of(entry.file_name().to_str()?)?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// The major version in `15` or `postgresql@15`.
fn version_of(name: &str) -> Option<u32> {
    name.strip_prefix("postgresql@").unwrap_or(name).parse().ok()
}

fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn install(root: &Path, version: &str, names: &[&str]) {
        let folder = root.join(version).join("bin");
        fs::create_dir_all(&folder).unwrap();
        for name in names {
            fs::write(folder.join(name), "").unwrap();
        }
    }

    #[test]
    fn the_newest_complete_version_wins() {
        let root = tempfile::tempdir().unwrap();
        install(root.path(), "9", &["initdb", "postgres", "psql"]);
        install(root.path(), "postgresql@15", &["initdb", "postgres", "psql"]);
        install(root.path(), "17", &["psql"]);
        install(root.path(), "llvm", &["initdb", "postgres", "psql"]);
        let found = Programs::first_complete(versions_under(root.path()).into_iter()).unwrap();
        assert_eq!(found.program("psql"), root.path().join("postgresql@15/bin/psql"));
    }

    #[test]
    fn an_absent_root_has_no_versions() {
        assert!(versions_under(Path::new("/nonexistent/postgresql")).is_empty());
    }
}
