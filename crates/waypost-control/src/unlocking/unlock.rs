//! Unlocking a link: what the password form sends. A right password is answered with a grant, which the edge checks.
//!
//! The link is read from the table, as the edge does, so that both use the same link.

use std::time::Duration;

use waypost_api::ProblemCode;
use waypost_core::decide::{Action, decide};
use waypost_core::slug::{from_request_path, without_closing_mark};
use waypost_core::{CompactLink, DomainSettings, Visit};

use crate::access::throttle::AddressKey;
use crate::app::{App, monotonic_now};
use crate::links::hash_problem;
use crate::problem::Problem;
use crate::settings::GrantRequest;
use crate::unlocking::password::{Asker, PasswordError};

/// When to try again where too many passwords are being checked, in seconds.
const BUSY_WAIT_S: u32 = 1;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlocked {
    /// There is no such link, or none that may be known of.
    NotFound,
    /// The link has ended.
    Gone,
    /// The link has no password, so there is nothing to post to.
    NotLocked,
    /// Too many attempts; again in this many seconds.
    Throttled(u32),
    /// The password is wrong.
    Refused,
    /// The password is right: the `Set-Cookie` value of the grant.
    Granted(String),
}

/// Where the link is looked for.
#[derive(Clone, Copy, Debug)]
pub enum AskedDomain<'a> {
    /// On the domain of a request's host; the default domain where it has none that is known.
    OfHost(Option<&'a str>),
    /// On the domain with this host; an empty text stands for the default domain.
    Exactly(&'a str),
}

/// Who tries a password.
#[derive(Clone, Copy, Debug)]
pub struct UnlockVisitor {
    /// Whose attempts are counted.
    pub address: AddressKey,
    /// How long the password may wait for its turn; for as long as it takes where nothing is said.
    pub patience: Option<Duration>,
}

/// A locked link.
struct Locked {
    /// What throttles and grants know the link by.
    subject: String,
    version: u64,
    password_hash: String,
}

/// What is found where a locked link is asked for.
enum Found {
    Locked(Locked),
    /// Nothing that a password could unlock; this is the outcome.
    Other(Unlocked),
}

impl App {
    /// Tries a password on the link that this domain and path stand for.
    ///
    /// # Errors
    /// Where the link cannot be read.
    pub async fn unlock(
        &self,
        domain: AskedDomain<'_>,
        path: &str,
        visitor: UnlockVisitor,
        password: String,
    ) -> Result<Unlocked, Problem> {
        let locked = match self.find_locked(domain, path)? {
            Found::Locked(locked) => locked,
            Found::Other(outcome) => return Ok(outcome),
        };
        let attempt = match self.unlock_limits.charge(locked.subject.clone(), visitor.address, monotonic_now()) {
            Ok(attempt) => attempt,
            Err(seconds) => return Ok(Unlocked::Throttled(seconds)),
        };
        let asker = Asker { patience: visitor.patience, ..attempt.asker };
        match self.passwords.is_right(password, locked.password_hash, asker).await {
            Ok(true) => self.unlock_limits.note_right(attempt),
            Ok(false) => {
                self.unlock_limits.note_wrong(attempt, monotonic_now());
                return Ok(Unlocked::Refused);
            }
            Err(PasswordError::Busy) => {
                self.unlock_limits.give_back(attempt);
                return Ok(Unlocked::Throttled(BUSY_WAIT_S));
            }
            Err(error @ PasswordError::Failed(_)) => return Err(hash_problem(&error)),
        }
        let request = GrantRequest { link_id: &locked.subject, version: locked.version, path };
        Ok(Unlocked::Granted((self.settings.issue_grant)(request)))
    }

    /// Under what key the table has the links of this domain, and whether case does not matter in their slugs.
    fn find_place(&self, domain: AskedDomain<'_>) -> Option<(String, bool)> {
        let domains = self.table.borrow_domains();
        let known = match domain {
            AskedDomain::OfHost(host) => {
                host.and_then(|host| domains.by_host(host)).or_else(|| domains.default_domain())
            }
            AskedDomain::Exactly("") => domains.default_domain(),
            AskedDomain::Exactly(host) => return domains.by_host(host).map(place_of),
        };
        Some(known.map_or((String::new(), false), place_of))
    }

    fn find_locked(&self, domain: AskedDomain<'_>, path: &str) -> Result<Found, Problem> {
        let place = self.find_place(domain);
        let Some((table_key, case_insensitive)) = place else { return Ok(Found::Other(Unlocked::NotFound)) };
        for slug_in in [from_request_path, without_closing_mark] {
            let Some(slug) = slug_in(path, case_insensitive) else { continue };
            if let Some(found) = self.read_locked(&table_key, &slug)? {
                return Ok(found);
            }
        }
        Ok(Found::Other(Unlocked::NotFound))
    }

    /// What the link of this slug says of its password; `None` where there is none.
    fn read_locked(&self, table_key: &str, slug: &str) -> Result<Option<Found>, Problem> {
        // As a GET is decided, so that nobody learns more from posting.
        let visit = Visit::at(waypost_jobs::now());
        let read = self.table.get(table_key, slug, |bytes| {
            let link = CompactLink::read(bytes)?;
            Ok::<_, waypost_core::compact::CorruptRecord>(match decide(&link, &visit)?.action {
                Action::NotFound => Found::Other(Unlocked::NotFound),
                Action::Gone => Found::Other(Unlocked::Gone),
                Action::Redirect | Action::MethodNotAllowed => Found::Other(Unlocked::NotLocked),
                Action::Unlock => Found::Locked(Locked {
                    subject: link.link_id().map_or_else(|| format!("{table_key}/{slug}"), str::to_owned),
                    version: link.version(),
                    password_hash: link.password_hash().unwrap_or_default().to_owned(),
                }),
            })
        });
        match read {
            Ok(None) if !self.table.knows_all() => {
                let detail = "the link table is being filled, and this link is not in it yet";
                Err(Problem::new(ProblemCode::Unavailable, detail).retry_after(1))
            }
            Ok(found) => found.transpose().map_err(|error| Problem::internal("reading a locked link", &error)),
            Err(error) => Err(Problem::internal("reading a locked link", &error)),
        }
    }
}

/// What links of a domain stand under in the table, and whether the case of their slugs does not matter.
fn place_of(domain: &DomainSettings) -> (String, bool) {
    (domain.table_key().to_owned(), domain.case_insensitive)
}
