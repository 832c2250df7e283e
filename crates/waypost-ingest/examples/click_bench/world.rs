//! The clicks that everything here is measured with.

use waypost_testkit::clicks::{ClickWorld, ClickWorldOptions};

/// So many links, and clicks on them over so many days.
pub(crate) fn world(links: usize, days: u32) -> ClickWorld {
    ClickWorld::new(ClickWorldOptions { links, days, visitors: 3_000_000, ..ClickWorldOptions::default() })
}
