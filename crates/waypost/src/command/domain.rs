//! `waypost domain`.

use anyhow::Context as _;
use http::Method;
use waypost_api::domain::{CreateDomain, Domain, DomainList, UpdateDomain};
use waypost_core::Hostname;

use crate::api_path::component;
use crate::cli::{ClientArgs, DomainCommand};
use crate::client::{Call, Client};
use crate::command::with_client;
use crate::print;
use crate::reply::Reply;

const PATH: &str = "/api/v1/domains";

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached.
pub(crate) async fn run_domain(command: &DomainCommand) -> anyhow::Result<()> {
    match command {
        DomainCommand::Create { host, case_insensitive, root_url, client } => {
            let settings = settings(Some(*case_insensitive), root_url.as_deref());
            create(client, &CreateDomain { host: Hostname::parse(host)?, settings }).await
        }
        DomainCommand::List { client } => list(client).await,
        DomainCommand::Update { domain, case_insensitive, root_url, client } => {
            update(client, domain, &settings(*case_insensitive, root_url.as_deref())).await
        }
        DomainCommand::Delete { domain, client } => delete(client, domain).await,
    }
}

/// The settings that the flags give; an empty `root_url` removes it.
fn settings(case_insensitive: Option<bool>, root_url: Option<&str>) -> UpdateDomain {
    let root_url = root_url.map(|url| Some(url.to_owned()).filter(|url| !url.is_empty()));
    UpdateDomain { case_insensitive, root_url }
}

async fn create(args: &ClientArgs, body: &CreateDomain) -> anyhow::Result<()> {
    let client = Client::connect_to_create(args).await?;
    let created =
        with_client(client, async |client| client.call(Call::new(Method::POST, PATH).body(body)).await).await?;
    show(args, &created)
}

async fn list(args: &ClientArgs) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let listed = with_client(client, async |client| client.call(Call::new(Method::GET, PATH)).await).await?;
    if args.json {
        return listed.print_each("domains");
    }
    let DomainList { domains } = listed.read()?;
    let rows: Vec<Vec<String>> = domains.iter().map(show_row).collect();
    Ok(print::list(&["ID", "HOST", "DEFAULT", "CASE", "ROOT"], &rows, "There are no domains.")?)
}

fn show_row(domain: &Domain) -> Vec<String> {
    let default = if domain.is_default { "yes" } else { "" };
    let case = if domain.case_insensitive { "insensitive" } else { "sensitive" };
    let root_url = domain.root_url.as_deref().unwrap_or_default();
    [domain.id.as_str(), &shown_host(domain), default, case, root_url].map(str::to_owned).to_vec()
}

async fn update(args: &ClientArgs, domain: &str, body: &UpdateDomain) -> anyhow::Result<()> {
    anyhow::ensure!(*body != UpdateDomain::default(), "nothing to change: give --case-insensitive or --root-url");
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
        domain if args.json => Ok(print::json(&serde_json::json!({ "deleted": domain.id }))?),
        domain => Ok(print::line(&format!("Deleted the domain {}.", shown_host(&domain)))?),
    }
}

/// The domain with this host (Unicode or punycode) or this id.
async fn find(client: &Client, domain: &str) -> anyhow::Result<Domain> {
    let DomainList { domains } = client.call(Call::new(Method::GET, PATH)).await?.read()?;
    let host = Hostname::parse(domain).ok();
    let is_host = |item: &Domain| host.as_ref().is_some_and(|host| item.host == host.as_str());
    let found = domains.into_iter().find(|item| item.id.as_str() == domain || is_host(item));
    found.with_context(|| format!("the domain {domain} was not found"))
}

fn path_of(domain: &Domain) -> String {
    format!("{PATH}/{}", component(domain.id.as_str()))
}

/// The host, followed by its Unicode form if that differs.
fn shown_host(domain: &Domain) -> String {
    match (&domain.host, &domain.host_unicode) {
        (host, unicode) if unicode.is_empty() || unicode == host => host.clone(),
        (host, unicode) => format!("{host} ({unicode})"),
    }
}

fn show(args: &ClientArgs, reply: &Reply) -> anyhow::Result<()> {
    if args.json {
        return reply.print();
    }
    let domain: Domain = reply.read()?;
    let case = if domain.case_insensitive { "insensitive" } else { "sensitive" };
    let pairs = [
        ("id", Some(domain.id.to_string())),
        ("host", Some(shown_host(&domain))),
        ("case", Some(case.to_owned())),
        ("root URL", domain.root_url),
    ];
    Ok(print::pairs(&pairs)?)
}
