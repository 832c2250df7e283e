//! Damaged tables: damage is found when a table is opened, by the check, or by a look-up.
//!
//! While a table is being checked, its folder has a mark. If a start finds the mark, the process before it died during
//! its check, perhaps because of the damage. Then nothing is served before the check has ended, and after several such
//! starts the table is given up.

use std::sync::atomic::Ordering;

use super::Table;
use super::switch::{create_first, open_current};
use crate::directory::Directory;
use crate::generation::{Generation, Settings};
use crate::{Domains, TableError};

/// A table of at most this many bytes is checked before it is served, which takes some hundredths of a second.
const CHECKED_AT_ONCE_BYTES: u64 = 32 << 20;
/// After this many starts in a row that died during the check, the table is given up.
const DIED_MAX: u32 = 3;

/// Opens the table in the folder, or replaces it by an empty one if it cannot be used. Also returns its domains, and
/// whether the mark of an unfinished check is set.
pub(super) fn open_or_replace(
    directory: &Directory,
    settings: Settings,
) -> Result<(Generation, Domains, bool), TableError> {
    let died = directory.begin_checking()?;
    let opened = if died < DIED_MAX {
        open_current(directory, settings)
    } else {
        Err(TableError::Damaged {
            path: directory.path().to_owned(),
            reason: format!("{died} starts in a row died while they checked it"),
        })
    };
    let (generation, domains) = match opened {
        Err(error) if error.means_damage() => {
            tracing::warn!(
                table.path = %directory.path().display(), error = &error as &dyn std::error::Error,
                "the link table cannot be used: it is replaced by an empty one, which is filled from the database"
            );
            directory.remove_current()?;
            (create_first(directory, settings)?, Domains::default())
        }
        // The process did not die; it was an error.
        opened => opened.inspect_err(|_| directory.end_checking())?,
    };
    if died > 0 || generation.used_bytes() <= CHECKED_AT_ONCE_BYTES {
        // Damage is recorded with the generation, and a rebuild repairs it.
        let _ = generation.check(&|| true);
    }
    let is_marked = generation.soundness().is_unchecked();
    if !is_marked {
        directory.end_checking();
    }
    Ok((generation, domains, is_marked))
}

impl Table {
    /// Reads the whole table once, unless this process wrote it. Nothing is written to the table before that.
    /// `keep_going` is called at every page; if it returns false, the check stops and starts from the beginning next
    /// time. For a thread of its own: ten million links take seconds, plus the time of the disk.
    ///
    /// # Errors
    /// [`TableError::Damaged`]; see [`Table::damage`].
    pub fn check(&self, keep_going: impl Fn() -> bool) -> Result<(), TableError> {
        let checked = self.with_live(|live| live.check(&keep_going));
        if checked.as_ref().is_ok_and(|is_over| *is_over) || checked.is_err() {
            self.end_checking();
        }
        checked.map(drop)
    }

    /// The damage of the table, if any was found. Links that verify are still found; of others nothing is known. A
    /// rebuild repairs the table; until then it may not be writable.
    pub fn damage(&self) -> Option<String> {
        self.with_live(|live| live.soundness().damage().map(str::to_owned))
    }

    /// Removes the mark of an unfinished check.
    pub(super) fn end_checking(&self) {
        if self.is_marked.swap(false, Ordering::AcqRel) {
            self.directory.end_checking();
        }
    }
}
