//! What a bulk request does with links that are there already, so that the same file can be imported twice.
//!
//! A link with a slug is there where the caller has a link on that slug. One without a slug is there where the same item, to
//! the letter, was taken before: the store keeps a digest of it with the link.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use waypost_core::LinkRecord;
use waypost_core::id::DomainId;
use waypost_store::{CreateOutcome, Link, ReadTx, SlugChoice, StoreError};

use crate::app::App;
use crate::caller::Caller;
use crate::link_input::LinkPatch;
use crate::links::{CheckedLink, own_record};
use crate::problem::Problem;
use crate::request::{Precondition, parse_object};

/// What to do with a link that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IfExists {
    /// Refuse the item.
    #[default]
    Error,
    /// Leave the link as it is.
    Skip,
    /// Give the link the fields of the item.
    Update,
}

impl IfExists {
    /// Reads the word of a request, as JSON.
    pub(crate) fn of_json(text: &str) -> Option<Self> {
        match text {
            "\"error\"" => Some(Self::Error),
            "\"skip\"" => Some(Self::Skip),
            "\"update\"" => Some(Self::Update),
            _ => None,
        }
    }
}

/// What became of a link that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExistingOutcome {
    /// It is as the item wants it.
    Unchanged,
    /// It is another one, and was left so.
    Kept,
    /// It has the item's fields now.
    Updated,
}

/// An item of which there may be a link already.
pub(crate) struct Wanted<'b> {
    /// As it came: of all items together no more than one is a tree at a time.
    item: &'b RawValue,
    /// Of what the link would do.
    digest: [u8; 32],
}

impl<'b> Wanted<'b> {
    /// Prepares a checked link, whose password is not hashed yet, to be found where it is there.
    pub(crate) fn prepare(new: &mut CheckedLink, item: &'b RawValue) -> Self {
        if matches!(new.link.slug, SlugChoice::Generated(_)) {
            new.link.dedupe_key = Some(dedupe_key(&fields_of(item)));
        }
        let has_password = new.has_password() || new.link.record.password_hash.is_some();
        Self { digest: digest_of(new.link.record.clone(), has_password), item }
    }
}

/// An item's fields, but for what only says where and when.
fn fields_of(item: &RawValue) -> Map<String, Value> {
    let mut object = parse_object(item.get().as_bytes()).unwrap_or_default();
    for field in ["slug", "domain", "created_at", "has_password"] {
        object.remove(field);
    }
    object
}

/// What names an item among those without a slug. The password is no part: nothing that can be guessed from is stored.
fn dedupe_key(fields: &Map<String, Value>) -> String {
    let mut digest = Sha256::new_with_prefix(b"bulk\0");
    for (name, value) in fields.iter().filter(|(name, _)| *name != "password") {
        for part in [name.as_bytes(), value.to_string().as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    let digest: [u8; 32] = digest.finalize().into();
    format!("bulk {}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A digest of what a link does; of its password only whether there is one.
fn digest_of(record: LinkRecord, has_password: bool) -> [u8; 32] {
    // As a new link is stored; some that are there were stored otherwise.
    let link_utms = record.link_utms.filter(|utms| utms.values().iter().any(Option::is_some));
    let record = LinkRecord { password_hash: None, link_utms, ..record };
    let mut digest = Sha256::new_with_prefix([u8::from(has_password)]);
    digest.update(serde_json::to_vec(&record).unwrap_or_default());
    digest.finalize().into()
}

/// The caller's link that stands in the way of an item, if one does.
pub(crate) async fn find_existing(
    tx: &mut ReadTx,
    caller: &Caller,
    domain_id: &DomainId,
    outcome: &CreateOutcome,
) -> Result<Option<Link>, StoreError> {
    match outcome {
        CreateOutcome::SlugTaken { slug } => {
            let found = tx.get_link_by_slug(domain_id, slug).await?;
            Ok(found.filter(|link| link.account_id == caller.account_id))
        }
        CreateOutcome::Existing { link_id, .. } => tx.get_link(&caller.account_id, link_id).await,
        CreateOutcome::Created { .. } | CreateOutcome::SlugTooLong | CreateOutcome::DomainNotFound => Ok(None),
    }
}

impl App {
    /// Does what was asked for with a link that is there. A dry run changes nothing and answers the same.
    pub(crate) async fn settle_existing(
        &self,
        caller: &Caller,
        link: Link,
        wanted: Wanted<'_>,
        (if_exists, dry_run): (IfExists, bool),
    ) -> Result<(Link, ExistingOutcome), Problem> {
        let is_same = digest_of(own_record(&link), link.record.password_hash.is_some()) == wanted.digest;
        let fields = fields_of(wanted.item);
        let sets_password = fields.contains_key("password");
        match if_exists {
            IfExists::Update if !is_same || sets_password => {}
            _ if is_same => return Ok((link, ExistingOutcome::Unchanged)),
            IfExists::Error | IfExists::Skip | IfExists::Update => return Ok((link, ExistingOutcome::Kept)),
        }
        let outcome = |is_changed| if is_changed { ExistingOutcome::Updated } else { ExistingOutcome::Unchanged };
        if dry_run {
            let patch = LinkPatch::parse(fields)?;
            let record = self.patched(&link, &patch, None).map_err(Problem::of_fields)?;
            let is_changed = sets_password || record != own_record(&link);
            return Ok((link, outcome(is_changed)));
        }
        let id = link.link_id.as_str();
        let updated = self.update_link(caller, id, &Precondition::None, fields).await?;
        let is_changed = updated.version != link.version;
        Ok((updated, outcome(is_changed)))
    }
}
