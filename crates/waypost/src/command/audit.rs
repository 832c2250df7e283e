//! `waypost audit`.

use http::Method;
use serde_json::Value;
use waypost_api::audit::{AuditEntry, AuditPage, PAGE_ENTRIES_MAX};

use crate::cli::AuditArgs;
use crate::client::{Call, Client};
use crate::command::with_client;
use crate::print;

const PATH: &str = "/api/v1/audit";

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached.
pub(crate) async fn run_audit(args: &AuditArgs) -> anyhow::Result<()> {
    let client = Client::connect(&args.client).await?;
    let entries = with_client(client, async |client| read_entries(client, args).await).await?;
    if args.client.json {
        for entry in &entries {
            print::json(entry)?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = entries.iter().map(show_row).collect();
    Ok(print::list(&["TIME", "ACTOR", "FROM", "ACTION", "OBJECT", "CHANGE"], &rows, "There are no changes.")?)
}

/// Page by page, until there are as many as were asked for.
async fn read_entries(client: &Client, args: &AuditArgs) -> anyhow::Result<Vec<AuditEntry>> {
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let left = args.limit - u32::try_from(entries.len()).unwrap_or(args.limit);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &left.min(PAGE_ENTRIES_MAX).to_string());
        let filters = [
            ("actor", &args.actor),
            ("action", &args.action),
            ("object_id", &args.object),
            ("from", &args.from),
            ("to", &args.to),
            ("cursor", &cursor),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let call = Call::new(Method::GET, format!("{PATH}?{}", query.finish()));
        let page: AuditPage = client.call(call).await?.read()?;
        entries.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || entries.len() >= args.limit as usize {
            return Ok(entries);
        }
    }
}

fn show_row(entry: &AuditEntry) -> Vec<String> {
    let actor = match &entry.actor_name {
        Some(name) => format!("{name} ({})", entry.actor),
        None => entry.actor.clone(),
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        entry.created_at.to_string(),
        actor,
        text(&entry.address),
        entry.action.clone(),
        text(&entry.object_id),
        show_change(entry.before.as_ref(), entry.after.as_ref()),
    ]
}

/// The fields that were changed, each as it was and as it is.
fn show_change(before: Option<&Value>, after: Option<&Value>) -> String {
    let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (fields(before), fields(after));
    let is_said = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    let changed = after.iter().filter_map(|(name, now)| match before.get(name) {
        Some(then) => Some(format!("{name}: {then} -> {now}")),
        None => is_said(now).then(|| format!("{name}: {now}")),
    });
    let gone = before.iter().filter(|(name, then)| !after.contains_key(*name) && is_said(then));
    let gone = gone.map(|(name, then)| format!("{name}: {then} -> nothing"));
    changed.chain(gone).collect::<Vec<_>>().join(", ")
}
