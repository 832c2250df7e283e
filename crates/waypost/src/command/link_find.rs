//! Finds the one link that a command names: by its id, otherwise by its slug on one domain.

use anyhow::{Context as _, bail};
use http::Method;
use percent_encoding::percent_decode_str;
use url::{Host, Url};
use waypost_api::domain::DomainList;
use waypost_api::link::{Link, LinkPage};
use waypost_core::quoted::Shown;

use crate::api_path::{component, with_query};
use crate::cli::LinkChoice;
use crate::client::{Call, Client};
use crate::problem::Problem;
use crate::reply::Kept;

/// The path of links in the API.
pub(crate) const PATH: &str = "/api/v1/links";
const DOMAINS_PATH: &str = "/api/v1/domains";

/// The id of the named link. If no link is found, an argument that looks like an id is returned as it is, because
/// clicks outlive their link.
///
/// # Errors
/// If the link is not found.
pub(crate) async fn find_id(client: &Client, choice: &LinkChoice) -> anyhow::Result<String> {
    match find(client, choice).await {
        Ok(link) => Ok(link.value.id.into()),
        Err(_) if choice.domain.is_none() && choice.link.starts_with("link_") => Ok(choice.link.clone()),
        Err(error) => Err(error),
    }
}

/// Finds a link by its id, otherwise by its slug or its short URL. Without a domain, only the default domain is
/// searched.
///
/// # Errors
/// If the link is not found; the error names other domains that have the slug.
pub(crate) async fn find(client: &Client, choice: &LinkChoice) -> anyhow::Result<Kept<Link>> {
    let choice = &read_short_url(choice);
    if choice.domain.is_none() && choice.link.starts_with("link_") {
        let found = client.call(Call::new(Method::GET, format!("{PATH}/{}", component(&choice.link)))).await;
        // What looks like an id may also be a slug.
        match found {
            Err(error) if error.downcast_ref::<Problem>().is_some_and(Problem::is_not_found) => {}
            other => return other?.read(),
        }
    }
    let domain = match &choice.domain {
        Some(domain) => domain.clone(),
        None => default_host(client).await?,
    };
    let found: LinkPage<Kept<Link>> = client.call(by_slug(&choice.link, Some(&domain))).await?.read()?;
    if let Some(link) = found.links.into_iter().next() {
        return Ok(link);
    }
    let elsewhere: LinkPage = client.call(by_slug(&choice.link, None)).await?.read()?;
    let hosts: Vec<&str> = elsewhere.links.iter().map(|link| link.domain.as_str()).collect();
    let advice = match (hosts.first(), choice.domain.is_none()) {
        (Some(first), true) => format!("; a link with this slug is on {}: give --domain {first}", hosts.join(" and ")),
        _ if is_anonymous_link(client, choice, &domain).await => {
            "; an anonymous link has this slug: give --anonymous".to_owned()
        }
        _ => String::new(),
    };
    bail!("the link {} was not found on {domain}{advice}", Shown(&choice.link))
}

/// Splits a short URL that is given as the slug into slug and domain. `localhost` and IP addresses stand for the
/// default domain, as in a browser.
fn read_short_url(choice: &LinkChoice) -> LinkChoice {
    let read = || {
        let url = Url::parse(&choice.link).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let domain = match url.host()? {
            Host::Domain("localhost") | Host::Ipv4(_) | Host::Ipv6(_) => None,
            Host::Domain(host) => Some(host.to_owned()),
        };
        let slug = percent_decode_str(url.path().trim_matches('/')).decode_utf8().ok()?.into_owned();
        (!slug.is_empty()).then_some(LinkChoice { link: slug, domain: choice.domain.clone().or(domain) })
    };
    read().unwrap_or_else(|| choice.clone())
}

/// The host of the default domain.
async fn default_host(client: &Client) -> anyhow::Result<String> {
    let DomainList { domains } = client.call(Call::new(Method::GET, DOMAINS_PATH)).await?.read()?;
    let default = domains.into_iter().find(|domain| domain.is_default);
    default.map(|domain| domain.host).context("the response names no default domain: give --domain")
}

async fn is_anonymous_link(client: &Client, choice: &LinkChoice, domain: &str) -> bool {
    if !client.is_operator() || client.is_anonymous() {
        return false;
    }
    let found = client.call_as_anonymous(by_slug(&choice.link, Some(domain))).await;
    found.and_then(|found| found.read()).is_ok_and(|found: LinkPage| !found.links.is_empty())
}

fn by_slug(slug: &str, domain: Option<&str>) -> Call {
    Call::new(Method::GET, with_query(PATH, &[("slug", Some(slug)), ("domain", domain)]))
}
