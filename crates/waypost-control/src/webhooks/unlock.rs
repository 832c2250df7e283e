//! A visitor's password as an edge elsewhere asks about it: whether it is right, and nothing else. The edge makes a grant of
//! its own.
//!
//! The visitor's address is what the signed body says, so attempts are counted by visitor whatever lies between.

use waypost_api::webhook::{UnlockAttempt, UnlockVerdict};

use crate::app::App;
use crate::problem::Problem;
use crate::throttle::AddressKey;
use crate::unlock::{AskedDomain, Unlocked};

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
        let outcome = self.unlock(domain, &attempt.path, AddressKey::of(attempt.address), attempt.password).await?;
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
