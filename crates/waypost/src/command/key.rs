//! `waypost key`.

use http::Method;
use serde_json::{Map, Value};
use waypost_core::Timestamp;

use crate::cli::{ClientArgs, KeyCommand};
use crate::client::{Call, Client};
use crate::clock;
use crate::command::{component, items, text, with_client};
use crate::print;

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
    Ok(print::table(&["ID", "NAME", "KEY", "CREATED", "LAST USED", "STATE"], &rows, "There are no API keys.")?)
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
    let answer = with_client(client, async |client| client.call(call).await).await?;
    if args.json {
        return Ok(print::json(&answer)?);
    }
    Ok(print::line(&format!("Revoked {id}."))?)
}
