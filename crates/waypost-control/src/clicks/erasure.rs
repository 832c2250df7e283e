//! Erasing clicks: those of a link or a visitor at once, raw clicks by themselves after some days.
//!
//! Deleting a link erases nothing: its clicks stay in all reports until they are erased here.

use waypost_api::ProblemCode;
use waypost_api::clicks::{Erased, Retention, SetRetention};

use crate::access::caller::Caller;
use crate::app::App;
use crate::problem::Problem;

/// Digits of a visitor key.
const VISITOR_DIGITS: usize = 16;

impl App {
    /// Erases everything that is known of the clicks of a link, which may be deleted already.
    ///
    /// # Errors
    /// Where there never was such a link, or the database fails.
    pub async fn erase_link_clicks(&self, caller: &Caller, id: &str) -> Result<Erased, Problem> {
        let link_id = self.known_link_id(caller, id).await?;
        let deleted = self.click_store().erase_link(&caller.account_id, &link_id).await?;
        tracing::info!(link.id = %link_id, by = caller.changed_by, clicks = deleted, "a link's clicks were erased");
        Ok(Erased { deleted })
    }

    /// Erases the clicks of a visitor key.
    ///
    /// # Errors
    /// Where that is no visitor key, or the database fails.
    pub async fn erase_visitor_clicks(&self, caller: &Caller, key: &str) -> Result<Erased, Problem> {
        let is_key = key.len() == VISITOR_DIGITS && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let visitor = is_key.then(|| u64::from_str_radix(key, 16).ok()).flatten();
        let Some(visitor) = visitor else {
            let detail = "a visitor key is 16 hexadecimal digits, as raw clicks have it in `visitor`";
            return Err(Problem::new(ProblemCode::BadRequest, detail));
        };
        let deleted = self.click_store().erase_visitor(&caller.account_id, visitor).await?;
        // The key is personal data and stays out of the log.
        tracing::info!(by = caller.changed_by, clicks = deleted, "a visitor's clicks were erased");
        Ok(Erased { deleted })
    }

    /// For how long the caller's raw clicks are kept.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retention(&self, caller: &Caller) -> Result<Retention, Problem> {
        let days = self.click_store().retention_days(&caller.account_id).await?;
        Ok(Retention { days, held: self.clicks.status().retention_held })
    }

    /// Chooses that.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_retention(&self, caller: &Caller, asked: SetRetention) -> Result<Retention, Problem> {
        let SetRetention { days } = asked;
        self.click_store().set_retention_days(&caller.account_id, days).await?;
        Ok(Retention { days, held: self.clicks.status().retention_held })
    }
}
