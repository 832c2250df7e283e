//! Tables that were damaged: noticed when they are opened, by a walk through them, or by a look-up.
//!
//! While a table is being checked there is a mark beside it. A start that finds one comes after a process that died before the
//! check was over, perhaps of what it was checking: it serves nothing before its own check is over, and after some such starts
//! the table is not looked at again.

use std::sync::atomic::Ordering;

use super::Table;
use super::switch::{create_first, open_current};
use crate::directory::Directory;
use crate::generation::{Generation, Settings};
use crate::{Domains, TableError};

/// Bytes of a table that are checked before it is served, which takes some hundredths of a second.
const CHECKED_AT_ONCE_BYTES: u64 = 32 << 20;
/// Starts in a row that died while they checked the table, after which it is given up.
const DIED_MAX: u32 = 3;

/// Opens what the folder has, or an empty table in its place where that cannot be used. Also gives its domains, and whether the
/// mark of an unfinished check is set.
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
        // An error is no death.
        opened => opened.inspect_err(|_| directory.end_checking())?,
    };
    if died > 0 || generation.used_bytes() <= CHECKED_AT_ONCE_BYTES {
        // What it finds is kept with the generation, and mended by whoever fills it.
        let _ = generation.check(&|| true);
    }
    let is_marked = generation.soundness().is_unchecked();
    if !is_marked {
        directory.end_checking();
    }
    Ok((generation, domains, is_marked))
}

impl Table {
    /// Reads all of the table once, where it was not written by this process, before which nothing is written to it. Goes on
    /// to the end unless `keep_going` says no, which it is asked at every page; what was read by then is read again. For a
    /// thread of its own: ten million links take seconds, and what the disk needs.
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

    /// What is wrong with the table, if anything was found. Links that verify go on being found, and of others nothing is known.
    /// A rebuild mends it; until then nothing may be writable.
    pub fn damage(&self) -> Option<String> {
        self.with_live(|live| live.soundness().damage().map(str::to_owned))
    }

    /// Takes the mark of an unfinished check away.
    pub(super) fn end_checking(&self) {
        if self.is_marked.swap(false, Ordering::AcqRel) {
            self.directory.end_checking();
        }
    }
}
