//! The data of the preview page: where a link leads, without going there.

use std::time::Duration;

use tokio::time::timeout;
use waypost_api::ProblemCode;
use waypost_core::decide::{Action, Source, decide};
use waypost_core::look_alike::{LookAlike, look_alike};
use waypost_core::slug::{from_request_path, without_closing_mark};
use waypost_core::{CompactLink, Hostname, LinkRecord, Timestamp, Visit, compact};
use waypost_store::Link;

use crate::app::App;
use crate::problem::Problem;

/// What a preview has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// There is no such link, or none that may be known of.
    NotFound,
    /// The link has ended.
    Gone,
    /// There is one.
    Found(FoundLink),
}

/// A link for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLink {
    /// Where visitors find it.
    pub short_url: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// `None` where a password hides it.
    pub destination: Option<PreviewedDestination>,
    /// Among what visitors are divided, where the link is an A/B test that runs.
    pub variants: Vec<PreviewedVariant>,
}

/// One side of an A/B test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedVariant {
    /// The destination.
    pub url: String,
    /// Of all visitors, rounded.
    pub percent: u64,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedDestination {
    /// The destination.
    pub url: String,
    /// Its host.
    pub host: String,
    /// The host in Unicode, where that differs.
    pub host_unicode: Option<String>,
    /// What is odd about the host, for people.
    pub warning: Option<String>,
    /// Whether some visitors are sent elsewhere.
    pub varies: bool,
}

/// How long a preview waits for its turn.
const PREVIEW_WAIT_MAX: Duration = Duration::from_secs(1);

impl App {
    /// Previews the link that this host and path (without the closing `+`) stand for.
    ///
    /// # Errors
    /// Where the database fails, or so many previews are read that this one had no turn: anyone may ask for them, and
    /// the connections to the database are for the API, too.
    pub async fn preview(&self, host: Option<&str>, path: &str) -> Result<Preview, Problem> {
        match self.public_link(host, path).await? {
            Some(link) => self.preview_of(&link, waypost_jobs::now()),
            None => Ok(Preview::NotFound),
        }
    }

    /// The link that this host and path stand for, read at the wish of somebody unknown.
    ///
    /// # Errors
    /// As [`App::preview`].
    pub(crate) async fn public_link(&self, host: Option<&str>, path: &str) -> Result<Option<Link>, Problem> {
        let turn = timeout(PREVIEW_WAIT_MAX, self.previews.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let detail = "too many previews are being read just now";
            return Err(Problem::new(ProblemCode::Busy, detail).retry_after(1));
        };
        let domains = self.sync.domains();
        let known = host.and_then(|host| domains.iter().find(|domain| domain.host.as_str() == host)).cloned();
        let domain = known.unwrap_or_else(|| self.default_domain());
        for slug_in in [from_request_path, without_closing_mark] {
            let Some(slug) = slug_in(path, domain.case_insensitive) else { continue };
            let mut tx = self.store.read("preview").await?;
            if let Some(link) = tx.get_link_by_slug(&domain.domain_id, &slug).await? {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }

    fn preview_of(&self, link: &Link, now: Timestamp) -> Result<Preview, Problem> {
        let failed = |error: &dyn std::fmt::Display| Problem::internal("previewing a link", error);
        let record = &link.record;
        let bytes = compact::compile_stored(record, self.schemes(), &mut Vec::new()).map_err(|error| failed(&error))?;
        let compact = CompactLink::read(&bytes).map_err(|error| failed(&error))?;
        let locked = decide(&compact, &Visit::at(now)).map_err(|error| failed(&error))?;
        let destination = match locked.action {
            Action::NotFound | Action::MethodNotAllowed => return Ok(Preview::NotFound),
            Action::Gone => return Ok(Preview::Gone),
            Action::Unlock => None,
            Action::Redirect if locked.source == Some(Source::Expired) => compact.expired_url(),
            Action::Redirect => Some(compact.destination()),
        };
        let varies = locked.source != Some(Source::Expired) && leads_elsewhere(record);
        Ok(Preview::Found(FoundLink {
            short_url: self.short_url(&link.host, &link.slug),
            created_at: link.created_at,
            destination: destination.map(|url| PreviewedDestination::new(url, varies)),
            variants: if destination == Some(compact.destination()) { variants_of(record) } else { Vec::new() },
        }))
    }
}

impl PreviewedDestination {
    fn new(url: &str, varies: bool) -> Self {
        let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let host_unicode = Hostname::parse(&host).ok().map(|host| host.to_unicode()).filter(|unicode| *unicode != host);
        let warning = look_alike(host_unicode.as_deref().unwrap_or(&host)).map(|odd| match odd {
            LookAlike::KnownName(name) => format!("This host looks like {name} and is another one."),
            LookAlike::MixedScripts => {
                "This host mixes letters of several scripts, as addresses do that imitate others.".to_owned()
            }
        });
        Self { url: url.to_owned(), host, host_unicode, warning, varies }
    }
}

/// Whether rules, times or countries may send a visitor somewhere else than to the link's destination.
fn leads_elsewhere(record: &LinkRecord) -> bool {
    !(record.rules.is_empty() && record.evolution_rules.is_empty() && record.geo_rules.is_empty())
}

/// The sides of the link's own A/B test that visitors are sent to.
fn variants_of(record: &LinkRecord) -> Vec<PreviewedVariant> {
    let Some(test) = record.ab_test.as_ref().filter(|test| test.status == "active") else { return Vec::new() };
    let total: u64 = test.variants.iter().map(|variant| u64::from(variant.weight)).sum();
    let sent_to = test.variants.iter().filter(|variant| variant.weight > 0);
    sent_to
        .map(|variant| PreviewedVariant {
            url: variant.destination_url.clone(),
            percent: (u64::from(variant.weight) * 100 + total / 2) / total,
        })
        .collect()
}
