//! What a bulk request does with links that already exist, so that the same file can be imported twice.
//!
//! A link with a slug exists if the account has a link on that slug. A link without a slug exists if exactly the same
//! item was imported before: the store keeps a digest of the item with the link.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use waypost_api::link::{BulkItem, ExistingOutcome, IfExists};
use waypost_core::LinkRecord;
use waypost_core::id::DomainId;
use waypost_store::{CreateOutcome, Link, ReadTx, SlugChoice, StoreError};

use crate::access::caller::Caller;
use crate::app::App;
use crate::links::{CheckedLink, Precondition, own_record};
use crate::problem::Problem;

/// An item of which there may be a link already.
pub(crate) struct Wanted<'b> {
    /// As it came: of all items together no more than one is a tree at a time.
    item: BulkItem<'b>,
    /// Of what the link would do.
    digest: [u8; 32],
}

impl<'b> Wanted<'b> {
    /// Prepares a checked link, whose password is not hashed yet, to be found where it is there.
    pub(crate) fn prepare(new: &mut CheckedLink, item: BulkItem<'b>) -> Self {
        if matches!(new.link.slug, SlugChoice::Generated(_)) {
            new.link.dedupe_key = Some(dedupe_key(&item.fields()));
        }
        let has_password = new.has_password() || new.link.record.password_hash.is_some();
        Self { digest: digest_of(new.link.record.clone(), has_password), item }
    }
}

/// What names an item among those without a slug. The password is no part: nothing that can be guessed from is stored.
fn dedupe_key(fields: &[(String, String)]) -> String {
    let mut digest = Sha256::new_with_prefix(b"bulk\0");
    for (name, value) in fields.iter().filter(|(name, _)| name != "password") {
        for part in [name.as_bytes(), value.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    let digest: [u8; 32] = digest.finalize().into();
    format!("bulk {}", HEXLOWER.encode(&digest))
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
        let sets_password = wanted.item.fields().iter().any(|(name, _)| name == "password");
        match if_exists {
            IfExists::Update if !is_same || sets_password => {}
            _ if is_same => return Ok((link, ExistingOutcome::Unchanged)),
            IfExists::Error | IfExists::Skip | IfExists::Update => return Ok((link, ExistingOutcome::Kept)),
        }
        let outcome = |is_changed| if is_changed { ExistingOutcome::Updated } else { ExistingOutcome::Unchanged };
        if dry_run {
            let patch = wanted.item.as_update()?;
            let record = self.patched(&link, &patch, None).map_err(Problem::of_fields)?;
            let is_changed = sets_password || record != own_record(&link);
            return Ok((link, outcome(is_changed)));
        }
        let id = link.link_id.as_str();
        let updated = self.update_stored(caller, id, &Precondition::None, &wanted.item.as_update()?).await?;
        let is_changed = updated.version != link.version;
        Ok((updated, outcome(is_changed)))
    }
}
