//! Recording clicks: every redirect is written to the spool before its answer is.
//!
//! The facts of the request are written as they were received; nothing is parsed here. Of a visitor's address only what
//! the address policy keeps, and the visitor key, leave this thread.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use waypost_core::click::{Click, RuleNameRoom, country_letters, referrer_without_query, rule_name, utm_pairs};
use waypost_core::compact::{CompactId, CompactLink};
use waypost_core::decide::{Action, Decision};
use waypost_core::query::is_scan;
use waypost_core::visit::{Method, Visit};
use waypost_core::visitor::{AddressPolicy, Salt, day_of, visitor_key};
use waypost_spool::{Appended, Spool, SpoolError, Writer};

use crate::host::Site;

/// Returns the salt of a day (days since 1970, in UTC); `None` if visitors are not recognised. Called for every click.
pub type SaltOfDay = Arc<dyn Fn(i64) -> Option<Salt> + Send + Sync>;

/// How clicks are recorded, and where.
#[derive(Clone)]
pub struct ClickRecording {
    /// The log that every redirect is written to.
    pub spool: Spool,
    /// What is kept of visitors' addresses.
    pub address_policy: AddressPolicy,
    /// The salts of visitor keys.
    pub salt_of_day: SaltOfDay,
}

impl fmt::Debug for ClickRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickRecording").field("address_policy", &self.address_policy).finish_non_exhaustive()
    }
}

/// The clicks of one thread.
pub(crate) struct Recorder {
    address_policy: AddressPolicy,
    salt_of_day: SaltOfDay,
    /// Borrowed during one call that calls nothing else.
    pen: RefCell<Pen>,
}

struct Pen {
    writer: Writer,
    bytes: Vec<u8>,
}

/// A click that is ready to be recorded; until then it is in the recorder's buffer.
#[must_use]
#[derive(Debug)]
pub(crate) struct Prepared(());

impl Recorder {
    pub(crate) fn open(recording: &ClickRecording) -> Result<Self, SpoolError> {
        Ok(Self {
            address_policy: recording.address_policy,
            salt_of_day: Arc::clone(&recording.salt_of_day),
            pen: RefCell::new(Pen { writer: recording.spool.writer()?, bytes: Vec::new() }),
        })
    }

    /// Encodes the click in its compact form. `None` if the decision is not a redirect.
    pub(crate) fn prepare(
        &self,
        link: &CompactLink<'_>,
        visit: &Visit<'_>,
        decision: &Decision<'_>,
        site: Site<'_>,
        slug: &str,
    ) -> Option<Prepared> {
        let (Action::Redirect, Some(source)) = (decision.action, decision.source) else { return None };
        let user_agent = visit.user_agent.unwrap_or_default();
        let salt = (self.salt_of_day)(day_of(visit.now.as_micros()));
        let mut rule_name_room = RuleNameRoom::default();
        let visitor = |(salt, address)| visitor_key(&salt, site.table_key, address, user_agent);
        let click = Click {
            clicked_at: visit.now,
            status: decision.status,
            is_head: visit.method == Method::Head,
            is_scan: visit.query.is_some_and(is_scan),
            source,
            country: visit.country.and_then(country_letters),
            visitor: salt.zip(visit.ip).map(visitor),
            address: visit.ip.and_then(|address| self.address_policy.kept(address)),
            is_cut: false,
            link_id: link.link_id().unwrap_or_default().into(),
            account_id: link.account_id().unwrap_or_default().into(),
            domain: site.table_key.into(),
            slug: slug.into(),
            rule_id: rule_name(decision, &mut rule_name_room),
            ab_test_id: id_text(decision.ab_test_id.as_ref()),
            variant_id: id_text(decision.variant_id.as_ref()),
            purpose: visit.purpose.unwrap_or_default().into(),
            user_agent: user_agent.into(),
            referrer: referrer_without_query(visit.referrer.unwrap_or_default()).into(),
            accept_language: visit.accept_language.unwrap_or_default().into(),
            utm: decision.location.as_deref().map_or(Cow::Borrowed(""), utm_pairs),
        };
        click.write(&mut self.pen.borrow_mut().bytes);
        Some(Prepared(()))
    }

    /// Records the click that was prepared last. When this returns, the kernel has the click or its declared loss.
    pub(crate) fn record(&self, _prepared: Prepared) {
        let pen = &mut *self.pen.borrow_mut();
        // Both outcomes use a sequence number, which the spool accounts for.
        let _: Appended = pen.writer.append(&pen.bytes);
    }
}

fn id_text<'a>(id: Option<&'a CompactId<'_>>) -> Cow<'a, str> {
    id.map_or(Cow::Borrowed(""), CompactId::to_text)
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
