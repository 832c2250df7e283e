//! Whether a slug's link was deleted lately.

use super::SECOND_US;
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { deletions_are_remembered_with_their_time, }

async fn deletions_are_remembered_with_their_time(testbed: Testbed) {
    let first = testbed.create("a", "https://example.com/").await.unwrap();
    testbed.create("b", "https://example.com/").await.unwrap();
    let at = testbed.now();
    testbed.delete(&first).await.unwrap();
    testbed.advance_us(SECOND_US);
    let later = testbed.now();
    let mut tx = testbed.store.read("t").await.unwrap();
    let (a, b, never) = (testbed.key("a"), testbed.key("b"), testbed.key("never"));
    assert!(tx.was_deleted_since(&a, at).await.unwrap());
    assert!(!tx.was_deleted_since(&a, later).await.unwrap());
    assert!(!tx.was_deleted_since(&b, at).await.unwrap());
    assert!(!tx.was_deleted_since(&never, at).await.unwrap());
    drop(tx);
    // A link that has the slug again does not hide that another was deleted.
    testbed.create("a", "https://example.com/").await.unwrap();
    assert!(testbed.store.read("t").await.unwrap().was_deleted_since(&a, at).await.unwrap());
}
