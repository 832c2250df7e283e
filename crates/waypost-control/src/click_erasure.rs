//! Forgetting clicks: those of a link or of a visitor at once, raw clicks of their own accord after some days.
//!
//! Deleting a link is not forgetting it: its clicks stay in all reports until they are erased here.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemCode};
use crate::request::{invalid, refuse_rest};

/// The most days raw clicks can be kept by choice.
const RETENTION_DAYS_MAX: u64 = 36_500;
const VISITOR_DIGITS: usize = 16;

/// What was erased.
#[derive(Debug, Serialize)]
pub(crate) struct Erased {
    /// Raw clicks deleted; clicks that were pruned before are counted out of the totals without being among these.
    deleted: u64,
}

/// For how long raw clicks are kept.
#[derive(Debug, Serialize)]
pub(crate) struct Retention {
    /// As the account has chosen; `null` for the instance's default.
    days: Option<u32>,
    /// Why clicks are not deleted by what the clock shows; absent where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<String>,
}

impl App {
    /// Erases everything that is known of the clicks of a link, which may be deleted already.
    pub(crate) async fn erase_link_clicks(&self, caller: &Caller, id: &str) -> Result<Erased, Problem> {
        let link_id = self.known_link_id(caller, id).await?;
        let deleted = self.click_store().erase_link(&caller.account_id, &link_id).await?;
        tracing::info!(link.id = %link_id, by = caller.changed_by, clicks = deleted, "a link's clicks were erased");
        Ok(Erased { deleted })
    }

    /// Erases the clicks of a visitor key.
    pub(crate) async fn erase_visitor_clicks(&self, caller: &Caller, key: &str) -> Result<Erased, Problem> {
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
    pub(crate) async fn retention(&self, caller: &Caller) -> Result<Retention, Problem> {
        let days = self.click_store().retention_days(&caller.account_id).await?;
        Ok(Retention { days, held: self.clicks.status().retention_held })
    }

    /// Chooses that.
    pub(crate) async fn set_retention(
        &self,
        caller: &Caller,
        mut body: Map<String, Value>,
    ) -> Result<Retention, Problem> {
        let mut errors = Vec::new();
        let days = match body.remove("days") {
            Some(Value::Null) => None,
            Some(Value::Number(days)) if days.as_u64().is_some_and(|days| (1..=RETENTION_DAYS_MAX).contains(&days)) => {
                days.as_u64().and_then(|days| u32::try_from(days).ok())
            }
            Some(_) | None => {
                errors.push(invalid("days", &format!("a whole number from 1 to {RETENTION_DAYS_MAX}, or null")));
                None
            }
        };
        refuse_rest(&body, &mut errors);
        if !errors.is_empty() {
            return Err(Problem::of_fields(errors));
        }
        self.click_store().set_retention_days(&caller.account_id, days).await?;
        Ok(Retention { days, held: self.clicks.status().retention_held })
    }
}
