//! Passwords of links: hashing and checking with argon2id, off the async threads and only a few at once.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// The most bytes of a link's password.
pub(crate) const PASSWORD_BYTES_MAX: usize = 256;
/// Hashes that run at once; each takes 19 MiB and some 20 ms of a core.
const HASHES_AT_ONCE: usize = 2;
/// Requests that wait for their turn; past them the answer is "too busy".
const HASHES_WAITING_MAX: usize = 32;
/// The most memory (KiB) and passes that a hash made elsewhere may ask of us.
const MEMORY_KIB_MAX: u32 = 64 << 10;
const PASSES_MAX: u32 = 6;
const LANES_MAX: u32 = 4;

/// Hashes and checks passwords. Cloning shares the limit.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
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
        Self {
            running: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            admitted: Arc::new(Semaphore::new(HASHES_AT_ONCE + HASHES_WAITING_MAX)),
        }
    }

    /// The PHC string of a password, with a fresh salt.
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.run(move || {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| PasswordError::Failed(error.to_string()))?;
            let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Failed(error.to_string()))
        })
        .await
    }

    /// Whether the password is the one that was hashed.
    pub(crate) async fn is_right(&self, password: String, hash: String) -> Result<bool, PasswordError> {
        self.run(move || {
            if !is_usable_hash(&hash) {
                return Err(PasswordError::Failed("the link holds no usable hash".to_owned()));
            }
            Ok(Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok())
        })
        .await
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
        assert!(passwords.is_right("secret".to_owned(), hash.clone()).await.expect("check"));
        assert!(!passwords.is_right("Secret".to_owned(), hash).await.expect("check"));
        assert!(passwords.is_right("secret".to_owned(), "plain".to_owned()).await.is_err());
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
