//! What had its time is deleted in statements of bounded size, however much it is.

use super::{batch, click};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { all_goes_in_batches, }

const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ";

/// On PostgreSQL: notes how many rows every delete takes.
const NOTE_DELETES: &str = "CREATE TABLE noted (place TEXT, deleted BIGINT);
    CREATE FUNCTION note() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO noted SELECT TG_TABLE_NAME, count(*) FROM gone HAVING count(*) > 0; RETURN NULL; END $$;
    CREATE TRIGGER note AFTER DELETE ON click_event_ids REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();
    CREATE TRIGGER note AFTER DELETE ON click_refused REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();
    CREATE TRIGGER note AFTER DELETE ON click_blocks REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();";

async fn all_goes_in_batches(testbed: Testbed) {
    let store = &testbed.store;
    let is_postgres = store.engine() == waypost_clicks::Engine::Postgres;
    store.ingest(batch([click(1, "link_1")])).await.unwrap();
    let bytes = if is_postgres { "CAST(CAST(i AS TEXT) AS BYTEA)" } else { "CAST(CAST(i AS TEXT) AS BLOB)" };
    for fill in [
        format!("{NUMBERS} 25000) INSERT INTO click_event_ids (event_id, day) SELECT {bytes}, 20000 + i / 10000 FROM n"),
        format!(
            "{NUMBERS} 12000) INSERT INTO click_refused (sequence, received_at, digest, edge_id, reason, event)
             SELECT i, i, i, 'edge', 'reason', 'event' FROM n"
        ),
        format!(
            "{NUMBERS} 600) INSERT INTO click_blocks (account, day, ordinal, next_ordinal, clicks, first_at, last_at, stored_day, body)
             SELECT account, day, i * 1000, i * 1000 + 10, 10, first_at, last_at, stored_day, body FROM click_blocks, n"
        ),
    ] {
        testbed.db_execute(fill.leak()).await;
    }
    if is_postgres {
        testbed.db_execute(NOTE_DELETES).await;
    }
    testbed.advance_days(40);
    assert_eq!(store.prune(30, testbed.now()).await.unwrap(), 6_001);
    for table in ["click_event_ids", "click_refused", "click_blocks"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(testbed.db_execute(count.leak()).await, "0", "{table}");
    }
    if is_postgres {
        let noted = testbed.db_execute("SELECT place || ' ' || deleted FROM noted").await;
        let expect = [
            ("click_blocks", [256, 256, 89].as_slice()),
            ("click_event_ids", &[10_000, 10_000, 5_000]),
            ("click_refused", &[10_000, 2_000]),
        ];
        let lines = expect.iter().flat_map(|(place, rows)| rows.iter().map(move |rows| format!("{place} {rows}")));
        assert_eq!(noted.lines().map(str::to_owned).collect::<Vec<_>>(), lines.collect::<Vec<_>>());
    }
}
