//! What callers do with the API keys of their account.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use waypost_core::Timestamp;
use waypost_jobs::Chain;
use waypost_store::{ApiKey, NewApiKey, StoreError};

use crate::api_key::ApiKeyText;
use crate::app::App;
use crate::caller::Caller;
use crate::idempotency::{Answer, Repeatable};
use crate::link_input::take_time;
use crate::problem::{Problem, ProblemCode};
use crate::request::{invalid, refuse_rest, take_text};

/// Bytes of a key's name.
const NAME_BYTES_MAX: usize = 200;
/// How many key ids are drawn before it counts as a failure; one in 10^14 is taken.
const DRAWS_MAX: u32 = 4;
/// The use of a key is noted this often, in microseconds.
const NOTE_EVERY_US: i64 = 60_000_000;
/// How long a request waits for the note of its key's use to be written.
const NOTE_WAIT: Duration = Duration::from_millis(200);

/// An API key as it is shown; the secret only once, right after it was made.
#[derive(Debug, Serialize)]
pub(crate) struct ApiKeyView<'a> {
    id: &'a str,
    name: &'a str,
    /// The part of the key that is no secret, as it stands behind `wp_`.
    key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl<'a> ApiKeyView<'a> {
    pub(crate) fn new(api_key: &'a ApiKey) -> Self {
        Self {
            id: api_key.api_key_id.as_str(),
            name: &api_key.name,
            key_id: &api_key.key_id,
            key: None,
            created_at: api_key.created_at,
            expires_at: api_key.expires_at,
            last_used_at: api_key.last_used_at,
            revoked_at: api_key.revoked_at,
        }
    }

    pub(crate) fn with_secret(self, text: &'a ApiKeyText) -> Self {
        Self { key: Some(text.reveal()), ..self }
    }
}

/// A key to be made.
struct ApiKeyInput {
    name: String,
    expires_at: Option<Timestamp>,
}

impl ApiKeyInput {
    fn parse(mut object: Map<String, Value>, now: Timestamp) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let name = take_text(&mut object, "name", &mut errors).unwrap_or_default().trim().to_owned();
        if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            errors.push(invalid("name", "at most 200 bytes long, without control characters"));
        }
        let expires_at = take_time(&mut object, "expires_at", &mut errors);
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            errors.push(invalid(
                "expires_at",
                &format!("in the future, or the key would never open anything; it is {now}"),
            ));
        }
        refuse_rest(&object, &mut errors);
        if errors.is_empty() { Ok(Self { name, expires_at }) } else { Err(Problem::of_fields(errors)) }
    }
}

/// 409: the key is there, and its secret is not. Another answer 201 without the secret would be taken for one with it.
fn shown_once(answer: &Answer) -> Problem {
    let view: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let id = view.get("id").and_then(Value::as_str).unwrap_or_default();
    let detail = format!(
        "this request has made the key {id} already, and the key itself was shown then only; if that answer got lost, \
         revoke {id} and make another key under another Idempotency-Key"
    );
    Problem::new(ProblemCode::SecretShownOnce, detail)
}

impl App {
    /// Makes a key of the caller's account.
    pub(crate) async fn create_api_key(
        &self,
        caller: &Caller,
        body: Map<String, Value>,
        request: &Repeatable,
    ) -> Result<(ApiKey, ApiKeyText), Problem> {
        let input = ApiKeyInput::parse(body, waypost_jobs::now())?;
        for _ in 0..DRAWS_MAX {
            let text = ApiKeyText::generate().map_err(|error| Problem::internal("drawing an API key", &error))?;
            let new = NewApiKey {
                account_id: caller.account_id.clone(),
                name: input.name.clone(),
                key_id: text.key_id().to_owned(),
                secret_digest: text.digest(),
                expires_at: input.expires_at,
            };
            let mut tx = self.store.begin("create_api_key").await?;
            if let Some(answer) = request.answered(&mut tx).await? {
                return Err(shown_once(&answer));
            }
            match tx.create_api_key(&new).await {
                Ok(api_key) => {
                    // Without the secret, which is stored nowhere.
                    let view = serde_json::to_vec(&ApiKeyView::new(&api_key)).unwrap_or_default();
                    request.remember(&mut tx, StatusCode::CREATED, &view).await?;
                    tx.commit().await?;
                    return Ok((api_key, text));
                }
                Err(StoreError::KeyIdTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::internal("drawing an API key", &"every key id was taken"))
    }

    /// The keys of the caller's account, newest first.
    pub(crate) async fn list_api_keys(&self, caller: &Caller) -> Result<Vec<ApiKey>, Problem> {
        Ok(self.store.read("list_api_keys").await?.list_api_keys(&caller.account_id).await?)
    }

    /// Revokes a key for good.
    pub(crate) async fn revoke_api_key(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        let id = id.parse().map_err(|_| Problem::not_found("api key"))?;
        let mut tx = self.store.begin("revoke_api_key").await?;
        tx.revoke_api_key(&caller.account_id, &id).await?;
        tx.commit().await?;
        self.look_at_keys();
        Ok(())
    }

    /// Notes the use of a key, at most once a minute. Where the note cannot be written the key opens all the same, and nobody waits
    /// long for it: a database that is locked is waited for by the change that the caller asked for, not twice.
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
                tracing::warn!(error = %Chain(&error), "the use of an api key was not noted");
            }
            drop(place);
        });
        // It goes on where it takes longer.
        let _ = tokio::time::timeout(NOTE_WAIT, note).await;
    }
}
