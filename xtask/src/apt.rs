//! Installs Debian packages, if that is possible without asking: as root, with apt.

use std::path::Path;

use crate::run::{program, read, run};

/// Whether packages can be installed here.
pub(crate) fn is_available() -> bool {
    let is_root = read(&mut program("id", ["-u"])).is_ok_and(|id| id.trim() == "0");
    is_root && Path::new("/usr/bin/apt-get").exists()
}

/// Installs packages without their recommended ones, and removes none for them. Package lists are fetched first: a
/// fresh machine has none.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = program("apt-get", arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    run(&mut apt(&["-q", "update"]))?;
    run(&mut apt(&[&["-q", "-y", "--no-install-recommends", "--no-remove", "install"], packages].concat()))
}
