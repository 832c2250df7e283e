//! API keys: only a digest of the secret is kept, beside a public key id that finds the row.
//!
//! Making the secret and hashing it is the caller's work; comparing is done here, in constant time.

use sqlx::any::AnyRow;
use subtle::ConstantTimeEq;
use waypost_core::Timestamp;
use waypost_core::access::{Scope, Scopes};
use waypost_core::id::{AccountId, ApiKeyId, DomainId};
use waypost_sql::{Constraint, Statement};

use crate::error::StoreError;
use crate::rows::{Columns, account_number, new_id};
use crate::store::Store;
use crate::tx::{ReadTx, Tx};

/// Characters of a key id.
pub const KEY_ID_CHARS: usize = 8;
/// The most keys that one list gives.
const API_KEYS_MAX: i64 = 1_000;
/// `last_used_at` is written at most this often, in microseconds.
const TOUCH_EVERY_US: i64 = 60_000_000;

/// Every column of a key that may be shown.
macro_rules! key_columns {
    () => {
        "id, account_id, name, key_id, kind, scopes, domain_ids, origins, created_at, expires_at, last_used_at, revoked_at"
    };
}

/// Who may hold a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiKeyKind {
    /// A program that can keep a secret.
    #[default]
    Secret,
    /// Anyone: the key stands in the source of pages, and only sends conversions from named origins.
    Publishable,
}

impl ApiKeyKind {
    /// The kind in SQL and JSON: `secret`, `publishable`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Publishable => "publishable",
        }
    }

    /// Reads what [`ApiKeyKind::as_str`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Secret, Self::Publishable].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What an API key may be used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyLimits {
    /// Who may hold it.
    pub kind: ApiKeyKind,
    /// What it may do.
    pub scopes: Scopes,
    /// The domains whose links it may use; `None` where it may use all of the account.
    pub domain_ids: Option<Vec<DomainId>>,
    /// The origins of pages that may use it; none where it is a secret.
    pub origins: Vec<String>,
}

/// Everything in the account, as keys do that are not limited.
impl Default for ApiKeyLimits {
    fn default() -> Self {
        let scopes = Scopes::default().with(Scope::Admin);
        Self { kind: ApiKeyKind::Secret, scopes, domain_ids: None, origins: Vec::new() }
    }
}

/// An API key to be created.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The account.
    pub account_id: AccountId,
    /// What people call it.
    pub name: String,
    /// The public part that finds the key: [`KEY_ID_CHARS`] characters, random, unique.
    pub key_id: String,
    /// SHA-256 of the secret.
    pub secret_digest: [u8; 32],
    /// What it may be used for.
    pub limits: ApiKeyLimits,
    /// From this on the key opens nothing.
    pub expires_at: Option<Timestamp>,
}

/// An API key as it can be shown: nothing of its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub api_key_id: ApiKeyId,
    /// The account it opens.
    pub account_id: AccountId,
    /// What people call it.
    pub name: String,
    /// The public part of the key.
    pub key_id: String,
    /// What it may be used for.
    pub limits: ApiKeyLimits,
    /// When it was created.
    pub created_at: Timestamp,
    /// From this on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    fn opens(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

fn read_api_key(row: &AnyRow) -> Result<ApiKey, StoreError> {
    let columns = Columns::new(row, "api key");
    Ok(ApiKey {
        api_key_id: columns.id("id")?,
        account_id: columns.account_id("account_id")?,
        name: columns.get("name")?,
        key_id: columns.get("key_id")?,
        limits: read_limits(&columns)?,
        created_at: columns.time("created_at")?,
        expires_at: columns.optional_time("expires_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
        revoked_at: columns.optional_time("revoked_at")?,
    })
}

fn read_limits(columns: &Columns<'_>) -> Result<ApiKeyLimits, StoreError> {
    let words = |column: &str| -> Result<Option<Vec<String>>, StoreError> {
        let text: Option<String> = columns.get(column)?;
        Ok(text.map(|text| text.split(' ').map(str::to_owned).collect()))
    };
    let read_id = |id: String| id.parse().map_err(|error| columns.corrupt("domain_ids", &error));
    Ok(ApiKeyLimits {
        kind: columns.parsed("kind", ApiKeyKind::parse)?,
        scopes: columns.id("scopes")?,
        domain_ids: words("domain_ids")?.map(|ids| ids.into_iter().map(read_id).collect()).transpose()?,
        origins: words("origins")?.unwrap_or_default(),
    })
}

/// The words of a list in one column; `None` where there are none.
fn joined<'w>(words: impl IntoIterator<Item = &'w str>) -> Option<String> {
    let words: Vec<&str> = words.into_iter().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

impl ReadTx {
    /// The account's newest 1,000 keys, revoked ones too, newest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_api_keys(&mut self, account_id: &AccountId) -> Result<Vec<ApiKey>, StoreError> {
        let statement = Statement::new(concat!(
            "SELECT ",
            key_columns!(),
            " FROM api_keys WHERE account_id = $1 ORDER BY id DESC LIMIT $2"
        ));
        self.fetch_all(statement.bind(account_number(account_id)).bind(API_KEYS_MAX))
            .await?
            .iter()
            .map(read_api_key)
            .collect()
    }

    /// The key with this key id and this secret, if it opens anything at this time. An unknown key id, a wrong secret,
    /// an expired and a revoked key look alike. The digests are compared in constant time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn authenticate_api_key(
        &mut self,
        key_id: &str,
        secret_digest: &[u8; 32],
    ) -> Result<Option<ApiKey>, StoreError> {
        let statement =
            Statement::new(concat!("SELECT secret_digest, ", key_columns!(), " FROM api_keys WHERE key_id = $1"));
        let Some(row) = self.fetch_optional(statement.bind(key_id)).await? else { return Ok(None) };
        let api_key = read_api_key(&row)?;
        let stored: Vec<u8> = Columns::new(&row, "api key").get("secret_digest")?;
        let is_right = bool::from(stored.ct_eq(secret_digest.as_slice()));
        Ok((is_right && api_key.opens(self.now())).then_some(api_key))
    }
}

impl Tx {
    /// Makes a key.
    ///
    /// # Errors
    /// [`StoreError::KeyIdTaken`] where another key has the key id; [`StoreError::NotFound`] where there is no such
    /// account.
    pub async fn create_api_key(&mut self, new: &NewApiKey) -> Result<ApiKey, StoreError> {
        let api_key_id = ApiKeyId::from_uuid_bytes(new_id());
        let limits = &new.limits;
        let domain_ids = limits.domain_ids.as_ref().map(|ids| ids.iter().map(DomainId::as_str));
        let statement = Statement::new(concat!(
            "INSERT INTO api_keys (id, account_id, name, key_id, secret_digest, created_at, expires_at, kind, scopes,
               domain_ids, origins)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING ",
            key_columns!()
        ))
        .bind(api_key_id.as_str())
        .bind(account_number(&new.account_id))
        .bind(new.name.as_str())
        .bind(new.key_id.as_str())
        .bind(new.secret_digest.as_slice())
        .bind(self.now().as_micros())
        .bind(new.expires_at.map(Timestamp::as_micros))
        .bind(limits.kind.as_str())
        .bind(limits.scopes.to_string())
        .bind(domain_ids.and_then(joined))
        .bind(joined(limits.origins.iter().map(String::as_str)));
        let row = self
            .insert_row(statement, |constraint| match constraint {
                Constraint::Unique => StoreError::KeyIdTaken,
                Constraint::ForeignKey => StoreError::NotFound { what: "account" },
            })
            .await?;
        read_api_key(&row)
    }

    /// Revokes a key of the account for good. Revoking again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the account has no such key.
    pub async fn revoke_api_key(
        &mut self,
        account_id: &AccountId,
        api_key_id: &ApiKeyId,
    ) -> Result<ApiKey, StoreError> {
        let statement = Statement::new(concat!(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE account_id = $1 AND id = $2 RETURNING ",
            key_columns!()
        ))
        .bind(account_number(account_id))
        .bind(api_key_id.as_str())
        .bind(self.now().as_micros());
        let row = self.fetch_optional(statement).await?.ok_or(StoreError::NotFound { what: "api key" })?;
        read_api_key(&row)
    }

    /// Notes that the key was used, unless that was noted within the last minute.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn touch_api_key(&mut self, api_key: &ApiKey) -> Result<(), StoreError> {
        let now = self.now().as_micros();
        let statement = Statement::new(
            "UPDATE api_keys SET last_used_at = $3
             WHERE account_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= $4)",
        );
        let statement = statement.bind(account_number(&api_key.account_id)).bind(api_key.api_key_id.as_str());
        self.execute(statement.bind(now).bind(now - TOUCH_EVERY_US)).await.map(drop)
    }
}

impl Store {
    /// Authenticates as [`ReadTx::authenticate_api_key`] does, and notes the use at most once a minute. Where the note cannot be
    /// written the key opens all the same.
    ///
    /// # Errors
    /// Where the database cannot be read: that is no verdict on the key.
    pub async fn authenticate_api_key(
        &self,
        key_id: &str,
        secret_digest: &[u8; 32],
    ) -> Result<Option<ApiKey>, StoreError> {
        let mut tx = self.read("authenticate_api_key").await?;
        let found = tx.authenticate_api_key(key_id, secret_digest).await?;
        let now = tx.now().as_micros();
        drop(tx);
        if let Some(api_key) = &found
            && api_key.last_used_at.is_none_or(|used_at| used_at.as_micros() <= now - TOUCH_EVERY_US)
        {
            let noted = self.note_use(api_key).await;
            if let Err(error) = noted {
                tracing::warn!(error = &error as &dyn std::error::Error, "the use of an api key was not recorded");
            }
        }
        Ok(found)
    }

    async fn note_use(&self, api_key: &ApiKey) -> Result<(), StoreError> {
        let mut tx = self.begin("touch_api_key").await?;
        tx.touch_api_key(api_key).await?;
        tx.commit().await
    }
}
