//! Checking a visitor's password for another edge: the response is only whether it is right. The edge creates its own
//! grant.
//!
//! The visitor's address is in the signed body, so attempts are counted by visitor, whatever proxies are in between.

use std::time::Duration;

use waypost_api::webhook::{UnlockAttempt, UnlockVerdict};

use crate::access::throttle::AddressKey;
use crate::app::App;
use crate::problem::Problem;
use crate::unlocking::unlock::{AskedDomain, UnlockVisitor, Unlocked};

/// How long a password waits for its turn. A Worker waits five seconds for the answer (`js/unlock.js`), its way
/// included, and could only say then that nothing works.
const TURN_WAIT_MAX: Duration = Duration::from_secs(3);

impl App {
    /// Answers an edge's question about a password.
    ///
    /// # Errors
    /// Where the link cannot be read.
    pub async fn judge_password(&self, attempt: UnlockAttempt) -> Result<UnlockVerdict, Problem> {
        let verdict = |outcome: &str| UnlockVerdict { outcome: outcome.to_owned(), retry_after_s: None };
        if !attempt.path.starts_with('/') {
            return Ok(verdict("not_found"));
        }
        let domain = attempt.domain.to_ascii_lowercase();
        let domain = AskedDomain::Exactly(&domain);
        let visitor = UnlockVisitor { address: AddressKey::of(attempt.address), patience: Some(TURN_WAIT_MAX) };
        let outcome = self.unlock(domain, &attempt.path, visitor, attempt.password).await?;
        Ok(match outcome {
            Unlocked::Granted(_) => verdict("granted"),
            Unlocked::Refused => verdict("refused"),
            Unlocked::Throttled(seconds) => UnlockVerdict { retry_after_s: Some(seconds), ..verdict("throttled") },
            Unlocked::NotFound => verdict("not_found"),
            Unlocked::Gone => verdict("gone"),
            Unlocked::NotLocked => verdict("not_locked"),
        })
    }
}
