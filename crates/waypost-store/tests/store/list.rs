//! Listing: order, pages, filters, cursors.

use waypost_core::Hostname;
use waypost_store::{LinkFilter, NewDomain, NewLink, StoreError};

use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { newest_first, by_slug, bad_cursors, }

/// All pages of a list, by slug.
async fn pages(testbed: &Testbed, filter: &LinkFilter, limit: u32) -> Vec<Vec<String>> {
    let mut tx = testbed.store.read("t").await.unwrap();
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = tx.list_links(testbed.account(), filter, cursor.as_deref(), limit).await.unwrap();
        pages.push(page.links.into_iter().map(|link| link.slug).collect());
        cursor = page.next_cursor;
        if cursor.is_none() {
            return pages;
        }
    }
}

async fn newest_first(testbed: Testbed) {
    assert_eq!(pages(&testbed, &LinkFilter::default(), 2).await, [Vec::<String>::new()]);
    for slug in ["a", "b", "c", "d", "e"] {
        // Two at each instant: the id decides between them.
        testbed.create(slug, "https://example.com/").await.unwrap();
        testbed.advance_us(i64::from(slug == "b" || slug == "d"));
    }
    let deleted = testbed.create("f", "https://example.com/").await.unwrap();
    testbed.delete(&deleted).await.unwrap();
    assert_eq!(pages(&testbed, &LinkFilter::default(), 2).await, [vec!["e", "d"], vec!["c", "b"], vec!["a"]]);
    assert_eq!(pages(&testbed, &LinkFilter::default(), 5).await, [["e", "d", "c", "b", "a"]]);
    assert_eq!(pages(&testbed, &LinkFilter::default(), 0).await.len(), 5, "a limit of none is one");
    let domain = other_domain(&testbed).await;
    let filter = LinkFilter { domain_ids: Some(vec![domain]), slug_prefix: None };
    assert_eq!(pages(&testbed, &filter, 1).await, [["z1"], ["a1"]]);
}

async fn other_domain(testbed: &Testbed) -> waypost_core::id::DomainId {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let host = Hostname::parse("other.example").unwrap();
    let new = NewDomain { account_id: Some(testbed.account().clone()), host, case_insensitive: false, root_url: None };
    let domain_id = tx.create_domain(&new).await.unwrap().domain_id;
    for slug in ["a1", "z1"] {
        let new = NewLink { domain_id: domain_id.clone(), ..testbed.new_link(slug, "https://example.com/") };
        tx.create_link(&new, None).await.unwrap();
    }
    tx.commit().await.unwrap();
    domain_id
}

async fn by_slug(testbed: Testbed) {
    for slug in ["b", "ab", "a", "aB", "aé", "a/c", "c", "a-"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    let prefix = |text: &str| LinkFilter { domain_ids: None, slug_prefix: Some(text.to_owned()) };
    // Byte by byte, whatever the database's own language is.
    assert_eq!(pages(&testbed, &prefix("a"), 2).await, [vec!["a", "a-"], vec!["a/c", "aB"], vec!["ab", "aé"]]);
    assert_eq!(pages(&testbed, &prefix("aé"), 2).await, [["aé"]]);
    assert_eq!(pages(&testbed, &prefix("x%"), 2).await, [Vec::<String>::new()]);
    let domain = other_domain(&testbed).await;
    assert_eq!(pages(&testbed, &prefix("a"), 5).await, [vec!["a", "a-", "a/c", "aB", "ab"], vec!["aé", "a1"]]);
    assert_eq!(pages(&testbed, &prefix("a"), 6).await, [vec!["a", "a-", "a/c", "aB", "ab", "aé"], vec!["a1"]]);
    assert_eq!(pages(&testbed, &prefix("a"), 1).await.concat(), ["a", "a-", "a/c", "aB", "ab", "aé", "a1"]);
    assert_eq!(pages(&testbed, &prefix(""), 100).await.concat().len(), 10);
    let on_other = LinkFilter { domain_ids: Some(vec![domain]), ..prefix("a") };
    assert_eq!(pages(&testbed, &on_other, 100).await, [["a1"]]);
}

async fn bad_cursors(testbed: Testbed) {
    for slug in ["a", "b"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    let mut tx = testbed.store.read("t").await.unwrap();
    let page = tx.list_links(testbed.account(), &LinkFilter::default(), None, 1).await.unwrap();
    let cursor = page.next_cursor.unwrap();
    let by_slug = LinkFilter { domain_ids: None, slug_prefix: Some("a".to_owned()) };
    for (filter, cursor) in
        [(LinkFilter::default(), ""), (LinkFilter::default(), "x"), (LinkFilter::default(), "tzz"), (by_slug, &cursor)]
    {
        let outcome = tx.list_links(testbed.account(), &filter, Some(cursor), 1).await;
        assert!(matches!(outcome, Err(StoreError::CursorInvalid)), "{cursor:?}");
    }
}
