//! What edges learn: outbox, current records, the walk over all links, UTM templates.

use std::cell::Cell;

use waypost_core::record::{UtmTemplate, Utms};
use waypost_core::{Hostname, Timestamp};
use waypost_store::{CreateOutcome, EdgeRecord, NewDomain, NewLink, NewUtmTemplate, StoreError};

use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    outbox_cursors, a_large_outbox_is_trimmed_in_batches, entries_coalesce, walk_over_all, utm_templates_reach_all_links, what_was_made_need_not_be_read,
}

async fn outbox_cursors(testbed: Testbed) {
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!((tx.outbox_first().await.unwrap(), tx.outbox_last().await.unwrap()), (0, 0));
    assert_eq!(tx.outbox_after(0, 10).await.unwrap(), []);
    assert!(matches!(tx.outbox_after(1, 10).await, Err(StoreError::OutboxGap { cursor: 1, first: 0, last: 0 })));
    drop(tx);
    for slug in ["a", "b", "c", "d"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    let trim = async |below| testbed.store.write("t", async |tx| tx.outbox_trim(below).await).await.unwrap();
    assert_eq!(trim(3).await, 2);
    let mut tx = testbed.store.read("t").await.unwrap();
    assert!(matches!(tx.outbox_after(1, 10).await, Err(StoreError::OutboxGap { cursor: 1, first: 3, last: 4 })));
    assert!(matches!(tx.outbox_after(5, 10).await, Err(StoreError::OutboxGap { .. })));
    let slugs = |entries: Vec<waypost_store::OutboxEntry>| entries.into_iter().map(|e| e.slug).collect::<Vec<_>>();
    assert_eq!(slugs(tx.outbox_after(2, 1).await.unwrap()), ["c"]);
    assert_eq!(slugs(tx.outbox_after(2, 10).await.unwrap()), ["c", "d"]);
    assert_eq!(tx.outbox_after(4, 10).await.unwrap(), []);
    drop(tx);
    assert_eq!(trim(100).await, 1, "the newest stays, so that counting goes on");
    testbed.create("e", "https://example.com/").await.unwrap();
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.outbox_after(4, 10).await.unwrap()[0].sequence, 5);
}

async fn a_large_outbox_is_trimmed_in_batches(testbed: Testbed) {
    let link = testbed.create("a", "https://example.com/").await.unwrap();
    let fill = "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 45000)
        INSERT INTO outbox (sequence, link_id, domain_id, slug, version)
        SELECT i, link_id, domain_id, slug, version FROM outbox, n WHERE sequence = 1";
    testbed.db_execute(fill).await;
    let first = async || testbed.store.read("t").await.unwrap().outbox_first().await.unwrap();
    let batches = Cell::new(0);
    let up_to = |max| {
        batches.set(batches.get() + 1);
        batches.get() < max
    };
    assert_eq!(testbed.store.trim_outbox(20_001, || up_to(100)).await.unwrap(), 20_000);
    assert_eq!((batches.take(), first().await), (2, 20_001), "two full batches, and one that finds nothing");
    // A stop in between leaves the rest, without a gap, to the next time.
    assert_eq!(testbed.store.trim_outbox(u64::MAX, || up_to(1)).await.unwrap(), 10_000);
    assert_eq!(first().await, 30_001);
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.outbox_after(30_000, 10_000).await.unwrap().len(), 10_000);
    drop(tx);
    assert_eq!(testbed.store.trim_outbox(u64::MAX, || true).await.unwrap(), 14_999, "the newest stays");
    assert_eq!(first().await, 45_000);
    assert!(testbed.delete(&link).await.is_ok(), "counting goes on");
}

fn summary(records: &[EdgeRecord]) -> Vec<(&str, &str, u64, Option<&str>)> {
    fn destination(record: &EdgeRecord) -> Option<&str> {
        record.record.as_ref().map(|record| record.destination_url.as_str())
    }
    records
        .iter()
        .map(|record| (record.domain_key.as_str(), record.slug.as_str(), record.version, destination(record)))
        .collect()
}

async fn entries_coalesce(testbed: Testbed) {
    let gone = testbed.create("gone", "https://example.com/1").await.unwrap();
    let again = testbed.create("again", "https://example.com/1").await.unwrap();
    testbed.create("b", "https://example.com/b").await.unwrap();
    testbed.delete(&gone).await.unwrap();
    testbed.delete(&again).await.unwrap();
    testbed.create("again", "https://example.com/2").await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let host = Hostname::parse("a.example").unwrap();
    let new = NewDomain { account_id: None, host, case_insensitive: false, root_url: None };
    let domain_id = tx.create_domain(&new).await.unwrap().domain_id;
    let new = NewLink { domain_id, ..testbed.new_link("b", "https://example.com/c") };
    tx.create_link(&new, None).await.unwrap();
    tx.commit().await.unwrap();
    let entries = testbed.outbox().await;
    assert_eq!(entries.len(), 7);
    let mut tx = testbed.store.read("t").await.unwrap();
    let records = tx.edge_records(&entries).await.unwrap().records;
    let expect = [
        ("", "again", 3, Some("https://example.com/2")),
        ("", "b", 1, Some("https://example.com/b")),
        ("", "gone", 2, None),
        ("a.example", "b", 1, Some("https://example.com/c")),
    ];
    assert_eq!(summary(&records), expect);
    assert_eq!(tx.edge_records(&[]).await.unwrap().records, []);
    let record = records[3].record.as_ref().unwrap();
    assert_eq!((record.domain.as_deref(), record.slug.as_deref(), record.version), (Some("a.example"), Some("b"), 1));
    assert!(record.link_id.is_some() && record.account_id.is_some() && record.created_at.is_some());
}

async fn walk_over_all(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let mut domain_ids = vec![testbed.domain().clone()];
    for host in ["z.example", "empty.example", "a.example"] {
        let host = Hostname::parse(host).unwrap();
        let new = NewDomain { account_id: None, host, case_insensitive: false, root_url: None };
        domain_ids.push(tx.create_domain(&new).await.unwrap().domain_id);
    }
    for (domain, slug) in [(1, "b"), (1, "a"), (0, "é"), (0, "z"), (0, "A"), (3, "x")] {
        let domain_id = domain_ids[domain].clone();
        let new = NewLink { domain_id, ..testbed.new_link(slug, "https://example.com/") };
        tx.create_link(&new, None).await.unwrap();
    }
    tx.commit().await.unwrap();
    let gone = testbed.create("B", "https://example.com/").await.unwrap();
    testbed.delete(&gone).await.unwrap();
    for limit in 1..=7 {
        let mut tx = testbed.store.read("t").await.unwrap();
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = tx.edge_records_page(after.as_ref(), limit).await.unwrap();
            assert!(page.records.len() <= limit as usize);
            keys.extend(page.records.into_iter().map(|record| format!("{}\0{}", record.domain_key, record.slug)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expect = ["\0A", "\0z", "\0é", "a.example\0x", "z.example\0a", "z.example\0b"];
        assert_eq!(keys, expect, "limit {limit}");
        assert!(keys.is_sorted(), "the order of the edges' tables");
    }
}

async fn utm_templates_reach_all_links(testbed: Testbed) {
    let mut new = testbed.new_link("a", "https://example.com/");
    let own = UtmTemplate { platform_domains: vec!["own.example".to_owned()], ..UtmTemplate::default() };
    new.record.utm_templates = vec![own.clone()];
    let link = testbed.store.write("t", async |tx| tx.create_link(&new, None).await).await.unwrap();
    testbed.create("b", "https://example.com/").await.unwrap();
    let gone = testbed.create("gone", "https://example.com/").await.unwrap();
    testbed.delete(&gone).await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let other = tx.create_account("Other").await.unwrap().account_id;
    let foreign = NewLink { account_id: other.clone(), ..testbed.new_link("foreign", "https://example.com/") };
    tx.create_link(&foreign, None).await.unwrap();
    tx.commit().await.unwrap();

    testbed.advance_us(5);
    let template = |source: &str| UtmTemplate {
        platform_domains: vec!["t.co".to_owned(), "x.example".to_owned()],
        utms: Utms { utm_source: Some(source.to_owned()), ..Utms::default() },
    };
    let new = |source: &str| NewUtmTemplate { name: source.to_owned(), template: template(source) };
    let account = testbed.account();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let before = tx.outbox_last().await.unwrap();
    let first = tx.create_utm_template(account, &new("one"), Some("me")).await.unwrap();
    tx.create_utm_template(account, &new("two"), Some("me")).await.unwrap();
    let id = &first.utm_template_id;
    assert!(matches!(tx.update_utm_template(&other, id, &new("x"), None).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(tx.delete_utm_template(&other, id, None).await, Err(StoreError::NotFound { .. })));
    tx.update_utm_template(account, id, &new("uno"), None).await.unwrap();
    let names: Vec<_> =
        tx.list_utm_templates(account).await.unwrap().into_iter().map(|t| (t.name, t.template)).collect();
    assert_eq!(names, [("uno".to_owned(), template("uno")), ("two".to_owned(), template("two"))]);

    let entries = tx.outbox_after(before, 100).await.unwrap();
    let seen: Vec<_> = entries.iter().map(|entry| (entry.slug.as_str(), entry.version)).collect();
    assert_eq!(seen, [("a", 2), ("b", 2), ("a", 3), ("b", 3), ("a", 4), ("b", 4)], "one entry for each live link");
    let records = tx.edge_records(&entries).await.unwrap().records;
    assert_eq!(records[0].record.as_ref().unwrap().utm_templates, [own, template("uno"), template("two")]);
    assert_eq!(records[1].record.as_ref().unwrap().utm_templates, [template("uno"), template("two")]);
    let versions = tx.link_versions(account, &link.link_id, None, 10).await.unwrap();
    let seen: Vec<_> = versions.iter().map(|version| (version.version, version.changed_by.as_deref())).collect();
    assert_eq!(seen, [(4, None), (3, Some("me")), (2, Some("me")), (1, None)]);
    assert_eq!(versions[0].changed_at, testbed.now());
    tx.delete_utm_template(account, id, None).await.unwrap();
    assert_eq!(tx.list_utm_templates(account).await.unwrap().len(), 1);
    let foreign = tx.get_link_by_slug(testbed.domain(), "foreign").await.unwrap().unwrap();
    assert_eq!(foreign.version, 1);
}

async fn what_was_made_need_not_be_read(testbed: Testbed) {
    let old = testbed.create("again", "https://example.com/").await.unwrap();
    testbed.delete(&old).await.unwrap();
    testbed.create("taken", "https://example.com/").await.unwrap();
    let mut tx = testbed.store.begin("t").await.unwrap();
    let template = UtmTemplate { platform_domains: vec!["t.co".to_owned()], ..UtmTemplate::default() };
    let new = NewUtmTemplate { name: "social".to_owned(), template };
    tx.create_utm_template(testbed.account(), &new, None).await.unwrap();
    let host = Hostname::parse("second.example").unwrap();
    let new = NewDomain { account_id: None, host, case_insensitive: true, root_url: None };
    let second = tx.create_domain(&new).await.unwrap().domain_id;
    let before = tx.outbox_last().await.unwrap();
    let new = |slug| testbed.new_link(slug, "https://example.com/");
    let mut of_everything = new("all");
    of_everything.record.utm_templates = vec![UtmTemplate::default()];
    of_everything.record.redirect_status = 308;
    of_everything.record.slug = Some("not read".to_owned());
    let new_links = vec![
        new("again"),
        new("taken"),
        NewLink { domain_id: second.clone(), ..new("Folded") },
        NewLink { created_at: Some(Timestamp::from_micros(7)), ..new("older") },
        of_everything,
    ];
    let places = tx.link_places(&new_links).await.unwrap();
    let outcomes = tx.create_links_at(&places, &new_links, None).await.unwrap();
    let now = tx.now();
    tx.commit().await.unwrap();
    assert!(matches!(&outcomes[1], CreateOutcome::SlugTaken { .. }));
    assert_eq!(places.outbox_last(), Some(before));
    let made = new_links.into_iter().zip(&outcomes);
    let mut made: Vec<_> = made.filter_map(|(new, outcome)| places.edge_record(new, outcome, now)).collect();
    let mut tx = testbed.store.read("t").await.unwrap();
    let entries = tx.outbox_after(before, 10).await.unwrap();
    assert_eq!(entries.len(), made.len());
    made.sort_by(|a, b| (&a.domain_key, &a.slug).cmp(&(&b.domain_key, &b.slug)));
    assert_eq!(made, tx.edge_records(&entries).await.unwrap().records);
    assert_eq!((made[0].slug.as_str(), made[0].version), ("again", 3));
    assert_eq!(made[1].record.as_ref().unwrap().utm_templates.len(), 2, "its own and the account's");
}
