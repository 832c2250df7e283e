//! Links that anyone may create, without an API key: one field in, a short URL out. The same URL always gives the same
//! link.

use waypost_api::ProblemCode;
use waypost_api::short_url::{ShortUrl, bad_url};
use waypost_core::LinkRecord;
use waypost_store::{CreateOutcome, NewLink, SlugChoice};

use crate::access::author::Author;
use crate::access::throttle::AddressKey;
use crate::app::{App, monotonic_now};
use crate::links::check::{Rules, check_destination};
use crate::links::generate_slug;
use crate::problem::Problem;

impl App {
    /// Whether anyone may make links without a key.
    pub const fn has_anonymous_links(&self) -> bool {
        self.settings.anonymous_links
    }

    /// Counts a request against its address, and refuses it where links need a key.
    ///
    /// # Errors
    /// Where they do, or the address has made too many.
    pub fn admit_anonymous(&self, address: AddressKey) -> Result<(), Problem> {
        if !self.settings.anonymous_links {
            let detail = "this instance creates links only for requests with an API key";
            return Err(Problem::new(ProblemCode::AnonymousLinksOff, detail));
        }
        match &self.anonymous_throttle {
            Some(throttle) => throttle.take(address, monotonic_now()).map_err(Problem::rate_limited),
            None => Ok(()),
        }
    }

    /// Makes a short URL, or gives the one that this URL has.
    ///
    /// # Errors
    /// Where the URL cannot be shortened, or the database fails.
    pub async fn shorten(&self, original_url: String) -> Result<ShortUrl, Problem> {
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
        let mut made = self.create_queue.create(vec![new], Author::anonymous()).await?;
        let url_key = match made.outcomes.pop() {
            Some(CreateOutcome::Created { slug, .. } | CreateOutcome::Existing { slug, .. }) => slug,
            other => return Err(Problem::internal("shortening a URL", &format!("{other:?}"))),
        };
        self.wait_for_edge(made.sequence).await?;
        let short_url = self.short_url(domain.host.as_str(), &url_key);
        Ok(ShortUrl { url_key, short_url, original_url })
    }
}
