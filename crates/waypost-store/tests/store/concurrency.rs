//! Many at once: constraints hold, versions and outbox sequences stay in order, across stores on one database.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use waypost_core::LinkRecord;
use waypost_store::{Creation, LinkChange, NewLink, SlugChoice, Store, StoreError};

use crate::testbed::{Testbed, counting_slugs, on_both_engines};

const TASKS: usize = 16;

on_both_engines! {
    one_slug_one_winner,
    same_url_one_link,
    racing_updates,
    outbox_becomes_visible_in_order,
    versions_never_go_back,
    futures_can_be_spawned,
}

/// Two stores, as two processes have.
async fn two_stores(testbed: &Testbed) -> [Store; 2] {
    [testbed.store.clone(), testbed.second_store().await.unwrap()]
}

async fn one_slug_one_winner(testbed: Testbed) {
    let stores = two_stores(&testbed).await;
    let attempts = (0..TASKS).map(|number| {
        let new = testbed.new_link("wanted", &format!("https://example.com/{number}"));
        let store = &stores[number % 2];
        async move { store.write("create_link", async |tx| tx.create_link(&new, None).await).await }
    });
    let outcomes = join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let losers = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    for error in losers {
        assert!(matches!(error, StoreError::SlugTaken { .. }), "{error}");
    }
    assert_eq!(testbed.outbox().await.len(), 1);
}

async fn same_url_one_link(testbed: Testbed) {
    let stores = two_stores(&testbed).await;
    let draw = counting_slugs();
    let draw = &draw;
    let attempts = (0..TASKS).map(|number| {
        let new = NewLink {
            slug: SlugChoice::Generated(draw),
            dedupe_key: Some("https://example.com/".to_owned()),
            ..testbed.new_link("x", "https://example.com/")
        };
        let store = &stores[number % 2];
        async move { store.write("t", async |tx| tx.create_or_get_link(&new, None).await).await.unwrap() }
    });
    let creations = join_all(attempts).await;
    assert_eq!(creations.iter().filter(|creation| matches!(creation, Creation::Created(_))).count(), 1);
    let slugs: std::collections::HashSet<_> = creations.into_iter().map(|creation| creation.into_link().slug).collect();
    assert_eq!(slugs.len(), 1);
}

async fn racing_updates(testbed: Testbed) {
    let stores = two_stores(&testbed).await;
    let link = testbed.create("abc", "https://example.com/").await.unwrap();
    let attempts = (0..TASKS).map(|number| {
        let (store, link) = (&stores[number % 2], &link);
        async move {
            let record = LinkRecord::from_url(format!("https://example.com/{number}"));
            let change = LinkChange {
                account_id: &link.account_id,
                link_id: &link.link_id,
                expected_version: Some(1),
                record: &record,
                changed_by: None,
            };
            store.write("update_link", async |tx| tx.update_link(&change).await).await
        }
    });
    let outcomes = join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let conflicts =
        outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::VersionConflict { current: 2 }))).count();
    assert_eq!(conflicts, TASKS - 1);
}

/// A reader that has seen a sequence never sees a lower one appear afterwards: it always finds the next one, without a gap.
async fn outbox_becomes_visible_in_order(testbed: Testbed) {
    let stores = two_stores(&testbed).await;
    let is_done = AtomicBool::new(false);
    let writers = async {
        join_all((0..TASKS).map(|task| {
            let (store, testbed) = (&stores[task % 2], &testbed);
            async move {
                for number in 0..8 {
                    let new = testbed.new_link(&format!("t{task}n{number}"), "https://example.com/");
                    let mut tx = store.begin("create_link").await.unwrap();
                    tx.create_link(&new, None).await.unwrap();
                    // Every third is undone: that must leave no gap.
                    if number % 3 == 2 { drop(tx) } else { tx.commit().await.unwrap() }
                }
            }
        }))
        .await;
        is_done.store(true, Ordering::SeqCst);
    };
    let reader = async {
        let mut cursor = 0;
        loop {
            let was_done = is_done.load(Ordering::SeqCst);
            let mut tx = stores[1].read("outbox").await.unwrap();
            let entries = tx.outbox_after(cursor, 5).await.expect("no gap");
            for entry in &entries {
                assert_eq!(entry.sequence, cursor + 1);
                cursor = entry.sequence;
            }
            if entries.is_empty() && was_done {
                return cursor;
            }
            tokio::task::yield_now().await;
        }
    };
    let (seen, ()) = tokio::join!(reader, writers);
    assert_eq!(seen, TASKS as u64 * 6);
}

/// Creating and deleting one slug from two stores: each version of the slug is given out once, and in order.
async fn versions_never_go_back(testbed: Testbed) {
    let stores = two_stores(&testbed).await;
    let workers = (0..4).map(|task| {
        let (store, testbed) = (&stores[task % 2], &testbed);
        async move {
            for _ in 0..10 {
                let new = testbed.new_link("hot", "https://example.com/");
                match store.write("create_link", async |tx| tx.create_link(&new, None).await).await {
                    Ok(link) => match testbed.delete(&link).await {
                        Ok(_) | Err(StoreError::NotFound { .. }) => {}
                        Err(error) => panic!("{error}"),
                    },
                    Err(StoreError::SlugTaken { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    join_all(workers).await;
    let versions: Vec<_> = testbed.outbox().await.into_iter().map(|entry| entry.version).collect();
    assert!(versions.len() >= 2);
    assert!(versions.iter().copied().eq(1..=versions.len() as u64), "{versions:?}");
}

/// Handlers run on a work-stealing runtime: what they await must be able to move between threads.
async fn futures_can_be_spawned(testbed: Testbed) {
    let store = testbed.store.clone();
    let new = testbed.new_link("abc", "https://example.com/");
    let task = tokio::spawn(async move {
        store.authenticate_api_key("none", &[0; 32]).await?;
        let mut tx = store.begin("create_link").await?;
        let link = tx.create_link(&new, None).await?;
        let found = tx.get_link(&link.account_id, &link.link_id).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(found == Some(link))
    });
    assert!(task.await.unwrap().unwrap());
}
