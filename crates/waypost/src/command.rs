//! The commands that use the API: what each requests and how it prints the response.

mod audit;
mod clicks;
mod domain;
mod fields;
mod key;
mod link;
mod link_find;
mod link_list;
mod link_qr;
mod report;
mod report_table;
mod server_events;
mod sync;
mod sync_progress;

pub(crate) use audit::run_audit;
pub(crate) use clicks::run_clicks;
pub(crate) use domain::run_domain;
pub(crate) use key::run_key;
pub(crate) use link::run_link;
pub(crate) use report::run_report;
pub(crate) use sync::run_sync;

use std::io::{self, IsTerminal as _, Write as _};

use crate::client::Client;

/// Asks the user on the terminal to confirm.
///
/// # Errors
/// If there is no terminal.
fn confirm(question: &str) -> anyhow::Result<bool> {
    anyhow::ensure!(
        io::stdin().is_terminal(),
        "nothing was done: there is no terminal to ask for confirmation; give --yes to confirm"
    );
    let mut error = io::stderr();
    write!(error, "{question} [y/N] ")?;
    error.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Runs `work` with a client and then closes the client, also after an error.
async fn with_client<T>(client: Client, work: impl AsyncFnOnce(&Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let outcome = work(&client).await;
    client.close().await;
    outcome
}
