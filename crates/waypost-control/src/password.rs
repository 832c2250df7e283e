//! Passwords of links: hashing and checking with argon2id, off the async threads and only a few at once.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// The most bytes of a link's password.
pub(crate) const PASSWORD_BYTES_MAX: usize = 256;
/// Hashes that run at once for owners, and for visitors; each takes 19 MiB and some 20 ms of a core.
const HASHES_AT_ONCE: usize = 2;
/// Requests that wait for their turn; past them the answer is "too busy".
const HASHES_WAITING_MAX: usize = 32;
/// How far apart passwords are checked for links on which too many wrong ones were tried, and how many wait for that.
const SLOW_STEP: Duration = Duration::from_secs(1);
const SLOW_WAITING_MAX: usize = 16;
/// The most memory (KiB) and passes that a hash made elsewhere may ask of us.
const MEMORY_KIB_MAX: u32 = 64 << 10;
const PASSES_MAX: u32 = 6;
const LANES_MAX: u32 = 4;

/// Hashes and checks passwords. Cloning shares the limits. Owners and visitors have lanes of their own, so that nobody who
/// tries passwords keeps owners from setting one.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    owners: Lane,
    visitors: Lane,
    /// One after the other, a step apart, before they come to the lane of visitors.
    slow: Lane,
    slow_step: Duration,
}

/// Those whose passwords are checked in turn.
#[derive(Clone, Debug)]
struct Lane {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// How soon a password is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// In turn.
    Usual,
    /// One a second, and all links that are slow together.
    Slow,
}

/// Why no hash was made and no password checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// More are waiting than is reasonable.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash in the record cannot be read, or the system gave no randomness.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let usual = || Lane::new(HASHES_AT_ONCE, HASHES_WAITING_MAX);
        Self { owners: usual(), visitors: usual(), slow: Lane::new(1, SLOW_WAITING_MAX), slow_step: SLOW_STEP }
    }

    /// The PHC string of a password, with a fresh salt.
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.owners
            .run(move || {
                let mut salt = [0; 16];
                getrandom::fill(&mut salt).map_err(|error| PasswordError::Failed(error.to_string()))?;
                let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
                hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Failed(error.to_string()))
            })
            .await
    }

    /// Whether the password is the one that was hashed.
    pub(crate) async fn is_right(&self, password: String, hash: String, pace: Pace) -> Result<bool, PasswordError> {
        match pace {
            Pace::Usual => {}
            Pace::Slow => self.wait_for_slow_turn().await?,
        }
        self.visitors
            .run(move || {
                if !is_usable_hash(&hash) {
                    return Err(PasswordError::Failed("the link holds no usable hash".to_owned()));
                }
                Ok(Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok())
            })
            .await
    }

    /// Waits for a turn in the slow lane, and takes it up for a step.
    async fn wait_for_slow_turn(&self) -> Result<(), PasswordError> {
        let _admitted = self.slow.admitted.try_acquire().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.slow.running).acquire_owned().await;
        let turn = turn.map_err(|error| PasswordError::Failed(error.to_string()))?;
        let step = self.slow_step;
        tokio::spawn(async move {
            tokio::time::sleep(step).await;
            drop(turn);
        });
        Ok(())
    }
}

impl Lane {
    fn new(at_once: usize, waiting_max: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(at_once)), admitted: Arc::new(Semaphore::new(at_once + waiting_max)) }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
        let _admitted = self.admitted.try_acquire().map_err(|_| PasswordError::Busy)?;
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|error| failed(&error))?;
        // The permit moves along: a caller that goes away leaves the work running, and it still counts.
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|error| failed(&error))?
    }
}

/// Whether a text is an argon2 hash that can be checked at a reasonable cost.
pub(crate) fn is_usable_hash(text: &str) -> bool {
    let Ok(hash) = PasswordHash::new(text) else { return false };
    let is_argon2 = matches!(hash.algorithm.as_str(), "argon2id" | "argon2i" | "argon2d");
    let Ok(params) = Params::try_from(&hash) else { return false };
    is_argon2
        && hash.hash.is_some()
        && params.m_cost() <= MEMORY_KIB_MAX
        && params.t_cost() <= PASSES_MAX
        && params.p_cost() <= LANES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_and_checks() {
        let passwords = Passwords::new();
        let hash = passwords.hash("secret".to_owned()).await.expect("hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_usable_hash(&hash));
        let check = |password: &str, hash: &str| passwords.is_right(password.to_owned(), hash.to_owned(), Pace::Usual);
        assert!(check("secret", &hash).await.expect("check"));
        assert!(!check("Secret", &hash).await.expect("check"));
        assert!(check("secret", "plain").await.is_err());
    }

    #[tokio::test]
    async fn slow_links_take_turns_and_owners_do_not_wait_for_them() {
        let passwords = Passwords { slow_step: Duration::from_secs(3_600), ..Passwords::new() };
        let hash = passwords.hash("secret".to_owned()).await.expect("hash");
        let slow = || passwords.is_right("secret".to_owned(), hash.clone(), Pace::Slow);
        assert!(slow().await.expect("the first does not wait"));
        let waiting: Vec<_> = (0..=SLOW_WAITING_MAX).map(|_| slow()).collect();
        let mut waiting = futures_util::future::join_all(waiting.into_iter().map(Box::pin));
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        assert!(matches!(slow().await, Err(PasswordError::Busy)));
        assert!(passwords.is_right("secret".to_owned(), hash.clone(), Pace::Usual).await.expect("check"));
        let visitors = futures_util::future::join_all(
            (0..100).map(|_| Box::pin(passwords.is_right("x".to_owned(), hash.clone(), Pace::Usual))),
        );
        let mut visitors = Box::pin(visitors);
        assert!(futures_util::FutureExt::now_or_never(&mut visitors).is_none());
        assert!(passwords.is_right("x".to_owned(), hash.clone(), Pace::Usual).await.is_err(), "visitors are many");
        assert!(passwords.hash("secret".to_owned()).await.is_ok(), "owners are not held up");
    }

    #[test]
    fn costly_or_foreign_hashes_are_refused() {
        let tail = "$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(is_usable_hash(&format!("$argon2id$v=19$m=19456,t=2,p=1{tail}")));
        for bad in ["", "x", "$2b$12$abc", &format!("$argon2id$v=19$m=4194304,t=2,p=1{tail}")] {
            assert!(!is_usable_hash(bad), "{bad}");
        }
        assert!(!is_usable_hash(&format!("$argon2id$v=19$m=19456,t=100,p=1{tail}")));
    }
}
