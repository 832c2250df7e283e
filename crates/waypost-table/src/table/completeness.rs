//! Whether the table has every link of its store, and which store it is.
//!
//! A link that is not found certainly does not exist if two things are known: the table was completely filled once,
//! which is stored in it; and it was compared with its store since it was opened, because the store may have changed
//! before. Until then it is unknown whether such a link exists.

use std::sync::atomic::Ordering;

use super::switch::close_retired;
use super::{Table, Writer};
use crate::TableError;
use crate::generation::Generation;
use crate::meta::{Meta, source_of};

impl Table {
    /// Whether a link that is not found is known not to exist. Never before the table was checked, nor if it is
    /// damaged.
    #[inline]
    pub fn knows_all(&self) -> bool {
        self.is_confirmed.load(Ordering::Acquire) && self.with_live(|live| live.soundness().is_sound())
    }

    /// Whether the table was completely filled once, by this process or an earlier one.
    ///
    /// # Errors
    /// [`TableError::Lmdb`] or [`TableError::Damaged`] if the table's own entry cannot be read.
    pub fn is_complete(&self) -> Result<bool, TableError> {
        Ok(self.with_live(Generation::meta)?.is_complete)
    }

    /// Records that the table has every link of its store now. After a restart [`Table::is_complete`] still tells that
    /// it had.
    ///
    /// # Errors
    /// If that cannot be written; then nothing has changed.
    pub fn confirm(&self) -> Result<(), TableError> {
        if self.is_confirmed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut writer = self.lock_writer();
        self.update_meta(&mut writer, |meta| Meta { is_complete: true, ..meta })?;
        self.is_confirmed.store(true, Ordering::Release);
        Ok(())
    }

    /// Records that the store may have links that the table lacks, until [`Table::confirm`].
    pub fn doubt(&self) {
        self.is_confirmed.store(false, Ordering::Release);
    }

    /// Trusts the table if the store cannot be reached, if the table was complete once.
    ///
    /// # Errors
    /// As [`Table::is_complete`].
    pub fn trust(&self) -> Result<(), TableError> {
        let is_complete = self.is_complete()?;
        self.is_confirmed.fetch_or(is_complete, Ordering::AcqRel);
        Ok(())
    }

    /// Records which store the links are from, by a name that no other store has. A table with the links of another
    /// store is emptied, so that none of them is ever followed; then this returns `true`.
    ///
    /// # Errors
    /// If the table cannot be emptied. If only the store's name cannot be written, that is logged and tried again next
    /// time.
    pub fn belong_to(&self, store: &str) -> Result<bool, TableError> {
        let source = source_of(store);
        let mut writer = self.lock_writer();
        let said = self.source.load(Ordering::Acquire);
        if said == source {
            return Ok(false);
        }
        if said == 0 {
            self.source.store(source, Ordering::Release);
            if let Err(error) = self.update_meta(&mut writer, |meta| Meta { source, ..meta }) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "what database the link table is of could not be written in it");
            }
            return Ok(false);
        }
        self.doubt();
        self.empty(&mut writer, source)?;
        tracing::warn!(
            table.path = %self.directory.path().display(),
            "the link table has the links of another database: it is replaced by an empty one, which is filled again"
        );
        Ok(true)
    }

    /// Changes the live generation's own entry, if it differs.
    fn update_meta(&self, writer: &mut Writer, change: impl Fn(Meta) -> Meta) -> Result<(), TableError> {
        let meta = self.with_live(Generation::meta)?;
        if change(meta) != meta {
            self.write(writer, 1, 0, |live| live.set_meta(&change))?;
            close_retired(writer);
        }
        Ok(())
    }
}
