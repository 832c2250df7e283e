//! The statements on links that differ between SQLite and PostgreSQL.

use std::fmt::Write as _;

use waypost_sql::Engine;

use crate::links::link::link_columns;

/// The versions that new links get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstVersions {
    /// The domain has no deleted links, so nothing needs to be looked for.
    One,
    /// One more than the last link on the slug had.
    AfterDeleted,
}

/// Makes `count` links, and the outbox entries of those that could be made, all at once: each statement is a way to the
/// database and back. Parameters: ids, slugs, records, dedupe keys and creation times (1 to 5 of the first link, 6 to
/// 10 of the second, ...), then account, domain, time of the update and who made them. Leaves out what collides. No
/// other id lies between the first and the last. [`links_made`] says how many were made.
pub(crate) fn make_links_sql(engine: Engine, count: usize, versions: FirstVersions) -> String {
    let [account, domain, now, changed_by] = [1, 2, 3, 4].map(|place| count * 5 + place);
    let version = match versions {
        FirstVersions::AfterDeleted => format!(
            "1 + coalesce((SELECT max(o.version) FROM links AS o
               WHERE o.domain_id = ${domain} AND o.slug = given.column2 AND o.deleted_at IS NOT NULL), 0)"
        ),
        FirstVersions::One => "1".to_owned(),
    };
    let (insert, or_ignore) = match engine {
        // Says the same as ON CONFLICT DO NOTHING, and also that no row can make the statement fail: SQLite then keeps
        // no copy of the pages that it changes.
        Engine::Sqlite => ("INSERT OR IGNORE", ""),
        Engine::Postgres => ("WITH l AS (INSERT", " ON CONFLICT DO NOTHING RETURNING id, domain_id, slug, version)"),
    };
    let mut sql = format!(
        "{insert} INTO links (account_id, domain_id, updated_at, changed_by, id, slug, version, record, dedupe_key, created_at)
         SELECT ${account}, ${domain}, ${now}, ${changed_by}, given.column1, given.column2, {version}, given.column3, given.column4, given.column5
         FROM (VALUES ",
    );
    engine.put_placeholders(&mut sql, count, 5);
    sql.push_str(") AS given");
    sql.push_str(or_ignore);
    match engine {
        Engine::Sqlite => {
            let made = format!("links AS l WHERE l.id >= $1 AND l.id <= ${}", count * 5 - 4);
            let _ = write!(sql, "; {}", publish_sql(engine, &made));
        }
        Engine::Postgres => {
            let _ = write!(sql, " {}", publish_sql(engine, "l"));
        }
    }
    sql
}

/// How many links [`make_links_sql`] made, from the number of rows that it says were changed.
pub(crate) const fn links_made(engine: Engine, rows: u64) -> u64 {
    match engine {
        // A link and an outbox entry each.
        Engine::Sqlite => rows / 2,
        // Only the last part of a statement is counted.
        Engine::Postgres => rows,
    }
}

/// Adds outbox entries for these links (`l`), in the order of their ids.
pub(crate) fn publish_sql(engine: Engine, links: &str) -> String {
    let sequence = match engine {
        // The key of an SQLite table is one more than its highest where none is given.
        Engine::Sqlite => "NULL",
        Engine::Postgres => "(SELECT coalesce(max(sequence), 0) FROM outbox) + row_number() OVER (ORDER BY l.id)",
    };
    format!(
        "INSERT INTO outbox (sequence, link_id, domain_id, slug, version)
         SELECT {sequence}, l.id, l.domain_id, l.slug, l.version FROM {links} ORDER BY l.id"
    )
}

/// What follows the name of `sync_states` where its rows that are not `synced` are meant: SQLite would go through all
/// others, too, because it does not know how many they are.
pub(crate) const fn by_open_states(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => " INDEXED BY sync_states_open",
        Engine::Postgres => "",
    }
}

/// What is true of the slugs in rows of domain and slug ($1, a JSON array of arrays): the live link, and the highest
/// version of a deleted one (0 where there never was one).
pub(crate) const fn edge_records_sql(engine: Engine) -> &'static str {
    macro_rules! text {
        ($rows:literal) => {
            concat!(
                "SELECT CAST(given.value ->> 0 AS BIGINT) AS wanted_domain_id, given.value ->> 1 AS wanted_slug, ",
                link_columns!(),
                ", coalesce((SELECT max(o.version) FROM links AS o WHERE o.domain_id = CAST(given.value ->> 0 AS BIGINT)
                     AND o.slug = (given.value ->> 1) AND o.deleted_at IS NOT NULL), 0) AS deleted_version
                 FROM ",
                $rows,
                " LEFT JOIN links AS l ON l.domain_id = CAST(given.value ->> 0 AS BIGINT) AND l.slug = (given.value ->> 1)
                     AND l.deleted_at IS NULL
                   LEFT JOIN domains AS d ON d.id = l.domain_id"
            )
        };
    }
    match engine {
        Engine::Sqlite => text!("json_each($1) AS given"),
        Engine::Postgres => text!("jsonb_array_elements(CAST($1 AS jsonb)) AS given(value)"),
    }
}
