//! The text and plan of every statement, as a snapshot: a query that begins to walk through a whole table is seen in review.
//!
//! A run through all operations records what was executed; SQLite then says how it goes about each.

mod sync;

use std::cell::RefCell;
use std::collections::BTreeSet;

use sqlx::{Connection, Row, SqliteConnection};
use waypost_core::access::Role;
use waypost_core::id::{AccountId, DomainId};
use waypost_core::record::UtmTemplate;
use waypost_core::{Hostname, LinkRecord, Slug};

use crate::{
    ApiKeyLimits, AuditEntry, AuditFilter, DomainChange, LinkChange, LinkFilter, NewApiKey, NewDomain, NewLink,
    NewMember, NewUtmTemplate, SlugChoice, Store, StoreError, StoreOptions, Tx,
};

thread_local! {
    /// What this thread executed so far; other tests of this binary have threads of their own.
    static RECORDED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Tables with as many rows as there are links or requests, by the names they have in statements.
const LARGE_TABLES: &[&str] = &[
    "links",
    "l",
    "o",
    "link_versions",
    "v",
    "outbox",
    "sync_states",
    "idempotency_keys",
    "members",
    "api_keys",
    "audit_entries",
    "utm_templates",
    "s",
    "d",
    "c",
    "p",
];

fn record(text: &str) {
    for statement in text.split(';') {
        let one_line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        RECORDED.with_borrow_mut(|recorded| recorded.insert(one_line));
    }
}

#[tokio::test]
async fn every_statement_has_its_plan() {
    waypost_sql::watch_statements(record);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = folder.path().join("plans.db").display().to_string();
    let store = Store::open(&address, StoreOptions::default()).await.expect("a new database");
    RECORDED.take();
    every_operation(&store).await.expect("every operation succeeds");
    store.close().await;
    insta::assert_snapshot!(plans(&address).await);
}

/// What was executed, and how SQLite goes about it.
async fn plans(address: &str) -> String {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{address}")).await.expect("the same database");
    let mut report = String::new();
    let statements = RECORDED.take();
    for text in statements {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let plan = sqlx::query(explain).fetch_all(&mut connection).await.expect("a plan");
        report.push_str(&format!("{text}\n"));
        for step in plan.iter().map(|row| row.get::<String, _>("detail")) {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let is_large = scanned.is_some_and(|table| LARGE_TABLES.contains(&table));
            assert!(!is_large || makes_a_parent(&text) || counts_all(&text), "{text}\n{step}");
            assert!(!step.contains("PRIMARY KEY (target=?)") || counts_all(&text), "{text}\n{step}");
            report.push_str(&format!("    {step}\n"));
        }
    }
    report
}

/// The plan of an insert into a table that others refer to lists what deferred constraints would need. None is deferred here.
fn makes_a_parent(text: &str) -> bool {
    ["INSERT INTO accounts ", "INSERT INTO domains "].iter().any(|start| text.starts_with(start))
}

/// Links, and the rows of a target, are many: only who asks for their number walks over them.
fn counts_all(text: &str) -> bool {
    text.starts_with("SELECT count(*) ")
}

async fn every_operation(store: &Store) -> Result<(), StoreError> {
    let mut tx = store.begin("plans").await?;
    let host = Hostname::parse("go.example").expect("a host");
    let setup = tx.init(&host).await?;
    tx.init(&Hostname::parse("new.example").expect("a host")).await?;
    let account = &setup.default_account.account_id;
    let domain = &setup.default_domain.domain_id;
    accounts(&mut tx, account).await?;
    domains(&mut tx, account, domain).await?;
    links(&mut tx, account, domain).await?;
    edges(&mut tx, account).await?;
    sync::every_operation(&mut tx, account, domain).await?;
    tx.commit().await?;
    store.trim_idempotency_keys(store.now()).await?;
    store.authenticate_api_key("abcd1234", &[7; 32]).await?;
    store.ping().await
}

async fn accounts(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    tx.create_account("Other").await?;
    tx.list_accounts().await?;
    tx.create_member(&NewMember { account_id: account.clone(), email: "a@b.example".to_owned(), role: Role::Owner })
        .await?;
    tx.list_members(account).await?;
    tx.set_qr_logo(account, b"png").await?;
    tx.get_qr_logo(account).await?;
    tx.delete_qr_logo(account).await?;
    let key = NewApiKey {
        account_id: account.clone(),
        name: String::new(),
        key_id: "abcd1234".to_owned(),
        secret_digest: [7; 32],
        limits: ApiKeyLimits::default(),
        expires_at: None,
    };
    tx.create_api_key(&key).await?;
    let revoked = NewApiKey { key_id: "abcd1235".to_owned(), ..key };
    let revoked = tx.create_api_key(&revoked).await?;
    tx.revoke_api_key(account, &revoked.api_key_id).await?;
    tx.list_api_keys(account).await?;
    tx.add_audit_entry(account, &AuditEntry::default()).await?;
    tx.list_audit_entries(account, &AuditFilter::default(), 10).await?;
    tx.begin_idempotent(account, "k", &[0; 32]).await?;
    tx.finish_idempotent(account, "k", &[0; 32], (200, b"")).await?;
    tx.set_setting("name", "value").await
}

async fn domains(tx: &mut Tx, account: &AccountId, domain: &DomainId) -> Result<(), StoreError> {
    let host = Hostname::parse("own.example").expect("a host");
    let new = NewDomain { account_id: Some(account.clone()), host, case_insensitive: false, root_url: None };
    let own = tx.create_domain(&new).await?;
    let change = DomainChange { case_insensitive: Some(true), root_url: None };
    tx.update_domain(Some(account), &own.domain_id, &change).await?;
    tx.delete_domain(Some(account), &own.domain_id).await?;
    tx.create_domain(&new).await?;
    tx.count_all_links(1).await?;
    tx.get_domain(domain).await?;
    tx.get_domain_by_host(&new.host).await?;
    tx.list_domains(account).await?;
    tx.list_all_domains().await.map(drop)
}

async fn links(tx: &mut Tx, account: &AccountId, domain: &DomainId) -> Result<(), StoreError> {
    let draw = || Slug::parse("drawn").expect("a slug");
    let mut new = NewLink {
        account_id: account.clone(),
        domain_id: domain.clone(),
        slug: SlugChoice::Generated(&draw),
        record: LinkRecord::from_url("https://example.com/"),
        dedupe_key: Some("k".to_owned()),
        created_at: None,
    };
    new.record.expires_at = Some(tx.now());
    let link = tx.create_or_get_link(&new, None).await?.into_link();
    tx.delete_link(account, &link.link_id, Some(1), None).await?;
    tx.create_or_get_link(&new, None).await?;
    tx.link_owners(std::slice::from_ref(&link.link_id)).await?;
    // The link with the key has expired, which the new one has not: the key passes on, but the slug is taken.
    new.record.expires_at = None;
    let stuck = tx.create_or_get_link(&new, None).await;
    assert!(matches!(stuck, Err(StoreError::SlugTaken { .. })), "{stuck:?}");
    let link = tx.get_link_by_slug(domain, "drawn").await?.ok_or(StoreError::NotFound { what: "link" })?;
    let change = LinkChange {
        account_id: account,
        link_id: &link.link_id,
        expected_version: None,
        record: &link.record,
        changed_by: None,
    };
    tx.update_link(&change).await?;
    tx.link_versions(account, &link.link_id, None, 10).await?;
    tx.link_at_version(account, &link.link_id, 1).await?;
    tx.list_links(account, &LinkFilter::default(), None, 10).await?;
    let of_domain = LinkFilter { domain_ids: Some(vec![domain.clone()]), slug_prefix: None };
    tx.list_links(account, &of_domain, None, 10).await?;
    let by_slug = LinkFilter { domain_ids: None, slug_prefix: Some("d".to_owned()) };
    tx.list_links(account, &by_slug, None, 10).await.map(drop)
}

async fn edges(tx: &mut Tx, account: &AccountId) -> Result<(), StoreError> {
    let new = NewUtmTemplate { name: String::new(), template: UtmTemplate::default() };
    let template = tx.create_utm_template(account, &new, None).await?;
    tx.update_utm_template(account, &template.utm_template_id, &new, None).await?;
    tx.delete_utm_template(account, &template.utm_template_id, None).await?;
    let entries = tx.outbox_after(0, 10).await?;
    tx.edge_records(&entries).await?;
    tx.edge_records_page(None, 10).await?;
    tx.outbox_first().await?;
    tx.outbox_trim(2).await.map(drop)
}
