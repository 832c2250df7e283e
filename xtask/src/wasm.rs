//! `wasm`: `waypost-core` must build for wasm32, where it decides redirects in a Worker.
//!
//! The toolchain's own target is used if it is installed. Otherwise Debian's second Rust toolchain builds the standard
//! library from source; its packages are installed if that is allowed. If neither is available, the task prints
//! SKIPPED.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::no_arguments;
use crate::run::{cargo, program, read, root, run, target_folder};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's second Rust toolchain with the library's sources, and a linker of the same LLVM, which does not come with
/// all of its versions.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LINKER: &str = "/usr/lib/llvm-22/bin/wasm-ld";

/// The result of a build that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Built,
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Built => "",
            Self::Skipped => "SKIPPED: no compiler for wasm32",
        })
    }
}

/// The task.
pub(crate) fn wasm(arguments: &[String]) -> anyhow::Result<()> {
    no_arguments(arguments)?;
    build().map(|_| ())
}

/// Builds with what can be had here.
pub(crate) fn build() -> anyhow::Result<Outcome> {
    match compiler()? {
        Some(compiler) => {
            run(compiler.command("build")?.args(BUILD))?;
            Ok(Outcome::Built)
        }
        None => Ok(Outcome::Skipped),
    }
}

/// A compiler that builds for wasm32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// The toolchain's own target.
    Toolchain,
    /// Debian's second toolchain, which builds the standard library too.
    Debian,
}

impl Compiler {
    /// Cargo with this subcommand, for wasm32.
    pub(crate) fn command(self, subcommand: &str) -> anyhow::Result<Command> {
        let mut command = match self {
            Self::Toolchain => cargo([subcommand, "--quiet"])?,
            Self::Debian => debian_cargo(subcommand)?,
        };
        command.args(["--locked", "--target", TARGET]);
        Ok(command)
    }

    /// The folder that its results for wasm32 are in.
    pub(crate) fn folder(self) -> anyhow::Result<PathBuf> {
        Ok(match self {
            Self::Toolchain => target_folder()?,
            Self::Debian => target_folder()?.join("wasm"),
        }
        .join(TARGET))
    }
}

/// The available compiler, installed if that is allowed; if there is none, `None` and a line that says so.
pub(crate) fn compiler() -> anyhow::Result<Option<Compiler>> {
    if is_target_installed()? {
        return Ok(Some(Compiler::Toolchain));
    }
    if !is_debian_ready() && apt::is_available() {
        // A failure here is not an error of the code: the line below says what is missing.
        if let Err(error) = apt::install(&DEBIAN_PACKAGES) {
            println!("could not install Debian's Rust: {error:#}");
        }
    }
    if is_debian_ready() {
        return Ok(Some(Compiler::Debian));
    }
    println!("SKIPPED: nothing here builds for {TARGET}; install it with `rustup target add {TARGET}`");
    Ok(None)
}

/// Nothing runs the result, so nothing is optimised: that halves the time where the standard library is built, too.
const BUILD: [&str; 6] = [
    "--package=waypost-core",
    "--lib",
    "--config",
    "profile.dev.package.\"*\".opt-level=0",
    "--config",
    "profile.dev.debug=false",
];

fn is_target_installed() -> anyhow::Result<bool> {
    let sysroot = read(program("rustc", ["--print", "sysroot"]).current_dir(root()?))?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir())
}

/// Whether Debian's compiler, new enough for the workspace, its library's sources and the linker are installed.
fn is_debian_ready() -> bool {
    if [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_LINKER].iter().any(|path| !Path::new(path).exists()) {
        return false;
    }
    let ask = |arguments: &[&str]| read(&mut program(DEBIAN_RUSTC, arguments)).unwrap_or_default();
    let sources = Path::new(ask(&["--print", "sysroot"]).trim()).join("lib/rustlib/src/rust/library");
    let is_new_enough = minor_version(&ask(&["--version"])) >= minor_version(env!("CARGO_PKG_RUST_VERSION"));
    is_new_enough && sources.is_dir()
}

/// The 95 in `1.95` or `rustc 1.95.0 (...)`.
fn minor_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with("1."))?;
    version.split('.').nth(1)?.parse().ok()
}

/// Building the standard library is an unstable option, which `RUSTC_BOOTSTRAP` allows on a stable compiler. The folder
/// is apart from the main one: two compilers in one folder would rebuild each other's work.
fn debian_cargo(subcommand: &str) -> anyhow::Result<Command> {
    let linker = format!("target.{TARGET}.linker={DEBIAN_LINKER:?}");
    let mut command = program(DEBIAN_CARGO, [subcommand, "--quiet", "-Z", "build-std=std,panic_abort", "--target-dir"]);
    command.arg(target_folder()?.join("wasm")).args(["--config", &linker]).current_dir(root()?);
    command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor_version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert_eq!(minor_version("1.95"), Some(95));
        assert_eq!(minor_version(""), None);
        assert!(minor_version("") < minor_version("1.95"));
    }
}
