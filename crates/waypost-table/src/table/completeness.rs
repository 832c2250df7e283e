//! Whether the table has every link of its store, and which store that is.
//!
//! A link that is not found does not exist only where both are known: that the table was filled to its end once, which is
//! written in it, and that it has been compared with its store since it was opened, because the store may have gone on
//! without it. Until then a look-up that finds nothing means that nothing is known of the link.

use std::sync::atomic::Ordering;

use super::switch::close_retired;
use super::{Table, Writer};
use crate::TableError;
use crate::generation::Generation;
use crate::meta::{Meta, source_of};

impl Table {
    /// Whether a link that is not found is known not to exist. Never before the table was checked, nor where it is damaged.
    #[inline]
    pub fn knows_all(&self) -> bool {
        self.is_confirmed.load(Ordering::Acquire) && self.with_live(|live| live.soundness().is_sound())
    }

    /// Whether the table was filled to its end once, by this process or an earlier one.
    ///
    /// # Errors
    /// [`TableError::Lmdb`] or [`TableError::Damaged`] where the table's own entry cannot be read.
    pub fn is_complete(&self) -> Result<bool, TableError> {
        Ok(self.with_live(Generation::meta)?.is_complete)
    }

    /// Says that the table has every link of its store as of now. Kept over a restart as far as [`Table::is_complete`] tells.
    ///
    /// # Errors
    /// Where that cannot be written; it is then as it was before.
    pub fn confirm(&self) -> Result<(), TableError> {
        if self.is_confirmed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut writer = self.lock_writer();
        self.say(&mut writer, |meta| Meta { is_complete: true, ..meta })?;
        self.is_confirmed.store(true, Ordering::Release);
        Ok(())
    }

    /// Says that the store may have links that the table has not, until [`Table::confirm`].
    pub fn doubt(&self) {
        self.is_confirmed.store(false, Ordering::Release);
    }

    /// Believes what the table says of itself where the store cannot be asked: of one that was complete once.
    ///
    /// # Errors
    /// As [`Table::is_complete`].
    pub fn trust(&self) -> Result<(), TableError> {
        let is_complete = self.is_complete()?;
        self.is_confirmed.fetch_or(is_complete, Ordering::AcqRel);
        Ok(())
    }

    /// Says which store the links are of, by a name that no other store has. A table with the links of another store is emptied,
    /// so that none of them is ever followed; `true` says so.
    ///
    /// # Errors
    /// Where the table cannot be emptied. That its store could not be written in it is logged, and said again next time.
    pub fn belong_to(&self, store: &str) -> Result<bool, TableError> {
        let source = source_of(store);
        let mut writer = self.lock_writer();
        let said = self.source.load(Ordering::Acquire);
        if said == source {
            return Ok(false);
        }
        if said == 0 {
            self.source.store(source, Ordering::Release);
            if let Err(error) = self.say(&mut writer, |meta| Meta { source, ..meta }) {
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

    /// Has the live generation say something else of itself, where that is something else.
    fn say(&self, writer: &mut Writer, change: impl Fn(Meta) -> Meta) -> Result<(), TableError> {
        let meta = self.with_live(Generation::meta)?;
        if change(meta) != meta {
            self.write(writer, 1, 0, |live| live.set_meta(&change))?;
            close_retired(writer);
        }
        Ok(())
    }
}
