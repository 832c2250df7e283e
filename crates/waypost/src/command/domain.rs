//! `waypost domain`.

use anyhow::Context as _;
use http::Method;
use serde_json::{Map, Value};
use waypost_core::Hostname;

use crate::api_path::component;
use crate::cli::{ClientArgs, DomainCommand};
use crate::client::{Call, Client};
use crate::command::{items, text, with_client};
use crate::print;

const PATH: &str = "/api/v1/domains";

/// Runs the command.
///
/// # Errors
/// Where the instance refuses or cannot be reached.
pub(crate) async fn run_domain(command: &DomainCommand) -> anyhow::Result<()> {
    match command {
        DomainCommand::Create { host, case_insensitive, root_url, client } => {
            let mut body = settings(Some(*case_insensitive), root_url.as_deref());
            body.insert("host".to_owned(), host.as_str().into());
            create(client, &body).await
        }
        DomainCommand::List { client } => list(client).await,
        DomainCommand::Update { domain, case_insensitive, root_url, client } => {
            update(client, domain, &settings(*case_insensitive, root_url.as_deref())).await
        }
        DomainCommand::Delete { domain, client } => delete(client, domain).await,
    }
}

fn settings(case_insensitive: Option<bool>, root_url: Option<&str>) -> Map<String, Value> {
    let mut body = Map::new();
    if let Some(case_insensitive) = case_insensitive {
        body.insert("case_insensitive".to_owned(), case_insensitive.into());
    }
    if let Some(root_url) = root_url {
        body.insert("root_url".to_owned(), if root_url.is_empty() { Value::Null } else { root_url.into() });
    }
    body
}

async fn create(args: &ClientArgs, body: &Map<String, Value>) -> anyhow::Result<()> {
    let client = Client::connect_to_make(args).await?;
    let domain =
        with_client(client, async |client| client.call(Call::new(Method::POST, PATH).body(body)).await).await?;
    show(args, &domain)
}

async fn list(args: &ClientArgs) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let answer = with_client(client, async |client| client.call(Call::new(Method::GET, PATH)).await).await?;
    let domains = items(&answer, "domains");
    if args.json {
        return Ok(domains.iter().try_for_each(print::json)?);
    }
    let rows: Vec<Vec<String>> = domains.iter().map(show_row).collect();
    Ok(print::list(&["ID", "HOST", "DEFAULT", "CASE", "ROOT"], &rows, "There are no domains.")?)
}

fn show_row(domain: &Value) -> Vec<String> {
    let default = if domain["is_default"] == true { "yes" } else { "" };
    let case = if domain["case_insensitive"] == true { "insensitive" } else { "sensitive" };
    [text(domain, "id"), &shown_host(domain), default, case, text(domain, "root_url")].map(str::to_owned).to_vec()
}

async fn update(args: &ClientArgs, domain: &str, body: &Map<String, Value>) -> anyhow::Result<()> {
    anyhow::ensure!(!body.is_empty(), "nothing to change: give --case-insensitive or --root-url");
    let client = Client::connect(args).await?;
    let changed = with_client(client, async |client| {
        let found = find(client, domain).await?;
        client.call(Call::new(Method::PATCH, path_of(&found)).body(body)).await
    });
    show(args, &changed.await?)
}

async fn delete(args: &ClientArgs, domain: &str) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let deleted = with_client(client, async |client| {
        let found = find(client, domain).await?;
        client.call(Call::new(Method::DELETE, path_of(&found))).await?;
        Ok(found)
    });
    match deleted.await? {
        domain if args.json => Ok(print::json(&serde_json::json!({ "deleted": domain["id"] }))?),
        domain => Ok(print::line(&format!("Deleted the domain {}.", shown_host(&domain)))?),
    }
}

/// The domain with this host, in any form, or with this id.
async fn find(client: &Client, domain: &str) -> anyhow::Result<Value> {
    let listed = client.call(Call::new(Method::GET, PATH)).await?;
    let host = Hostname::parse(domain).ok();
    let is_host = |item: &Value| host.as_ref().is_some_and(|host| text(item, "host") == host.as_str());
    let wanted = |item: &&Value| text(item, "id") == domain || is_host(item);
    let found = items(&listed, "domains").iter().find(wanted);
    found.cloned().with_context(|| format!("there is no domain {domain}"))
}

fn path_of(domain: &Value) -> String {
    format!("{PATH}/{}", component(text(domain, "id")))
}

/// The host, and as people read it where that differs.
fn shown_host(domain: &Value) -> String {
    match (text(domain, "host"), text(domain, "host_unicode")) {
        (host, unicode) if unicode.is_empty() || unicode == host => host.to_owned(),
        (host, unicode) => format!("{host} ({unicode})"),
    }
}

fn show(args: &ClientArgs, domain: &Value) -> anyhow::Result<()> {
    if args.json {
        return Ok(print::json(domain)?);
    }
    let case = if domain["case_insensitive"] == true { "does not count" } else { "counts" };
    let pairs = [
        ("id", domain["id"].as_str().map(str::to_owned)),
        ("host", Some(shown_host(domain))),
        ("letter case", Some(case.to_owned())),
        ("root URL", domain["root_url"].as_str().map(str::to_owned)),
    ];
    Ok(print::pairs(&pairs)?)
}
