//! `waypost key`.

use http::Method;
use serde_json::{Map, Value};
use waypost_core::{Quoted, Timestamp};

use crate::api_path::component;
use crate::cli::{ClientArgs, KeyCommand};
use crate::client::{Call, Client};
use crate::clock;
use crate::command::{items, text, with_client};
use crate::print;
use crate::problem::Problem;

const PATH: &str = "/api/v1/keys";

/// Runs the command.
///
/// # Errors
/// Where the instance refuses or cannot be reached.
pub(crate) async fn run_key(command: &KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create { name, expires, client } => create(client, name, expires.as_deref()).await,
        KeyCommand::List { client } => list(client).await,
        KeyCommand::Revoke { id, client } => revoke(client, id).await,
    }
}

async fn create(args: &ClientArgs, name: &str, expires: Option<&str>) -> anyhow::Result<()> {
    let mut body = Map::from_iter([("name".to_owned(), Value::from(name))]);
    if let Some(expires) = expires {
        body.insert("expires_at".to_owned(), clock::parse_when(expires, clock::now())?.to_string().into());
    }
    let client = Client::connect_to_make(args).await?;
    let key = with_client(client, async |client| client.call(Call::new(Method::POST, PATH).body(&body)).await).await?;
    if args.json {
        return Ok(print::json(&key)?);
    }
    // The key alone on standard output, so that it can be taken by a script.
    print::note(&format!("API key {} ({}); it is shown this once:", text(&key, "id"), text(&key, "name")));
    Ok(print::line(text(&key, "key"))?)
}

async fn list(args: &ClientArgs) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let answer = with_client(client, async |client| client.call(Call::new(Method::GET, PATH)).await).await?;
    let keys = items(&answer, "keys");
    if args.json {
        return Ok(keys.iter().try_for_each(print::json)?);
    }
    let rows: Vec<Vec<String>> = keys.iter().map(show_row).collect();
    Ok(print::list(&["ID", "NAME", "KEY", "CREATED", "LAST USED", "STATE"], &rows, "There are no API keys.")?)
}

fn show_row(key: &Value) -> Vec<String> {
    let state = match (key["revoked_at"].as_str(), key["expires_at"].as_str()) {
        (Some(revoked_at), _) => format!("revoked {revoked_at}"),
        (None, Some(expires_at)) if has_passed(expires_at) => format!("expired {expires_at}"),
        (None, Some(expires_at)) => format!("until {expires_at}"),
        (None, None) => "active".to_owned(),
    };
    let last_used = key["last_used_at"].as_str().unwrap_or("never");
    let short = format!("wp_{}_…", text(key, "key_id"));
    let cells = [text(key, "id"), text(key, "name"), &short, text(key, "created_at"), last_used, &state];
    cells.map(str::to_owned).to_vec()
}

fn has_passed(time: &str) -> bool {
    time.parse().is_ok_and(|time: Timestamp| time <= clock::now())
}

async fn revoke(args: &ClientArgs, id: &str) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let call = Call::new(Method::DELETE, format!("{PATH}/{}", component(id)));
    let revoked = with_client(client, async |client| match client.call(call).await {
        Err(error) if error.downcast_ref::<Problem>().is_some_and(|problem| problem.status == 404) => {
            let listed = client.call(Call::new(Method::GET, PATH)).await?;
            Err(no_such_key(items(&listed, "keys"), id).map_or(error, anyhow::Error::msg))
        }
        other => other,
    });
    let answer = revoked.await?;
    if args.json {
        return Ok(print::json(&answer)?);
    }
    Ok(print::line(&format!("Revoked {id}."))?)
}

/// What to say where no key has this id, but one or more have it as their name, or begin with it.
fn no_such_key(keys: &[Value], wanted: &str) -> Option<String> {
    let start = wanted.strip_prefix("wp_").unwrap_or(wanted).split(['_', '…']).next().unwrap_or_default();
    let is_meant = |key: &&Value| text(key, "name") == wanted || (!start.is_empty() && text(key, "key_id") == start);
    let mut meant: Vec<&Value> = keys.iter().filter(is_meant).collect();
    // Names are not unique; whoever wants to revoke one means one that still opens something.
    meant.sort_by_key(|key| key["revoked_at"].is_string());
    let lines: Vec<String> = meant.into_iter().map(|key| format!("\n  {}", show_row(key).join("  "))).collect();
    (!lines.is_empty()).then(|| {
        format!(
            "there is no API key with the id {}; keys are revoked by their id, which is first here:{}",
            Quoted(wanted),
            lines.concat()
        )
    })
}
