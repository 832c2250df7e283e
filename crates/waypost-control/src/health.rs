//! Whether this instance can do its work.

use serde::Serialize;

use crate::app::App;
use crate::problem::Chain;

/// What `/readyz` tells.
#[derive(Debug, Serialize)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    checks: Checks,
}

#[derive(Debug, Serialize)]
struct Checks {
    store: StoreCheck,
    table: TableCheck,
}

#[derive(Debug, Serialize)]
struct StoreCheck {
    ok: bool,
}

#[derive(Debug, Serialize)]
struct TableCheck {
    /// Whether the table has caught up since the start and is being kept current.
    ok: bool,
    /// The outbox sequence up to which the table is current.
    cursor: u64,
    /// Changes that it has not taken yet; `null` where the database cannot say.
    behind: Option<u64>,
    /// Links since the start that cannot be served as they are stored.
    refused: u64,
}

impl App {
    pub(crate) async fn readiness(&self) -> Readiness {
        let last = self.outbox_last().await;
        let cursor = self.table.cursor();
        let store = StoreCheck { ok: last.is_some() };
        let table = TableCheck {
            ok: self.sync.is_well(),
            cursor,
            behind: last.map(|last| last.saturating_sub(cursor)),
            refused: self.sync.refused(),
        };
        Readiness { ready: store.ok && table.ok, checks: Checks { store, table } }
    }

    async fn outbox_last(&self) -> Option<u64> {
        let read = async { self.store.read("readyz").await?.outbox_last().await };
        read.await.inspect_err(|error| tracing::warn!(error = %Chain(error), "the database does not answer")).ok()
    }
}
