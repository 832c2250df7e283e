//! Passwords of links: hashing and checking with argon2id, outside the async threads and only a few at once.

use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::access::throttle::AddressKey;
use crate::unlocking::lane::{Lane, Place, Share};

/// Hashes that run at once for owners, and for visitors; each takes 19 MiB and some 20 ms of a core.
const HASHES_AT_ONCE: usize = 2;
/// Requests that wait for their turn; past them the answer is "too busy".
const HASHES_WAITING_MAX: usize = 64;
/// How far apart passwords are checked for links on which too many wrong ones were tried, and how many wait for that.
const SLOW_STEP: Duration = Duration::from_secs(1);
const SLOW_WAITING_MAX: usize = 32;
/// Places of the lanes of visitors that one address, and one network, may hold: some tens of addresses leave room for
/// others.
const VISITORS_SHARE: Share = Share { address: 3, network: 12 };
const SLOW_SHARE: Share = Share { address: 2, network: 6 };
/// Owners are known by their keys.
const OWNERS_SHARE: Share = Share { address: usize::MAX, network: usize::MAX };
/// The most memory (KiB) and passes that a hash made elsewhere may ask of us.
const MEMORY_KIB_MAX: u32 = 64 << 10;
const PASSES_MAX: u32 = 6;
const LANES_MAX: u32 = 4;

/// Hashes and checks passwords. Cloning shares the limits. Owners and visitors have lanes of their own, so that nobody
/// who tries passwords keeps owners from setting one.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    owners: Lane,
    visitors: Lane,
    /// One after the other, a step apart, before they come to the lane of visitors.
    slow: Lane,
    slow_step: Duration,
}

/// How soon a password is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// In turn.
    Usual,
    /// One a second, and all links that are slow together.
    Slow,
}

/// Who asks whether a password is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) address: AddressKey,
    pub(crate) pace: Pace,
    /// How long the asker waits for a turn, where somebody in between waits no longer than that.
    pub(crate) patience: Option<Duration>,
}

/// Why no hash was made and no password checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// More are waiting than is reasonable, or the turn has not come in the time that the asker has.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash in the record cannot be read, or the system gave no randomness.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let usual = |share| Lane::new(HASHES_AT_ONCE, HASHES_WAITING_MAX, share);
        Self {
            owners: usual(OWNERS_SHARE),
            visitors: usual(VISITORS_SHARE),
            slow: Lane::new(1, SLOW_WAITING_MAX, SLOW_SHARE),
            slow_step: SLOW_STEP,
        }
    }

    /// The PHC string of a password, with a fresh salt.
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let place = self.owners.enter(None)?;
        let turn = self.owners.turn().await?;
        run_in((turn, place), move || {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| PasswordError::Failed(error.to_string()))?;
            let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Failed(error.to_string()))
        })
        .await
    }

    /// Whether the password is the one that was hashed. Holds a place of the share of `asker` until that is known.
    pub(crate) async fn is_right(&self, password: String, hash: String, asker: Asker) -> Result<bool, PasswordError> {
        let held = match asker.patience {
            Some(patience) => timeout(patience, self.wait_for_turn(asker)).await.map_err(|_| PasswordError::Busy)??,
            None => self.wait_for_turn(asker).await?,
        };
        run_in(held, move || {
            if !is_usable_hash(&hash) {
                return Err(PasswordError::Failed("the link holds no usable hash".to_owned()));
            }
            Ok(Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok())
        })
        .await
    }

    async fn wait_for_turn(&self, asker: Asker) -> Result<(OwnedSemaphorePermit, Place), PasswordError> {
        match asker.pace {
            Pace::Usual => {}
            Pace::Slow => self.wait_for_slow_turn(asker.address).await?,
        }
        let place = self.visitors.enter(Some(asker.address))?;
        Ok((self.visitors.turn().await?, place))
    }

    /// Waits for a turn in the slow lane, and takes it up for a step.
    async fn wait_for_slow_turn(&self, address: AddressKey) -> Result<(), PasswordError> {
        let _place = self.slow.enter(Some(address))?;
        let turn = self.slow.turn().await?;
        let step = self.slow_step;
        tokio::spawn(async move {
            tokio::time::sleep(step).await;
            drop(turn);
        });
        Ok(())
    }
}

/// Does the work off the async threads, now that it is its turn.
async fn run_in<T: Send + 'static>(
    held: (OwnedSemaphorePermit, Place),
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    // Turn and place move along: a caller that goes away leaves the work running, and it still counts.
    let done = tokio::task::spawn_blocking(move || {
        let _held = held;
        work()
    });
    done.await.map_err(|error| PasswordError::Failed(error.to_string()))?
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

    /// Someone behind the nth address, each in a network of its own.
    fn asker(number: u8, pace: Pace) -> Asker {
        Asker { address: AddressKey::of(Some([198, 51, number, 1].into())), pace, patience: None }
    }

    #[tokio::test]
    async fn hashes_and_checks() {
        let passwords = Passwords::new();
        let hash = passwords.hash("secret".to_owned()).await.expect("hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_usable_hash(&hash));
        let check = |password: &str, hash: &str| {
            passwords.is_right(password.to_owned(), hash.to_owned(), asker(0, Pace::Usual))
        };
        assert!(check("secret", &hash).await.expect("check"));
        assert!(!check("Secret", &hash).await.expect("check"));
        assert!(check("secret", "plain").await.is_err());
    }

    #[tokio::test]
    async fn slow_links_take_turns_and_owners_do_not_wait_for_them() {
        let passwords = Passwords { slow_step: Duration::from_secs(3_600), ..Passwords::new() };
        let hash = passwords.hash("secret".to_owned()).await.expect("hash");
        let slow = |number| passwords.is_right("secret".to_owned(), hash.clone(), asker(number, Pace::Slow));
        assert!(slow(0).await.expect("the first does not wait"));
        let waiting: Vec<_> = (0..=SLOW_WAITING_MAX as u8).map(slow).collect();
        let mut waiting = futures_util::future::join_all(waiting.into_iter().map(Box::pin));
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        assert!(matches!(slow(200).await, Err(PasswordError::Busy)));
        let usual = |number| passwords.is_right("x".to_owned(), hash.clone(), asker(number, Pace::Usual));
        assert!(!usual(200).await.expect("check"));
        let visitors = futures_util::future::join_all((0..100).map(|number| Box::pin(usual(number))));
        let mut visitors = Box::pin(visitors);
        assert!(futures_util::FutureExt::now_or_never(&mut visitors).is_none());
        assert!(usual(201).await.is_err(), "visitors are many");
        assert!(passwords.hash("secret".to_owned()).await.is_ok(), "owners are not held up");
    }

    #[tokio::test]
    async fn who_has_no_time_is_told_so_and_holds_no_place() {
        let passwords = Passwords { slow_step: Duration::from_secs(3_600), ..Passwords::new() };
        let hash = passwords.hash("secret".to_owned()).await.expect("hash");
        let check = |asker| passwords.is_right("secret".to_owned(), hash.clone(), asker);
        assert!(check(asker(0, Pace::Slow)).await.expect("the first does not wait"));
        for _ in 0..2 * SLOW_WAITING_MAX {
            let hurried = Asker { patience: Some(Duration::from_millis(1)), ..asker(1, Pace::Slow) };
            assert!(matches!(check(hurried).await, Err(PasswordError::Busy)));
        }
        let patient = (2..2 + SLOW_WAITING_MAX as u8).map(|number| Box::pin(check(asker(number, Pace::Slow))));
        let mut patient: Vec<_> = patient.collect();
        assert!(patient.iter_mut().all(|check| futures_util::FutureExt::now_or_never(check).is_none()), "room for all");
    }

    #[tokio::test]
    async fn one_address_fills_no_lane() {
        let passwords = Passwords { slow_step: Duration::from_secs(3_600), ..Passwords::new() };
        let hash = passwords.hash("secret".to_owned()).await.expect("hash");
        let check = |asker| Box::pin(passwords.is_right("secret".to_owned(), hash.clone(), asker));
        for pace in [Pace::Usual, Pace::Slow] {
            let mut flood: Vec<_> = (0..100).map(|_| check(asker(1, pace))).collect();
            let asked = flood.iter_mut().map(futures_util::FutureExt::now_or_never);
            assert!(asked.filter(|answer| matches!(answer, Some(Err(PasswordError::Busy)))).count() > 90);
            let mut other = check(asker(2, pace));
            assert!(futures_util::FutureExt::now_or_never(&mut other).is_none(), "{pace:?}: waits for its turn");
        }
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
