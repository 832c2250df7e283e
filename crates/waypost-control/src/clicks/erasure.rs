//! Erasing clicks: those of a link or a visitor at once, raw clicks by themselves after some days.
//!
//! Deleting a link erases nothing: its clicks stay in all reports until they are erased here.

use serde_json::json;
use waypost_api::ProblemCode;
use waypost_api::clicks::{Erased, Retention, SetRetention};

use crate::access::author::Changed;
use crate::access::caller::Caller;
use crate::access::operation::Operation;
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
        caller.may(Operation::EraseClicks)?;
        let link_id = self.known_link_id(caller, id).await?;
        let changed = Changed::done(Some(link_id.as_str()), &json!({}));
        self.record_ahead(caller, Operation::EraseClicks, changed).await?;
        let deleted = self.click_store().erase_link(&caller.account_id, &link_id).await?;
        tracing::info!(link.id = %link_id, by = caller.author.id, clicks = deleted, "a link's clicks were erased");
        Ok(Erased { deleted })
    }

    /// Erases the clicks of a visitor key.
    ///
    /// # Errors
    /// Where that is no visitor key, or the database fails.
    pub async fn erase_visitor_clicks(&self, caller: &Caller, key: &str) -> Result<Erased, Problem> {
        caller.may(Operation::EraseClicks)?;
        caller.require_whole_account()?;
        let is_key = key.len() == VISITOR_DIGITS && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let visitor = is_key.then(|| u64::from_str_radix(key, 16).ok()).flatten();
        let Some(visitor) = visitor else {
            let detail = "a visitor key is 16 hexadecimal digits, as raw clicks have it in `visitor`";
            return Err(Problem::new(ProblemCode::BadRequest, detail));
        };
        // The key is personal data and stays out of the audit log, too.
        let changed = Changed::done(None, &json!({ "visitor": "one" }));
        self.record_ahead(caller, Operation::EraseClicks, changed).await?;
        let deleted = self.click_store().erase_visitor(&caller.account_id, visitor).await?;
        // The key is personal data and stays out of the log.
        tracing::info!(by = caller.author.id, clicks = deleted, "a visitor's clicks were erased");
        Ok(Erased { deleted })
    }

    /// For how long the caller's raw clicks are kept.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retention(&self, caller: &Caller) -> Result<Retention, Problem> {
        caller.may(Operation::ReadRetention)?;
        let days = self.click_store().retention_days(&caller.account_id).await?;
        Ok(Retention { days, held: self.clicks.status().retention_held })
    }

    /// Chooses that.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_retention(&self, caller: &Caller, asked: SetRetention) -> Result<Retention, Problem> {
        caller.may(Operation::SetRetention)?;
        let SetRetention { days } = asked;
        let before = self.click_store().retention_days(&caller.account_id).await?;
        let changed = Changed::updated("retention", &json!({ "days": before }), &json!({ "days": days }));
        self.record_ahead(caller, Operation::SetRetention, changed).await?;
        self.click_store().set_retention_days(&caller.account_id, days).await?;
        Ok(Retention { days, held: self.clicks.status().retention_held })
    }
}
