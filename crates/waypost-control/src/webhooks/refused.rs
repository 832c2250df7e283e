//! Refused events, for the operator.

use waypost_api::clicks::{ListRefused, RefusedEvent, RefusedPage};
use waypost_clicks::StoredRefusal;

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::problem::Problem;

impl App {
    /// A page of refused events.
    ///
    /// # Errors
    /// Where the caller may not, the cursor is none, or the database fails.
    pub async fn list_refused_clicks(&self, caller: &Caller, asked: &ListRefused) -> Result<RefusedPage, Problem> {
        caller.may(Operation::AuditClicks)?;
        let page = self.click_store().refused_events(asked.cursor.as_deref(), asked.limit).await?;
        let view = |StoredRefusal { received_at, refused }| RefusedEvent {
            received_at,
            edge_id: refused.edge_id,
            reason: refused.reason,
            event: refused.event,
        };
        Ok(RefusedPage { events: page.events.into_iter().map(view).collect(), next_cursor: page.next })
    }
}
