//! Damaged rows: a clear error for what needs them, and everything else goes on.

use waypost_clicks::{ClicksError, ReportError, SqlError};
use waypost_rollup::Dimension;

use super::{DAY, DAY_US, account, all_pages, at, batch, click, link, of_account, of_link, query, raw_query, report};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    a_damaged_rollup_is_named_and_set_aside,
    a_damaged_block_is_passed_over,
    a_damaged_writer_is_named,
}

async fn a_damaged_rollup_is_named_and_set_aside(testbed: Testbed) {
    let store = &testbed.store;
    store
        .ingest(batch([click(1, "link_1"), click(2, "link_2"), at(click(3, "link_1"), (DAY + 1) * DAY_US)]))
        .await
        .unwrap();
    let scope = "(SELECT number FROM click_scopes WHERE key = 'link_1')";
    assert_eq!(testbed.db_execute("SELECT count(*) FROM click_scopes WHERE key = 'link_1'").await, "1", "{scope}");
    testbed
        .db_execute(
            "UPDATE click_days SET rollup = substr(rollup, 1, 3) WHERE cell % 4294967296 =
        (SELECT number FROM click_scopes WHERE key = 'link_1') AND cell < 20469 * 4294967296",
        )
        .await;
    let check = async || {
        let error = store.report(&query(of_link("link_1"), None)).await.unwrap_err();
        let ReportError::Store(error @ ClicksError::Sql(SqlError::Corrupt { .. })) = error else { panic!("{error:?}") };
        assert!(error.to_string().contains("on day 20468"), "{error}");
        assert_eq!(report(store, of_account(), Some(Dimension::Country)).await.clicks, 3 + later(&testbed).await);
        assert_eq!(report(store, of_link("link_2"), None).await.clicks, 1);
    };
    check().await;
    let erased = store.erase_link(&account(), &link("link_1")).await.unwrap_err();
    assert!(matches!(erased, ClicksError::Sql(SqlError::Corrupt { .. })), "{erased:?}");
    // Counting goes on, and the report goes on saying that something is missing.
    store.ingest(batch([click(4, "link_1")])).await.unwrap();
    assert_eq!(testbed.db_execute("SELECT count(*) FROM click_damage").await, "1");
    check().await;
    assert_eq!(all_pages(store, raw_query(100)).await.events.len(), 4);
}

/// How many clicks were counted after the damage.
async fn later(testbed: &Testbed) -> u64 {
    testbed.store.positions("edge").await.unwrap()[0].next_sequence - 4
}

async fn a_damaged_block_is_passed_over(testbed: Testbed) {
    let store = &testbed.store;
    for day in 0..3 {
        let clicks = (1..=10).map(|number| {
            let sequence = day * 10 + number;
            at(click(sequence, "link_1"), (DAY + day as i64) * DAY_US)
        });
        store.ingest(batch(clicks)).await.unwrap();
    }
    testbed.db_execute("UPDATE click_blocks SET body = substr(body, 1, 40) WHERE day = 20469").await;
    let page = all_pages(store, raw_query(4)).await;
    assert_eq!((page.events.len(), page.damaged), (20, 10));
    // Clicks of the same day go into a block of their own.
    store.ingest(batch((31..=33).map(|sequence| at(click(sequence, "link_1"), (DAY + 1) * DAY_US)))).await.unwrap();
    let page = all_pages(store, raw_query(4)).await;
    assert_eq!((page.events.len(), page.damaged), (23, 10));
    assert_eq!(report(store, of_account(), None).await.clicks, 33);
    // What may hold what is erased goes.
    assert_eq!(store.erase_link(&account(), &link("link_1")).await.unwrap(), 33);
    let page = all_pages(store, raw_query(4)).await;
    assert_eq!((page.events.len(), page.damaged), (0, 0));
}

async fn a_damaged_writer_is_named(testbed: Testbed) {
    testbed.store.ingest(batch([click(1, "link_1")])).await.unwrap();
    testbed.db_execute("UPDATE click_writers SET received = '5-1'").await;
    let error = testbed.store.audit().await.unwrap_err();
    assert!(error.to_string().contains("received"), "{error}");
    let error = testbed.store.ingest(batch([click(2, "link_1")])).await.unwrap_err();
    assert!(matches!(error, ClicksError::Sql(SqlError::Corrupt { .. })), "{error:?}");
}
