//! The history of a link.

use waypost_core::LinkRecord;
use waypost_store::{LinkChange, Store, StoreOptions};

use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { every_change_is_kept, a_link_that_never_changed_is_stored_once, history_goes_forward_and_back, }

async fn every_change_is_kept(testbed: Testbed) {
    let link = testbed.create("abc", "https://example.com/1").await.unwrap();
    for number in 2..=4 {
        testbed.advance_us(1);
        let record = LinkRecord::from_url(format!("https://example.com/{number}"));
        let change = LinkChange {
            account_id: testbed.account(),
            link_id: &link.link_id,
            expected_version: Some(number - 1),
            record: &record,
            changed_by: Some("editor"),
        };
        testbed.store.write("t", async |tx| tx.update_link(&change).await).await.unwrap();
    }
    testbed.delete(&link).await.unwrap();
    let mut tx = testbed.store.read("t").await.unwrap();
    let versions = tx.link_versions(testbed.account(), &link.link_id, None, 100).await.unwrap();
    let seen: Vec<_> = versions
        .iter()
        .map(|version| {
            let destination = version.record.as_ref().map(|record| record.destination_url.as_str());
            (version.version, destination, version.changed_by.as_deref())
        })
        .collect();
    let expect = [
        (5, None, Some("test")),
        (4, Some("https://example.com/4"), Some("editor")),
        (3, Some("https://example.com/3"), Some("editor")),
        (2, Some("https://example.com/2"), Some("editor")),
        (1, Some("https://example.com/1"), Some("test")),
    ];
    assert_eq!(seen, expect);
    assert_eq!(versions[1].changed_at, testbed.now());
    let page = tx.link_versions(testbed.account(), &link.link_id, Some(4), 2).await.unwrap();
    assert_eq!(page, versions[2..4]);
}

async fn a_link_that_never_changed_is_stored_once(testbed: Testbed) {
    let link = testbed.create("abc", "https://example.com/").await.unwrap();
    assert_eq!(testbed.db_execute("SELECT count(*) FROM link_versions").await.trim(), "0");
    assert_eq!(testbed.db_execute("SELECT record FROM links").await.trim(), "https://example.com/");
    let mut tx = testbed.store.read("t").await.unwrap();
    let versions = tx.link_versions(testbed.account(), &link.link_id, None, 100).await.unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!((versions[0].version, versions[0].changed_at), (1, link.created_at));
    assert_eq!(versions[0].record.as_ref().unwrap().destination_url, "https://example.com/");
}

/// The schema before kept the version of now in its history, too, and records that are bare now as JSON.
async fn history_goes_forward_and_back(testbed: Testbed) {
    let mut links = Vec::new();
    for (slug, destination) in
        [("bare", "https://example.com/"), ("odd", r"https://example.com/?a=\b"), ("gone", "https://g.example/")]
    {
        links.push(testbed.create(slug, destination).await.unwrap());
    }
    let mut record = LinkRecord::from_url("https://example.com/second");
    record.redirect_status = 301;
    let change = LinkChange {
        account_id: testbed.account(),
        link_id: &links[0].link_id,
        expected_version: None,
        record: &record,
        changed_by: Some("editor"),
    };
    testbed.store.write("t", async |tx| tx.update_link(&change).await).await.unwrap();
    testbed.delete(&links[2]).await.unwrap();
    let histories = async |store: &Store| {
        let mut tx = store.read("t").await.unwrap();
        let mut histories = Vec::new();
        for link in &links {
            histories.push(tx.link_versions(testbed.account(), &link.link_id, None, 100).await.unwrap());
        }
        histories
    };
    let before = histories(&testbed.store).await;
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 2]);

    testbed.store.close().await;
    Store::revert_schema(&testbed.address, &StoreOptions::default(), 5).await.unwrap();
    assert_eq!(testbed.db_execute("SELECT count(*), count(record) FROM link_versions").await.trim(), "5|4");
    assert_eq!(testbed.db_execute("SELECT count(*) FROM links WHERE record LIKE '{%}'").await.trim(), "3");
    let store = testbed.second_store().await.unwrap();
    assert_eq!(histories(&store).await, before);
    let current =
        "SELECT count(*) FROM link_versions AS v JOIN links AS l ON l.id = v.link_id AND l.version = v.version";
    assert_eq!(testbed.db_execute(current).await.trim(), "0");
    store.close().await;
}
