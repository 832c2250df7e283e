//! A clock that can be moved under a running process: libfaketime, which reads the offset from a file at every look at
//! the wall clock. Intervals (the monotonic clock) go on as ever, as they do when a real clock is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tempfile::TempDir;

use super::plan::ClockMove;
use crate::apt;

/// Where Debian and others put the library for programs with threads.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];
const DAY_SECONDS: i64 = 86_400;

/// The clock of one run.
#[derive(Debug)]
pub(crate) struct FakeClock {
    library: &'static str,
    folder: TempDir,
}

impl FakeClock {
    /// Finds the library, installs it if that is possible, or says why there is none.
    pub(crate) fn find() -> Result<Self, String> {
        let mut library = installed();
        if library.is_none() && apt::is_available() {
            apt::install(&["libfaketime"]).map_err(|error| format!("libfaketime could not be installed: {error:#}"))?;
            library = installed();
        }
        let library = library.ok_or("moving the clock needs libfaketime (`apt-get install libfaketime`)")?;
        let folder = tempfile::Builder::new().prefix("waypost-clock-").tempdir();
        let clock = Self { library, folder: folder.map_err(|error| format!("no folder for the clock: {error}"))? };
        clock.show(ClockMove::Offset(0)).map_err(|error| format!("{error:#}"))?;
        Ok(clock)
    }

    /// What makes a process look at this clock.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LD_PRELOAD", self.library),
            ("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap_or_default()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        pairs.to_vec()
    }

    /// Moves it. Readers see the old time or the new one, and nothing between.
    pub(crate) fn show(&self, place: ClockMove) -> anyhow::Result<()> {
        let seconds = match place {
            ClockMove::Offset(seconds) => seconds,
            ClockMove::BeforeMidnight(before) => seconds_to_midnight()? - i64::from(before),
        };
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{seconds:+}\n"))?;
        fs::rename(&next, self.file()).context("move the clock")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

fn installed() -> Option<&'static str> {
    LIBRARIES.into_iter().find(|library| Path::new(library).exists())
}

fn seconds_to_midnight() -> anyhow::Result<i64> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    Ok(DAY_SECONDS - now.rem_euclid(DAY_SECONDS))
}
