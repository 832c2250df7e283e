//! Runs programs in the workspace's root; each is printed before it starts.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// The workspace's root: the parent of this package's folder, which cargo names.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("run me as `cargo xtask`")?;
    let root = PathBuf::from(package).parent().map(PathBuf::from);
    root.context("the package's folder has a parent")
}

/// The cargo that runs this task, without what it said of this package: a build script that looks at that (as one of
/// ring's does) would run again, and everything above it would be built again, whenever a build is not by hand but by a
/// task.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> anyhow::Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()?);
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    Ok(command)
}

/// A program that is not part of the toolchain: cargo's library path, meant for the toolchain, is taken out.
pub(crate) fn program<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).env_remove("LD_LIBRARY_PATH");
    command
}

/// Prints the command, runs it with this task's own input and output, and fails when it does.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("run {}", shown(command)))?;
    ensure!(status.success(), "`{}` failed with {status}", shown(command));
    Ok(())
}

/// Runs the command and returns its standard output; standard error stays this task's own.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let Output { status, stdout, .. } = output.with_context(|| format!("run {}", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed with {status}", shown(command));
    }
    String::from_utf8(stdout).with_context(|| format!("output of {} is not UTF-8", shown(command)))
}

/// Whether the command can be run and succeeds; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The folder of build results.
pub(crate) fn target_folder() -> anyhow::Result<PathBuf> {
    let metadata = read(&mut cargo(["metadata", "--no-deps", "--format-version", "1"])?)?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo names its target folder")
}

/// A duration for a person: `4.2 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// The program's name and its arguments, without folders.
fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    command.get_args().fold(name, |line, argument| format!("{line} {}", argument.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn output_is_read_and_failure_reported() {
        assert_eq!(read(&mut program("sh", ["-c", "echo hello"])).unwrap(), "hello\n");
        let error = read(&mut program("sh", ["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c exit 3` failed with exit status: 3");
        assert!(run(&mut program("nonexistent-program", ["x"])).is_err());
    }

    #[test]
    fn success_is_told_from_failure_and_absence() {
        assert!(succeeds(&mut program("sh", ["-c", "exit 0"])));
        assert!(!succeeds(&mut program("sh", ["-c", "exit 1"])));
        assert!(!succeeds(&mut program("nonexistent-program", ["x"])));
    }
}
