//! `waypost link`.

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Map, Value};

use crate::api_path::component;
use crate::cli::{ClientArgs, LinkChoice, LinkCommand};
use crate::client::{Call, Client};
use crate::command::fields::read_fields;
use crate::command::link_find::{PATH, find};
use crate::command::link_list::list;
use crate::command::{confirm, items, text, with_client};
use crate::print;

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
        LinkCommand::Update { slug: Some(_), .. } => bail!(
            "a link keeps its slug, because copies of its short URL are out there: make another link with \
             `waypost link create URL --slug NEW`, and delete this one or keep both"
        ),
        LinkCommand::Update { link, destination, fields, clear, if_version, client, slug: None } => {
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
    let client = Client::connect_to_make(args).await?;
    let link = with_client(client, async |client| client.call(Call::new(Method::POST, PATH).body(body)).await).await?;
    note_warnings(&link);
    if args.json {
        return Ok(print::json(&link)?);
    }
    Ok(print::line(text(&link, "short_url"))?)
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
    let link = link.await?;
    note_warnings(&link);
    show(args, &link)
}

/// What the instance has to say of a link that it took as it is.
fn note_warnings(link: &Value) {
    for warning in items(link, "warnings").iter().filter_map(Value::as_str) {
        print::note(&format!("Note: {}", print::plain(warning)));
    }
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
