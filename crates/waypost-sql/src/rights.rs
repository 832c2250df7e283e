//! A PostgreSQL user who may not make or change our tables: what the database's administrator can run about it.

use sqlx::{AnyConnection, Error, Row};

use crate::dialect::{Address, Engine};
use crate::error::SqlError;

/// Whether the server refused a statement for want of rights. A user without `USAGE` is told that there is no schema.
fn is_want_of_rights(error: &Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    // insufficient_privilege, invalid_schema_name.
    error.code().is_some_and(|code| matches!(code.as_ref(), "42501" | "3F000"))
}

/// The failure of a migration with what to do about it, where the user lacks the right to migrate.
pub(crate) async fn explain(failure: SqlError, address: &Address, connection: &mut AnyConnection) -> SqlError {
    let (SqlError::Withheld { source, .. } | SqlError::Migration { source, .. }) = &failure else { return failure };
    if address.engine() != Engine::Postgres || !is_want_of_rights(source) {
        return failure;
    }
    let asked = sqlx::query(
        "SELECT quote_ident(CAST(current_user AS TEXT)) AS person, quote_ident(coalesce(CAST(current_schema() AS TEXT), 'public')) AS place,
             coalesce(CAST(has_schema_privilege(CAST(current_schema() AS TEXT), 'CREATE') AS INT), 0) AS may_create,
             quote_ident(CAST(current_database() AS TEXT)) AS here,
             CAST((SELECT count(*) FROM pg_database WHERE datname = 'waypost') AS INT) AS has_waypost",
    );
    let Ok(row) = asked.fetch_one(connection).await else { return failure };
    let (Ok(person), Ok(place), Ok(here)) =
        (row.try_get::<String, _>("person"), row.try_get::<String, _>("place"), row.try_get::<String, _>("here"))
    else {
        return failure;
    };
    let (Ok(may_create), Ok(has_waypost)) = (row.try_get::<i32, _>("may_create"), row.try_get::<i32, _>("has_waypost"))
    else {
        return failure;
    };
    let reason = if may_create == 0 {
        let or_a_new_one = match has_waypost {
            0 => format!(" or make a database for it: CREATE DATABASE waypost OWNER {person};"),
            _ => String::new(),
        };
        format!(
            "the user {person} may not make tables in its schema {place}. Its administrator can allow it, connected to the database \
             {here}, by: GRANT CREATE, USAGE ON SCHEMA {place} TO {person};{or_a_new_one}"
        )
    } else {
        let said = source.as_database_error().map_or_else(String::new, |error| error.message().to_owned());
        format!(
            "the user {person} may not use the tables that are there ({said}). Connect as the user who made them, or let its \
             administrator make {person} the owner of each: ALTER TABLE ... OWNER TO {person};"
        )
    };
    SqlError::Refused { database: address.display_name(), reason }
}
