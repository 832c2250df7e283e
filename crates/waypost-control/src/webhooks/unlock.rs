//! A visitor's password as an edge elsewhere asks about it: whether it is right, and nothing else. The edge makes a grant of
//! its own.
//!
//! The visitor's address is what the signed body says, so attempts are counted by visitor whatever lies between.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::Request;
use serde::{Deserialize, Serialize};

use super::counts::Endpoint;
use crate::app::App;
use crate::problem::{Problem, ProblemCode};
use crate::throttle::AddressKey;
use crate::unlock::{AskedDomain, UnlockVisitor, Unlocked};

/// The largest body: a path of eight kilobytes and the rest.
const BODY_BYTES_MAX: usize = 16 << 10;
/// How long a password waits for its turn. A Worker waits five seconds for the answer (`js/unlock.js`), its way included, and
/// could only say then that nothing works.
const TURN_WAIT_MAX: Duration = Duration::from_secs(3);

/// An attempt. Has no debug output, for it carries a password.
#[derive(Deserialize)]
struct Attempt {
    /// The host; empty for the default domain.
    #[serde(default)]
    domain: String,
    /// The path as the visitor asked for it, percent-encoded, with its leading `/`.
    path: String,
    password: String,
    /// The visitor's; attempts without one share an allowance.
    #[serde(default)]
    address: Option<IpAddr>,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
}

impl App {
    /// Answers a signed request about a password.
    pub(crate) async fn judge_password(&self, request: Request) -> Result<Verdict, Problem> {
        let verdict = self.judge(request).await;
        self.webhooks.delivery(Endpoint::Unlock, verdict.as_ref().err());
        verdict
    }

    async fn judge(&self, request: Request) -> Result<Verdict, Problem> {
        let body = self.read_signed(request, BODY_BYTES_MAX).await?;
        // The reader's own words may repeat a value, and with it the password.
        let attempt: Attempt = serde_json::from_slice(&body).map_err(|error| {
            let wanted = "an object with the texts `path` and `password`, and perhaps `domain` and `address`";
            match error.is_data() {
                true => Problem::new(ProblemCode::InvalidField, format!("the body must be {wanted}")),
                false => Problem::new(ProblemCode::BadJson, "the body is not JSON"),
            }
        })?;
        let verdict = |outcome| Verdict { outcome, retry_after_s: None };
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
            Unlocked::Throttled(seconds) => Verdict { retry_after_s: Some(seconds), ..verdict("throttled") },
            Unlocked::NotFound => verdict("not_found"),
            Unlocked::Gone => verdict("gone"),
            Unlocked::NotLocked => verdict("not_locked"),
        })
    }
}
