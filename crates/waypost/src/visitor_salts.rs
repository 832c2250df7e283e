//! The salts of visitor keys: one for each day, created at random for its first click, and destroyed a day after the
//! day ended.
//!
//! They are in memory and in one small file, so that a restart does not count today's visitors twice. A destroyed salt
//! is never used again: if the clock goes back to its day, the day gets another salt.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use waypost_core::visitor::Salt;

/// Days and their salts, the newest salt first.
type Salts = Vec<(i64, Salt)>;

/// The most salts at a time: today's, and yesterday's for late clicks.
const DAYS_MAX: usize = 2;

/// The salts in use.
#[derive(Debug)]
pub(crate) struct VisitorSalts {
    path: PathBuf,
    salts: ArcSwap<Salts>,
    /// Held while a salt is created or destroyed.
    changing: Mutex<()>,
}

impl VisitorSalts {
    /// Reads the file. If that fails, new salts are created.
    pub(crate) fn open(path: PathBuf) -> Self {
        let salts = match fs::read_to_string(&path) {
            Ok(text) => text.lines().filter_map(read_line).take(DAYS_MAX).collect(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "cannot read {}; visitors of today are counted again", path.display());
                }
                Salts::new()
            }
        };
        Self { path, salts: ArcSwap::from_pointee(salts), changing: Mutex::new(()) }
    }

    /// The salt of a day, created if there is none yet. `None` if the system gives no random bytes.
    pub(crate) fn of_day(&self, day: i64) -> Option<Salt> {
        find(&self.salts.load(), day).or_else(|| self.create(day))
    }

    #[cold]
    fn create(&self, day: i64) -> Option<Salt> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(salt) = find(&self.salts.load(), day) {
            return Some(salt);
        }
        let mut salt = Salt::default();
        if let Err(error) = getrandom::fill(&mut salt) {
            tracing::error!(%error, "cannot create a salt; visitors are not counted");
            return None;
        }
        let kept = self.salts.load();
        let kept = kept.iter().copied().filter(|(kept, _)| kept.abs_diff(day) <= 1);
        self.replace(std::iter::once((day, salt)).chain(kept).take(DAYS_MAX).collect());
        Some(salt)
    }

    /// Destroys the salts of days that ended before yesterday.
    pub(crate) fn destroy_old(&self, today: i64) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let salts = self.salts.load();
        let kept: Salts = salts.iter().copied().filter(|(day, _)| *day >= today - 1).collect();
        if kept.len() < salts.len() {
            self.replace(kept);
        }
    }

    fn replace(&self, salts: Salts) {
        if let Err(error) = write(&self.path, &salts) {
            tracing::warn!(%error, "cannot write {}; after a restart visitors of the day are counted again", self.path.display());
        }
        self.salts.store(salts.into());
    }
}

fn find(salts: &Salts, day: i64) -> Option<Salt> {
    salts.iter().find(|(of, _)| *of == day).map(|(_, salt)| *salt)
}

/// Writes a new file and replaces the old one with it. Not synced to disk: this may run on a thread that redirects, and
/// if a power failure loses the file, visitors are only counted again.
fn write(path: &Path, salts: &Salts) -> io::Result<()> {
    let mut text = String::new();
    for (day, salt) in salts {
        text.push_str(&format!("{day} {:032x}\n", u128::from_be_bytes(*salt)));
    }
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

fn read_line(line: &str) -> Option<(i64, Salt)> {
    let (day, salt) = line.split_once(' ')?;
    Some((day.parse().ok()?, u128::from_str_radix(salt, 16).ok()?.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_salt_lasts_its_day_and_the_next_and_never_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("visitor-salts");
        let salts = VisitorSalts::open(path.clone());
        let first = salts.of_day(10).unwrap();
        assert_eq!(salts.of_day(10), Some(first));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(VisitorSalts::open(path.clone()).of_day(10), Some(first), "a restart keeps it");

        let second = salts.of_day(11).unwrap();
        assert_ne!(second, first);
        assert_eq!(salts.of_day(10), Some(first), "for clicks that come late");
        salts.destroy_old(11);
        assert_eq!(salts.of_day(10), Some(first));
        salts.destroy_old(12);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&format!("{:032x}", u128::from_be_bytes(first))), "{text}");
        assert_ne!(salts.of_day(10), Some(first), "destroyed");
    }

    #[test]
    fn a_clock_that_jumps_gets_another_salt() {
        let folder = tempfile::tempdir().unwrap();
        let salts = VisitorSalts::open(folder.path().join("visitor-salts"));
        let today = salts.of_day(20_000).unwrap();
        salts.of_day(20_365).unwrap();
        assert_ne!(salts.of_day(20_000), Some(today));
        salts.of_day(-4_000_000).unwrap();
        assert_eq!(salts.salts.load().len(), 1);
    }

    #[test]
    fn a_damaged_file_or_folder_keeps_nobody_from_counting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("visitor-salts");
        fs::write(&path, "x\n10 zz\n\u{0}").unwrap();
        assert!(VisitorSalts::open(path).of_day(10).is_some());
        assert!(VisitorSalts::open(folder.path().join("gone/visitor-salts")).of_day(10).is_some());
    }
}
