//! `waypost link`.

use anyhow::bail;
use http::Method;
use serde_json::{Map, Value};
use waypost_api::link::Link;
use waypost_core::Timestamp;

use crate::api_path::component;
use crate::cli::{ClientArgs, LinkChoice, LinkCommand};
use crate::client::{Call, Client};
use crate::command::fields::read_fields;
use crate::command::link_find::{PATH, find};
use crate::command::link_list::list;
use crate::command::link_qr::{print_qr, store_logo};
use crate::command::{confirm, with_client};
use crate::print;
use crate::reply::Kept;

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached, or the arguments do not fit together.
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
            show(&client, found)
        }
        LinkCommand::Update { slug: Some(_), .. } => bail!(
            "a slug cannot change, because others have copies of the short URL: create another link with \
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
        LinkCommand::Qr { link, qr, client } => print_qr(&client, &link, &qr).await,
        LinkCommand::QrLogo { file, client, .. } => store_logo(&client, file.as_deref()).await,
        LinkCommand::Delete { link, if_version, yes, client } => delete(&client, &link, if_version, yes).await,
    }
}

async fn create(args: &ClientArgs, body: &Map<String, Value>) -> anyhow::Result<()> {
    let client = Client::connect_to_create(args).await?;
    let created =
        with_client(client, async |client| client.call(Call::new(Method::POST, PATH).body(body)).await).await?;
    let link: Link = created.read()?;
    note_warnings(&link);
    if args.json {
        return created.print();
    }
    Ok(print::line(&link.short_url)?)
}

fn path_of(link: &Link) -> String {
    format!("{PATH}/{}", component(link.id.as_str()))
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
        let path = path_of(&find(client, choice).await?.value);
        client.call(Call::new(Method::PATCH, path).if_version(if_version).body(body)).await
    });
    let link: Kept<Link> = link.await?.read()?;
    note_warnings(&link.value);
    show(args, link)
}

/// Prints the server's warnings about a link that it has accepted.
fn note_warnings(link: &Link) {
    for warning in &link.warnings {
        print::note(&format!("Note: {}", print::plain(warning)));
    }
}

async fn delete(args: &ClientArgs, choice: &LinkChoice, if_version: Option<u64>, yes: bool) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let deleted = with_client(client, async |client| {
        let link = find(client, choice).await?.value;
        let question = format!("Delete {}, which leads to {}?", link.short_url, link.fields.destination_url);
        if !yes && !confirm(&question)? {
            return Ok(None);
        }
        client.call(Call::new(Method::DELETE, path_of(&link)).if_version(if_version)).await?;
        Ok(Some(link))
    });
    match deleted.await? {
        None => bail!("nothing was deleted"),
        Some(link) if args.json => Ok(print::json(&serde_json::json!({ "deleted": link.id }))?),
        Some(link) => Ok(print::line(&format!("Deleted {}.", link.short_url))?),
    }
}

fn show(args: &ClientArgs, link: Kept<Link>) -> anyhow::Result<()> {
    if args.json {
        return Ok(print::json(&link.json)?);
    }
    let Link { id, short_url, version, fields, created_at, updated_at, .. } = link.value;
    let count = |count: usize| Some(count).filter(|count| *count > 0).map(|count| count.to_string());
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let pairs = [
        ("short URL", Some(short_url)),
        ("leads to", Some(fields.destination_url)),
        ("status", Some(fields.redirect_status.to_string())),
        ("forwards query", fields.forward_query.then(|| "true".to_owned())),
        ("enabled", (!fields.enabled).then(|| "false".to_owned())),
        ("starts", time(fields.starts_at)),
        ("expires", time(fields.expires_at)),
        ("then leads to", fields.expired_url),
        ("password", fields.has_password.then(|| "yes".to_owned())),
        ("rules", count(fields.rules.len())),
        ("evolution rules", count(fields.evolution_rules.len())),
        ("geo rules", count(fields.geo_rules.len())),
        ("A/B test", fields.ab_test.and_then(|test| serde_json::to_string(&test.id).ok())),
        ("id", Some(id.to_string())),
        ("version", Some(version.to_string())),
        ("created", time(Some(created_at))),
        ("changed", time(Some(updated_at))),
    ];
    Ok(print::pairs(&pairs)?)
}
