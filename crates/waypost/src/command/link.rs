//! `waypost link`.

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Map, Value};

use crate::cli::{ClientArgs, LinkChoice, LinkCommand};
use crate::client::{Call, Client};
use crate::command::fields::read_fields;
use crate::command::{component, confirm, items, text, with_client, with_query};
use crate::print;
use crate::problem::Problem;

/// Where links are in the API.
pub(crate) const PATH: &str = "/api/v1/links";
/// Links of one page of a list.
pub(crate) const PAGE_LINKS: u64 = 1_000;

/// Runs the command.
///
/// # Errors
/// Where the instance refuses or cannot be reached, or the arguments do not fit together.
pub(crate) async fn run_link(command: LinkCommand) -> anyhow::Result<()> {
    match command {
        LinkCommand::Create { destination, slug, domain, fields, client } => {
            let mut body = read_fields(&fields)?;
            let given = [("destination_url", destination), ("slug", slug), ("domain", domain)];
            body.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
            create(&client, &body).await
        }
        LinkCommand::List { limit, all, domain, client } => {
            list(&client, if all { u64::MAX } else { limit }, domain.as_deref()).await
        }
        LinkCommand::Show { link, client } => {
            let found = with_client(Client::connect(&client).await?, async |client| find(client, &link).await).await?;
            show(&client, &found)
        }
        LinkCommand::Update { link, destination, fields, clear, if_version, client } => {
            let mut body = read_fields(&fields)?;
            body.extend(clear.into_iter().map(|field| (field, Value::Null)));
            if let Some(destination) = destination {
                body.insert("destination_url".to_owned(), destination.into());
            }
            update(&client, &link, if_version, &body).await
        }
        LinkCommand::Delete { link, if_version, yes, client } => delete(&client, &link, if_version, yes).await,
    }
}

async fn create(args: &ClientArgs, body: &Map<String, Value>) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let link = with_client(client, async |client| client.call(Call::new(Method::POST, PATH).body(body)).await).await?;
    if args.json {
        return Ok(print::json(&link)?);
    }
    Ok(print::line(text(&link, "short_url"))?)
}

async fn list(args: &ClientArgs, limit: u64, domain: Option<&str>) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let json = args.json;
    with_client(client, async |client| {
        let mut rows = Vec::new();
        let mut left = limit;
        let mut cursor: Option<String> = None;
        while left > 0 {
            let page_links = left.min(PAGE_LINKS).to_string();
            let pairs = [("limit", Some(page_links.as_str())), ("domain", domain), ("cursor", cursor.as_deref())];
            let page = client.call_patiently(Call::new(Method::GET, with_query(PATH, &pairs))).await?;
            let links = items(&page, "links");
            left -= (links.len() as u64).min(left);
            if json {
                links.iter().try_for_each(print::json)?;
            } else {
                rows.extend(links.iter().map(show_row));
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || links.is_empty() {
                break;
            }
        }
        if !json {
            print::table(&["SHORT URL", "DESTINATION", "VERSION", "CREATED"], &rows, "There are no links.")?;
            if cursor.is_some() {
                print::note("There are more: see --limit and --all.");
            }
        }
        Ok(())
    })
    .await
}

fn show_row(link: &Value) -> Vec<String> {
    let version = link["version"].to_string();
    [text(link, "short_url"), text(link, "destination_url"), &version, text(link, "created_at")]
        .map(str::to_owned)
        .to_vec()
}

/// The id of the link that is meant. One that looks like an id stands for itself where no such link exists: clicks outlive
/// their link.
///
/// # Errors
/// Where there is no such link, or several domains have one.
pub(crate) async fn find_id(client: &Client, choice: &LinkChoice) -> anyhow::Result<String> {
    match find(client, choice).await {
        Ok(link) => Ok(link["id"].as_str().context("the answer names no link")?.to_owned()),
        Err(_) if choice.domain.is_none() && choice.link.starts_with("link_") => Ok(choice.link.clone()),
        Err(error) => Err(error),
    }
}

/// The link that is meant: by its id, else by its slug.
async fn find(client: &Client, choice: &LinkChoice) -> anyhow::Result<Value> {
    if choice.domain.is_none() && choice.link.starts_with("link_") {
        let found = client.call(Call::new(Method::GET, format!("{PATH}/{}", component(&choice.link)))).await;
        // What looks like an id may be a slug.
        match found {
            Err(error) if error.downcast_ref::<Problem>().is_some_and(|problem| problem.status == 404) => {}
            other => return other,
        }
    }
    let pairs = [("slug", Some(choice.link.as_str())), ("domain", choice.domain.as_deref())];
    let page = client.call(Call::new(Method::GET, with_query(PATH, &pairs))).await?;
    match items(&page, "links") {
        [] => bail!("there is no link {}", choice.link),
        [link] => Ok(link.clone()),
        several => {
            let hosts: Vec<&str> = several.iter().map(|link| text(link, "domain")).collect();
            bail!("several domains have a link {}: name one with --domain ({})", choice.link, hosts.join(", "))
        }
    }
}

fn path_of(link: &Value) -> anyhow::Result<String> {
    let id = link["id"].as_str().context("the answer names no link")?;
    Ok(format!("{PATH}/{}", component(id)))
}

async fn update(
    args: &ClientArgs,
    choice: &LinkChoice,
    if_version: Option<u64>,
    body: &Map<String, Value>,
) -> anyhow::Result<()> {
    anyhow::ensure!(!body.is_empty(), "nothing to change: give --destination, another field, or --clear");
    let client = Client::connect(args).await?;
    let link = with_client(client, async |client| {
        let path = path_of(&find(client, choice).await?)?;
        client.call(Call::new(Method::PATCH, path).if_version(if_version).body(body)).await
    });
    show(args, &link.await?)
}

async fn delete(args: &ClientArgs, choice: &LinkChoice, if_version: Option<u64>, yes: bool) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let deleted = with_client(client, async |client| {
        let link = find(client, choice).await?;
        let question =
            format!("Delete {}, which leads to {}?", text(&link, "short_url"), text(&link, "destination_url"));
        if !yes && !confirm(&question)? {
            return Ok(None);
        }
        client.call(Call::new(Method::DELETE, path_of(&link)?).if_version(if_version)).await?;
        Ok(Some(link))
    });
    match deleted.await? {
        None => bail!("nothing was deleted"),
        Some(link) if args.json => Ok(print::json(&serde_json::json!({ "deleted": link["id"] }))?),
        Some(link) => Ok(print::line(&format!("Deleted {}.", text(&link, "short_url")))?),
    }
}

fn show(args: &ClientArgs, link: &Value) -> anyhow::Result<()> {
    if args.json {
        return Ok(print::json(link)?);
    }
    let plain = |field: &str| link[field].as_str().map(str::to_owned);
    let flag = |field: &str, wanted: bool| (link[field] == wanted).then(|| wanted.to_string());
    let count = |field: &str| Some(items(link, field).len()).filter(|count| *count > 0).map(|count| count.to_string());
    let pairs = [
        ("short URL", plain("short_url")),
        ("leads to", plain("destination_url")),
        ("status", Some(link["redirect_status"].to_string())),
        ("forwards query", flag("forward_query", true)),
        ("enabled", flag("enabled", false)),
        ("starts", plain("starts_at")),
        ("expires", plain("expires_at")),
        ("then leads to", plain("expired_url")),
        ("password", flag("has_password", true).map(|_| "yes".to_owned())),
        ("rules", count("rules")),
        ("evolution rules", count("evolution_rules")),
        ("geo rules", count("geo_rules")),
        ("A/B test", link["ab_test"].get("id").map(ToString::to_string)),
        ("id", plain("id")),
        ("version", Some(link["version"].to_string())),
        ("created", plain("created_at")),
        ("changed", plain("updated_at")),
    ];
    Ok(print::pairs(&pairs)?)
}
