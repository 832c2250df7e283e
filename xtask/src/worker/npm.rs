//! The tools that the Worker needs from npm, in the pinned versions, installed once below the target folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::run::{program, root, run, succeeds, target_folder};

const SOURCES: &str = "crates/waypost-worker/test";
const LISTS: [&str; 2] = ["package.json", "package-lock.json"];
/// Written when everything has been installed.
const STAMP: &str = "installed";

/// An installation.
#[derive(Debug)]
pub(super) struct Npm {
    /// The folder with `node_modules`.
    pub(super) folder: PathBuf,
}

/// Installs what the lock file names. `None` if Node, npm or the registry cannot be had.
pub(super) fn install() -> anyhow::Result<Option<Npm>> {
    let npm = Npm { folder: target_folder()?.join("worker-npm") };
    let sources = root()?.join(SOURCES);
    let lists = LISTS.map(|name| fs::read_to_string(sources.join(name)).with_context(|| format!("read {name}")));
    let [package, lock] = lists;
    let wanted = package? + &lock?;
    if fs::read_to_string(npm.folder.join(STAMP)).is_ok_and(|installed| installed == wanted) {
        return Ok(Some(npm));
    }
    if !succeeds(&mut program("node", ["--version"])) || !succeeds(&mut program("npm", ["--version"])) {
        return Ok(None);
    }
    fs::create_dir_all(&npm.folder)?;
    for name in LISTS {
        fs::copy(sources.join(name), npm.folder.join(name))?;
    }
    // A registry that cannot be reached is not an error of the code.
    let arguments = ["ci", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
    if let Err(error) = run(program("npm", arguments).current_dir(&npm.folder)) {
        println!("could not install the Worker's tools: {error:#}");
        return Ok(None);
    }
    fs::write(npm.folder.join(STAMP), wanted)?;
    Ok(Some(npm))
}

impl Npm {
    /// One of the installed programs.
    pub(super) fn program(&self, name: &str) -> Command {
        let path = self.folder.join("node_modules/.bin").join(name);
        program(&path.to_string_lossy(), [""; 0])
    }

    /// Puts the test scripts beside the modules that they import.
    pub(super) fn copy_scripts(&self) -> anyhow::Result<()> {
        for entry in fs::read_dir(root()?.join(SOURCES))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "mjs" || extension == "c") {
                let name = path.file_name().context("a file has a name")?;
                fs::copy(&path, self.folder.join(name)).with_context(|| format!("copy {}", path.display()))?;
            }
        }
        Ok(())
    }
}
