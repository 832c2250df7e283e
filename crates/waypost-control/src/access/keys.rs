//! The API keys of an account: create, list, revoke.

use std::sync::Arc;
use std::time::Duration;

use waypost_api::api_key::{self as api, ApiKeyList, CreateApiKey};
use waypost_api::{FieldError, ProblemCode};
use waypost_core::Timestamp;
use waypost_core::id::DomainId;
use waypost_jobs::Chain;
use waypost_store::{ApiKey, ApiKeyKind, ApiKeyLimits, NewApiKey, StoreError};

use crate::access::author::Changed;
use crate::access::caller::Caller;
use crate::access::key_text::{ApiKeyText, KeyPrefix};
use crate::access::operation::Operation;
use crate::app::App;
use crate::idempotency::{Done, Repeatable};
use crate::problem::Problem;

/// How many key ids are drawn before it counts as a failure; one in 10^14 is taken.
const DRAWS_MAX: u32 = 4;
/// The use of a key is noted this often, in microseconds.
const NOTE_EVERY_US: i64 = 60_000_000;
/// How long a request waits for the note of its key's use to be written.
const NOTE_WAIT: Duration = Duration::from_millis(200);

/// 409: the key is there, and its secret is not. Another answer 201 without the secret would be taken for one with it.
fn shown_once(made: &api::ApiKey) -> Problem {
    let id = &made.id;
    let detail = format!(
        "this request has made the key {id} already, and the key itself was shown then only; if that answer got lost, \
         revoke {id} and make another key under another Idempotency-Key"
    );
    Problem::new(ProblemCode::SecretShownOnce, detail)
}

impl App {
    /// Creates a key of the caller's account.
    ///
    /// # Errors
    /// Where the database fails; 409 where this request has made a key before.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        asked: CreateApiKey,
        request: &Repeatable,
    ) -> Result<api::ApiKey, Problem> {
        caller.may(Operation::CreateApiKey)?;
        let limits = self.key_limits(caller, &asked).await.map_err(Problem::of_fields)?;
        let prefix = if asked.publishable { KeyPrefix::Publishable } else { KeyPrefix::Secret };
        for _ in 0..DRAWS_MAX {
            let text = ApiKeyText::generate(prefix).map_err(|error| Problem::internal("drawing an API key", &error))?;
            let new = NewApiKey {
                account_id: caller.account_id.clone(),
                name: asked.name.clone(),
                key_id: text.key_id().to_owned(),
                secret_digest: text.digest(),
                limits: limits.clone(),
                expires_at: asked.expires_at,
            };
            let mut tx = self.store.begin("create_api_key").await?;
            if let Some(Done { value, .. }) = request.answered(&mut tx).await? {
                return Err(shown_once(&value));
            }
            match tx.create_api_key(&new).await {
                Ok(api_key) => {
                    let shown = self.show_key(api_key);
                    let changed = Changed::created(shown.id.as_str(), &shown);
                    caller.record(&mut tx, Operation::CreateApiKey, changed).await?;
                    request.remember(&mut tx, &shown).await?;
                    tx.commit().await?;
                    return Ok(api::ApiKey { key: Some(text.reveal().to_owned()), ..shown });
                }
                Err(StoreError::KeyIdTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::internal("drawing an API key", &"every key id was taken"))
    }

    /// The keys of the caller's account, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_api_keys(&self, caller: &Caller) -> Result<ApiKeyList, Problem> {
        caller.may(Operation::ReadApiKeys)?;
        let keys = self.store.read("list_api_keys").await?.list_api_keys(&caller.account_id).await?;
        Ok(ApiKeyList { keys: keys.into_iter().map(|key| self.show_key(key)).collect() })
    }

    /// Revokes a key for good.
    ///
    /// # Errors
    /// Where the database fails, or there is no such key.
    pub async fn revoke_api_key(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        caller.may(Operation::RevokeApiKey)?;
        let id = id.parse().map_err(|_| Problem::not_found("api key"))?;
        let mut tx = self.store.begin("revoke_api_key").await?;
        let revoked = tx.revoke_api_key(&caller.account_id, &id).await?;
        let changed = Changed::deleted(id.as_str(), &self.show_key(revoked));
        caller.record(&mut tx, Operation::RevokeApiKey, changed).await?;
        tx.commit().await?;
        self.look_at_keys();
        Ok(())
    }

    /// What a key may be used for that is asked for like this.
    async fn key_limits(&self, caller: &Caller, asked: &CreateApiKey) -> Result<ApiKeyLimits, Vec<FieldError>> {
        let mut domain_ids = Vec::new();
        let mut errors = Vec::new();
        for (place, host) in asked.domains.iter().flatten().enumerate() {
            match self.domain_of(caller, Some(host)).await {
                Ok(domain) => domain_ids.push(domain.domain_id),
                Err(error) => errors.push(FieldError { field: format!("domains[{place}]"), ..error }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(ApiKeyLimits {
            kind: if asked.publishable { ApiKeyKind::Publishable } else { ApiKeyKind::Secret },
            scopes: asked.scope_set(),
            domain_ids: asked.domains.is_some().then_some(domain_ids),
            origins: asked.origins.clone(),
        })
    }

    /// An API key as it is shown, without the secret, which is stored nowhere.
    fn show_key(&self, api_key: ApiKey) -> api::ApiKey {
        let ApiKeyLimits { kind, scopes, domain_ids, origins } = api_key.limits;
        let domains = self.sync.domains();
        let host_of = |id: DomainId| {
            let domain = domains.iter().find(|domain| domain.domain_id == id);
            // A domain that was deleted has no name any more.
            domain.map_or_else(|| id.as_str().to_owned(), |domain| domain.host.as_str().to_owned())
        };
        api::ApiKey {
            id: api_key.api_key_id,
            name: api_key.name,
            key_id: api_key.key_id,
            key: None,
            publishable: kind == ApiKeyKind::Publishable,
            scopes: scopes.iter().collect(),
            domains: domain_ids.map(|ids| ids.into_iter().map(host_of).collect()),
            origins,
            created_at: api_key.created_at,
            expires_at: api_key.expires_at,
            last_used_at: api_key.last_used_at,
            revoked_at: api_key.revoked_at,
        }
    }

    /// Notes the use of a key, at most once a minute. Where the note cannot be written the key opens all the same, and
    /// nobody waits long for it: a database that is locked is waited for by the change that the caller asked for, not
    /// twice.
    pub(crate) async fn note_use(&self, api_key: &ApiKey, now: Timestamp) {
        let is_fresh = |used_at: Timestamp| now.as_micros() - used_at.as_micros() < NOTE_EVERY_US;
        if api_key.last_used_at.is_some_and(is_fresh) {
            return;
        }
        // Enough are being written; a later use of this key is noted.
        let Ok(place) = Arc::clone(&self.use_notes).try_acquire_owned() else { return };
        let (store, api_key) = (self.store.clone(), api_key.clone());
        let note = tokio::spawn(async move {
            let note = async {
                let mut tx = store.begin("touch_api_key").await?;
                tx.touch_api_key(&api_key).await?;
                tx.commit().await
            };
            let note: Result<(), StoreError> = note.await;
            if let Err(error) = note {
                tracing::warn!(error = %Chain(&error), "the use of an api key was not recorded");
            }
            drop(place);
        });
        // It goes on where it takes longer.
        let _ = tokio::time::timeout(NOTE_WAIT, note).await;
    }
}
