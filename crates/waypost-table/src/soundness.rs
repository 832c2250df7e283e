//! What is known of a generation's file: whether LMDB may write to it, and whether a link that is not found in it does
//! not exist.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::TableError;
use crate::check::{Checked, check};
use crate::lmdb_file::FileMeta;

const UNCHECKED: u8 = 0;
const SOUND: u8 = 1;
const DAMAGED: u8 = 2;

/// Whether a file is undamaged. At first it is either not checked, or written by this process itself.
#[derive(Debug)]
pub(crate) struct Soundness {
    path: PathBuf,
    state: AtomicU8,
    /// The damage that was found, anywhere in the file.
    damage: OnceLock<String>,
    /// What remains to check; locked during the check. A std mutex: only writers and one background thread wait for it.
    unchecked: Mutex<Option<FileMeta>>,
}

impl Soundness {
    /// For the file at `path`. `unchecked` is its newest state, unless this process wrote it.
    pub(crate) fn new(path: PathBuf, unchecked: Option<FileMeta>) -> Soundness {
        let state = if unchecked.is_some() { UNCHECKED } else { SOUND };
        Soundness { path, state: AtomicU8::new(state), damage: OnceLock::new(), unchecked: Mutex::new(unchecked) }
    }

    /// Copies the known damage from the file of which this one is a copy, or another name.
    pub(crate) fn inherit(&self, damage: String) {
        // It was logged when it was found.
        let _ = self.damage.set(damage);
    }

    /// Whether the whole file was checked and no damage was found, then or since.
    #[inline]
    pub(crate) fn is_sound(&self) -> bool {
        self.state.load(Ordering::Acquire) == SOUND && self.damage.get().is_none()
    }

    /// Whether it has not been checked yet.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.state.load(Ordering::Acquire) == UNCHECKED
    }

    /// The damage that was found.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Checks the file if that was not done yet. `false` if `keep_going` stopped it.
    ///
    /// # Errors
    /// [`TableError::Damaged`] if LMDB must not write to it.
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
                    Checked::Sound => self.set_unless_damaged(SOUND),
                    Checked::DamagedEntry(fault) => {
                        self.note_entry(&fault.to_string());
                        self.set_unless_damaged(SOUND);
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
    fn set_unless_damaged(&self, state: u8) {
        let _ = self.state.compare_exchange(UNCHECKED, state, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Records that the file is damaged, and logs it once.
    pub(crate) fn note(&self, reason: String) -> TableError {
        self.state.store(DAMAGED, Ordering::Release);
        self.note_entry(&reason);
        self.error(reason)
    }

    /// Records that an entry is damaged, and logs it once. LMDB can still write: it does not read values.
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
