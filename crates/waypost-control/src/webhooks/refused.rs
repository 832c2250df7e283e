//! Events that were refused, for whoever runs the instance to look at.

use serde::Serialize;
use waypost_core::Timestamp;
use waypost_store::{PAGE_REFUSED_MAX, StoredRefusal};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemCode};
use crate::report_query::Fields;
use crate::request::QueryPairs;

/// Events of a page where the caller does not say.
const PAGE_REFUSED: u32 = 50;

/// Which of them are asked for.
#[derive(Clone, Debug)]
pub(crate) struct AskedRefused {
    limit: u32,
    cursor: Option<String>,
}

/// A page, the newest first.
#[derive(Debug, Serialize)]
pub(crate) struct RefusedView {
    events: Vec<RefusedEventView>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct RefusedEventView {
    /// When it came first.
    received_at: Timestamp,
    /// The edge that it says it comes from.
    edge_id: String,
    /// Why it was not counted.
    reason: String,
    /// Its JSON as text, without what says who the visitor was; cut where it is long.
    event: String,
}

impl AskedRefused {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Where one is unknown or has a value that it cannot have.
    pub(crate) fn read(pairs: QueryPairs) -> Result<Self, Problem> {
        let mut fields = Fields::of(pairs);
        let limit = fields.read("limit", ProblemCode::InvalidField, |text| {
            let limit = text.parse().ok().filter(|limit| (1..=PAGE_REFUSED_MAX).contains(limit));
            limit.ok_or_else(|| format!("must be a number from 1 to {PAGE_REFUSED_MAX}"))
        });
        let asked = Self { limit: limit.unwrap_or(PAGE_REFUSED), cursor: fields.take("cursor") };
        fields.finish().map(|()| asked)
    }
}

impl App {
    /// A page of refused events.
    pub(crate) async fn list_refused_clicks(
        &self,
        caller: &Caller,
        asked: &AskedRefused,
    ) -> Result<RefusedView, Problem> {
        caller.require_instance(self)?;
        let page = self.click_store().refused_events(asked.cursor.as_deref(), asked.limit).await?;
        let view = |StoredRefusal { received_at, refused }| RefusedEventView {
            received_at,
            edge_id: refused.edge_id,
            reason: refused.reason,
            event: refused.event,
        };
        Ok(RefusedView { events: page.events.into_iter().map(view).collect(), next_cursor: page.next })
    }
}
