//! What is known of a generation's file: whether LMDB may write to it, and whether what is not found in it is not there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::TableError;
use crate::check::{Checked, check};
use crate::lmdb_file::FileMeta;

const UNCHECKED: u8 = 0;
const SOUND: u8 = 1;
const DAMAGED: u8 = 2;

/// Whether a file holds together. It begins as one that was not checked, or as one that this process has written itself.
#[derive(Debug)]
pub(crate) struct Soundness {
    path: PathBuf,
    state: AtomicU8,
    /// What is wrong, in whatever of it.
    damage: OnceLock<String>,
    /// What to check, and held while that is done. A std mutex: only writers and one thread of the background wait for it.
    unchecked: Mutex<Option<FileMeta>>,
}

impl Soundness {
    /// Of the file at `path`: `unchecked` is its newest state where it was not written by this process.
    pub(crate) fn new(path: PathBuf, unchecked: Option<FileMeta>) -> Soundness {
        let state = if unchecked.is_some() { UNCHECKED } else { SOUND };
        Soundness { path, state: AtomicU8::new(state), damage: OnceLock::new(), unchecked: Mutex::new(unchecked) }
    }

    /// Takes over what is wrong with the file of which this one is a copy, or another name.
    pub(crate) fn inherit(&self, damage: String) {
        // It was said when it was found.
        let _ = self.damage.set(damage);
    }

    /// Whether all of it was found to be right, and nothing else since.
    #[inline]
    pub(crate) fn is_sound(&self) -> bool {
        self.state.load(Ordering::Acquire) == SOUND && self.damage.get().is_none()
    }

    /// Whether nothing is known of it yet.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.state.load(Ordering::Acquire) == UNCHECKED
    }

    /// What is wrong with it.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Walks through the file where that was not done yet. `false` where it was told to stop before the end.
    ///
    /// # Errors
    /// [`TableError::Damaged`] where LMDB must not write to it.
    pub(crate) fn check(
        &self,
        record_is_sound: fn(&[u8]) -> bool,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<bool, TableError> {
        if self.state.load(Ordering::Acquire) == UNCHECKED {
            let mut unchecked = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(meta) = *unchecked {
                match check(&self.path, &meta, record_is_sound, keep_going) {
                    Checked::Stopped => return Ok(false),
                    Checked::Sound => self.settle(SOUND),
                    Checked::DamagedEntry(fault) => {
                        self.note_entry(&fault.to_string());
                        self.settle(SOUND);
                    }
                    Checked::Damaged(reason) => drop(self.note(reason)),
                }
                *unchecked = None;
            }
        }
        match self.state.load(Ordering::Acquire) {
            DAMAGED => Err(self.error(self.damage().unwrap_or_default().to_owned())),
            _ => Ok(true),
        }
    }

    /// A look-up may have found damage meanwhile, which stays.
    fn settle(&self, state: u8) {
        let _ = self.state.compare_exchange(UNCHECKED, state, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Keeps that the file does not hold together, and says so once.
    pub(crate) fn note(&self, reason: String) -> TableError {
        self.state.store(DAMAGED, Ordering::Release);
        self.note_entry(&reason);
        self.error(reason)
    }

    /// Keeps that an entry cannot be believed, and says so once. LMDB does not care what is in a value.
    pub(crate) fn note_entry(&self, reason: &str) {
        if self.damage.set(reason.to_owned()).is_ok() {
            tracing::error!(
                table.path = %self.path.display(), table.damage = reason,
                "the link table is damaged: links that verify still redirect, and it is filled again from the database"
            );
        }
    }

    pub(crate) fn error(&self, reason: String) -> TableError {
        TableError::Damaged { path: self.path.clone(), reason }
    }
}
