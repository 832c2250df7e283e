//! The history of a link.

use waypost_core::LinkRecord;
use waypost_store::LinkChange;

use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { every_change_is_kept, }

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
