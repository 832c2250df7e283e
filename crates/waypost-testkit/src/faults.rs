//! Disks that fail: single system calls of a process are made to fail, by number, while it runs.
//!
//! A small library in C (`library.c`), compiled with the machine's `cc` (which SQLite's build needs, too), is loaded
//! into the process before the C library. Product code knows nothing of it. The test says which calls fail through a
//! file that both have open. Only calls that go through the C library are seen: those of the standard library, SQLite
//! and LMDB do.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

/// The variable that names the file of orders. The program ignores variables with this prefix.
pub const CONTROL_VARIABLE: &str = "WAYPOST_TEST_FAULTS";

const SOURCE: &str = include_str!("faults/library.c");
/// The file of orders, field by field; `library.c` has the same.
const CALLS_AT: u64 = 0;
const ERROR_AT: u64 = 4;
const FIRST_AT: u64 = 8;
const COUNT_AT: u64 = 16;
const SEEN_AT: u64 = 24;
const FAILED_AT: u64 = 32;
const PATH_AT: u64 = 40;
const PATH_BYTES: usize = 88;
const CONTROL_BYTES: u64 = PATH_AT + PATH_BYTES as u64;

/// Kinds of calls that may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Writing bytes.
    Write,
    /// Syncing written bytes to the disk.
    Sync,
    /// Making a file longer or shorter, or reserving its room.
    Size,
    /// Reading bytes at a place.
    Read,
    /// Locking a part of a file. Unlocking never fails.
    Lock,
    /// Taking an exclusive lock, which readers do not need.
    ExclusiveLock,
    /// Writing, syncing and sizes.
    AnyWrite,
}

/// How they fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `EIO`.
    Io,
    /// `ENOSPC`.
    NoSpace,
    /// `ENOMEM`.
    NoMemory,
    /// `EAGAIN`: the error for a lock that another process holds.
    Again,
    /// Reads succeed and give zeros.
    Zeros,
}

/// The calls that are to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// Which calls.
    pub calls: Calls,
    /// How.
    pub failure: Failure,
    /// On files whose path contains this.
    pub path: &'a str,
    /// The first that fails, counted from 1 on since the order was given.
    pub first: u64,
    /// How many fail, from that one on.
    pub count: u64,
}

/// The control over the calls of one process, or of several.
#[derive(Debug)]
pub struct Faults {
    control: File,
    control_path: PathBuf,
    library: PathBuf,
    /// Held for its drop. `None` in a process whose calls fail.
    _folder: Option<TempDir>,
}

impl Faults {
    /// Compiles the library. Nothing fails yet.
    ///
    /// # Errors
    /// If there is no C compiler.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("waypost-faults-").tempdir()?;
        let (source, library) = (folder.path().join("faults.c"), folder.path().join("faults.so"));
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let output = compiler.output().context("run cc, which builds what makes system calls fail")?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        let control_path = folder.path().join("control");
        let control = File::options().read(true).write(true).create_new(true).open(&control_path)?;
        control.set_len(CONTROL_BYTES)?;
        Ok(Self { control, control_path, library, _folder: Some(folder) })
    }

    /// The control over this very process, if it was started with [`Faults::environment`].
    ///
    /// # Errors
    /// If the file of orders cannot be opened.
    pub fn of_this_process() -> anyhow::Result<Option<Self>> {
        let Some(path) = std::env::var_os(CONTROL_VARIABLE) else { return Ok(None) };
        let control_path = PathBuf::from(path);
        let control = File::options().read(true).write(true).open(&control_path)?;
        Ok(Some(Self { control, control_path, library: PathBuf::new(), _folder: None }))
    }

    /// The environment variables that a process must be started with.
    pub fn environment(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD".to_owned(), text(&self.library)), (CONTROL_VARIABLE.to_owned(), text(&self.control_path))]
    }

    /// Lets calls fail from now on, instead of what was to fail before, and counts from 0 again.
    ///
    /// # Errors
    /// If the file of orders cannot be written.
    pub fn arm(&self, fault: Fault<'_>) -> anyhow::Result<()> {
        self.disarm()?;
        let mut path = [0; PATH_BYTES];
        ensure!(fault.path.len() < PATH_BYTES, "a path of at most {} bytes", PATH_BYTES - 1);
        path[..fault.path.len()].copy_from_slice(fault.path.as_bytes());
        self.control.write_all_at(&path, PATH_AT)?;
        for (at, value) in [(FIRST_AT, fault.first), (COUNT_AT, fault.count), (SEEN_AT, 0), (FAILED_AT, 0)] {
            self.control.write_all_at(&value.to_ne_bytes(), at)?;
        }
        self.control.write_all_at(&fault.failure.code().to_ne_bytes(), ERROR_AT)?;
        Ok(self.control.write_all_at(&fault.calls.mask().to_ne_bytes(), CALLS_AT)?)
    }

    /// Lets nothing fail any more.
    ///
    /// # Errors
    /// If the file of orders cannot be written.
    pub fn disarm(&self) -> anyhow::Result<()> {
        Ok(self.control.write_all_at(&0_u32.to_ne_bytes(), CALLS_AT)?)
    }

    /// How many calls have failed since the last order.
    ///
    /// # Errors
    /// If the file of orders cannot be read.
    pub fn failed(&self) -> anyhow::Result<u64> {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, FAILED_AT)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

impl Calls {
    const fn mask(self) -> u32 {
        match self {
            Self::Write => 1,
            Self::Sync => 2,
            Self::Size => 4,
            Self::Read => 8,
            Self::Lock => 16,
            Self::ExclusiveLock => 32,
            Self::AnyWrite => 7,
        }
    }
}

impl Failure {
    /// The number that Linux has for it.
    const fn code(self) -> i32 {
        match self {
            Self::Zeros => 0,
            Self::Io => 5,
            Self::Again => 11,
            Self::NoMemory => 12,
            Self::NoSpace => 28,
        }
    }
}
