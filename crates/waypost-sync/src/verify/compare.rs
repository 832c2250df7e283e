//! What counts as a difference: pure decisions about one key.

use waypost_api::sync::DifferenceKind;
use waypost_core::Timestamp;
use waypost_core::sync::SyncStatus;
use waypost_store::{SyncKey, SyncState};

use crate::kv::{KvKeys, ListedKey};

/// What a live link's value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: u64,
    /// `None` where there can be no value, because it would be too large.
    pub(super) digest: Option<String>,
}

/// How a listed key differs from what it should be; `wanted` is `None` where no live link has this key.
pub(super) fn judge(listed: &ListedKey, wanted: Option<&Wanted>) -> Option<DifferenceKind> {
    let is_ours = listed.version.is_some() && listed.digest.is_some();
    match wanted {
        Some(wanted) => {
            let is_same =
                listed.version == Some(wanted.version) && listed.digest.is_some() && listed.digest == wanted.digest;
            (!is_same).then_some(DifferenceKind::Different)
        }
        None if is_ours => Some(DifferenceKind::Deleted),
        None => Some(DifferenceKind::Foreign),
    }
}

/// What the store knows of the way of a key to the target, read together with the link itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight<'a> {
    pub(super) state: Option<&'a SyncState>,
    /// The version that the slug has now, deleted or not.
    pub(super) version: u64,
    /// Whether there are changes of which no state tells yet.
    pub(super) is_behind: bool,
    /// What was acknowledged since then may not be in lists.
    pub(super) listed_since: Timestamp,
}

/// Whether a key is on its way, so that nothing can be said of what was listed.
pub(super) fn is_in_flight(flight: Flight<'_>) -> bool {
    let Flight { state, version, is_behind, listed_since } = flight;
    let Some(state) = state else { return is_behind };
    match state.status {
        SyncStatus::Pending | SyncStatus::Syncing => true,
        SyncStatus::Synced | SyncStatus::Failed => {
            state.synced_at.is_some_and(|at| at >= listed_since) || (is_behind && state.version < version)
        }
    }
}

/// Which slug a key belongs to, if to one of ours: the reverse of [`KvKeys::key`].
pub(super) fn owner(keys: &KvKeys, key: &str) -> Option<SyncKey> {
    // No database takes NUL, and no slug has it.
    if key.contains('\0') {
        return None;
    }
    let other = key.split_once('/').and_then(|(host, slug)| {
        let domain_id = keys.domain_id(host).filter(|_| !host.is_empty())?;
        Some(SyncKey { domain_id: domain_id.clone(), slug: slug.to_owned() })
    });
    other.or_else(|| Some(SyncKey { domain_id: keys.domain_id("")?.clone(), slug: key.to_owned() }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_core::Hostname;
    use waypost_core::id::DomainId;
    use waypost_store::Domain;

    use super::*;

    fn listed(ours: Option<(u64, &str)>) -> ListedKey {
        ListedKey {
            name: "a".into(),
            version: ours.map(|(version, _)| version),
            digest: ours.map(|(_, digest)| digest.into()),
        }
    }

    #[test]
    fn every_kind_of_difference() {
        #[track_caller]
        fn check(ours: Option<(u64, &str)>, wanted: Option<(u64, Option<&str>)>, expect: Option<DifferenceKind>) {
            let wanted = wanted.map(|(version, digest)| Wanted { version, digest: digest.map(str::to_owned) });
            assert_eq!(judge(&listed(ours), wanted.as_ref()), expect);
        }
        check(Some((3, "x")), Some((3, Some("x"))), None);
        check(Some((2, "x")), Some((3, Some("x"))), Some(DifferenceKind::Different));
        check(Some((4, "x")), Some((3, Some("x"))), Some(DifferenceKind::Different));
        check(Some((3, "y")), Some((3, Some("x"))), Some(DifferenceKind::Different));
        check(Some((3, "x")), Some((3, None)), Some(DifferenceKind::Different));
        check(None, Some((3, Some("x"))), Some(DifferenceKind::Different));
        check(Some((3, "x")), None, Some(DifferenceKind::Deleted));
        check(None, None, Some(DifferenceKind::Foreign));
    }

    #[test]
    fn what_moves_is_no_difference() {
        let at = Timestamp::from_micros;
        let check = |status, version, synced_at: Option<i64>, is_behind, expect: bool| {
            let state = SyncState {
                key: SyncKey { domain_id: DomainId::from_uuid_bytes([1; 16]), slug: "a".into() },
                link_id: None,
                version,
                synced_version: None,
                status,
                attempts: 0,
                error: None,
                pending_since: None,
                next_attempt_at: None,
                synced_at: synced_at.map(at),
            };
            let flight = Flight { state: Some(&state), version: 5, is_behind, listed_since: at(100) };
            assert_eq!(is_in_flight(flight), expect, "{flight:?}");
        };
        check(SyncStatus::Pending, 5, None, false, true);
        check(SyncStatus::Syncing, 5, Some(1), false, true);
        check(SyncStatus::Synced, 5, Some(99), false, false);
        check(SyncStatus::Synced, 5, Some(100), false, true);
        check(SyncStatus::Failed, 5, Some(99), false, false);
        check(SyncStatus::Failed, 5, Some(100), false, true);
        // An edit that the outbox worker has not read yet.
        check(SyncStatus::Synced, 4, Some(1), true, true);
        check(SyncStatus::Synced, 5, Some(1), true, false);
        check(SyncStatus::Synced, 4, Some(1), false, false);
        let unknown = |is_behind| Flight { state: None, version: 5, is_behind, listed_since: at(100) };
        assert!(is_in_flight(unknown(true)) && !is_in_flight(unknown(false)));
    }

    #[test]
    fn keys_have_one_owner() {
        let domain = |number, host: &str, is_default| Domain {
            domain_id: DomainId::from_uuid_bytes([number; 16]),
            account_id: None,
            host: Hostname::parse(host).unwrap(),
            is_default,
            case_insensitive: false,
            root_url: None,
            created_at: Timestamp::from_micros(0),
        };
        let keys = KvKeys::new(&[domain(1, "go.example", true), domain(2, "b.example", false)]);
        let check = |key: &str, expect: Option<(u8, &str)>| {
            let expect = expect.map(|(number, slug)| SyncKey {
                domain_id: DomainId::from_uuid_bytes([number; 16]),
                slug: slug.to_owned(),
            });
            assert_eq!(owner(&keys, key), expect, "{key:?}");
            if let Some(owner) = expect {
                let domain_key = if owner.domain_id == DomainId::from_uuid_bytes([1; 16]) { "" } else { "b.example" };
                assert_eq!(keys.key(domain_key, &owner.slug).unwrap(), key);
            }
        };
        check("a", Some((1, "a")));
        check("a/b", Some((1, "a/b")));
        check("b.example/a/b", Some((2, "a/b")));
        check("b.example", Some((1, "b.example")));
        check("c.example/a", Some((1, "c.example/a")));
        check("go.example/a", Some((1, "go.example/a")));
        check("/a", Some((1, "/a")));
        check("a\0b", None);
    }
}
