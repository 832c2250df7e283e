//! Accounts, members, keys, domains, idempotency keys, settings.

use waypost_core::access::Role;
use waypost_core::id::AccountId;
use waypost_core::{Hostname, Timestamp};
use waypost_store::{
    AccountKind, ApiKeyLimits, DomainChange, Idempotency, NewApiKey, NewDomain, NewMember, StoreError,
};

use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { init_again, another_default, members, api_keys, key_use_is_noted, domains, idempotency, settings, }

const HOUR_US: i64 = 3_600_000_000;

async fn init_again(testbed: Testbed) {
    let init = async |host: &str| {
        let host = Hostname::parse(host).unwrap();
        testbed.store.write("init", async |tx| tx.init(&host).await).await
    };
    assert_eq!(init("go.example").await.unwrap(), testbed.setup);
    assert_eq!(testbed.setup.instance_id.len(), 32);
    let link = testbed.create("abc", "https://example.com/").await.unwrap();
    let moved = init("new.example").await.unwrap();
    assert_eq!(moved.default_domain.domain_id, *testbed.domain());
    assert_eq!(moved.renamed_from.map(|host| host.to_string()).as_deref(), Some("go.example"));
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert_eq!(tx.get_link(testbed.account(), &link.link_id).await.unwrap().unwrap().host, "new.example");
    let host = Hostname::parse("other.example").unwrap();
    let new = NewDomain { account_id: None, host, case_insensitive: false, root_url: None };
    tx.create_domain(&new).await.unwrap();
    tx.commit().await.unwrap();
    let taken = init("other.example").await;
    assert!(matches!(taken, Err(StoreError::PublicUrlTaken { host, links: 0, .. }) if host == "other.example"));
    let mut tx = testbed.store.read("t").await.unwrap();
    let kinds: Vec<_> = tx.list_accounts().await.unwrap().into_iter().map(|account| account.kind).collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&AccountKind::Default) && kinds.contains(&AccountKind::Anonymous));
}

async fn another_default(testbed: Testbed) {
    let init = async |host: &str| {
        let host = Hostname::parse(host).unwrap();
        testbed.store.write("init", async |tx| tx.init(&host).await).await
    };
    let create = async |host: &str, account_id: Option<AccountId>| {
        let new =
            NewDomain { account_id, host: Hostname::parse(host).unwrap(), case_insensitive: true, root_url: None };
        testbed.store.write("t", async |tx| tx.create_domain(&new).await).await.unwrap()
    };
    create("owned.example", Some(testbed.account().clone())).await;
    let taken = init("owned.example").await;
    assert!(
        matches!(taken, Err(StoreError::PublicUrlTaken { .. })),
        "links that name no domain are of any account: {taken:?}"
    );
    let other = create("other.example", None).await;
    let setup = init("other.example").await.unwrap();
    assert_eq!(setup.default_domain.domain_id, other.domain_id);
    assert_eq!(setup.renamed_from.map(|host| host.to_string()).as_deref(), Some("go.example"));
    assert_eq!(init("other.example").await.unwrap().renamed_from, None);
    let mut tx = testbed.store.read("t").await.unwrap();
    let found = tx.list_all_domains().await.unwrap();
    let found: Vec<_> = found.iter().map(|domain| (domain.host.as_str(), domain.is_default)).collect();
    assert_eq!(found, [("other.example", true), ("owned.example", false)]);
    drop(tx);
    // The host that went is free.
    create("go.example", None).await;
    assert_eq!(init("go.example").await.unwrap().default_domain.host.as_str(), "go.example");
}

async fn members(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let new =
        |email: &str| NewMember { account_id: testbed.account().clone(), email: email.to_owned(), role: Role::Editor };
    let member = tx.create_member(&new(" Ann@Example.com ")).await.unwrap();
    assert_eq!((member.email.as_str(), member.role), ("ann@example.com", Role::Editor));
    assert_eq!(tx.list_members(testbed.account()).await.unwrap(), [member]);
    let other = tx.create_account("Other").await.unwrap().account_id;
    assert!(tx.list_members(&other).await.unwrap().is_empty());
    tx.create_member(&NewMember { account_id: other, ..new("ann@example.com") }).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let again = tx.create_member(&new("ANN@example.com")).await;
    assert!(matches!(again, Err(StoreError::EmailTaken { email }) if email == "ann@example.com"));
    drop(tx);
    let mut tx = testbed.store.begin("t").await.unwrap();
    let lost = NewMember { account_id: AccountId::from_uuid_bytes([1; 16]), ..new("bob@example.com") };
    assert!(matches!(tx.create_member(&lost).await, Err(StoreError::NotFound { what: "account" })));
}

fn new_key(testbed: &Testbed, key_id: &str) -> NewApiKey {
    NewApiKey {
        limits: ApiKeyLimits::default(),
        account_id: testbed.account().clone(),
        name: "import".to_owned(),
        key_id: key_id.to_owned(),
        secret_digest: [7; 32],
        expires_at: Some(Timestamp::from_micros(testbed.now().as_micros() + HOUR_US)),
    }
}

async fn api_keys(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let key = tx.create_api_key(&new_key(&testbed, "abcd1234")).await.unwrap();
    let other = tx.create_account("Other").await.unwrap().account_id;
    assert_eq!(tx.list_api_keys(testbed.account()).await.unwrap(), std::slice::from_ref(&key));
    assert!(tx.list_api_keys(&other).await.unwrap().is_empty());
    assert_eq!(tx.authenticate_api_key("abcd1234", &[7; 32]).await.unwrap(), Some(key.clone()));
    assert_eq!(tx.authenticate_api_key("abcd1234", &[8; 32]).await.unwrap(), None);
    assert_eq!(tx.authenticate_api_key("abcd1235", &[7; 32]).await.unwrap(), None);
    assert!(matches!(tx.revoke_api_key(&other, &key.api_key_id).await, Err(StoreError::NotFound { .. })));
    let lasting = tx.create_api_key(&NewApiKey { expires_at: None, ..new_key(&testbed, "lasting1") }).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert!(matches!(tx.create_api_key(&new_key(&testbed, "abcd1234")).await, Err(StoreError::KeyIdTaken)));
    drop(tx);

    testbed.advance_us(HOUR_US);
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert_eq!(tx.authenticate_api_key("abcd1234", &[7; 32]).await.unwrap(), None, "expired");
    assert!(tx.authenticate_api_key("lasting1", &[7; 32]).await.unwrap().is_some());
    let revoked = tx.revoke_api_key(testbed.account(), &lasting.api_key_id).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(testbed.now()));
    assert_eq!(tx.authenticate_api_key("lasting1", &[7; 32]).await.unwrap(), None, "revoked");
    tx.commit().await.unwrap();
    testbed.advance_us(1);
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert_eq!(tx.revoke_api_key(testbed.account(), &lasting.api_key_id).await.unwrap(), revoked, "revoking again");
    assert_eq!(tx.list_api_keys(testbed.account()).await.unwrap(), [revoked, key]);
}

async fn key_use_is_noted(testbed: Testbed) {
    let new = new_key(&testbed, "abcd1234");
    testbed.store.write("t", async |tx| tx.create_api_key(&new).await).await.unwrap();
    let noted = async || {
        testbed.store.authenticate_api_key("abcd1234", &[7; 32]).await.unwrap().unwrap();
        let mut tx = testbed.store.read("t").await.unwrap();
        tx.list_api_keys(testbed.account()).await.unwrap()[0].last_used_at.unwrap()
    };
    let first = testbed.now();
    assert_eq!(noted().await, first);
    testbed.advance_us(59_999_999);
    assert_eq!(noted().await, first, "at most once a minute");
    testbed.advance_us(1);
    assert_eq!(noted().await, testbed.now());
}

async fn domains(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let other = tx.create_account("Other").await.unwrap().account_id;
    let new = |host: &str, account_id: Option<&AccountId>| NewDomain {
        account_id: account_id.cloned(),
        host: Hostname::parse(host).unwrap(),
        case_insensitive: false,
        root_url: None,
    };
    let own = tx.create_domain(&new("own.example", Some(testbed.account()))).await.unwrap();
    tx.create_domain(&new("foreign.example", Some(&other))).await.unwrap();
    assert_eq!(tx.get_domain_by_host(&own.host).await.unwrap(), Some(own.clone()));
    assert_eq!(tx.get_default_domain().await.unwrap(), Some(testbed.setup.default_domain.clone()));
    let hosts =
        |domains: Vec<waypost_store::Domain>| domains.into_iter().map(|d| d.host.to_string()).collect::<Vec<_>>();
    assert_eq!(hosts(tx.list_domains(testbed.account()).await.unwrap()), ["go.example", "own.example"]);
    assert_eq!(hosts(tx.list_all_domains().await.unwrap()), ["go.example", "foreign.example", "own.example"]);
    let change = DomainChange { case_insensitive: Some(true), root_url: Some(Some("https://example.com/".to_owned())) };
    let changed = tx.update_domain(Some(testbed.account()), &own.domain_id, &change).await.unwrap();
    assert!(changed.case_insensitive && changed.root_url.as_deref() == Some("https://example.com/"));
    let change = DomainChange { case_insensitive: None, root_url: Some(None) };
    let changed = tx.update_domain(Some(testbed.account()), &own.domain_id, &change).await.unwrap();
    assert!(changed.case_insensitive && changed.root_url.is_none());
    assert_eq!((changed.settings().table_key(), changed.key()), ("own.example", "own.example"));
    assert!(matches!(tx.update_domain(None, &own.domain_id, &change).await, Err(StoreError::NotFound { .. })));
    tx.commit().await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let taken = tx.create_domain(&new("OWN.example", Some(&other))).await;
    assert!(matches!(taken, Err(StoreError::DomainTaken { host }) if host == "own.example"));
}

async fn idempotency(testbed: Testbed) {
    let account = testbed.account();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let other = tx.create_account("Other").await.unwrap().account_id;
    assert_eq!(tx.begin_idempotent(account, "k", &[1; 32]).await.unwrap(), Idempotency::Fresh);
    tx.finish_idempotent(account, "k", &[1; 32], (201, b"{\"a\":1}")).await.unwrap();
    let replay = Idempotency::Replay { status: 201, body: b"{\"a\":1}".to_vec() };
    assert_eq!(tx.begin_idempotent(account, "k", &[1; 32]).await.unwrap(), replay);
    assert_eq!(tx.begin_idempotent(account, "k", &[2; 32]).await.unwrap(), Idempotency::Mismatch);
    assert_eq!(tx.begin_idempotent(&other, "k", &[2; 32]).await.unwrap(), Idempotency::Fresh);
    tx.commit().await.unwrap();
    testbed.advance_us(24 * HOUR_US);
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert_eq!(tx.begin_idempotent(account, "k", &[2; 32]).await.unwrap(), Idempotency::Fresh, "after a day");
    tx.finish_idempotent(account, "k", &[2; 32], (200, b"")).await.unwrap();
    tx.commit().await.unwrap();
    let now = testbed.now();
    assert_eq!(testbed.store.trim_idempotency_keys(now).await.unwrap(), 0);
    let later = Timestamp::from_micros(now.as_micros() + 1);
    assert_eq!(testbed.store.trim_idempotency_keys(later).await.unwrap(), 1);
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
        INSERT INTO idempotency_keys (account_id, key, request_digest, status, body, created_at)
        SELECT min(id), CAST(i AS TEXT), '', 200, '', i FROM accounts, n GROUP BY i";
    testbed.db_execute(fill).await;
    let after_all_but_one = Timestamp::from_micros(2_500);
    assert_eq!(testbed.store.trim_idempotency_keys(after_all_but_one).await.unwrap(), 2_499);
    assert_eq!(testbed.db_execute("SELECT key FROM idempotency_keys").await.trim(), "2500");
}

async fn settings(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert_eq!(tx.get_setting("secret").await.unwrap(), None);
    assert_eq!(tx.get_or_insert_setting("secret", "a").await.unwrap(), "a");
    assert_eq!(tx.get_or_insert_setting("secret", "b").await.unwrap(), "a");
    tx.set_setting("secret", "c").await.unwrap();
    assert_eq!(tx.get_setting("secret").await.unwrap().as_deref(), Some("c"));
    drop(tx);
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.get_setting("secret").await.unwrap(), None, "what is not committed never was");
}
