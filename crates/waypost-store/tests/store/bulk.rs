//! Many links in one call.

use waypost_core::Hostname;
use waypost_core::id::DomainId;
use waypost_store::{CreateOutcome, LINKS_PER_CALL_MAX, NewDomain, NewLink, SlugChoice, StoreError};

use crate::testbed::{Testbed, counting_slugs, on_both_engines};

on_both_engines! { a_thousand, outcome_for_each, too_many, versions_go_on, }

async fn a_thousand(testbed: Testbed) {
    // Round after round, so that the kept prepared statement is used again.
    for round in 0..3 {
        let new_links: Vec<_> = (0..LINKS_PER_CALL_MAX)
            .map(|number| testbed.new_link(&format!("r{round}n{number}"), &format!("https://example.com/{number}")))
            .collect();
        let outcomes =
            testbed.store.write("t", async |tx| tx.create_links(&new_links, Some("import")).await).await.unwrap();
        for (number, outcome) in outcomes.iter().enumerate() {
            let expect = format!("r{round}n{number}");
            assert!(matches!(outcome, CreateOutcome::Created { slug, version: 1, .. } if *slug == expect));
        }
    }
    let outbox = testbed.outbox().await;
    assert!(outbox.iter().map(|entry| entry.sequence).eq(1..=3_000));
    assert_eq!((outbox[0].slug.as_str(), outbox[2_999].slug.as_str()), ("r0n0", "r2n999"));
    let counts = testbed
        .db_execute(
            "SELECT count(*), sum(version), count(record), count(DISTINCT record), count(changed_by) FROM links",
        )
        .await;
    assert_eq!(counts.trim(), "3000|3000|3000|1000|3000");
}

async fn outcome_for_each(testbed: Testbed) {
    let taken = testbed.create("taken", "https://example.com/").await.unwrap();
    testbed.create("g1", "https://example.com/").await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let host = Hostname::parse("second.example").unwrap();
    let new = NewDomain { account_id: None, host, case_insensitive: true, root_url: None };
    let second = tx.create_domain(&new).await.unwrap().domain_id;
    let draw = counting_slugs();
    let new = |slug| testbed.new_link(slug, "https://example.com/");
    let generated = || NewLink { slug: SlugChoice::Generated(&draw), ..new("x") };
    let keyed = || NewLink { dedupe_key: Some("k".to_owned()), ..generated() };
    let new_links = [
        new("one"),
        new("taken"),
        new("one"),
        generated(),
        NewLink { domain_id: second.clone(), ..new("Taken") },
        NewLink { domain_id: DomainId::from_uuid_bytes([3; 16]), ..new("y") },
        keyed(),
        keyed(),
    ];
    let outcomes = tx.create_links(&new_links, None).await.unwrap();
    tx.commit().await.unwrap();
    let slugs: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            CreateOutcome::Created { slug, .. } => format!("created {slug}"),
            CreateOutcome::Existing { slug, .. } => format!("existing {slug}"),
            CreateOutcome::SlugTaken { slug } => format!("taken {slug}"),
            CreateOutcome::SlugTooLong => "too long".to_owned(),
            CreateOutcome::DomainNotFound => "no domain".to_owned(),
        })
        .collect();
    assert_eq!(slugs[..2], ["created one", "taken taken"]);
    assert_eq!(slugs[2], "taken one", "twice in one call");
    // g1 was drawn first and is taken; which of the others got which depends on the order of domains.
    assert!(slugs[3].starts_with("created g") && slugs[3] != "created g1", "{}", slugs[3]);
    assert_eq!(slugs[4..6], ["created taken", "no domain"]);
    assert!(slugs[6].starts_with("created g"), "{}", slugs[6]);
    assert_eq!(slugs[7], slugs[6].replace("created", "existing"));
    assert_eq!(testbed.outbox().await.len(), 2 + 4);
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.get_link_by_slug(testbed.domain(), "taken").await.unwrap(), Some(taken));
}

async fn too_many(testbed: Testbed) {
    let new_links: Vec<_> = (0..=LINKS_PER_CALL_MAX)
        .map(|number| testbed.new_link(&format!("n{number}"), "https://example.com/"))
        .collect();
    let mut tx = testbed.store.begin("t").await.unwrap();
    assert!(matches!(tx.create_links(&new_links, None).await, Err(StoreError::TooMany { max: 1_000, .. })));
    assert_eq!(tx.create_links(&[], None).await.unwrap(), []);
}

async fn versions_go_on(testbed: Testbed) {
    let old = testbed.create("b", "https://example.com/").await.unwrap();
    testbed.delete(&old).await.unwrap();
    let new_links = ["a", "b", "c"].map(|slug| testbed.new_link(slug, "https://example.com/"));
    let outcomes = testbed.store.write("t", async |tx| tx.create_links(&new_links, None).await).await.unwrap();
    let versions: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            CreateOutcome::Created { version, .. } => *version,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(versions, [1, 3, 1]);
}
