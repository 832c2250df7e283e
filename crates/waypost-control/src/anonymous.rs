//! Links that anyone may make, without a key: one field in, a short URL out, and the same URL always gives the same link.

use serde::Serialize;
use serde_json::{Map, Value};
use waypost_core::LinkRecord;
use waypost_store::{CreateOutcome, NewLink, SlugChoice};

use crate::app::{App, monotonic_now};
use crate::link_check::{Rules, check_destination};
use crate::links::generate_slug;
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::throttle::AddressKey;

/// What `POST /api/url` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShortUrl {
    pub(crate) url_key: String,
    pub(crate) short_url: String,
    /// As it was sent.
    pub(crate) original_url: String,
}

/// Takes `originalUrl` out of a body; what else is in it means nothing here.
pub(crate) fn original_url(mut body: Map<String, Value>) -> Result<String, Problem> {
    match body.remove("originalUrl") {
        Some(Value::String(url)) => Ok(url),
        Some(_) => Err(bad_url(ProblemCode::InvalidField, "originalUrl must be a string".to_owned())),
        None => Err(bad_url(ProblemCode::InvalidField, "originalUrl is missing".to_owned())),
    }
}

impl App {
    /// Counts a request against its address, and refuses it where links need a key.
    pub(crate) fn admit_anonymous(&self, address: AddressKey) -> Result<(), Problem> {
        if !self.settings.anonymous_links {
            let detail = "this instance makes links for holders of an API key only";
            return Err(Problem::new(ProblemCode::AnonymousLinksOff, detail));
        }
        match &self.anonymous_throttle {
            Some(throttle) => throttle.take(address, monotonic_now()).map_err(Problem::rate_limited),
            None => Ok(()),
        }
    }

    /// Makes a short URL, or gives the one that this URL has.
    pub(crate) async fn shorten(&self, original_url: String) -> Result<ShortUrl, Problem> {
        let own_hosts = self.own_hosts();
        let refuse_addresses = !self.settings.anonymous_address_hosts;
        let rules = Rules { schemes: self.schemes(), own_hosts: &own_hosts, refuse_addresses };
        let destination = check_destination("originalUrl", &original_url, &rules)
            .map_err(|error| bad_url(error.code, error.detail))?;
        let domain = self.default_domain();
        let new = NewLink {
            account_id: self.setup.anonymous_account.account_id.clone(),
            domain_id: domain.domain_id.clone(),
            slug: SlugChoice::Generated(&generate_slug),
            record: LinkRecord::from_url(destination.clone()),
            dedupe_key: Some(destination),
            created_at: None,
        };
        let mut made = self.create_queue.create(vec![new], "anonymous".to_owned()).await?;
        let url_key = match made.outcomes.pop() {
            Some(CreateOutcome::Created { slug, .. } | CreateOutcome::Existing { slug, .. }) => slug,
            other => return Err(Problem::internal("shortening a URL", &format!("{other:?}"))),
        };
        self.wait_for_edge(made.sequence).await?;
        let short_url = self.short_url(domain.host.as_str(), &url_key);
        Ok(ShortUrl { url_key, short_url, original_url })
    }
}

fn bad_url(code: ProblemCode, detail: String) -> Problem {
    let error = FieldError { field: "originalUrl".to_owned(), code, detail: detail.clone() };
    Problem::new(ProblemCode::UrlInvalid, detail).with_errors(vec![error])
}
