//! One link: making, reading, changing, deleting; and that nobody reaches another account's.

use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_core::{Hostname, LinkRecord, Slug};
use waypost_store::{
    Creation, DomainChange, LinkChange, LinkFilter, NewDomain, NewLink, SlugChoice, StoreError, SyncKey,
};

use crate::testbed::{Testbed, counting_slugs, on_both_engines};

on_both_engines! {
    create_and_get,
    slug_taken,
    update_and_conflict,
    delete_and_recreate,
    accounts_are_apart,
    generated_slugs,
    dedupe,
    case_insensitive_domain,
    a_domain_goes_and_comes_back,
    slug_too_long,
    unusual_text,
    owners_of_many,
}

async fn create_and_get(testbed: Testbed) {
    let mut new = testbed.new_link("docs-page", "https://example.com/");
    new.record.rules =
        serde_json::from_str(r#"[{"id":"r1","when":{"os":["ios"]},"to":{"url":"https://a.example/"}}]"#).unwrap();
    let link = testbed.store.write("t", async |tx| tx.create_link(&new, Some("key_1")).await).await.unwrap();
    assert_eq!((link.version, link.slug.as_str(), link.host.as_str()), (1, "docs-page", "go.example"));
    assert_eq!((link.created_at, link.updated_at), (testbed.now(), testbed.now()));
    let record = &link.record;
    assert_eq!(record.link_id.as_deref(), Some(link.link_id.as_str()));
    assert_eq!(record.account_id.as_deref(), Some(testbed.account().as_str()));
    assert_eq!(
        (record.version, record.slug.as_deref(), record.domain.as_deref()),
        (1, Some("docs-page"), Some("go.example"))
    );
    assert_eq!((record.created_at, record.updated_at), (Some(testbed.now()), Some(testbed.now())));
    assert_eq!(record.rules, new.record.rules);

    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.get_link(testbed.account(), &link.link_id).await.unwrap(), Some(link.clone()));
    assert_eq!(tx.get_link_by_slug(testbed.domain(), "docs-page").await.unwrap(), Some(link.clone()));
    assert_eq!(tx.get_link_by_slug(testbed.domain(), "Docs-page").await.unwrap(), None);
    assert_eq!(
        testbed.outbox().await.iter().map(|entry| (entry.sequence, entry.version)).collect::<Vec<_>>(),
        [(1, 1)]
    );
}

async fn slug_taken(testbed: Testbed) {
    testbed.create("abc", "https://example.com/1").await.unwrap();
    let error = testbed.create("abc", "https://example.com/2").await.unwrap_err();
    assert!(matches!(error, StoreError::SlugTaken { slug } if slug == "abc"));
    assert_eq!(testbed.outbox().await.len(), 1, "a refused link leaves nothing");
    // The transaction goes on after a refusal.
    let (taken, free) =
        (testbed.new_link("abc", "https://example.com/3"), testbed.new_link("abd", "https://example.com/4"));
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert!(matches!(tx.create_link(&taken, None).await, Err(StoreError::SlugTaken { .. })));
    tx.create_link(&free, None).await.unwrap();
    tx.commit().await.unwrap();
}

async fn update_and_conflict(testbed: Testbed) {
    let link = testbed.create("abc", "https://example.com/1").await.unwrap();
    testbed.advance_us(1_000_000);
    let mut record = LinkRecord::from_url("https://example.com/2");
    record.expired_url = Some("https://example.com/over".to_owned());
    let change = |expected_version| LinkChange {
        account_id: testbed.account(),
        link_id: &link.link_id,
        expected_version,
        record: &record,
        changed_by: Some("key_2"),
    };
    let update = async |expected| testbed.store.write("t", async |tx| tx.update_link(&change(expected)).await).await;
    let updated = update(Some(1)).await.unwrap();
    assert_eq!((updated.version, updated.created_at, updated.updated_at), (2, link.created_at, testbed.now()));
    assert_eq!(updated.record.destination_url, "https://example.com/2");
    assert_eq!(updated.record.version, 2);
    assert!(matches!(update(Some(1)).await, Err(StoreError::VersionConflict { current: 2 })));
    assert!(matches!(update(Some(3)).await, Err(StoreError::VersionConflict { current: 2 })));
    assert_eq!(update(None).await.unwrap().version, 3);
    let unknown = LinkId::from_uuid_bytes([9; 16]);
    for link_id in [&unknown, &"link_abc123xyz".parse().unwrap()] {
        let change = LinkChange { link_id, ..change(None) };
        let outcome = testbed.store.write("t", async |tx| tx.update_link(&change).await).await;
        assert!(matches!(outcome, Err(StoreError::NotFound { what: "link" })));
    }
    let versions = testbed.outbox().await.iter().map(|entry| entry.version).collect::<Vec<_>>();
    assert_eq!(versions, [1, 2, 3], "failed edits leave nothing");
}

async fn delete_and_recreate(testbed: Testbed) {
    let link = testbed.create("abc", "https://example.com/1").await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let conflict = tx.delete_link(testbed.account(), &link.link_id, Some(7), None).await;
    assert!(matches!(conflict, Err(StoreError::VersionConflict { current: 1 })));
    assert_eq!(tx.delete_link(testbed.account(), &link.link_id, Some(1), None).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert!(matches!(testbed.delete(&link).await, Err(StoreError::NotFound { what: "link" })));
    let again = testbed.create("abc", "https://example.com/2").await.unwrap();
    assert_eq!(again.version, 3, "goes on after the deletion's version");
    assert_ne!(again.link_id, link.link_id);
    assert_eq!(testbed.delete(&again).await.unwrap(), 4);
    assert_eq!(testbed.create("abc", "https://example.com/3").await.unwrap().version, 5);
    assert_eq!(testbed.create("abd", "https://example.com/3").await.unwrap().version, 1);
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.get_link(testbed.account(), &link.link_id).await.unwrap(), None);
    let entries = testbed.outbox().await;
    assert_eq!(entries.iter().map(|entry| entry.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 1]);
    assert!(entries.iter().map(|entry| entry.sequence).eq(1..=6));
}

async fn accounts_are_apart(testbed: Testbed) {
    let link = testbed.create("abc", "https://example.com/").await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let other = tx.create_account("Other").await.unwrap().account_id;
    assert_eq!(tx.get_link(&other, &link.link_id).await.unwrap(), None);
    let change = LinkChange {
        account_id: &other,
        link_id: &link.link_id,
        expected_version: None,
        record: &link.record,
        changed_by: None,
    };
    assert!(matches!(tx.update_link(&change).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(tx.delete_link(&other, &link.link_id, None, None).await, Err(StoreError::NotFound { .. })));
    assert!(tx.link_versions(&other, &link.link_id, None, 10).await.unwrap().is_empty());
    assert!(tx.list_links(&other, &LinkFilter::default(), None, 10).await.unwrap().links.is_empty());
    let new_domain = |host| NewDomain {
        account_id: Some(testbed.account().clone()),
        host: Hostname::parse(host).unwrap(),
        case_insensitive: false,
        root_url: None,
    };
    let domain = tx.create_domain(&new_domain("own.example")).await.unwrap();
    let on_foreign_domain = NewLink {
        account_id: other.clone(),
        domain_id: domain.domain_id.clone(),
        ..testbed.new_link("x", "https://example.com/")
    };
    assert!(matches!(tx.create_link(&on_foreign_domain, None).await, Err(StoreError::NotFound { what: "domain" })));
    let changed = tx.update_domain(Some(&other), &domain.domain_id, &DomainChange::default()).await;
    assert!(matches!(changed, Err(StoreError::NotFound { .. })));
    let no_domain =
        NewLink { domain_id: DomainId::from_uuid_bytes([1; 16]), ..testbed.new_link("x", "https://example.com/") };
    assert!(matches!(tx.create_link(&no_domain, None).await, Err(StoreError::NotFound { what: "domain" })));
    let no_account =
        NewLink { account_id: AccountId::from_uuid_bytes([1; 16]), ..testbed.new_link("x", "https://example.com/") };
    assert!(matches!(tx.create_link(&no_account, None).await, Err(StoreError::NotFound { what: "account" })));
}

async fn generated_slugs(testbed: Testbed) {
    testbed.create("g1", "https://example.com/").await.unwrap();
    testbed.create("g2", "https://example.com/").await.unwrap();
    let draw = counting_slugs();
    let new = NewLink { slug: SlugChoice::Generated(&draw), ..testbed.new_link("x", "https://example.com/") };
    let link = testbed.store.write("t", async |tx| tx.create_link(&new, None).await).await.unwrap();
    assert_eq!(link.slug, "g3", "drawn again where taken");
    let stuck = || Slug::parse("g1").unwrap();
    let new = NewLink { slug: SlugChoice::Generated(&stuck), ..testbed.new_link("x", "https://example.com/") };
    let outcome = testbed.store.write("t", async |tx| tx.create_link(&new, None).await).await;
    assert!(matches!(outcome, Err(StoreError::SlugTaken { slug }) if slug == "g1"), "but not for ever");
}

async fn dedupe(testbed: Testbed) {
    let draw = counting_slugs();
    let new = |url: &str| NewLink {
        account_id: testbed.setup.anonymous_account.account_id.clone(),
        slug: SlugChoice::Generated(&draw),
        dedupe_key: Some(url.to_owned()),
        ..testbed.new_link("x", url)
    };
    let create = async |new: &NewLink<'_>| {
        testbed.store.write("t", async |tx| tx.create_or_get_link(new, None).await).await.unwrap()
    };
    let long = format!("https://example.com/{}", "a".repeat(8_000));
    let Creation::Created(first) = create(&new(&long)).await else { panic!("not new") };
    assert_eq!(create(&new(&long)).await, Creation::Existing(first.clone()));
    assert!(matches!(create(&new("https://example.com/b")).await, Creation::Created(_)));
    // The same key in another account is another key.
    let other = NewLink { account_id: testbed.account().clone(), ..new(&long) };
    assert!(matches!(create(&other).await, Creation::Created(_)));

    let change = |record| LinkChange {
        account_id: &first.account_id,
        link_id: &first.link_id,
        expected_version: None,
        record,
        changed_by: None,
    };
    let same = first.record.clone();
    let same = testbed.store.write("t", async |tx| tx.update_link(&change(&same)).await).await.unwrap();
    assert_eq!(create(&new(&long)).await, Creation::Existing(same), "an edit that changes nothing keeps the key");
    let elsewhere = LinkRecord::from_url("https://example.org/");
    testbed.store.write("t", async |tx| tx.update_link(&change(&elsewhere)).await).await.unwrap();
    let Creation::Created(second) = create(&new(&long)).await else { panic!("an edited link was given out") };
    testbed.delete(&second).await.unwrap();
    assert!(matches!(create(&new(&long)).await, Creation::Created(_)), "a deleted link was given out");

    let mut expiring = new("https://example.com/soon");
    expiring.record.expires_at = Some(waypost_core::Timestamp::from_micros(testbed.now().as_micros() + 1_000_000));
    assert!(matches!(create(&expiring).await, Creation::Created(_)));
    assert!(matches!(create(&expiring).await, Creation::Existing(_)));
    testbed.advance_us(1_000_000);
    assert!(
        matches!(create(&new("https://example.com/soon")).await, Creation::Created(_)),
        "an expired link was given out"
    );
    assert!(matches!(create(&new("https://example.com/soon")).await, Creation::Existing(_)));
}

async fn case_insensitive_domain(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let host = Hostname::parse("ci.example").unwrap();
    let new = NewDomain { account_id: None, host, case_insensitive: true, root_url: None };
    let domain = tx.create_domain(&new).await.unwrap();
    let new = |slug| NewLink { domain_id: domain.domain_id.clone(), ..testbed.new_link(slug, "https://example.com/") };
    assert_eq!(tx.create_link(&new("Größe"), None).await.unwrap().slug, "größe");
    assert!(matches!(tx.create_link(&new("GRÖSSE"), None).await.map(|link| link.slug).as_deref(), Ok("grösse")));
    assert!(matches!(tx.create_link(&new("GröSSE"), None).await, Err(StoreError::SlugTaken { .. })));
    let change = DomainChange { case_insensitive: Some(false), ..DomainChange::default() };
    let changed = tx.update_domain(None, &domain.domain_id, &change).await;
    assert!(matches!(changed, Err(StoreError::DomainInUse { .. })));
}

/// Versions of a slug go on where they stood: an edge keeps the highest that it has seen.
async fn a_domain_goes_and_comes_back(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let host = Hostname::parse("gone.example").unwrap();
    let new = NewDomain { account_id: None, host: host.clone(), case_insensitive: false, root_url: None };
    let domain = tx.create_domain(&new).await.unwrap();
    let link = NewLink { domain_id: domain.domain_id.clone(), ..testbed.new_link("a", "https://example.com/") };
    let created = tx.create_link(&link, None).await.unwrap();
    let refused = tx.delete_domain(None, &domain.domain_id).await;
    assert!(matches!(refused, Err(StoreError::DomainHasLinks { links: 1, .. })), "{refused:?}");
    let deleted = tx.delete_link(&created.account_id, &created.link_id, None, None).await.unwrap();
    tx.delete_domain(None, &domain.domain_id).await.unwrap();
    assert_eq!(tx.get_domain_by_host(&host).await.unwrap(), None);
    assert_eq!(tx.list_all_domains().await.unwrap().len(), 1);
    let missing = tx.create_link(&link, None).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "domain" })), "{missing:?}");
    let again = tx.delete_domain(None, &domain.domain_id).await;
    assert!(matches!(again, Err(StoreError::NotFound { what: "domain" })), "{again:?}");

    let key = SyncKey { domain_id: domain.domain_id.clone(), slug: "a".to_owned() };
    let (_, record) = tx.edge_records_of(&[key]).await.unwrap().remove(0);
    let record = record.unwrap();
    assert_eq!((record.domain_key.as_str(), record.version, record.record), ("gone.example", deleted, None));

    tx.init(&host).await.unwrap();
    assert_eq!(tx.get_default_domain().await.unwrap().unwrap().host, host, "its host is free");
    tx.commit().await.unwrap();
    let taken = testbed.store.write("t", async |tx| tx.create_domain(&new).await).await;
    assert!(matches!(taken, Err(StoreError::DomainTaken { .. })), "{taken:?}");
    let mut tx = testbed.store.begin("t").await.unwrap();
    tx.init(&Hostname::parse("go.example").unwrap()).await.unwrap();
    let new = NewDomain { case_insensitive: true, ..new };
    let back = tx.create_domain(&new).await.unwrap();
    assert_eq!((&back.domain_id, back.case_insensitive), (&domain.domain_id, true));
    assert!(tx.create_link(&link, None).await.unwrap().version > deleted);
    let default = tx.get_default_domain().await.unwrap().unwrap();
    let refused = tx.delete_domain(None, &default.domain_id).await;
    assert!(matches!(refused, Err(StoreError::DomainIsDefault { .. })), "{refused:?}");
}

async fn slug_too_long(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let label = "h".repeat(63);
    let host = Hostname::parse(&[label.as_str(); 3].join(".")).unwrap();
    let new = NewDomain { account_id: None, host, case_insensitive: false, root_url: None };
    let domain = tx.create_domain(&new).await.unwrap();
    let slug = "字".repeat(100);
    let new = NewLink { domain_id: domain.domain_id, ..testbed.new_link(&slug, "https://example.com/") };
    assert!(matches!(tx.create_link(&new, None).await, Err(StoreError::SlugTooLong)));
}

/// What stands in a record comes back as it was, whatever it is.
async fn unusual_text(testbed: Testbed) {
    let mut new = testbed.new_link("a/b.c_d-é", "https://example.com/?q=%00%27%22;--");
    new.record.link_utms = Some(waypost_core::record::Utms {
        utm_source: Some("nul \0 quote ' \" back \\ $1 ? {text} 字 \u{1f600}".to_owned()),
        ..Default::default()
    });
    let link =
        testbed.store.write("t", async |tx| tx.create_link(&new, Some("'; DROP TABLE links; --")).await).await.unwrap();
    assert_eq!(link.record.link_utms, new.record.link_utms);
    assert_eq!(link.record.destination_url, new.record.destination_url);
}

async fn owners_of_many(testbed: Testbed) {
    let mut ids = Vec::new();
    for number in 0..20 {
        let new = testbed.new_link(&format!("s{number}"), "https://example.com/");
        let link = testbed.store.write("t", async |tx| tx.create_link(&new, None).await).await.unwrap();
        if number % 2 == 0 {
            testbed.delete(&link).await.unwrap();
        }
        ids.push(link.link_id);
    }
    let mut tx = testbed.store.read("t").await.unwrap();
    for count in [0, 1, 17, 20] {
        let mut asked = ids[..count].to_vec();
        asked.extend(["link_1", "link_00000000000000000000000000000000"].map(|id| id.parse().unwrap()));
        let owners = tx.link_owners(&asked).await.unwrap();
        assert_eq!(owners.len(), count);
        assert!(owners.iter().all(|owner| ids[..count].contains(&owner.link_id)));
        assert!(owners.iter().all(|owner| owner.account_id == *testbed.account() && owner.host == "go.example"));
    }
    let many: Vec<LinkId> = (0..3_000).map(|number| format!("link_{number:032x}").parse().unwrap()).collect();
    assert!(tx.link_owners(&many).await.unwrap().is_empty());
}
