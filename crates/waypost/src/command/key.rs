//! `waypost key`.

use http::Method;
use waypost_api::api_key::{ApiKey, ApiKeyList, CreateApiKey};
use waypost_core::Quoted;

use crate::api_path::component;
use crate::cli::{ClientArgs, KeyCommand};
use crate::client::{Call, Client};
use crate::clock;
use crate::command::with_client;
use crate::print;
use crate::problem::Problem;

const PATH: &str = "/api/v1/keys";

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached.
pub(crate) async fn run_key(command: &KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create { name, expires, scopes, domain, publishable_for, client } => {
            let list = |values: &Vec<String>| Some(values.clone()).filter(|values| !values.is_empty());
            let asked = CreateApiKey {
                name: name.clone(),
                expires_at: expires.as_deref().map(|expires| clock::parse_when(expires, clock::now())).transpose()?,
                publishable: !publishable_for.is_empty(),
                scopes: scopes.clone(),
                domains: list(domain),
                origins: publishable_for.clone(),
            };
            create(client, &asked).await
        }
        KeyCommand::List { client } => list(client).await,
        KeyCommand::Revoke { id, client } => revoke(client, id).await,
    }
}

async fn create(args: &ClientArgs, asked: &CreateApiKey) -> anyhow::Result<()> {
    let client = Client::connect_to_create(args).await?;
    let created =
        with_client(client, async |client| client.call(Call::new(Method::POST, PATH).body(asked)).await).await?;
    if args.json {
        return created.print();
    }
    let key: ApiKey = created.read()?;
    // Only the key goes to standard output, so that scripts can use it.
    print::note(&format!("API key {} ({}); it is shown only once:", key.id, key.name));
    Ok(print::line(key.key.as_deref().unwrap_or_default())?)
}

async fn list(args: &ClientArgs) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let listed = with_client(client, async |client| client.call(Call::new(Method::GET, PATH)).await).await?;
    if args.json {
        return listed.print_each("keys");
    }
    let ApiKeyList { keys } = listed.read()?;
    let rows: Vec<Vec<String>> = keys.iter().map(show_row).collect();
    Ok(print::list(&["ID", "NAME", "KEY", "MAY", "CREATED", "LAST USED", "STATE"], &rows, "There are no API keys.")?)
}

fn show_row(key: &ApiKey) -> Vec<String> {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(revoked_at), _) => format!("revoked {revoked_at}"),
        (None, Some(expires_at)) if expires_at <= clock::now() => format!("expired {expires_at}"),
        (None, Some(expires_at)) => format!("until {expires_at}"),
        (None, None) => "active".to_owned(),
    };
    vec![
        key.id.to_string(),
        key.name.clone(),
        format!("{}_{}_…", if key.publishable { "wpp" } else { "wp" }, key.key_id),
        show_limits(key),
        key.created_at.to_string(),
        key.last_used_at.map_or_else(|| "never".to_owned(), |used_at| used_at.to_string()),
        state,
    ]
}

/// What a key may be used for: its scopes, and the domains it is limited to.
fn show_limits(key: &ApiKey) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    match &key.domains {
        None => scopes.join(" "),
        Some(domains) => format!("{} on {}", scopes.join(" "), domains.join(" ")),
    }
}

async fn revoke(args: &ClientArgs, id: &str) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let call = Call::new(Method::DELETE, format!("{PATH}/{}", component(id)));
    let revoked = with_client(client, async |client| match client.call(call).await {
        Err(error) if error.downcast_ref::<Problem>().is_some_and(Problem::is_not_found) => {
            let ApiKeyList { keys } = client.call(Call::new(Method::GET, PATH)).await?.read()?;
            Err(describe_unknown_key(&keys, id).map_or(error, anyhow::Error::msg))
        }
        other => other,
    });
    let answer = revoked.await?;
    if args.json {
        return answer.print();
    }
    Ok(print::line(&format!("Revoked {id}."))?)
}

/// The error if no key has this id, but one or more have it as their name or as their beginning.
fn describe_unknown_key(keys: &[ApiKey], wanted: &str) -> Option<String> {
    let start = wanted.strip_prefix("wp_").unwrap_or(wanted).split(['_', '…']).next().unwrap_or_default();
    let is_meant = |key: &&ApiKey| key.name == wanted || (!start.is_empty() && key.key_id == start);
    let mut meant: Vec<&ApiKey> = keys.iter().filter(is_meant).collect();
    // Names are not unique: keys that are still valid come first.
    meant.sort_by_key(|key| key.revoked_at.is_some());
    let lines: Vec<String> = meant.into_iter().map(|key| format!("\n  {}", show_row(key).join("  "))).collect();
    (!lines.is_empty()).then(|| {
        format!(
            "no API key has the id {}; keys are revoked by their id, the first column here:{}",
            Quoted(wanted),
            lines.concat()
        )
    })
}
